package org.kvm4j.cpu.fpu;

/**
 * Arithmetic on single and double precision numbers as SSE, AVX and FMA do it: rounding, zeroes for
 * denormals and the masks of exceptions are those of MXCSR. An instruction begins with {@link
 * #begin}, does its elements, and finds in {@link #flags} what all of them raised. Numbers are
 * their bits. SDM Vol. 1, 4.8.3.5 "Operating on SNaNs and QNaNs" (table 4-7), 10.2.3 "MXCSR Control
 * and Status Register", 11.5 "SSE, SSE2, and SSE3 Exceptions", 14.5 "Fused-Multiply-ADD (FMA)
 * Extensions".
 *
 * <p>Most results are had from Java's own arithmetic: it rounds to nearest, so it serves where
 * MXCSR says so and where nothing can happen but an inexact result that is masked and has been
 * noted before. All else is {@link Unrounded} arithmetic.
 */
public final class SimdFloat {
  public static final int INVALID = 1;
  public static final int DENORMAL = 2;
  public static final int ZERO_DIVIDE = 4;
  public static final int OVERFLOW = 8;
  public static final int UNDERFLOW = 16;
  public static final int INEXACT = 32;

  /** Exceptions that are found before a result is computed. */
  private static final int BEFORE_COMPUTATION = INVALID | DENORMAL | ZERO_DIVIDE;

  /** Bits of MXCSR. */
  public static final int DENORMALS_ARE_ZEROS = 1 << 6;

  public static final int FLUSH_TO_ZERO = 1 << 15;
  private static final int ROUNDING = 13;
  private static final int MASKS = 7;

  /** How two numbers compare: exactly one of these. */
  public static final int LESS = 1;

  public static final int EQUAL = 2;
  public static final int GREATER = 4;
  public static final int UNORDERED = 8;

  /** Exceptions of the elements since {@link #begin}. */
  int flags;

  /** Rounding control, as in {@link Unrounded}. */
  int rounding;

  boolean denormalsAreZeros;
  boolean flushToZero;

  /** Exceptions that are masked. */
  int masks;

  /** Whether Java's arithmetic serves for normal numbers. */
  boolean isPlain;

  private int control = -1;
  final Unrounded a = new Unrounded();
  final Unrounded b = new Unrounded();

  /**
   * Begins an instruction.
   *
   * @param mxcsr the register
   */
  public void begin(int mxcsr) {
    flags = 0;
    if (mxcsr != control) {
      control = mxcsr;
      rounding = mxcsr >> ROUNDING & 3;
      denormalsAreZeros = (mxcsr & DENORMALS_ARE_ZEROS) != 0;
      flushToZero = (mxcsr & FLUSH_TO_ZERO) != 0;
      masks = mxcsr >> MASKS & 0x3f;
      isPlain = rounding == Unrounded.NEAREST && (mxcsr & masks & INEXACT) != 0;
    }
  }

  /**
   * The exceptions that the instruction has raised, as bits of MXCSR. An unmasked one that was
   * found before computation keeps what follows computation from being found.
   */
  public int flags() {
    return (flags & ~masks & BEFORE_COMPUTATION) != 0 ? flags & BEFORE_COMPUTATION : flags;
  }

  /** Whether one of the exceptions is unmasked: then there are no results. */
  public boolean isUnmasked() {
    return (flags & ~masks) != 0;
  }

  /**
   * The rounding that an immediate byte asks for: its own in bits 1:0, or with bit 2 that of MXCSR.
   * SDM Vol. 2, ROUNDPD, figure 4-24; VCVTPS2PH, table 5-13.
   */
  public int rounding(int immediate) {
    return (immediate & 4) != 0 ? rounding : immediate & 3;
  }

  // ---- the ways of Java's arithmetic ----

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

  private static boolean isDenormal(int v) {
    return (v & 0x7f800000) == 0 && v << 1 != 0;
  }

  private static boolean isDenormal(long v) {
    return (v & 0x7ff0000000000000L) == 0 && v << 1 != 0;
  }

