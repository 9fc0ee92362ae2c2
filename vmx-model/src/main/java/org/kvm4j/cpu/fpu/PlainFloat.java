package org.kvm4j.cpu.fpu;

/**
 * Java's own arithmetic on numbers of single and double precision, which are their bits, and where
 * it serves for that of SSE: it rounds to nearest, so where MXCSR says so ({@link #mode}), and
 * where nothing can happen but an inexact result that is masked and has been noted before, or not
 * even that. All else is {@link SimdUnit}'s.
 */
public final class PlainFloat {
  private static final int ROUNDING = 3 << 13;

  /** The precision exception's mask and flag. */
  private static final int INEXACT = 1 << 12 | 1 << 5;

  private static final int MASK = 1 << 12;

  private PlainFloat() {}

  /** Java's arithmetic does not serve. */
  public static final int NEVER = 0;

  /** It serves for exact results. */
  public static final int EXACT = 1;

  /** It serves for inexact results, too: they are masked and have been noted before. */
  public static final int ROUNDED = 2;

  /** For which results MXCSR lets Java's arithmetic serve. */
  public static int mode(int mxcsr) {
    int rounding = mxcsr & (ROUNDING | INEXACT);
    return rounding == INEXACT ? ROUNDED : rounding == (INEXACT & MASK) ? EXACT : NEVER;
  }

  /**
   * Whether a result is a normal number, by a distance: the smallest may have been tiny before it
   * was rounded.
   */
  private static boolean isNormal(int r) {
    int x = r >>> 23 & 0xff;
    return x > 1 && x < 0xff;
  }

  private static boolean isNormal(long r) {
    int x = (int) (r >>> 52) & 0x7ff;
    return x > 1 && x < 0x7ff;
  }

  static boolean isDenormal(int v) {
    return (v & 0x7f800000) == 0 && v << 1 != 0;
  }

  static boolean isDenormal(long v) {
    return (v & 0x7ff0000000000000L) == 0 && v << 1 != 0;
  }

  // A result that is normal has had operands that are neither infinite nor NaNs. That of a division
  // by infinity is zero. A sum that is zero is exact, and so is a product of zero.

  private static boolean isOrdinary(int x, int y) {
    return !isDenormal(x) && !isDenormal(y);
  }

  private static boolean isOrdinary(long x, long y) {
    return !isDenormal(x) && !isDenormal(y);
  }

  /** How many bits a normal number's significand takes. */
  private static int width(int x) {
    return 24 - Integer.numberOfTrailingZeros(x & 0x7fffff | 1 << 23);
  }

  private static int width(long x) {
    return 53 - Long.numberOfTrailingZeros(x & 0xfffffffffffffL | 1L << 52);
  }

  private static boolean isZero(int x) {
    return x << 1 == 0;
  }

  private static boolean isZero(long x) {
    return x << 1 == 0;
  }

  /** Whether r is x + y without rounding: Knuth's TwoSum finds no error. */
  private static boolean isExactSum(float r, float x, float y) {
    float b = r - x;
    return x - (r - b) + (y - b) == 0;
  }

  private static boolean isExactSum(double r, double x, double y) {
    double b = r - x;
    return x - (r - b) + (y - b) == 0;
  }

  /** Whether Java's sum in single precision is SSE's. */
  static boolean servesSum(int mode, int r, int x, int y) {
    return (isNormal(r) || isZero(r))
        && isOrdinary(x, y)
        && (mode == ROUNDED || mode == EXACT && isExactSum(f(r), f(x), f(y)));
  }

  /** Whether Java's sum in double precision is SSE's. */
  public static boolean servesSum(int mode, long r, long x, long y) {
    return (isNormal(r) || isZero(r))
        && isOrdinary(x, y)
        && (mode == ROUNDED || mode == EXACT && isExactSum(d(r), d(x), d(y)));
  }

  /** Whether Java's difference in single precision is SSE's. */
  static boolean servesDifference(int mode, int r, int x, int y) {
    return servesSum(mode, r, x, y ^ 1 << 31);
  }

  /** Whether Java's difference in double precision is SSE's. */
  public static boolean servesDifference(int mode, long r, long x, long y) {
    return servesSum(mode, r, x, y ^ 1L << 63);
  }

  /** Whether Java's product in single precision is SSE's. */
  static boolean servesProduct(int mode, int r, int x, int y) {
    return (isZero(x) || isZero(y)
            ? mode != NEVER && isZero(r)
            : isNormal(r) && (mode == ROUNDED || mode == EXACT && width(x) + width(y) <= 24))
        && isOrdinary(x, y);
  }

  /** Whether Java's product in double precision is SSE's. */
  public static boolean servesProduct(int mode, long r, long x, long y) {
    return (isZero(x) || isZero(y)
            ? mode != NEVER && isZero(r)
            : isNormal(r) && (mode == ROUNDED || mode == EXACT && width(x) + width(y) <= 53))
        && isOrdinary(x, y);
  }

  /** Whether Java's quotient or root in single precision is SSE's. */
  static boolean servesQuotient(int mode, int r, int x, int y) {
    return mode == ROUNDED && isNormal(r) && isOrdinary(x, y);
  }

