package org.kvm4j.cpu.fpu;

/**
 * A number between an operation and its rounding: a sign, an exponent and a significand of 128
 * bits, the last of which is sticky (set where anything was lost below it). The value is
 * significand / 2^127 times two to the exponent. A number that is not zero has its top bit set,
 * except after {@link #shiftRight}.
 *
 * <p>The arithmetic of x87 ({@link Float80}) and of SSE and AVX ({@link SimdFloat}) is one up to
 * here; what they make of exponents out of range, and of exceptions, is their own. SDM Vol. 1,
 * 4.8.4 "Rounding".
 */
final class Unrounded {
  static final int NEAREST = 0;
  static final int DOWN = 1;
  static final int UP = 2;
  static final int TRUNCATE = 3;

  private static final long TOP = 1L << 63;

  boolean negative;
  int exponent;
  long high;
  long low;

  /** Of the last {@link #round}: whether anything was lost. */
  boolean inexact;

  /** Of the last {@link #round}: whether it went away from zero. */
  boolean roundedUp;

  /** Sets a number with a significand of 64 bits, in whatever position; 0 is zero. */
  void set(boolean isNegative, int topExponent, long significand) {
    int lead = Long.numberOfLeadingZeros(significand);
    negative = isNegative;
    exponent = topExponent - lead;
    high = significand << lead;
    low = 0;
  }

  /** Sets a number whose top bit is in the upper half of the significand or above all zeroes. */
  private void set(boolean isNegative, int topExponent, long upper, long lower) {
    negative = isNegative;
    if (upper == 0) {
      set(isNegative, topExponent - 64, lower);
      return;
    }
    int lead = Long.numberOfLeadingZeros(upper);
    exponent = topExponent - lead;
    high = lead == 0 ? upper : upper << lead | lower >>> 64 - lead;
    low = lower << lead;
  }

  boolean isZero() {
    return high == 0 && low == 0;
  }

  // ---- rounding ----

  /** Shifts right; what is lost stays in the sticky bit. The exponent is left as it is. */
  void shiftRight(int distance) {
    if (distance == 0) {
      return;
    }
    boolean lost;
    if (distance >= 128) {
      lost = (high | low) != 0;
      high = 0;
      low = 0;
    } else if (distance >= 64) {
      lost = low != 0 || distance > 64 && high << 128 - distance != 0;
      low = high >>> distance - 64;
      high = 0;
    } else {
      lost = low << 64 - distance != 0;
      low = low >>> distance | high << 64 - distance;
      high >>>= distance;
    }
    if (lost) {
      low |= 1;
    }
  }

  /** Whether {@link #round} would carry out of the top: all bits kept are ones. */
  boolean carries(int bits, int mode) {
    long unit = 1L << 64 - bits;
    return (high & -unit) == -unit && increments(unit, mode);
  }

  /**
   * Rounds to the upper bits of the significand.
   *
   * @param bits how many are kept, 1 to 64
   * @param mode {@link #NEAREST}, {@link #DOWN}, {@link #UP} or {@link #TRUNCATE}
   */
  void round(int bits, int mode) {
    long unit = 1L << 64 - bits;
    inexact = (high & unit - 1 | low) != 0;
    roundedUp = increments(unit, mode);
    high &= -unit;
    low = 0;
    if (roundedUp) {
      high += unit;
      if (high == 0) {
        high = TOP;
        exponent++;
      }
    }
  }

  private boolean increments(long unit, int mode) {
    long rest = high & unit - 1;
    if ((rest | low) == 0) {
      return false;
    }
    return switch (mode) {
      case NEAREST -> {
        // The first bit below the unit, then what follows it.
        long first = unit == 1 ? low & TOP : rest & unit >>> 1;
        long others = unit == 1 ? low << 1 : rest & (unit >>> 1) - 1 | low;
        yield first != 0 && (others != 0 || (high & unit) != 0);
      }
      case DOWN -> negative;
      case UP -> !negative;
      default -> false;
    };
  }

  /** Makes the number, which is not zero, less by a unit of its last place. */
  void lower() {
    if (low == 0) {
      high--;
    }
    low--;
    if (high >= 0) {
      high = high << 1 | 1;
      low = low << 1 | 1;
      exponent--;
    }
  }

  // ---- arithmetic ----

  /**
   * Adds a number that is not zero to this one, which is not zero either. An exact zero is left
   * without a sign of its own.
   */
  void add(Unrounded b) {
    boolean bn = b.negative;
    int bx = b.exponent;
    long bh = b.high;
    long bl = b.low;
    boolean isSmaller =
        exponent != bx
            ? exponent < bx
            : high != bh ? Long.compareUnsigned(high, bh) < 0 : Long.compareUnsigned(low, bl) < 0;
    int ax = isSmaller ? bx : exponent;
    boolean an = isSmaller ? bn : negative;
    long ah = isSmaller ? bh : high;
    long al = isSmaller ? bl : low;
    if (!isSmaller) {
      high = bh;
      low = bl;
    }
    // What is in the significand now is the smaller number.
    shiftRight(ax - (isSmaller ? exponent : bx));
    if (bn == negative) {
      long l = al + low;
      long carry = Long.compareUnsigned(l, al) < 0 ? 1 : 0;
      long h = ah + high;
      boolean carries = Long.compareUnsigned(h, ah) < 0;
      h += carry;
      carries |= h == 0 && carry != 0;
      negative = an;
      exponent = ax;
      high = h;
      low = l;
      if (carries) {
        shiftRight(1);
        high |= TOP;
        exponent++;
      }
      return;
    }
    long l = al - low;
    long h = ah - high - (Long.compareUnsigned(al, low) < 0 ? 1 : 0);
    set(an, ax, h, l);
  }

