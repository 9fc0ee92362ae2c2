package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;

/** The decoded blocks of one page of physical memory, on one processor. */
final class CodePage {
  /** Physical address of the page. */
  final long hpa;

  /** First block at each offset; further ones by {@link Block#sibling}. Null until the first. */
  private final @Nullable Block[] blocks = new Block[4096];

  /** A bit for each 64 bytes that a block covers. */
  private long covered;

  CodePage(long hpa) {
    this.hpa = hpa;
  }

  @Nullable Block find(int offset, int modeKey) {
    Block b = blocks[offset];
    while (b != null && b.modeKey != modeKey) {
      b = b.sibling;
    }
    return b;
  }

  void add(Block b) {
    int at = b.offset & 0xffff;
    b.sibling = blocks[at];
    blocks[at] = b;
    covered |= lines(at, b.end);
  }

  /** Whether a store to these bytes can touch a block. */
  boolean covers(int offset, int length) {
    return (covered & lines(offset, offset + length)) != 0;
  }

  private static long lines(int from, int to) {
    int first = from >> 6;
    int last = Math.min(to - 1, 4095) >> 6;
    return -1L >>> 63 - (last - first) << first;
  }

  /**
   * Drops the blocks that overlap the bytes.
   *
   * @return whether there was any
   */
  boolean invalidate(int offset, int length) {
    boolean any = false;
    long still = 0;
    for (int at = 0; at < blocks.length; at++) {
      Block previous = null;
      for (Block b = blocks[at]; b != null; b = b.sibling) {
        if (at < offset + length && b.end > offset) {
          any = true;
          drop(b);
          if (previous == null) {
            blocks[at] = b.sibling;
          } else {
            previous.sibling = b.sibling;
          }
        } else {
          still |= lines(at, b.end);
          previous = b;
        }
      }
    }
    covered = still;
    return any;
  }

  boolean isEmpty() {
    return covered == 0;
  }

  /** Makes a block unreachable: it resumes through the dispatcher after whatever runs in it now. */
  private static void drop(Block b) {
    b.epoch = 0;
    b.dropIncoming();
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
