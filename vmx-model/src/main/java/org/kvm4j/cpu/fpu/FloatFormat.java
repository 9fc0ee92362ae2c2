package org.kvm4j.cpu.fpu;

/**
 * A binary floating-point format with an implied integer bit. Numbers are kept as their bits, zero
 * extended. SDM Vol. 1, 4.2.2 "Floating-Point Data Types", 4.8.2 "Floating-Point Format".
 */
enum FloatFormat {
  HALF(11, 5),
  SINGLE(24, 8),
  DOUBLE(53, 11);

  /** Bits of the significand, the implied one among them. */
  final int precision;

  final int bias;

  /** The exponent field of infinities and NaNs. */
  final int maxExponent;

  final long sign;
  final long infinity;
  final long quiet;

  /** The QNaN floating-point indefinite, which has its sign set. */
  final long indefinite;

  /** The largest finite number. */
  final long largest;

  private final int width;
  private final long fraction;

  FloatFormat(int precision, int exponentBits) {
    this.precision = precision;
    width = precision - 1;
    maxExponent = (1 << exponentBits) - 1;
    bias = maxExponent >> 1;
    fraction = (1L << width) - 1;
    sign = 1L << width + exponentBits;
    infinity = (long) maxExponent << width;
    quiet = 1L << width - 1;
    indefinite = sign | infinity | quiet;
    largest = infinity - 1;
  }

  /** The bits without the sign. */
  long magnitude(long v) {
    return v & sign - 1;
  }

  boolean isNegative(long v) {
    return (v & sign) != 0;
  }

  boolean isNan(long v) {
    return magnitude(v) > infinity;
  }

  boolean isSignalling(long v) {
    return isNan(v) && (v & quiet) == 0;
  }

  boolean isInfinity(long v) {
    return magnitude(v) == infinity;
  }

  boolean isZero(long v) {
    return magnitude(v) == 0;
  }

  boolean isDenormal(long v) {
    long m = magnitude(v);
    return m != 0 && m <= fraction;
  }

  long zero(boolean negative) {
    return negative ? sign : 0;
  }

  long infinity(boolean negative) {
    return negative ? sign | infinity : infinity;
  }

  /** A NaN of this format, quiet, in another: the upper bits of its fraction. */
  long convertNan(long v, FloatFormat to) {
    long f = v & fraction;
    long converted = to.width >= width ? f << to.width - width : f >>> width - to.width;
    return to.infinity(isNegative(v)) | to.quiet | converted;
  }

  /** Takes a finite number apart; the exponent is unbiased. */
  void unpack(long v, Unrounded to) {
    int x = (int) (magnitude(v) >>> width);
    long f = v & fraction;
    long s = x == 0 ? f : f | 1L << width;
    to.set(isNegative(v), (x == 0 ? 1 : x) - bias, s << 64 - precision);
  }

  /**
   * Puts a number together.
   *
   * @param exponent biased; 0 for a denormal, also where rounding has made it the smallest normal
   *     number
   * @param significand with its top bit at bit 63
   */
  long pack(boolean negative, int exponent, long significand) {
    long kept = significand >>> 64 - precision;
    // The implied bit of a normal number adds one to the exponent field.
    long m = exponent == 0 ? kept : ((long) exponent - 1 << width) + kept;
    return negative ? sign | m : m;
  }
}