  // A result that is normal has had operands that are neither infinite nor NaNs. That of a division
  // by infinity is zero.

  private boolean serves(int r, int x, int y) {
    return isPlain && isNormal(r) && !isDenormal(x) && !isDenormal(y);
  }

  private boolean serves(long r, long x, long y) {
    return isPlain && isNormal(r) && !isDenormal(x) && !isDenormal(y);
  }

  private static boolean isOrdered(int x, int y) {
    return !isDenormal(x)
        && !isDenormal(y)
        && x << 1 >>> 1 <= 0x7f800000
        && y << 1 >>> 1 <= 0x7f800000;
  }

  private static boolean isOrdered(long x, long y) {
    return !isDenormal(x)
        && !isDenormal(y)
        && x << 1 >>> 1 <= 0x7ff0000000000000L
        && y << 1 >>> 1 <= 0x7ff0000000000000L;
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

  static long extend(int v) {
    return v & 0xffffffffL;
  }

  // ---- single precision ----

  /** x + y. */
  public int add(int x, int y) {
    int r = bits(f(x) + f(y));
    return serves(r, x, y) ? r : (int) add(FloatFormat.SINGLE, extend(x), extend(y));
  }

  /** x - y. */
  public int subtract(int x, int y) {
    int r = bits(f(x) - f(y));
    return serves(r, x, y) ? r : (int) subtract(FloatFormat.SINGLE, extend(x), extend(y));
  }

  /** x * y. */
  public int multiply(int x, int y) {
    int r = bits(f(x) * f(y));
    return serves(r, x, y) ? r : (int) multiply(FloatFormat.SINGLE, extend(x), extend(y));
  }

  /** x / y. */
  public int divide(int x, int y) {
    int r = bits(f(x) / f(y));
    return serves(r, x, y) ? r : (int) divide(FloatFormat.SINGLE, extend(x), extend(y));
  }

  /** The square root. */
  public int squareRoot(int x) {
    // A root in double precision, rounded again, is the root in single precision.
    int r = bits((float) Math.sqrt(f(x)));
    return serves(r, x, x) ? r : (int) squareRoot(FloatFormat.SINGLE, extend(x));
  }

  /** The smaller; y if they are zeroes or one is a NaN. */
  public int min(int x, int y) {
    return isOrdered(x, y)
        ? f(x) < f(y) ? x : y
        : (int) extreme(FloatFormat.SINGLE, extend(x), extend(y), LESS);
  }

  /** The greater; y if they are zeroes or one is a NaN. */
  public int max(int x, int y) {
    return isOrdered(x, y)
        ? f(x) > f(y) ? x : y
        : (int) extreme(FloatFormat.SINGLE, extend(x), extend(y), GREATER);
  }

  /** x * y + z, rounded once. The order of the operands is that in which NaNs go before others. */
  public int multiplyAdd(int x, int y, int z) {
    int r = bits(Math.fma(f(x), f(y), f(z)));
    return serves(r, x, y) && !isDenormal(z)
        ? r
        : (int) multiplyAdd(FloatFormat.SINGLE, extend(x), extend(y), extend(z));
  }

  /**
   * Compares.
   *
   * @param signals whether a QNaN is an invalid operation
   * @return {@link #LESS}, {@link #EQUAL}, {@link #GREATER} or {@link #UNORDERED}
   */
  public int compare(int x, int y, boolean signals) {
    return isOrdered(x, y)
        ? f(x) < f(y) ? LESS : f(x) > f(y) ? GREATER : EQUAL
        : compare(FloatFormat.SINGLE, extend(x), extend(y), signals);
  }

  // ---- double precision ----

  /** x + y. */
  public long add(long x, long y) {
    long r = bits(d(x) + d(y));
    return serves(r, x, y) ? r : add(FloatFormat.DOUBLE, x, y);
  }

  /** x - y. */
  public long subtract(long x, long y) {
    long r = bits(d(x) - d(y));
    return serves(r, x, y) ? r : subtract(FloatFormat.DOUBLE, x, y);
  }

  /** x * y. */
  public long multiply(long x, long y) {
    long r = bits(d(x) * d(y));
    return serves(r, x, y) ? r : multiply(FloatFormat.DOUBLE, x, y);
  }

  /** x / y. */
  public long divide(long x, long y) {
    long r = bits(d(x) / d(y));
    return serves(r, x, y) ? r : divide(FloatFormat.DOUBLE, x, y);
  }

  /** The square root. */
  public long squareRoot(long x) {
    long r = bits(Math.sqrt(d(x)));
    return serves(r, x, x) ? r : squareRoot(FloatFormat.DOUBLE, x);
  }

  /** The smaller; y if they are zeroes or one is a NaN. */
  public long min(long x, long y) {
    return isOrdered(x, y) ? d(x) < d(y) ? x : y : extreme(FloatFormat.DOUBLE, x, y, LESS);
  }

  /** The greater; y if they are zeroes or one is a NaN. */
  public long max(long x, long y) {
    return isOrdered(x, y) ? d(x) > d(y) ? x : y : extreme(FloatFormat.DOUBLE, x, y, GREATER);
  }

  /** x * y + z, rounded once. The order of the operands is that in which NaNs go before others. */
  public long multiplyAdd(long x, long y, long z) {
    long r = bits(Math.fma(d(x), d(y), d(z)));
    return serves(r, x, y) && !isDenormal(z) ? r : multiplyAdd(FloatFormat.DOUBLE, x, y, z);
  }

  /**
   * Compares.
   *
   * @param signals whether a QNaN is an invalid operation
   * @return {@link #LESS}, {@link #EQUAL}, {@link #GREATER} or {@link #UNORDERED}
   */
  public int compare(long x, long y, boolean signals) {
    return isOrdered(x, y)
        ? d(x) < d(y) ? LESS : d(x) > d(y) ? GREATER : EQUAL
        : compare(FloatFormat.DOUBLE, x, y, signals);
  }

  // ---- predicates of CMPPS and its kin ----

  /** The outcomes for which each of the first 16 predicates is true. */
  private static final int[] TRUE_FOR = {
    EQUAL,
    LESS,
    LESS | EQUAL,
    UNORDERED,
    LESS | GREATER | UNORDERED,
    EQUAL | GREATER | UNORDERED,
    GREATER | UNORDERED,
    LESS | EQUAL | GREATER,
    EQUAL | UNORDERED,
    LESS | UNORDERED,
    LESS | EQUAL | UNORDERED,
    0,
    LESS | GREATER,
    EQUAL | GREATER,
    GREATER,
    LESS | EQUAL | GREATER | UNORDERED
  };

  /** A bit for each of the first 16 that signals; the second 16 are the same the other way. */
  private static final int SIGNALS = 0b0110_0110_0110_0110;

  /**
   * Whether a predicate is true of an outcome of a comparison. SDM Vol. 2, CMPPD, table 3-1.
   *
   * @param predicate 0 to 31
   */
  public static boolean isTrue(int predicate, int outcome) {
    return (TRUE_FOR[predicate & 15] & outcome) != 0;
  }

  /** Whether a QNaN is an invalid operation for a predicate, 0 to 31. */
  public static boolean signals(int predicate) {
    return (SIGNALS >> (predicate & 15) & 1) != predicate >> 4;
  }

  // ---- operands ----

  /** The sign of a denormal as a zero, where MXCSR says so. */
  long asZero(FloatFormat f, long v) {
    return denormalsAreZeros && f.isDenormal(v) ? v & f.sign : v;
  }

  /** Notes that an operand is a denormal. */
  private void note(FloatFormat f, long v) {
    if (f.isDenormal(v)) {
      flags |= DENORMAL;
    }
  }

  long invalid(FloatFormat f) {
    flags |= INVALID;
    return f.indefinite;
  }

  long quiet(FloatFormat f, long nan) {
    if (f.isSignalling(nan)) {
      flags |= INVALID;
    }
    return nan | f.quiet;
  }

  /** The first of two operands that is a NaN, as a QNaN. */
  private long nan(FloatFormat f, long x, long y) {
    if (f.isSignalling(y)) {
      flags |= INVALID;
    }
    return f.isNan(x) ? quiet(f, x) : quiet(f, y);
  }

  // ---- results ----

  /** A zero that is the sum of numbers that are not of the same sign. */
  private long exactZero(FloatFormat f) {
    return f.zero(rounding == Unrounded.DOWN);
  }

  /** Rounds and packs a number that is not zero. */
  long round(FloatFormat f, Unrounded n) {
    return round(f, n, rounding, flushToZero);
  }

  long round(FloatFormat f, Unrounded n, int mode, boolean flush) {
    n.exponent += f.bias;
    boolean negative = n.negative;
    if (n.exponent < 0 || n.exponent == 0 && !n.carries(f.precision, mode)) {
      return tiny(f, n, mode, flush);
    }
    n.round(f.precision, mode);
    if (n.inexact) {
      flags |= INEXACT;
    }
    if (n.exponent >= f.maxExponent) {
      flags |= OVERFLOW | (masks & OVERFLOW) * (INEXACT / OVERFLOW);
      boolean toInfinity =
          mode == Unrounded.NEAREST || mode == (negative ? Unrounded.DOWN : Unrounded.UP);
      return toInfinity ? f.infinity(negative) : f.zero(negative) | f.largest;
    }
    return f.pack(negative, n.exponent, n.high);
  }

  /** A number that is tiny after rounding: a denormal, or zero. */
  private long tiny(FloatFormat f, Unrounded n, int mode, boolean flush) {
    boolean masked = (masks & UNDERFLOW) != 0;
    if (masked && flush) {
      flags |= UNDERFLOW | INEXACT;
      return f.zero(n.negative);
    }
    if (masked) {
      n.shiftRight(1 - n.exponent);
    }
    n.round(f.precision, mode);
    if (n.inexact) {
      flags |= INEXACT;
    }
    if (n.inexact || !masked) {
      flags |= UNDERFLOW;
    }
    return f.pack(n.negative, 0, n.high);
  }

  // ---- any precision ----

  private long subtract(FloatFormat f, long x, long y) {
    return add(f, x, f.isNan(y) ? y : y ^ f.sign);
  }

  private long add(FloatFormat f, long x, long y) {
    if (f.isNan(x) || f.isNan(y)) {
      return nan(f, x, y);
    }
    x = asZero(f, x);
    y = asZero(f, y);
    if (f.isInfinity(x) || f.isInfinity(y)) {
      if (f.isInfinity(x) && f.isInfinity(y) && x != y) {
        return invalid(f);
      }
      note(f, x);
      note(f, y);
      return f.isInfinity(x) ? x : y;
    }
    note(f, x);
    note(f, y);
    return sum(f, x, y);
  }

  /** The sum of finite numbers. */
  private long sum(FloatFormat f, long x, long y) {
    f.unpack(x, a);
    f.unpack(y, b);
    if (b.isZero()) {
      return a.isZero() ? x == y ? x : exactZero(f) : round(f, a);
    }
    if (a.isZero()) {
      return round(f, b);
    }
    a.add(b);
    return a.isZero() ? exactZero(f) : round(f, a);
  }

  private long multiply(FloatFormat f, long x, long y) {
    if (f.isNan(x) || f.isNan(y)) {
      return nan(f, x, y);
    }
    x = asZero(f, x);
    y = asZero(f, y);
    boolean negative = f.isNegative(x ^ y);
    if (f.isInfinity(x) || f.isInfinity(y)) {
      if (f.isZero(x) || f.isZero(y)) {
        return invalid(f);
      }
      note(f, x);
      note(f, y);
      return f.infinity(negative);
    }
    note(f, x);
    note(f, y);
    if (f.isZero(x) || f.isZero(y)) {
      return f.zero(negative);
    }
    product(f, x, y);
    return round(f, a);
  }

  /** The exact product of finite numbers that are not zero. */
  private void product(FloatFormat f, long x, long y) {
    f.unpack(x, a);
    f.unpack(y, b);
    a.product(a.negative != b.negative, a.exponent + b.exponent, a.high, b.high);
  }

  private long divide(FloatFormat f, long x, long y) {
    if (f.isNan(x) || f.isNan(y)) {
      return nan(f, x, y);
    }
    x = asZero(f, x);
    y = asZero(f, y);
    boolean negative = f.isNegative(x ^ y);
    if (f.isInfinity(x) && f.isInfinity(y) || f.isZero(x) && f.isZero(y)) {
      return invalid(f);
    }
    if (f.isZero(y) && !f.isInfinity(x)) {
      flags |= ZERO_DIVIDE;
      return f.infinity(negative);
    }
    note(f, x);
    note(f, y);
    if (f.isInfinity(x)) {
      return f.infinity(negative);
    }
    if (f.isInfinity(y) || f.isZero(x)) {
      return f.zero(negative);
    }
    f.unpack(x, a);
    f.unpack(y, b);
    a.quotient(negative, a.exponent - b.exponent, a.high, b.high);
    return round(f, a);
  }

  private long squareRoot(FloatFormat f, long x) {
    if (f.isNan(x)) {
      return quiet(f, x);
    }
    x = asZero(f, x);
    if (f.isZero(x)) {
      return x;
    }
    if (f.isNegative(x)) {
      return invalid(f);
    }
    if (f.isInfinity(x)) {
      return x;
    }
    note(f, x);
    f.unpack(x, a);
    a.root(a.exponent, a.high);
    return round(f, a);
  }

  private long multiplyAdd(FloatFormat f, long x, long y, long z) {
    if (f.isNan(x) || f.isNan(y) || f.isNan(z)) {
      if (f.isSignalling(z)) {
        flags |= INVALID;
      }
      return f.isNan(x) || f.isNan(y) ? nan(f, x, y) : quiet(f, z);
    }
    x = asZero(f, x);
    y = asZero(f, y);
    z = asZero(f, z);
    boolean negative = f.isNegative(x ^ y);
    boolean isInfinite = f.isInfinity(x) || f.isInfinity(y);
    boolean opposite = f.isInfinity(z) && f.isNegative(z) != negative;
    if (isInfinite && (f.isZero(x) || f.isZero(y) || opposite)) {
      return invalid(f);
    }
    note(f, x);
    note(f, y);
    note(f, z);
    if (isInfinite) {
      return f.infinity(negative);
    }
    if (f.isInfinity(z)) {
      return z;
    }
    if (f.isZero(x) || f.isZero(y)) {
      return sum(f, f.zero(negative), z);
    }
    product(f, x, y);
    f.unpack(z, b);
    if (!b.isZero()) {
      a.add(b);
    }
    return a.isZero() ? exactZero(f) : round(f, a);
  }

  private int compare(FloatFormat f, long x, long y, boolean signals) {
    if (f.isNan(x) || f.isNan(y)) {
      if (signals || f.isSignalling(x) || f.isSignalling(y)) {
        flags |= INVALID;
      }
      return UNORDERED;
    }
    x = asZero(f, x);
    y = asZero(f, y);
    note(f, x);
    note(f, y);
    // As numbers with their own sign both zeroes are 0.
    long p = f.isNegative(x) ? -f.magnitude(x) : x;
    long q = f.isNegative(y) ? -f.magnitude(y) : y;
    return p < q ? LESS : p > q ? GREATER : EQUAL;
  }

  /** The operand of which the outcome is true, or the second: MIN and MAX. */
  private long extreme(FloatFormat f, long x, long y, int wanted) {
    boolean takesFirst = compare(f, x, y, true) == wanted;
    return asZero(f, takesFirst ? x : y);
  }
}