  /** Multiplies two significands of 64 bits with their top bits set; the product is exact. */
  void product(boolean isNegative, int topExponent, long a, long b) {
    set(isNegative, topExponent + 1, multiplyHigh(a, b), a * b);
  }

  /** Divides two significands of 64 bits with their top bits set. */
  void quotient(boolean isNegative, int topExponent, long a, long b) {
    negative = isNegative;
    exponent = topExponent;
    boolean whole = Long.compareUnsigned(a, b) >= 0;
    if (!whole) {
      exponent--;
    }
    // The dividend, below the divisor, in units that leave 64 bits of quotient after the first.
    long rest = whole ? a - b : a;
    if (whole) {
      high = divide(rest >>> 1, rest << 63, b);
      // One was taken out; the quotient of the rest follows it, one place lower.
      rest = (rest << 63) - high * b;
      high |= TOP;
    } else {
      high = divide(rest, 0, b);
      rest = -high * b;
    }
    if (rest == 0) {
      low = 0;
      return;
    }
    long half = b - rest;
    int c = Long.compareUnsigned(rest, half);
    low = c > 0 ? 3L << 62 : c == 0 ? TOP : 1L << 62;
  }

  /** The square root of a significand of 64 bits with its top bit set, and its exponent. */
  void root(int topExponent, long significand) {
    negative = false;
    exponent = topExponent >> 1;
    // The radicand, of 127 or 128 bits, has a root of 64.
    boolean odd = (topExponent & 1) != 0;
    long vh = odd ? significand : significand >>> 1;
    long vl = odd ? 0 : significand << 63;
    double v = (vh >>> 11) * 0x1p75;
    double estimate = Math.sqrt(v);
    long r = estimate >= 0x1p64 ? -1 : toUnsigned(estimate);
    // One step of Newton's iteration makes some 52 right bits all 64, give or take one.
    double rest = difference(vh, vl, r);
    r += (long) (rest / (2 * estimate)) - 1;
    for (; ; ) {
      long square = multiplyHigh(r, r);
      long l = vl - r * r;
      long h = vh - square - (Long.compareUnsigned(vl, r * r) < 0 ? 1 : 0);
      if (h < 0) {
        r--;
        continue;
      }
      // The remainder is at most twice the root.
      if (h > 1
          || h == 1 && (r >= 0 || Long.compareUnsigned(l, r << 1) > 0)
          || h == 0 && r >= 0 && Long.compareUnsigned(l, r << 1) > 0) {
        r++;
        continue;
      }
      high = r;
      // It exceeds the root exactly where the fraction exceeds one half; it never equals one half.
      low = (h | l) == 0 ? 0 : h > 0 || Long.compareUnsigned(l, r) > 0 ? 3L << 62 : 1L << 62;
      return;
    }
  }

  private static long toUnsigned(double v) {
    return v < 0x1p63 ? (long) v : (long) (v - 0x1p63) + TOP;
  }

  /** v - r*r, about. */
  private static double difference(long vh, long vl, long r) {
    long square = r * r;
    long h = vh - multiplyHigh(r, r) - (Long.compareUnsigned(vl, square) < 0 ? 1 : 0);
    return h * 0x1p64 + ((vl - square) >>> 1) * 2.0;
  }

  /** The upper 64 bits of the product of unsigned numbers. */
  static long multiplyHigh(long a, long b) {
    return Math.multiplyHigh(a, b) + (a >> 63 & b) + (b >> 63 & a);
  }

  /**
   * Divides an unsigned number of 128 bits by one of 64 with its top bit set, which is greater than
   * the number's upper half: Knuth's algorithm D with digits of 32 bits.
   */
  private static long divide(long upper, long lower, long divisor) {
    long first = digit(upper, lower >>> 32, divisor);
    long rest = (upper << 32 | lower >>> 32) - first * divisor;
    return first << 32 | digit(rest, lower & 0xffffffffL, divisor);
  }

  /** One digit of the quotient. */
  private static long digit(long upper, long next, long divisor) {
    long dh = divisor >>> 32;
    long dl = divisor & 0xffffffffL;
    long q = Long.divideUnsigned(upper, dh);
    long r = upper - q * dh;
    while (q >>> 32 != 0 || Long.compareUnsigned(q * dl, r << 32 | next) > 0) {
      q--;
      r += dh;
      if (r >>> 32 != 0) {
        break;
      }
    }
    return q;
  }
}
