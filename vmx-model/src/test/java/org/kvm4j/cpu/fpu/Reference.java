package org.kvm4j.cpu.fpu;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.RoundingMode;

/**
 * Rounding stated on decimal numbers of any length, which have nothing in common with {@link
 * Unrounded}. SDM Vol. 1, 4.8.4 "Rounding", 4.9.1.4 to 4.9.1.6.
 */
final class Reference {
  private static final RoundingMode[] MODES = {
    RoundingMode.HALF_EVEN, RoundingMode.FLOOR, RoundingMode.CEILING, RoundingMode.DOWN
  };

  private final int precision;
  private final int smallestExponent;
  private final BigDecimal limit;
  private final int places;

  /** What was made of the number, and how. */
  BigDecimal value = BigDecimal.ZERO;

  boolean inexact;
  boolean tiny;
  boolean overflow;

  /**
   * A format.
   *
   * @param precision in bits
   * @param smallestExponent of normal numbers, which is 1 minus the greatest
   * @param places decimal places that quotients and roots are computed to: more than any number
   *     here has
   */
  Reference(int precision, int smallestExponent, int places) {
    this.precision = precision;
    this.smallestExponent = smallestExponent;
    this.places = places;
    limit = power(2 - smallestExponent);
  }

  static BigDecimal power(int n) {
    return n >= 0
        ? new BigDecimal(BigInteger.ONE.shiftLeft(n))
        : new BigDecimal(BigInteger.valueOf(5).pow(-n), -n);
  }

  /** A significand in units of a power of two. */
  static BigDecimal number(boolean negative, BigInteger significand, int unit) {
    return new BigDecimal(negative ? significand.negate() : significand).multiply(power(unit));
  }

  /** Close enough to the quotient for every rounding. */
  BigDecimal quotient(BigDecimal a, BigDecimal b) {
    BigDecimal q = a.divide(b, places, RoundingMode.DOWN);
    return q.multiply(b).compareTo(a) == 0 ? q : sticky(q, a.signum() * b.signum());
  }

  /** Close enough to the root for every rounding. */
  BigDecimal root(BigDecimal a) {
    BigInteger scaled = a.movePointRight(2 * places).toBigInteger();
    BigDecimal r = new BigDecimal(scaled.sqrt(), places);
    return r.multiply(r).compareTo(a) == 0 ? r : sticky(r, 1);
  }

  private BigDecimal sticky(BigDecimal v, int sign) {
    return v.add(BigDecimal.valueOf(sign).movePointLeft(places + 1));
  }

  private static int exponent(BigDecimal magnitude) {
    int e = (int) Math.floor((magnitude.precision() - magnitude.scale() - 1) * 3.3219) - 2;
    while (magnitude.compareTo(power(e + 1)) >= 0) {
      e++;
    }
    return e;
  }

  private BigDecimal round(BigDecimal v, int exponent, int mode) {
    int unit = exponent - precision + 1;
    return v.multiply(power(-unit)).setScale(0, MODES[mode]).multiply(power(unit));
  }

  /** Rounds a number that is not zero. */
  Reference round(BigDecimal exact, int mode) {
    int e = exponent(exact.abs());
    BigDecimal unbounded = round(exact, e, mode);
    tiny = unbounded.abs().compareTo(power(smallestExponent)) < 0;
    value = e < smallestExponent ? round(exact, smallestExponent, mode) : unbounded;
    inexact = value.compareTo(exact) != 0;
    overflow = value.abs().compareTo(limit) >= 0;
    return this;
  }

  /** Whether a number that is too great becomes infinite, not the greatest. */
  static boolean toInfinity(boolean negative, int mode) {
    return mode == Unrounded.NEAREST || mode == (negative ? Unrounded.DOWN : Unrounded.UP);
  }
}
