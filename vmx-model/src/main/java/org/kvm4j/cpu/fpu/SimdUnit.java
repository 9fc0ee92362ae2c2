package org.kvm4j.cpu.fpu;

/**
 * What SSE, AVX and FMA make of numbers of any {@link FloatFormat}, by {@link Unrounded}
 * arithmetic: rounding, zeroes for denormals and the masks of exceptions are those of MXCSR. An
 * instruction begins with {@link #begin}, does its elements, and finds in {@link #flags} what all
 * of them raised. SDM Vol. 1, 4.8.3.5 "Operating on SNaNs and QNaNs" (table 4-7), 10.2.3 "MXCSR
 * Control and Status Register", 11.5 "SSE, SSE2, and SSE3 Exceptions", 14.5 "Fused-Multiply-ADD
 * (FMA) Extensions".
 */
public abstract class SimdUnit {
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

  /** Exceptions of the elements since {@link #begin}. */
  int flags;

  /** Rounding control, as in {@link Unrounded}. */
  int rounding;

  boolean denormalsAreZeros;
  boolean flushToZero;

  /** Exceptions that are masked. */
  int masks;

  /** For which results of normal numbers Java's arithmetic serves. */
  int plain;

  /** Whether it serves for inexact results, too. */
  final boolean isPlain() {
    return plain == PlainFloat.ROUNDED;
  }

  private int control = -1;
  final Unrounded a = new Unrounded();
  final Unrounded b = new Unrounded();

  /**
   * Begins an instruction.
   *
   * @param mxcsr the register
   */
  public final void begin(int mxcsr) {
    flags = 0;
    if (mxcsr != control) {
      control = mxcsr;
      rounding = mxcsr >> ROUNDING & 3;
      denormalsAreZeros = (mxcsr & DENORMALS_ARE_ZEROS) != 0;
      flushToZero = (mxcsr & FLUSH_TO_ZERO) != 0;
      masks = mxcsr >> MASKS & 0x3f;
      plain = PlainFloat.mode(mxcsr);
    }
  }

  /**
   * The exceptions that the instruction has raised, as bits of MXCSR. An unmasked one that was
   * found before computation keeps what follows computation from being found.
   */
  public final int flags() {
    return (flags & ~masks & BEFORE_COMPUTATION) != 0 ? flags & BEFORE_COMPUTATION : flags;
  }

  /** Whether one of the exceptions is unmasked: then there are no results. */
  public final boolean isUnmasked() {
    return (flags & ~masks) != 0;
  }

  /**
   * The rounding that an immediate byte asks for: its own in bits 1:0, or with bit 2 that of MXCSR.
   * SDM Vol. 2, ROUNDPD, figure 4-24; VCVTPS2PH, table 5-13.
   */
  public final int rounding(int immediate) {
    return (immediate & 4) != 0 ? rounding : immediate & 3;
  }

  SimdUnit() {}

  /** The bits of a number of single precision, zero-extended. */
  static long extend(int v) {
    return v & 0xffffffffL;
  }

  // ---- operands ----

  /** The sign of a denormal as a zero, where MXCSR says so. */
  final long asZero(FloatFormat f, long v) {
    return denormalsAreZeros && f.isDenormal(v) ? v & f.sign : v;
  }

  /** Notes that an operand is a denormal. */
  private void note(FloatFormat f, long v) {
    if (f.isDenormal(v)) {
      flags |= DENORMAL;
    }
  }

  final long invalid(FloatFormat f) {
    flags |= INVALID;
    return f.indefinite;
  }

  final long quiet(FloatFormat f, long nan) {
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
  final long round(FloatFormat f, Unrounded n) {
    return round(f, n, rounding, flushToZero);
  }

  final long round(FloatFormat f, Unrounded n, int mode, boolean flush) {
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

  final long subtract(FloatFormat f, long x, long y) {
    return add(f, x, f.isNan(y) ? y : y ^ f.sign);
  }

  final long add(FloatFormat f, long x, long y) {
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

  final long multiply(FloatFormat f, long x, long y) {
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

  final long divide(FloatFormat f, long x, long y) {
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

  final long squareRoot(FloatFormat f, long x) {
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

  final long multiplyAdd(FloatFormat f, long x, long y, long z) {
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

  final int compare(FloatFormat f, long x, long y, boolean signals) {
    if (f.isNan(x) || f.isNan(y)) {
      if (signals || f.isSignalling(x) || f.isSignalling(y)) {
        flags |= INVALID;
      }
      return Comparison.UNORDERED;
    }
    x = asZero(f, x);
    y = asZero(f, y);
    note(f, x);
    note(f, y);
    // As numbers with their own sign both zeroes are 0.
    long p = f.isNegative(x) ? -f.magnitude(x) : x;
    long q = f.isNegative(y) ? -f.magnitude(y) : y;
    return p < q ? Comparison.LESS : p > q ? Comparison.GREATER : Comparison.EQUAL;
  }

  /** The operand of which the outcome is true, or the second: MIN and MAX. */
  final long extreme(FloatFormat f, long x, long y, int wanted) {
    boolean takesFirst = compare(f, x, y, true) == wanted;
    return asZero(f, takesFirst ? x : y);
  }
}
