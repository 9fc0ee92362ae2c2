package org.kvm4j.cpu.fpu;

import java.math.BigInteger;

/**
 * The transcendental functions of the x87 FPU. Their results are rounded once, from far more bits
 * than they have; processors are within one unit of the last place of that. They are always taken
 * for inexact, but for zeroes, infinities and what the SDM's tables give as exact. Precision
 * control does not matter to them. SDM Vol. 1, 8.3.7 "Trigonometric Instructions", 8.3.8
 * "Approximation of Pi", 8.3.9 "Logarithmic, Exponential, and Scale", 8.3.10 "Transcendental
 * Instruction Accuracy", 8.5.6; Vol. 2, each instruction's page.
 */
public final class Transcendental {
  private static final int BIAS = Float80.BIAS;
  private static final int BITS = FixedPoint.BITS;
  private static final BigInteger ONE = FixedPoint.ONE;

  /** Below two to this exponent the first term of a series is the function, but for an epsilon. */
  private static final int TINY = -130;

  /** Pi as processors know it, with 66 bits: what arguments are reduced by. */
  private static final BigInteger HALF_PI =
      new BigInteger("C90FDAA22168C234C", 16).shiftLeft(BITS - 67);

  private static final BigInteger QUARTER_PI = HALF_PI.shiftRight(1);
  private static final BigInteger INVERSE_LN2 = FixedPoint.divide(ONE, FixedPoint.LN2);

  private Transcendental() {}

  /** The unbiased exponent of a number that is not zero. */
  private static int exponent(int e, long s) {
    return Float80.normalExponent(e, s) - BIAS;
  }

  /** The magnitude of a number whose exponent is {@link #TINY} at least. */
  private static BigInteger fixed(int e, long s) {
    return Float80.unsigned(s).shiftLeft(BITS + unit(e));
  }

  private static boolean sign(int e) {
    return (e & 0x8000) != 0;
  }

  // ---- sine, cosine, tangent ----

  /** Whether an argument is in the range of {@link #sine}, {@link #cosine}, {@link #tangent}. */
  public static boolean isInRange(int e, long s) {
    int x = e & Float80.MAX;
    return x == Float80.MAX || x < BIAS + 63 || Float80.isUnsupported(e, s);
  }

  /** FSIN. */
  public static void sine(Float80 f, int e, long s) {
    if (isSpecial(f, e, s)) {
      return;
    }
    if (s == 0) {
      f.set(e, s);
    } else if (exponent(e, s) < TINY) {
      f.packNear(e, s, false);
    } else {
      Angle a = new Angle(e, s);
      f.packInexact(a.sine(), -BITS);
    }
  }

  /** FCOS. */
  public static void cosine(Float80 f, int e, long s) {
    if (isSpecial(f, e, s)) {
      return;
    }
    if (s == 0) {
      f.set(BIAS, 1L << 63);
    } else if (exponent(e, s) < TINY) {
      f.packNear(BIAS, 1L << 63, false);
    } else {
      Angle a = new Angle(e, s);
      f.packInexact(a.cosine(), -BITS);
    }
  }

  /** FPTAN. */
  public static void tangent(Float80 f, int e, long s) {
    if (isSpecial(f, e, s)) {
      return;
    }
    if (s == 0) {
      f.set(e, s);
    } else if (exponent(e, s) < TINY) {
      f.packNear(e, s, true);
    } else {
      Angle a = new Angle(e, s);
      f.packInexact(FixedPoint.divide(a.sine(), a.cosine()), -BITS);
    }
  }

  /** What FPTAN pushes: 1, or what the tangent is where that is a NaN. */
  public static void one(Float80 f, int e, long s) {
    if (!isSpecial(f, e, s)) {
      f.set(BIAS, 1L << 63);
    }
  }

  /** Handles NaNs and infinities. */
  private static boolean isSpecial(Float80 f, int e, long s) {
    if (f.nan(e, s)) {
      return true;
    }
    if (Float80.isInfinity(e, s)) {
      f.invalid();
      return true;
    }
    return false;
  }

