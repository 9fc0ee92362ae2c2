package org.kvm4j.cpu.semantics;

/** The 1-, 2-, 4- or 8-byte elements of 64-bit words, one by one. Bit widths are in bits. */
final class PackedMath {
  private PackedMath() {}

  // ---- elements ----

  /** The element at a bit offset, sign-extended. */
  static long sign(long word, int at, int bits) {
    return word << 64 - bits - at >> 64 - bits;
  }

  /** The element at a bit offset, zero-extended. */
  static long zero(long word, int at, int bits) {
    return word << 64 - bits - at >>> 64 - bits;
  }

  /** The element at a bit offset in a register, zero-extended; it does not cross words. */
  static long zero(long[] words, int at, int bits) {
    return zero(words[at >> 6], at & 63, bits);
  }

  /** The element at a bit offset in a register, sign-extended; it does not cross words. */
  static long sign(long[] words, int at, int bits) {
    return sign(words[at >> 6], at & 63, bits);
  }

  /** Sets the element at a bit offset in a register to the lowest bits of a value. */
  static void put(long[] words, int at, int bits, long value) {
    long mask = mask(bits) << at;
    words[at >> 6] = words[at >> 6] & ~mask | value << at & mask;
  }

  /** The lowest bits. */
  static long mask(int bits) {
    return -1L >>> 64 - bits;
  }

  /** The value, within what so many signed bits hold. */
  static long saturateSigned(long value, int bits) {
    long high = mask(bits) >>> 1;
    return Math.max(~high, Math.min(high, value));
  }
}
