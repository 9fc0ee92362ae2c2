package org.kvm4j.ept.tlb;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The guest pages that code has been fetched from, hashed: it may name more, never fewer. Most
 * invalidations are of data, and leave alone what is known of code.
 */
final class FetchedPages {
  private static final int LOG_BITS = 13;

  /** Null while there are none. */
  private long @Nullable [] bits;

  private boolean empty = true;

  boolean isEmpty() {
    return empty;
  }

  /**
   * A page of 4 KBytes.
   *
   * @param guestPageShift log2 of the size of the guest's page that it is a part of
   */
  void add(long linear, int guestPageShift) {
    long[] b = bits;
    if (b == null) {
      b = new long[1 << LOG_BITS - 6];
      bits = b;
    }
    empty = false;
    set(b, hash(linear, 12));
    if (guestPageShift > 12) {
      set(b, hash(linear, guestPageShift));
    }
  }

  /** Whether the page of an address, of any of the sizes that there are, may be one of them. */
  boolean contains(long linear) {
    long[] b = bits;
    return b != null
        && (isSet(b, hash(linear, 12))
            || isSet(b, hash(linear, 21))
            || isSet(b, hash(linear, 22))
            || isSet(b, hash(linear, 30)));
  }

  /** Whether the page of 4 KBytes of an address may be one of them. */
  boolean containsPage(long linear) {
    long[] b = bits;
    return b != null && !empty && isSet(b, hash(linear, 12));
  }

  private static boolean isSet(long[] b, int bit) {
    return (b[bit >>> 6] & 1L << bit) != 0;
  }

  void clear() {
    if (bits != null && !empty) {
      Arrays.fill(bits, 0);
      empty = true;
    }
  }

  private static void set(long[] b, int bit) {
    b[bit >>> 6] |= 1L << bit;
  }

  private static int hash(long linear, int shift) {
    return (int) (((linear >>> shift) * 64 + shift) * 0x9e3779b97f4a7c15L >>> 64 - LOG_BITS);
  }
}