  /** Whether Java's quotient or root in double precision is SSE's. */
  public static boolean servesQuotient(int mode, long r, long x, long y) {
    return mode == ROUNDED && isNormal(r) && isOrdinary(x, y);
  }

  /** As {@link #servesSum(int, int, int, int)} for the two numbers in each word. */
  public static boolean servesSumPair(int mode, long r, long x, long y) {
    return servesSum(mode, (int) r, (int) x, (int) y)
        && servesSum(mode, upper(r), upper(x), upper(y));
  }

  /** As {@link #servesSum(int, int, int, int)} for the numbers in the words' lower halves. */
  public static boolean servesSumLower(int mode, long r, long x, long y) {
    return servesSum(mode, (int) r, (int) x, (int) y);
  }

  /** As {@link #servesDifference(int, int, int, int)} for the two numbers in each word. */
  public static boolean servesDifferencePair(int mode, long r, long x, long y) {
    return servesDifference(mode, (int) r, (int) x, (int) y)
        && servesDifference(mode, upper(r), upper(x), upper(y));
  }

  /**
   * As {@link #servesDifference(int, int, int, int)} for the numbers in the words' lower halves.
   */
  public static boolean servesDifferenceLower(int mode, long r, long x, long y) {
    return servesDifference(mode, (int) r, (int) x, (int) y);
  }

  /** As {@link #servesProduct(int, int, int, int)} for the two numbers in each word. */
  public static boolean servesProductPair(int mode, long r, long x, long y) {
    return servesProduct(mode, (int) r, (int) x, (int) y)
        && servesProduct(mode, upper(r), upper(x), upper(y));
  }

  /** As {@link #servesProduct(int, int, int, int)} for the numbers in the words' lower halves. */
  public static boolean servesProductLower(int mode, long r, long x, long y) {
    return servesProduct(mode, (int) r, (int) x, (int) y);
  }

  /** As {@link #servesQuotient(int, int, int, int)} for the two numbers in each word. */
  public static boolean servesQuotientPair(int mode, long r, long x, long y) {
    return servesQuotient(mode, (int) r, (int) x, (int) y)
        && servesQuotient(mode, upper(r), upper(x), upper(y));
  }

  /** As {@link #servesQuotient(int, int, int, int)} for the numbers in the words' lower halves. */
  public static boolean servesQuotientLower(int mode, long r, long x, long y) {
    return servesQuotient(mode, (int) r, (int) x, (int) y);
  }

  /** Whether both are numbers that compare as Java compares them. */
  static boolean isOrdered(int x, int y) {
    return !isDenormal(x)
        && !isDenormal(y)
        && x << 1 >>> 1 <= 0x7f800000
        && y << 1 >>> 1 <= 0x7f800000;
  }

  /** Whether both are numbers that compare as Java compares them. */
  public static boolean isOrdered(long x, long y) {
    return !isDenormal(x)
        && !isDenormal(y)
        && x << 1 >>> 1 <= 0x7ff0000000000000L
        && y << 1 >>> 1 <= 0x7ff0000000000000L;
  }

  private static int upper(long word) {
    return (int) (word >>> 32);
  }

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

  private static long pair(int lower, int upper) {
    return lower & 0xffffffffL | (long) upper << 32;
  }

  // ---- single precision ----

  static int add(int x, int y) {
    return bits(f(x) + f(y));
  }

  static int subtract(int x, int y) {
    return bits(f(x) - f(y));
  }

  static int multiply(int x, int y) {
    return bits(f(x) * f(y));
  }

  static int divide(int x, int y) {
    return bits(f(x) / f(y));
  }

  /** A root in double precision, rounded again, is the root in single precision. */
  static int squareRoot(int x) {
    return bits((float) Math.sqrt(f(x)));
  }

  // ---- double precision ----

  public static long add(long x, long y) {
    return bits(d(x) + d(y));
  }

  public static long subtract(long x, long y) {
    return bits(d(x) - d(y));
  }

  public static long multiply(long x, long y) {
    return bits(d(x) * d(y));
  }

  public static long divide(long x, long y) {
    return bits(d(x) / d(y));
  }

  static long squareRoot(long x) {
    return bits(Math.sqrt(d(x)));
  }

  // ---- two numbers of single precision in a word ----

  public static long addPair(long x, long y) {
    return pair(add((int) x, (int) y), add(upper(x), upper(y)));
  }

  public static long subtractPair(long x, long y) {
    return pair(subtract((int) x, (int) y), subtract(upper(x), upper(y)));
  }

  public static long multiplyPair(long x, long y) {
    return pair(multiply((int) x, (int) y), multiply(upper(x), upper(y)));
  }

  public static long dividePair(long x, long y) {
    return pair(divide((int) x, (int) y), divide(upper(x), upper(y)));
  }

  // ---- one number of single precision; the first word's upper half is kept ----

  public static long addLower(long x, long y) {
    return lower(x, add((int) x, (int) y));
  }

  public static long subtractLower(long x, long y) {
    return lower(x, subtract((int) x, (int) y));
  }

  public static long multiplyLower(long x, long y) {
    return lower(x, multiply((int) x, (int) y));
  }

  public static long divideLower(long x, long y) {
    return lower(x, divide((int) x, (int) y));
  }

  private static long lower(long word, int lower) {
    return word & ~0xffffffffL | lower & 0xffffffffL;
  }
}
