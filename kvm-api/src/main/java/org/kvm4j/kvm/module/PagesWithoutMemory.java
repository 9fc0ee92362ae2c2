package org.kvm4j.kvm.module;

import java.util.Arrays;

/**
 * Guest-physical pages in which a virtual CPU has found no memory: they need not be looked for
 * among the slots again as long as these are as they were. For one thread.
 */
final class PagesWithoutMemory {
  private static final int SIZE = 16;
  private static final long NONE = -1;

  /** The slots that the pages are not in. */
  private MemorySlot[] of = {};

  private final long[] pages = new long[SIZE];

  private static int index(long gpa) {
    return (int) (gpa >>> 12 ^ gpa >>> 20) & SIZE - 1;
  }

  /** Whether there is no memory at an address for sure, with the slots as they are. */
  boolean has(long gpa, MemorySlot[] slots) {
    return of == slots && pages[index(gpa)] == gpa >>> 12;
  }

  /**
   * There is no memory at an address.
   *
   * @param slots as they were before that was found
   */
  void add(long gpa, MemorySlot[] slots) {
    if (of != slots) {
      of = slots;
      Arrays.fill(pages, NONE);
    }
    pages[index(gpa)] = gpa >>> 12;
  }
}
