package org.kvm4j.cpu.semantics;

/** Products and quotients of 128 bits, and bit permutations that Java 17 does not have. */
public final class WideMath {
  private WideMath() {}

  /** The upper half of the unsigned product of two 64-bit values. */
  public static long multiplyHighUnsigned(long a, long b) {
    return Math.multiplyHigh(a, b) + (a >> 63 & b) + (b >> 63 & a);
  }

  /**
   * The unsigned quotient of a 128-bit dividend. The remainder is {@code low - quotient * divisor}.
   *
   * @param high the dividend's upper half, below the divisor
   */
  public static long divideUnsigned(long high, long low, long divisor) {
    if (high == 0) {
      return Long.divideUnsigned(low, divisor);
    }
    // Schoolbook division in base 2^32 with a normalised divisor: two digits of quotient.
    int shift = Long.numberOfLeadingZeros(divisor);
    long d = divisor << shift;
    long upper = shift == 0 ? high : high << shift | low >>> 64 - shift;
    long lower = low << shift;
    long digit1 = digit(upper, lower >>> 32, d);
    long rest = (upper << 32 | lower >>> 32) - digit1 * d;
    long digit0 = digit(rest, lower & 0xffffffffL, d);
    return (digit1 << 32) + digit0;
  }

  /** One digit: the quotient of {@code rest:next}, 96 bits, by a normalised divisor. */
  private static long digit(long rest, long next, long divisor) {
    long top = divisor >>> 32;
    long bottom = divisor & 0xffffffffL;
    long q = Long.divideUnsigned(rest, top);
    long r = rest - q * top;
    while (q >>> 32 != 0 || Long.compareUnsigned(q * bottom, r << 32 | next) > 0) {
      q--;
      r += top;
      if (r >>> 32 != 0) {
        break;
      }
    }
    return q;
  }

  /** PDEP: puts the low bits of {@code value} where {@code mask} has ones. */
  public static long deposit(long value, long mask) {
    long result = 0;
    for (long rest = mask; rest != 0; rest &= rest - 1) {
      if ((value & 1) != 0) {
        result |= rest & -rest;
      }
      value >>>= 1;
    }
    return result;
  }

  /** PEXT: gathers the bits of {@code value} where {@code mask} has ones. */
  public static long extract(long value, long mask) {
    long result = 0;
    int at = 0;
    for (long rest = mask; rest != 0; rest &= rest - 1) {
      if ((value & rest & -rest) != 0) {
        result |= 1L << at;
      }
      at++;
    }
    return result;
  }
}
