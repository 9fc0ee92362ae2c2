package org.kvm4j.ept.tlb;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The guest pages that code has been fetched from. Most invalidations are of data, and leave alone
 * what is known of code.
 */
final class FetchedPages {
  private static final int FEW = 64;
  private static final int MOSTLY_EMPTY = 16;

  /**
   * A set, by open addressing: each page's number with the log2 of its size, which is not 0; 0 in a
   * free slot. Null while there are none.
   */
  private long @Nullable [] keys;

  private int count;

  /** A bit for the log2 of each size that there is. */
  private long shifts;

  boolean isEmpty() {
    return count == 0;
  }

  /**
   * A page of 4 KBytes.
   *
   * @param guestPageShift log2 of the size of the guest's page that it is a part of
   */
  void add(long linear, int guestPageShift) {
    add(key(linear, 12));
    shifts |= 1L << 12;
    if (guestPageShift > 12) {
      add(key(linear, guestPageShift));
      shifts |= 1L << guestPageShift;
    }
  }

  private void add(long key) {
    long[] all = keys;
    if (all == null) {
      all = new long[FEW];
      keys = all;
    } else if (count > all.length / 2) {
      all = more(all);
      keys = all;
    }
    int slot = slot(all, key);
    if (all[slot] == 0) {
      all[slot] = key;
      count++;
    }
  }

  private static long[] more(long[] all) {
    long[] more = new long[4 * all.length];
    for (long key : all) {
      if (key != 0) {
        more[slot(more, key)] = key;
      }
    }
    return more;
  }

  /** Whether code has been fetched from the page of an address, of whatever size that is. */
  boolean contains(long linear) {
    for (long left = shifts; left != 0; left &= left - 1) {
      if (contains(linear, Long.numberOfTrailingZeros(left))) {
        return true;
      }
    }
    return false;
  }

  /** Whether it has been from the page of 4 KBytes of an address. */
  boolean containsPage(long linear) {
    return contains(linear, 12);
  }

  private boolean contains(long linear, int shift) {
    long[] all = keys;
    return all != null && count != 0 && all[slot(all, key(linear, shift))] != 0;
  }

  void clear() {
    long[] all = keys;
    if (all != null && count != 0) {
      // As many will come again; what is mostly empty is not worth clearing.
      if (count > all.length / MOSTLY_EMPTY) {
        Arrays.fill(all, 0);
      } else {
        keys = null;
      }
      count = 0;
      shifts = 0;
    }
  }

  private static long key(long linear, int shift) {
    return (linear >>> shift) * 64 + shift;
  }

  /** Where a key is, or would be. */
  private static int slot(long[] all, long key) {
    int slot = (int) (key * 0x9e3779b97f4a7c15L >>> 32) & all.length - 1;
    while (all[slot] != 0 && all[slot] != key) {
      slot = slot + 1 & all.length - 1;
    }
    return slot;
  }
}
