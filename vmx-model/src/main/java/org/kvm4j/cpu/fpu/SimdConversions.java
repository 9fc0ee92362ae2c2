package org.kvm4j.cpu.fpu;

/**
 * Conversions of SSE, AVX and F16C, with the rounding and the exceptions of a {@link SimdFloat}.
 * Numbers are their bits; an int is one of single precision, a long one of double precision. SDM
 * Vol. 1, 4.8.4.2 "Truncation with SSE, SSE2, and AVX Conversion Instructions", 11.4.1.6 "SSE2
 * Conversion Instructions", 14.4 "Half-Precision Floating-Point Conversion"; Vol. 2, each
 * instruction's page.
 */
public final class SimdConversions {
  /** What an integer of 32 bits is where the number is not in its range. */
  private static final int INDEFINITE = 1 << 31;

  private static final long LONG_INDEFINITE = 1L << 63;

  private SimdConversions() {}

  // ---- to integers ----

  /** From single precision to 32 bits, rounded. */
  public static int toInt(SimdFloat u, int x) {
    return toInt(u, number(u, x), u.rounding);
  }

  /** From single precision to 32 bits, truncated. */
  public static int truncateToInt(SimdFloat u, int x) {
    return toInt(u, number(u, x), Unrounded.TRUNCATE);
  }

  /** From double precision to 32 bits, rounded. */
  public static int toInt(SimdFloat u, long x) {
    return toInt(u, number(u, x), u.rounding);
  }

  /** From double precision to 32 bits, truncated. */
  public static int truncateToInt(SimdFloat u, long x) {
    return toInt(u, number(u, x), Unrounded.TRUNCATE);
  }

  /** From single precision to 64 bits, rounded. */
  public static long toLong(SimdFloat u, int x) {
    return toLong(u, number(u, x), u.rounding);
  }

  /** From single precision to 64 bits, truncated. */
  public static long truncateToLong(SimdFloat u, int x) {
    return toLong(u, number(u, x), Unrounded.TRUNCATE);
  }

  /** From double precision to 64 bits, rounded. */
  public static long toLong(SimdFloat u, long x) {
    return toLong(u, number(u, x), u.rounding);
  }

  /** From double precision to 64 bits, truncated. */
  public static long truncateToLong(SimdFloat u, long x) {
    return toLong(u, number(u, x), Unrounded.TRUNCATE);
  }

  // A number of single precision is the same in double precision, and so is its whole part.

  private static float number(SimdFloat u, int x) {
    float v = Float.intBitsToFloat(x);
    return u.denormalsAreZeros && Math.abs(v) < Float.MIN_NORMAL ? 0 : v;
  }

  private static double number(SimdFloat u, long x) {
    double v = Double.longBitsToDouble(x);
    return u.denormalsAreZeros && Math.abs(v) < Double.MIN_NORMAL ? 0 : v;
  }

  private static int toInt(SimdFloat u, double v, int mode) {
    double whole = whole(u, v, mode);
    if (!(whole >= -0x1p31 && whole < 0x1p31)) {
      u.flags |= SimdFloat.INVALID;
      return INDEFINITE;
    }
    return (int) exact(u, v, whole);
  }

  private static long toLong(SimdFloat u, double v, int mode) {
    double whole = whole(u, v, mode);
    if (!(whole >= -0x1p63 && whole < 0x1p63)) {
      u.flags |= SimdFloat.INVALID;
      return LONG_INDEFINITE;
    }
    return (long) exact(u, v, whole);
  }

  private static double exact(SimdFloat u, double v, double whole) {
    if (whole != v) {
      u.flags |= SimdFloat.INEXACT;
    }
    return whole;
  }

  private static double whole(SimdFloat u, double v, int mode) {
    return switch (mode) {
      case Unrounded.NEAREST -> Math.rint(v);
      case Unrounded.DOWN -> Math.floor(v);
      case Unrounded.UP -> Math.ceil(v);
      default -> v < 0 ? Math.ceil(v) : Math.floor(v);
    };
  }

  // ---- to whole numbers: ROUNDPS and its kin ----

