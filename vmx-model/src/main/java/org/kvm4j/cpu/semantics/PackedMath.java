package org.kvm4j.cpu.semantics;

import java.util.function.LongBinaryOperator;

/** Arithmetic on the 1-, 2-, 4- or 8-byte elements of a 64-bit word. Bit widths are in bits. */
final class PackedMath {
  private PackedMath() {}

  // ---- elements ----

  /**
   * Elements of up to 32 bits of both words, sign-extended, through a function; the rest of each
   * result is cut off.
   */
  static LongBinaryOperator signed(int bits, LongBinaryOperator f) {
    return (a, b) -> {
      long result = 0;
      for (int at = 64 - bits; at >= 0; at -= bits) {
        result = result << bits | f.applyAsLong(sign(a, at, bits), sign(b, at, bits)) & mask(bits);
      }
      return result;
    };
  }

  /**
   * Elements of up to 32 bits of both words, zero-extended, through a function; the rest of each
   * result is cut off.
   */
  static LongBinaryOperator unsigned(int bits, LongBinaryOperator f) {
    return (a, b) -> {
      long result = 0;
      for (int at = 64 - bits; at >= 0; at -= bits) {
        result = result << bits | f.applyAsLong(zero(a, at, bits), zero(b, at, bits)) & mask(bits);
      }
      return result;
    };
  }

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

  /** The signed value, within what so many unsigned bits hold. */
  static long saturateUnsigned(long value, int bits) {
    return Math.max(0, Math.min(mask(bits), value));
  }

  // ---- whole words at once ----

  /** The highest bit of each element. */
  private static long tops(int bits) {
    long tops = 0;
    for (int at = bits - 1; at < 64; at += bits) {
      tops |= 1L << at;
    }
    return tops;
  }

  /** Addition that wraps: the highest bits are added without carry. */
  static LongBinaryOperator add(int bits) {
    long tops = tops(bits);
    return (a, b) -> (a & ~tops) + (b & ~tops) ^ (a ^ b) & tops;
  }

  /** Subtraction that wraps: the highest bits are set, so that no borrow leaves an element. */
  static LongBinaryOperator subtract(int bits) {
    long tops = tops(bits);
    return (a, b) -> (a | tops) - (b & ~tops) ^ (a ^ ~b) & tops;
  }

  /** All ones where the elements are equal, otherwise zero. */
  static LongBinaryOperator equal(int bits) {
    long tops = tops(bits);
    return (a, b) -> {
      long x = a ^ b;
      // The highest bit of each element that is not zero; then that bit spread over it.
      long unequal = ((x & ~tops) + ~tops | x) & tops;
      long equal = unequal ^ tops;
      return (equal << 1) - (equal >>> bits - 1);
    };
  }

  // ---- functions of one pair of words ----

  /** Products of the lower halves' signed 32 bits. */
  static long multiplyLow32(long a, long b) {
    return (long) (int) a * (int) b;
  }

  /** Products of the lower halves' unsigned 32 bits. */
  static long multiplyLow32Unsigned(long a, long b) {
    return (a & 0xffffffffL) * (b & 0xffffffffL);
  }

  /** PMADDWD: products of signed 16 bits, added in pairs; all four -8000H wrap. */
  static long multiplyAddWords(long a, long b) {
    long low = sign(a, 0, 16) * sign(b, 0, 16) + sign(a, 16, 16) * sign(b, 16, 16);
    long high = sign(a, 32, 16) * sign(b, 32, 16) + sign(a, 48, 16) * sign(b, 48, 16);
    return high << 32 | low & 0xffffffffL;
  }

  /** PMADDUBSW: unsigned by signed bytes, added in pairs, saturated to signed 16 bits. */
  static long multiplyAddBytes(long a, long b) {
    long result = 0;
    for (int at = 48; at >= 0; at -= 16) {
      long sum = zero(a, at, 8) * sign(b, at, 8) + zero(a, at + 8, 8) * sign(b, at + 8, 8);
      result = result << 16 | saturateSigned(sum, 16) & 0xffff;
    }
    return result;
  }

  /** PSADBW: the sum of the absolute differences of unsigned bytes. */
  static long sumOfDifferences(long a, long b) {
    long sum = 0;
    for (int at = 0; at < 64; at += 8) {
      sum += Math.abs(zero(a, at, 8) - zero(b, at, 8));
    }
    return sum;
  }
}
