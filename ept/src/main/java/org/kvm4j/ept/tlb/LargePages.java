package org.kvm4j.ept.tlb;

import java.util.Arrays;

/**
 * A bounded set of the guest pages larger than 4 KBytes that TLB entries are parts of. It may name
 * pages that no entry is left of, never the other way round; when it is full it says yes to
 * everything.
 */
final class LargePages {
  private static final int CAPACITY = 256;

  /** Of no length until there is a large page. */
  private long[] keys = {};

  private int size;
  private boolean overflown;
  private int shifts;

  /** Log2 of the sizes seen, as a mask. */
  int shifts() {
    return shifts;
  }

  void add(long linear, int shift) {
    shifts |= 1 << shift;
    if (overflown) {
      return;
    }
    if (keys.length == 0) {
      keys = new long[CAPACITY];
    }
    long key = key(linear, shift);
    int at = hash(key);
    while (keys[at] != 0) {
      if (keys[at] == key) {
        return;
      }
      at = (at + 1) & (CAPACITY - 1);
    }
    keys[at] = key;
    if (++size > CAPACITY / 2) {
      overflown = true;
    }
  }

  boolean contains(long linear, int shift) {
    if ((shifts & 1 << shift) == 0) {
      return false;
    }
    if (overflown) {
      return true;
    }
    long key = key(linear, shift);
    for (int at = hash(key); keys[at] != 0; at = (at + 1) & (CAPACITY - 1)) {
      if (keys[at] == key) {
        return true;
      }
    }
    return false;
  }

  void clear() {
    if (shifts != 0) {
      Arrays.fill(keys, 0);
      size = 0;
      shifts = 0;
      overflown = false;
    }
  }

  private static long key(long linear, int shift) {
    return (linear >>> shift << shift) | shift;
  }

  private static int hash(long key) {
    return (int) (key * 0x9e3779b97f4a7c15L >>> 56);
  }
}