  /**
   * Rounds to a whole number.
   *
   * @param mode rounding control
   * @param quietly whether an inexact result is not noted
   */
  public static int round(SimdFloat u, int x, int mode, boolean quietly) {
    long v = u.asZero(FloatFormat.SINGLE, SimdFloat.extend(x));
    if (FloatFormat.SINGLE.isNan(v)) {
      return (int) u.quiet(FloatFormat.SINGLE, v);
    }
    float number = Float.intBitsToFloat((int) v);
    float whole = (float) whole(u, number, mode);
    if (whole != number && !quietly) {
      u.flags |= SimdFloat.INEXACT;
    }
    return Float.floatToRawIntBits(whole);
  }

  /** As {@link #round(SimdFloat, int, int, boolean)}. */
  public static long round(SimdFloat u, long x, int mode, boolean quietly) {
    long v = u.asZero(FloatFormat.DOUBLE, x);
    if (FloatFormat.DOUBLE.isNan(v)) {
      return u.quiet(FloatFormat.DOUBLE, v);
    }
    double number = Double.longBitsToDouble(v);
    double whole = whole(u, number, mode);
    if (whole != number && !quietly) {
      u.flags |= SimdFloat.INEXACT;
    }
    return Double.doubleToRawLongBits(whole);
  }

  // ---- from integers ----

  /** To single precision, rounded. */
  public static int toSingle(SimdFloat u, int v) {
    return toSingle(u, (long) v);
  }

  /** To single precision, rounded. */
  public static int toSingle(SimdFloat u, long v) {
    return u.isPlain()
        ? Float.floatToRawIntBits((float) v)
        : (int) fromInteger(u, FloatFormat.SINGLE, v);
  }

  /** To double precision, exactly. */
  public static long toDouble(int v) {
    return Double.doubleToRawLongBits(v);
  }

  /** To double precision, rounded. */
  public static long toDouble(SimdFloat u, long v) {
    return u.isPlain()
        ? Double.doubleToRawLongBits((double) v)
        : fromInteger(u, FloatFormat.DOUBLE, v);
  }

  private static long fromInteger(SimdFloat u, FloatFormat f, long v) {
    if (v == 0) {
      return 0;
    }
    u.a.set(v < 0, 63, Math.abs(v));
    return u.round(f, u.a);
  }

  // ---- between precisions ----

  /** From single to double precision. */
  public static long widen(SimdFloat u, int x) {
    int exponent = x >>> 23 & 0xff;
    return exponent != 0 && exponent != 0xff
        ? Double.doubleToRawLongBits(Float.intBitsToFloat(x))
        : convert(u, FloatFormat.SINGLE, FloatFormat.DOUBLE, SimdFloat.extend(x));
  }

  /** From double to single precision. */
  public static int narrow(SimdFloat u, long x) {
    int r = Float.floatToRawIntBits((float) Double.longBitsToDouble(x));
    int exponent = r >>> 23 & 0xff;
    return u.isPlain() && exponent > 1 && exponent < 0xff
        ? r
        : (int) convert(u, FloatFormat.DOUBLE, FloatFormat.SINGLE, x);
  }

  private static long convert(SimdFloat u, FloatFormat from, FloatFormat to, long x) {
    x = u.asZero(from, x);
    if (from.isDenormal(x)) {
      u.flags |= SimdFloat.DENORMAL;
    }
    return convert(u, from, to, x, u.rounding, u.flushToZero);
  }

  private static long convert(
      SimdFloat u, FloatFormat from, FloatFormat to, long x, int mode, boolean flush) {
    if (from.isNan(x)) {
      return from.convertNan(u.quiet(from, x), to);
    }
    boolean negative = from.isNegative(x);
    if (from.isInfinity(x)) {
      return to.infinity(negative);
    }
    from.unpack(x, u.a);
    return u.a.isZero() ? to.zero(negative) : u.round(to, u.a, mode, flush);
  }

  /** From half to single precision; denormals are no exception, and not taken as zeroes. */
  public static int fromHalf(SimdFloat u, int x) {
    return (int)
        convert(u, FloatFormat.HALF, FloatFormat.SINGLE, x & 0xffff, Unrounded.NEAREST, false);
  }

  /**
   * From single to half precision; tiny results are never flushed to zero.
   *
   * @param mode rounding control
   */
  public static int toHalf(SimdFloat u, int x, int mode) {
    long v = u.asZero(FloatFormat.SINGLE, SimdFloat.extend(x));
    if (FloatFormat.SINGLE.isDenormal(v)) {
      u.flags |= SimdFloat.DENORMAL;
    }
    return (int) convert(u, FloatFormat.SINGLE, FloatFormat.HALF, v, mode, false);
  }
}