  /** An angle, as quarters of a turn and what is left of it. */
  private static final class Angle {
    private final int quarters;
    private final BigInteger rest;

    Angle(int e, long s) {
      BigInteger[] reduced = fixed(e, s).divideAndRemainder(HALF_PI);
      boolean isUpper = reduced[1].compareTo(QUARTER_PI) > 0;
      BigInteger whole = isUpper ? reduced[0].add(BigInteger.ONE) : reduced[0];
      BigInteger left = isUpper ? reduced[1].subtract(HALF_PI) : reduced[1];
      quarters = sign(e) ? -whole.intValue() : whole.intValue();
      rest = sign(e) ? left.negate() : left;
    }

    BigInteger sine() {
      return turned(quarters);
    }

    BigInteger cosine() {
      return turned(quarters + 1);
    }

    private BigInteger turned(int by) {
      BigInteger v = (by & 1) == 0 ? FixedPoint.sine(rest) : FixedPoint.cosine(rest);
      return (by & 2) == 0 ? v : v.negate();
    }
  }

  // ---- arctangent ----

  /** FPATAN: the angle of the point (x, y). */
  public static void arctangent(Float80 f, int xe, long xs, int ye, long ys) {
    if (f.nans(xe, xs, ye, ys)) {
      return;
    }
    boolean xInfinite = Float80.isInfinity(xe, xs);
    boolean yInfinite = Float80.isInfinity(ye, ys);
    BigInteger angle;
    if (xInfinite || yInfinite) {
      angle = !yInfinite ? BigInteger.ZERO : FixedPoint.PI.shiftRight(xInfinite ? 2 : 1);
    } else if (ys == 0) {
      angle = BigInteger.ZERO;
    } else if (xs == 0) {
      angle = FixedPoint.PI.shiftRight(1);
    } else {
      int distance = exponent(ye, ys) - exponent(xe, xs);
      if (!sign(xe) && distance < TINY) {
        f.packQuotientLess(ye, ys, xe, xs);
        return;
      }
      angle = angle(distance, Float80.normalSignificand(xs), Float80.normalSignificand(ys));
    }
    if (sign(xe)) {
      angle = FixedPoint.PI.subtract(angle);
    }
    if (angle.signum() == 0) {
      f.set(ye & 0x8000, 0);
    } else {
      f.packInexact(sign(ye) ? angle.negate() : angle, -BITS);
    }
  }

  /** The angle in the first quadrant of two significands, y's being above x's by a distance. */
  private static BigInteger angle(int distance, long xs, long ys) {
    boolean isFlat = distance < 0 || distance == 0 && Long.compareUnsigned(ys, xs) <= 0;
    BigInteger smaller = Float80.unsigned(isFlat ? ys : xs);
    BigInteger greater = Float80.unsigned(isFlat ? xs : ys);
    int shift = BITS - Math.abs(distance);
    BigInteger ratio = shift < 0 ? BigInteger.ZERO : smaller.shiftLeft(shift).divide(greater);
    BigInteger angle = FixedPoint.arctangent(ratio);
    return isFlat ? angle : FixedPoint.PI.shiftRight(1).subtract(angle);
  }

  // ---- logarithms and powers of 2 ----

  /** F2XM1: two to the x, less 1. Beyond the range of -1 to 1 it gives x back. */
  public static void power(Float80 f, int e, long s) {
    if (f.nan(e, s)) {
      return;
    }
    if (Float80.isInfinity(e, s)) {
      f.set(sign(e) ? 0x8000 | BIAS : e, s);
    } else if (s == 0) {
      f.set(e, s);
    } else if (exponent(e, s) >= 0) {
      boolean isMinusOne = e == (0x8000 | BIAS) && s == 1L << 63;
      f.set(isMinusOne ? 0x8000 | BIAS - 1 : e, s);
      f.flags |= Float80.INEXACT;
    } else if (exponent(e, s) < TINY) {
      BigInteger v = Float80.unsigned(s).multiply(FixedPoint.LN2);
      f.packInexact(sign(e) ? v.negate() : v, unit(e) - BITS);
    } else {
      BigInteger x = FixedPoint.multiply(fixed(e, s), FixedPoint.LN2);
      f.packInexact(FixedPoint.exponentialLessOne(sign(e) ? x.negate() : x), -BITS);
    }
  }

