package org.kvm4j.cpu.fpu;

import java.math.BigInteger;

/**
 * Elementary functions on numbers with {@link #BITS} bits after the point, to within a few units of
 * the last of them.
 */
final class FixedPoint {
  /** Bits after the point: far more than what 64 bits of a result and its rounding need. */
  static final int BITS = 320;

  static final BigInteger ONE = BigInteger.ONE.shiftLeft(BITS);
  static final BigInteger LN2 =
      inverseHyperbolicTangent(ONE.divide(BigInteger.valueOf(3))).shiftLeft(1);

  /** By Machin's formula. */
  static final BigInteger PI =
      arctangentSeries(ONE.divide(BigInteger.valueOf(5)))
          .shiftLeft(2)
          .subtract(arctangentSeries(ONE.divide(BigInteger.valueOf(239))))
          .shiftLeft(2);

  /** The square root of 2. */
  private static final BigInteger ROOT2 = ONE.shiftLeft(BITS + 1).sqrt();

  private FixedPoint() {}

  static BigInteger multiply(BigInteger a, BigInteger b) {
    return a.multiply(b).shiftRight(BITS);
  }

  static BigInteger divide(BigInteger a, BigInteger b) {
    return a.shiftLeft(BITS).divide(b);
  }

  /** The sine of a number not far from 0. */
  static BigInteger sine(BigInteger x) {
    return alternating(x, x, 1);
  }

  /** The cosine of a number not far from 0. */
  static BigInteger cosine(BigInteger x) {
    return alternating(x, ONE, 0);
  }

  /** first - first * x^2 / ((n+1)(n+2)) + ... */
  private static BigInteger alternating(BigInteger x, BigInteger first, int n) {
    BigInteger square = multiply(x, x);
    BigInteger term = first;
    BigInteger sum = first;
    while (term.signum() != 0) {
      long divisor = (n + 1L) * (n + 2L);
      n += 2;
      term = multiply(term, square).divide(BigInteger.valueOf(-divisor));
      sum = sum.add(term);
    }
    return sum;
  }

  /** The exponential function less 1, of a number not far from 0. */
  static BigInteger exponentialLessOne(BigInteger x) {
    BigInteger term = x;
    BigInteger sum = x;
    for (int n = 2; term.signum() != 0; n++) {
      term = multiply(term, x).divide(BigInteger.valueOf(n));
      sum = sum.add(term);
    }
    return sum;
  }

  /** The logarithm to base 2 of a positive number; exact for powers of 2. */
  static BigInteger binaryLogarithm(BigInteger x) {
    int k = x.bitLength() - 1 - BITS;
    BigInteger m = shift(x, -k);
    if (m.compareTo(ROOT2) > 0) {
      k++;
      m = shift(x, -k);
    }
    BigInteger t = divide(m.subtract(ONE), m.add(ONE));
    BigInteger logarithm = inverseHyperbolicTangent(t).shiftLeft(1);
    return divide(logarithm, LN2).add(BigInteger.valueOf(k).shiftLeft(BITS));
  }

  private static BigInteger shift(BigInteger x, int left) {
    return left >= 0 ? x.shiftLeft(left) : x.shiftRight(-left);
  }

  private static BigInteger inverseHyperbolicTangent(BigInteger x) {
    return odd(x, multiply(x, x));
  }

  private static BigInteger arctangentSeries(BigInteger x) {
    return odd(x, multiply(x, x).negate());
  }

  /** x + x * square / 3 + x * square^2 / 5 + ... */
  private static BigInteger odd(BigInteger x, BigInteger square) {
    BigInteger power = x;
    BigInteger sum = x;
    for (int n = 3; power.bitLength() > 1; n += 2) {
      power = multiply(power, square);
      sum = sum.add(power.divide(BigInteger.valueOf(n)));
    }
    return sum;
  }

  /** The arctangent of a number from 0 to 1. */
  static BigInteger arctangent(BigInteger x) {
    // Halving the angle three times makes the series short.
    BigInteger t = x;
    for (int n = 0; n < 3; n++) {
      BigInteger root = ONE.shiftLeft(BITS).add(t.multiply(t)).sqrt();
      t = divide(t, ONE.add(root));
    }
    return arctangentSeries(t).shiftLeft(3);
  }
}
