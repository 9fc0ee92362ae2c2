package org.kvm4j.cpu.fpu;

/**
 * Arithmetic on single and double precision numbers as SSE, AVX and FMA do it. Numbers are their
 * bits: an int is one of single precision, a long one of double precision.
 *
 * <p>Most results are had from Java's own arithmetic, where that serves ({@link PlainFloat}). All
 * else is the {@link SimdUnit}'s.
 */
public final class SimdFloat extends SimdUnit {
  private static float f(int v) {
    return Float.intBitsToFloat(v);
  }

  private static int bits(float v) {
    return Float.floatToRawIntBits(v);
  }

  private static double d(long v) {
    return Double.longBitsToDouble(v);
  }

  private static long bits(double v) {
    return Double.doubleToRawLongBits(v);
  }

  // ---- single precision ----

  /** x + y. */
  public int add(int x, int y) {
    int r = PlainFloat.add(x, y);
    return PlainFloat.servesSum(plain, r, x, y)
        ? r
        : (int) add(FloatFormat.SINGLE, extend(x), extend(y));
  }

  /** x - y. */
  public int subtract(int x, int y) {
    int r = PlainFloat.subtract(x, y);
    return PlainFloat.servesDifference(plain, r, x, y)
        ? r
        : (int) subtract(FloatFormat.SINGLE, extend(x), extend(y));
  }

  /** x * y. */
  public int multiply(int x, int y) {
    int r = PlainFloat.multiply(x, y);
    return PlainFloat.servesProduct(plain, r, x, y)
        ? r
        : (int) multiply(FloatFormat.SINGLE, extend(x), extend(y));
  }

  /** x / y. */
  public int divide(int x, int y) {
    int r = PlainFloat.divide(x, y);
    return PlainFloat.servesQuotient(plain, r, x, y)
        ? r
        : (int) divide(FloatFormat.SINGLE, extend(x), extend(y));
  }

  /** The square root. */
  public int squareRoot(int x) {
    int r = PlainFloat.squareRoot(x);
    return PlainFloat.servesQuotient(plain, r, x, x)
        ? r
        : (int) squareRoot(FloatFormat.SINGLE, extend(x));
  }

  /** The smaller; y if they are zeroes or one is a NaN. */
  public int min(int x, int y) {
    return PlainFloat.isOrdered(x, y)
        ? f(x) < f(y) ? x : y
        : (int) extreme(FloatFormat.SINGLE, extend(x), extend(y), Comparison.LESS);
  }

  /** The greater; y if they are zeroes or one is a NaN. */
  public int max(int x, int y) {
    return PlainFloat.isOrdered(x, y)
        ? f(x) > f(y) ? x : y
        : (int) extreme(FloatFormat.SINGLE, extend(x), extend(y), Comparison.GREATER);
  }

  /** x * y + z, rounded once. The order of the operands is that in which NaNs go before others. */
  public int multiplyAdd(int x, int y, int z) {
    int r = bits(Math.fma(f(x), f(y), f(z)));
    return PlainFloat.servesQuotient(plain, r, x, y) && !PlainFloat.isDenormal(z)
        ? r
        : (int) multiplyAdd(FloatFormat.SINGLE, extend(x), extend(y), extend(z));
  }

  /**
   * Compares.
   *
   * @param signals whether a QNaN is an invalid operation
   * @return {@link Comparison#LESS}, {@link Comparison#EQUAL}, {@link Comparison#GREATER} or {@link
   *     Comparison#UNORDERED}
   */
  public int compare(int x, int y, boolean signals) {
    return PlainFloat.isOrdered(x, y)
        ? f(x) < f(y) ? Comparison.LESS : f(x) > f(y) ? Comparison.GREATER : Comparison.EQUAL
        : compare(FloatFormat.SINGLE, extend(x), extend(y), signals);
  }

  // ---- double precision ----

  /** x + y. */
  public long add(long x, long y) {
    long r = PlainFloat.add(x, y);
    return PlainFloat.servesSum(plain, r, x, y) ? r : add(FloatFormat.DOUBLE, x, y);
  }

  /** x - y. */
  public long subtract(long x, long y) {
    long r = PlainFloat.subtract(x, y);
    return PlainFloat.servesDifference(plain, r, x, y) ? r : subtract(FloatFormat.DOUBLE, x, y);
  }

  /** x * y. */
  public long multiply(long x, long y) {
    long r = PlainFloat.multiply(x, y);
    return PlainFloat.servesProduct(plain, r, x, y) ? r : multiply(FloatFormat.DOUBLE, x, y);
  }

  /** x / y. */
  public long divide(long x, long y) {
    long r = PlainFloat.divide(x, y);
    return PlainFloat.servesQuotient(plain, r, x, y) ? r : divide(FloatFormat.DOUBLE, x, y);
  }

  /** The square root. */
  public long squareRoot(long x) {
    long r = PlainFloat.squareRoot(x);
    return PlainFloat.servesQuotient(plain, r, x, x) ? r : squareRoot(FloatFormat.DOUBLE, x);
  }

  /** The smaller; y if they are zeroes or one is a NaN. */
  public long min(long x, long y) {
    return PlainFloat.isOrdered(x, y)
        ? d(x) < d(y) ? x : y
        : extreme(FloatFormat.DOUBLE, x, y, Comparison.LESS);
  }

  /** The greater; y if they are zeroes or one is a NaN. */
  public long max(long x, long y) {
    return PlainFloat.isOrdered(x, y)
        ? d(x) > d(y) ? x : y
        : extreme(FloatFormat.DOUBLE, x, y, Comparison.GREATER);
  }

  /** x * y + z, rounded once. The order of the operands is that in which NaNs go before others. */
  public long multiplyAdd(long x, long y, long z) {
    long r = bits(Math.fma(d(x), d(y), d(z)));
    return PlainFloat.servesQuotient(plain, r, x, y) && !PlainFloat.isDenormal(z)
        ? r
        : multiplyAdd(FloatFormat.DOUBLE, x, y, z);
  }

  /**
   * Compares.
   *
   * @param signals whether a QNaN is an invalid operation
   * @return {@link Comparison#LESS}, {@link Comparison#EQUAL}, {@link Comparison#GREATER} or {@link
   *     Comparison#UNORDERED}
   */
  public int compare(long x, long y, boolean signals) {
    return PlainFloat.isOrdered(x, y)
        ? d(x) < d(y) ? Comparison.LESS : d(x) > d(y) ? Comparison.GREATER : Comparison.EQUAL
        : compare(FloatFormat.DOUBLE, x, y, signals);
  }
}