  /** The unbiased exponent of the last bit of a significand. */
  private static int unit(int e) {
    return Float80.topExponent(e) - BIAS - 63;
  }

  /** FYL2X: y times the logarithm of x to base 2. */
  public static void logarithm(Float80 f, int xe, long xs, int ye, long ys) {
    if (f.nans(xe, xs, ye, ys)) {
      return;
    }
    boolean yInfinite = Float80.isInfinity(ye, ys);
    if (xs == 0) {
      if (ys == 0) {
        f.invalid();
        return;
      }
      if (!yInfinite) {
        f.flags = f.flags & ~Float80.DENORMAL | Float80.ZERO_DIVIDE;
      }
      f.setInfinity(!sign(ye));
    } else if (sign(xe)) {
      f.invalid();
    } else if (Float80.isInfinity(xe, xs)) {
      infinite(f, false, ye, ys);
    } else {
      int k = exponent(xe, xs);
      BigInteger m = fixed(BIAS, Float80.normalSignificand(xs));
      BigInteger l = FixedPoint.binaryLogarithm(m);
      times(f, l.add(BigInteger.valueOf(k).shiftLeft(BITS)), ye, ys);
    }
  }

  /** FYL2XP1: y times the logarithm of 1 + x to base 2. From -1 down it gives x back. */
  public static void logarithmPlusOne(Float80 f, int xe, long xs, int ye, long ys) {
    if (f.nans(xe, xs, ye, ys)) {
      return;
    }
    boolean yInfinite = Float80.isInfinity(ye, ys);
    if (Float80.isInfinity(xe, xs)) {
      if (sign(xe)) {
        f.invalid();
      } else {
        infinite(f, false, ye, ys);
      }
    } else if (xs == 0) {
      if (yInfinite) {
        f.invalid();
      } else {
        f.set((xe ^ ye) & 0x8000, 0);
      }
    } else if (yInfinite || ys == 0) {
      f.set(ye ^ xe & 0x8000, ys);
    } else if (sign(xe) && exponent(xe, xs) >= 0) {
      f.set(xe, xs);
      f.flags |= Float80.INEXACT;
    } else if (exponent(xe, xs) < TINY) {
      tinyLogarithm(f, xe, xs, ye, ys);
    } else {
      BigInteger x = fixed(xe, xs);
      times(f, FixedPoint.binaryLogarithm(sign(xe) ? ONE.subtract(x) : ONE.add(x)), ye, ys);
    }
  }

  private static void tinyLogarithm(Float80 f, int xe, long xs, int ye, long ys) {
    BigInteger both = Float80.unsigned(xs).multiply(Float80.unsigned(ys));
    BigInteger v = both.multiply(INVERSE_LN2);
    f.packInexact(sign(xe ^ ye) ? v.negate() : v, unit(xe) + unit(ye) - BITS);
  }

  /** An infinite logarithm times y. */
  private static void infinite(Float80 f, boolean negative, int ye, long ys) {
    if (ys == 0) {
      f.invalid();
    } else {
      f.setInfinity(sign(ye) != negative);
    }
  }

  /** A finite logarithm times y. */
  private static void times(Float80 f, BigInteger logarithm, int ye, long ys) {
    boolean negative = sign(ye) != logarithm.signum() < 0;
    if (Float80.isInfinity(ye, ys)) {
      if (logarithm.signum() == 0) {
        f.invalid();
      } else {
        f.setInfinity(negative);
      }
    } else if (logarithm.signum() == 0 || ys == 0) {
      f.set(negative ? 0x8000 : 0, 0);
    } else {
      BigInteger v = Float80.unsigned(ys).multiply(logarithm);
      BigInteger product = sign(ye) ? v.negate() : v;
      if (logarithm.getLowestSetBit() >= BITS) {
        // Of a power of 2.
        f.packExact(product, unit(ye) - BITS);
      } else {
        f.packInexact(product, unit(ye) - BITS);
      }
    }
  }
}
