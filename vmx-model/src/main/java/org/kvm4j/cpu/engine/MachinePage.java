package org.kvm4j.cpu.engine;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.kvm4j.ept.memory.CodeMark;

/** The machine code of one page of physical memory; whoever uses it has the store's lock. */
final class MachinePage {
  private static final int LOG_LINE = 6;

  /**
   * First of the blocks that begin in each 64 bytes; further ones by {@link MachineBlock#sibling}.
   */
  private final @Nullable MachineBlock[] lines = new MachineBlock[CodePage.SIZE >> LOG_LINE];

  /** Blocks of the page before whose instruction ends here. */
  private final List<MachineBlock> tails = new ArrayList<>(0);

  /** No block has had more bytes. */
  private int longest;

  private int count;

  /** That stores to the page are told of; null where there are no blocks. */
  @Nullable CodeMark mark;

  /** How often it has been without blocks again. */
  int emptied;

  @Nullable MachineBlock find(int offset, int modeKey) {
    MachineBlock b = lines[offset >> LOG_LINE];
    while (b != null && (b.offset != offset || b.modeKey != modeKey)) {
      b = b.sibling;
    }
    return b;
  }

  void add(MachineBlock b) {
    int line = b.offset >> LOG_LINE;
    b.sibling = lines[line];
    lines[line] = b;
    longest = Math.max(longest, b.end - b.offset);
    count++;
  }

  void remove(MachineBlock b) {
    int line = b.offset >> LOG_LINE;
    MachineBlock first = lines[line];
    if (first == b) {
      lines[line] = b.sibling;
      count--;
      return;
    }
    for (MachineBlock k = first; k != null; k = k.sibling) {
      if (k.sibling == b) {
        k.sibling = b.sibling;
        count--;
        return;
      }
    }
  }

  /** A block of the page before ends here. */
  void addTail(MachineBlock b) {
    tails.add(b);
  }

  void removeTail(MachineBlock b) {
    tails.remove(b);
  }

  boolean isEmpty() {
    return count == 0 && tails.isEmpty();
  }

  /** Gives all blocks that have some of the bytes. */
  void overlapping(int offset, int length, Consumer<MachineBlock> to) {
    int first = Math.max(offset - longest + 1, 0) >> LOG_LINE;
    int last = Math.min(offset + length, CodePage.SIZE) - 1 >> LOG_LINE;
    for (int line = first; line <= last; line++) {
      MachineBlock next;
      for (MachineBlock b = lines[line]; b != null; b = next) {
        next = b.sibling;
        if (b.end > offset && b.offset < offset + length) {
          to.accept(b);
        }
      }
    }
    for (int k = tails.size() - 1; k >= 0; k--) {
      MachineBlock b = tails.get(k);
      if (Math.max(b.end - CodePage.SIZE, 1) > offset) {
        to.accept(b);
      }
    }
  }

  /** Gives all blocks. */
  void all(Consumer<MachineBlock> to) {
    overlapping(0, CodePage.SIZE, to);
  }
}
