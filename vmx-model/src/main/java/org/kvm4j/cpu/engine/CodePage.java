package org.kvm4j.cpu.engine;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kvm4j.ept.memory.CodeMark;

/** The decoded blocks of one page of physical memory, on one processor. */
final class CodePage {
  /** Bytes. */
  static final int SIZE = 4096;

  /** Physical address of the page. */
  final long hpa;

  private static final int LINE = 64;

  /**
   * First block at each offset, by the line of 64 bytes, which is null until the first in it;
   * further ones by {@link Block#sibling}. Most pages have code in few lines.
   */
  private final @Nullable Block[] @Nullable [] lines = new Block[SIZE / LINE][];

  /** Blocks of the page before whose instruction ends here. */
  private @Nullable List<Block> tails;

  /** That stores to the page are told of; null where there are no blocks. */
  @Nullable CodeMark mark;

  /** How often it has been without blocks again. */
  int emptied;

  /** A bit for each 64 bytes that a block covers. */
  private long covered;

  /** No block has had more bytes. */
  private int longest;

  final Interpreter engine;

  /** What was translated from here, dead or alive. */
  private @Nullable List<Region> regions;

  /** Offsets of instructions that touch devices. */
  private @Nullable BitSet devices;

  CodePage(Interpreter engine, long hpa) {
    this.engine = engine;
    this.hpa = hpa;
  }

  void addRegion(Region r) {
    if (regions == null) {
      regions = new ArrayList<>();
    }
    regions.removeIf(old -> old.dead);
    regions.add(r);
  }

  /** The page is forgotten whole. */
  void dropRegions() {
    if (regions != null) {
      regions.forEach(r -> r.dead = true);
    }
  }

  /** The instruction at an offset touches a device again and again: it is decoded anew, as such. */
  void setDevice(int offset) {
    if (devices == null) {
      devices = new BitSet();
    }
    devices.set(offset);
    replace(offset);
  }

  /** The instruction at an offset is one like others. */
  void clearDevice(int offset) {
    if (devices != null) {
      devices.clear(offset);
    }
    replace(offset);
  }

  /** Has the blocks with an instruction be decoded anew, and be other machine code. */
  private void replace(int offset) {
    invalidate(offset, 1);
    if (engine.machine != null) {
      engine.machine.replace(hpa + offset);
    }
  }

  boolean isDevice(int offset) {
    return devices != null && devices.get(offset);
  }

  @Nullable Block find(int offset, int modeKey) {
    Block b = first(offset);
    while (b != null && b.modeKey != modeKey) {
      b = b.sibling;
    }
    return b;
  }

  private @Nullable Block first(int offset) {
    @Nullable Block[] line = lines[offset / LINE];
    return line == null ? null : line[offset % LINE];
  }

  private void setFirst(int offset, @Nullable Block b) {
    @Nullable Block[] line = lines[offset / LINE];
    if (line == null) {
      line = new Block[LINE];
      lines[offset / LINE] = line;
    }
    line[offset % LINE] = b;
  }

  void add(Block b) {
    int at = b.offset & 0xffff;
    b.sibling = first(at);
    setFirst(at, b);
    covered |= lines(at, b.end);
    longest = Math.max(longest, b.end - at);
  }

  /** A block of another page ends here. */
  void addTail(Block b) {
    if (tails == null) {
      tails = new ArrayList<>(1);
    }
    tails.add(b);
    covered |= lines(0, tailEnd(b));
  }

  /** Where a block of the page before ends here: one byte was looked at, at least. */
  private static int tailEnd(Block b) {
    return Math.max(b.end - SIZE, 1);
  }

  void removeTail(Block b) {
    if (tails != null) {
      tails.remove(b);
    }
  }

  /** Drops one block. */
  void remove(Block b) {
    int at = b.offset & 0xffff;
    Block first = first(at);
    if (first == b) {
      setFirst(at, b.sibling);
    } else {
      for (Block k = first; k != null; k = k.sibling) {
        if (k.sibling == b) {
          k.sibling = b.sibling;
        }
      }
    }
    drop(b);
  }

  /** Whether a store to these bytes can touch a block. */
  boolean covers(int offset, int length) {
    return (covered & lines(offset, offset + length)) != 0;
  }

  private static long lines(int from, int to) {
    int first = from >> 6;
    int last = Math.min(to - 1, SIZE - 1) >> 6;
    return -1L >>> 63 - (last - first) << first;
  }

  /**
   * Drops the blocks that overlap the bytes.
   *
   * @return whether there was any
   */
  boolean invalidate(int offset, int length) {
    int from = SIZE;
    int to = 0;
    int last = Math.min(offset + length, SIZE) - 1;
    for (int at = Math.max(offset - longest + 1, 0); at <= last; at++) {
      @Nullable Block[] line = lines[at / LINE];
      if (line == null) {
        at |= LINE - 1;
        continue;
      }
      Block previous = null;
      for (Block b = line[at % LINE]; b != null; b = b.sibling) {
        if (b.end <= offset) {
          previous = b;
          continue;
        }
        drop(b);
        if (previous == null) {
          line[at % LINE] = b.sibling;
        } else {
          previous.sibling = b.sibling;
        }
        from = Math.min(from, at);
        to = Math.max(to, b.end);
      }
    }
    if (tails != null) {
      for (Block b : List.copyOf(tails)) {
        if (tailEnd(b) > offset) {
          b.page.remove(b);
          from = 0;
          to = Math.max(to, tailEnd(b));
        }
      }
    }
    if (to == 0) {
      return false;
    }
    cover(lines(from, to));
    return true;
  }

  /** Looks anew which of some lines blocks cover. */
  private void cover(long some) {
    long still = 0;
    int from = Long.numberOfTrailingZeros(some) * LINE;
    int to = (64 - Long.numberOfLeadingZeros(some)) * LINE;
    for (int at = Math.max(from - longest + 1, 0); at < to; at++) {
      @Nullable Block[] line = lines[at / LINE];
      if (line == null) {
        at |= LINE - 1;
        continue;
      }
      for (Block b = line[at % LINE]; b != null; b = b.sibling) {
        still |= lines(at, b.end);
      }
    }
    if (tails != null) {
      for (Block b : tails) {
        still |= lines(0, tailEnd(b));
      }
    }
    covered = covered & ~some | still & some;
  }

  boolean isEmpty() {
    return covered == 0;
  }

  /** Makes a block unreachable: it resumes through the dispatcher after whatever runs in it now. */
  private static void drop(Block b) {
    b.epoch = 0;
    b.dropIncoming();
    b.dropRegions();
    if (b.machine != null) {
      b.page.engine.machine.drop(b.machine);
      b.machine = null;
    }
    Op op = b.next;
    // Entering the block again through a link finds a Resume at its very start.
    b.next = new Resume(b.offset, b.count);
    while (op != null) {
      Op following = op.next;
      op.unlink();
      if (following != null) {
        op.next = new Resume((short) ((op.offset & 0xffff) + op.length), op.remaining);
      }
      op = following;
    }
  }
}
