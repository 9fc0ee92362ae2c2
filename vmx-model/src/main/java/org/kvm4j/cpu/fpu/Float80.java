package org.kvm4j.cpu.fpu;

import java.math.BigInteger;

/**
 * Arithmetic on double extended-precision numbers: each operation leaves its result in {@link
 * #exponent} and {@link #significand}, and what went wrong in {@link #flags}. Rounding follows
 * {@link #rounding} and {@link #precision}; masked exceptions give the masked response.
 *
 * <p>A number is a sign and exponent word (bit 15 and bits 14:0) and a significand with an explicit
 * integer bit. Source: SDM Vol. 1, 4.2 "Numeric Data Types", 4.8 "Real Numbers and Floating-Point
 * Formats", 8.5 "x87 FPU Floating-Point Exception Conditions".
 */
public final class Float80 {
  public static final int INVALID = 1;
  public static final int DENORMAL = 2;
  public static final int ZERO_DIVIDE = 4;
  public static final int OVERFLOW = 8;
  public static final int UNDERFLOW = 16;
  public static final int INEXACT = 32;

  public static final int NEAREST = Unrounded.NEAREST;
  public static final int DOWN = Unrounded.DOWN;
  public static final int UP = Unrounded.UP;
  public static final int TRUNCATE = Unrounded.TRUNCATE;

  static final int BIAS = 16383;
  static final int MAX = 0x7fff;
  private static final long INTEGER_BIT = 1L << 63;
  private static final long QUIET_BIT = 1L << 62;

  /** What the exponent of a result is moved by when overflow or underflow is not masked. */
  private static final int WRAP = 24576;

  /** Rounding control: {@link #NEAREST} and so on. */
  public int rounding;

  /** Bits of the significand that arithmetic rounds to: 24, 53 or 64. */
  public int precision = 64;

  /** Exceptions that are masked, as in the control word. */
  public int masks = 0x3f;

  /** Exceptions of the last operation. */
  public int flags;

  /** Whether the last rounding went away from zero (C1). */
  public boolean roundedUp;

  /** Sign and exponent of the result. */
  public int exponent;

  /** Significand of the result. */
  public long significand;

  private final Unrounded number = new Unrounded();
  private final Unrounded other = new Unrounded();

  // ---- classes of numbers ----

  public static boolean isNan(int e, long s) {
    return (e & MAX) == MAX && s < 0 && s << 1 != 0;
  }

  public static boolean isSignalling(int e, long s) {
    return isNan(e, s) && (s & QUIET_BIT) == 0;
  }

  public static boolean isInfinity(int e, long s) {
    return (e & MAX) == MAX && s == INTEGER_BIT;
  }

  public static boolean isZero(int e, long s) {
    return (e & MAX) == 0 && s == 0;
  }

  /** Denormals and pseudo-denormals. */
  public static boolean isDenormal(int e, long s) {
    return (e & MAX) == 0 && s != 0;
  }

  /** Unnormals, pseudo-infinities and pseudo-NaNs, which the processor refuses. */
  public static boolean isUnsupported(int e, long s) {
    return (e & MAX) != 0 && s >= 0;
  }

  private static boolean sign(int e) {
    return (e & 0x8000) != 0;
  }

  // ---- results ----

  /** Starts an operation: no exceptions yet. */
  public void begin() {
    flags = 0;
    roundedUp = false;
  }

  void set(int e, long s) {
    exponent = e;
    significand = s;
  }

  private void setZero(boolean negative) {
    set(negative ? 0x8000 : 0, 0);
  }

  void setInfinity(boolean negative) {
    set(negative ? 0xffff : MAX, INTEGER_BIT);
  }

  /** The indefinite QNaN, with the invalid-operation exception. */
  public void invalid() {
    flags = flags & ~DENORMAL | INVALID;
    set(0xffff, 0xC000000000000000L);
  }

  /** Handles NaNs and unsupported operands; true if the result is decided. */
  boolean nans(int ae, long as, int be, long bs) {
    if (isUnsupported(ae, as) || isUnsupported(be, bs)) {
      invalid();
      return true;
    }
    boolean an = isNan(ae, as);
    boolean bn = isNan(be, bs);
    if (an || bn) {
      // A NaN comes before a denormal, which the other operand may have been in memory.
      flags &= ~DENORMAL;
    } else {
      if (isDenormal(ae, as) || isDenormal(be, bs)) {
        flags |= DENORMAL;
      }
      return false;
    }
    boolean asn = isSignalling(ae, as);
    boolean bsn = isSignalling(be, bs);
    if (asn || bsn) {
      flags |= INVALID;
    }
    boolean takeA;
    if (!bn) {
      takeA = true;
    } else if (!an) {
      takeA = false;
    } else if (asn != bsn) {
      takeA = bsn;
    } else {
      int c = Long.compareUnsigned(as | QUIET_BIT, bs | QUIET_BIT);
      takeA = c != 0 ? c > 0 : !sign(ae);
    }
    set(takeA ? ae : be, (takeA ? as : bs) | QUIET_BIT);
    return true;
  }

  boolean nan(int e, long s) {
    return nans(e, s, e, s);
  }

  /** Biased exponent of the integer bit. */
  static int topExponent(int e) {
    int x = e & MAX;
    return x == 0 ? 1 : x;
  }

  /** Biased exponent of the number with its significand shifted up to the integer bit. */
  static int normalExponent(int e, long s) {
    return topExponent(e) - Long.numberOfLeadingZeros(s);
  }

  static long normalSignificand(long s) {
    return s << Long.numberOfLeadingZeros(s);
  }

  // ---- rounding ----

  /**
   * Rounds and packs what an operation has left, whose exponent is biased.
   *
   * @param bits of precision
   */
  private void pack(int bits) {
    boolean negative = number.negative;
    boolean carries = number.carries(bits, rounding);
    if (number.exponent < 1 && !(number.exponent == 0 && carries)) {
      if ((masks & UNDERFLOW) == 0) {
        flags |= UNDERFLOW;
        number.exponent += WRAP;
      } else {
        number.shiftRight(1 - number.exponent);
        number.round(bits, rounding);
        if (number.inexact) {
          flags |= INEXACT | UNDERFLOW;
          roundedUp = number.roundedUp;
        }
        set((negative ? 0x8000 : 0) | (number.high < 0 ? 1 : 0), number.high);
        return;
      }
    }
    number.round(bits, rounding);
    noteInexact();
    if (number.exponent >= MAX) {
      overflow(negative, number.exponent, number.high, 1L << 64 - bits);
    } else {
      set((negative ? 0x8000 : 0) | number.exponent, number.high);
    }
  }

  /** Rounds and packs a number that is not zero. */
  private void pack(int e, long s, int bits) {
    number.set(sign(e), topExponent(e), s);
    pack(bits);
  }

  // ---- results of the transcendental functions ----

  /** Rounds and packs an integer that is not zero, in units of a power of two. */
  private void pack(BigInteger value, int unit, boolean isExact) {
    BigInteger magnitude = value.abs();
    int length = magnitude.bitLength();
    BigInteger top =
        length <= 128 ? magnitude.shiftLeft(128 - length) : magnitude.shiftRight(length - 128);
    number.negative = value.signum() < 0;
    number.exponent = length - 1 + unit + BIAS;
    number.high = top.shiftRight(64).longValue();
    number.low = isExact ? top.longValue() : top.longValue() | 1;
    pack(64);
    flags |= (exponent & MAX) == 0 && significand >= 0 ? INEXACT | UNDERFLOW : INEXACT;
  }

  /**
   * Rounds and packs an integer that is not zero, in units of a power of two; a part is missing.
   */
  void packInexact(BigInteger value, int unit) {
    pack(value, unit, false);
  }

  /** As {@link #packInexact}, if nothing is missing; it is taken for inexact all the same. */
  void packExact(BigInteger value, int unit) {
    pack(value, unit, true);
  }

  /** Rounds and packs what is by very little greater or less than a number that is not zero. */
  void packNear(int e, long s, boolean greater) {
    number.set(sign(e), topExponent(e), s);
    if (greater) {
      number.low |= 1;
    } else {
      number.lower();
    }
    pack(64);
  }

  /** Rounds and packs what is by very little less than a quotient of numbers that are not zero. */
  void packQuotientLess(int ae, long as, int be, long bs) {
    int x = normalExponent(ae, as) - normalExponent(be, bs) + BIAS;
    boolean negative = sign(ae) != sign(be);
    number.quotient(negative, x, normalSignificand(as), normalSignificand(bs));
    number.lower();
    pack(64);
  }

  private void overflow(boolean negative, int exp, long kept, long unit) {
    flags |= OVERFLOW;
    if ((masks & OVERFLOW) == 0) {
      set((negative ? 0x8000 : 0) | (exp - WRAP & MAX), kept);
      return;
    }
    flags |= INEXACT;
    boolean toInfinity =
        rounding == NEAREST || (rounding == UP && !negative) || (rounding == DOWN && negative);
    roundedUp = toInfinity;
    if (toInfinity) {
      setInfinity(negative);
    } else {
      set((negative ? 0x8000 : 0) | 0x7ffe, -unit);
    }
  }

  // ---- arithmetic ----

  /** a + b. */
  public void add(int ae, long as, int be, long bs) {
    if (nans(ae, as, be, bs)) {
      return;
    }
    boolean an = sign(ae);
    boolean bn = sign(be);
    if (isInfinity(ae, as)) {
      if (isInfinity(be, bs) && an != bn) {
        invalid();
      } else {
        setInfinity(an);
      }
      return;
    }
    if (isInfinity(be, bs)) {
      setInfinity(bn);
      return;
    }
    if (as == 0 || bs == 0) {
      if (as == 0 && bs == 0) {
        setZero(an == bn ? an : rounding == DOWN);
      } else if (as == 0) {
        pack(be, bs, precision);
      } else {
        pack(ae, as, precision);
      }
      return;
    }
    number.set(an, topExponent(ae), as);
    other.set(bn, topExponent(be), bs);
    number.add(other);
    if (number.isZero()) {
      setZero(rounding == DOWN);
    } else {
      pack(precision);
    }
  }

  /** a - b. */
  public void subtract(int ae, long as, int be, long bs) {
    add(ae, as, isNan(be, bs) ? be : be ^ 0x8000, bs);
  }

  /** a * b. */
  public void multiply(int ae, long as, int be, long bs) {
    if (nans(ae, as, be, bs)) {
      return;
    }
    boolean negative = sign(ae) != sign(be);
    if (isInfinity(ae, as) || isInfinity(be, bs)) {
      if (as == 0 || bs == 0) {
        invalid();
      } else {
        setInfinity(negative);
      }
      return;
    }
    if (as == 0 || bs == 0) {
      setZero(negative);
      return;
    }
    int x = normalExponent(ae, as) + normalExponent(be, bs) - BIAS;
    number.product(negative, x, normalSignificand(as), normalSignificand(bs));
    pack(precision);
  }

  /** a / b. */
  public void divide(int ae, long as, int be, long bs) {
    if (nans(ae, as, be, bs)) {
      return;
    }
    boolean negative = sign(ae) != sign(be);
    if (isInfinity(ae, as)) {
      if (isInfinity(be, bs)) {
        invalid();
      } else {
        setInfinity(negative);
      }
      return;
    }
    if (isInfinity(be, bs)) {
      setZero(negative);
      return;
    }
    if (bs == 0) {
      if (as == 0) {
        invalid();
      } else {
        flags = flags & ~DENORMAL | ZERO_DIVIDE;
        setInfinity(negative);
      }
      return;
    }
    if (as == 0) {
      setZero(negative);
      return;
    }
    int x = normalExponent(ae, as) - normalExponent(be, bs) + BIAS;
    number.quotient(negative, x, normalSignificand(as), normalSignificand(bs));
    pack(precision);
  }

  static BigInteger unsigned(long v) {
    BigInteger b = BigInteger.valueOf(v);
    return v < 0 ? b.add(BigInteger.ONE.shiftLeft(64)) : b;
  }

  /** The square root of a. */
  public void squareRoot(int ae, long as) {
    if (nan(ae, as)) {
      return;
    }
    if (as == 0 && (ae & MAX) == 0) {
      set(ae, as);
      return;
    }
    if (sign(ae)) {
      invalid();
      return;
    }
    if (isInfinity(ae, as)) {
      set(ae, as);
      return;
    }
    number.root(normalExponent(ae, as) - BIAS, normalSignificand(as));
    number.exponent += BIAS;
    pack(precision);
  }

  // ---- comparison ----

  /** Unordered, less, equal, greater. */
  public static final int UNORDERED = 2;

  /**
   * Compares.
   *
   * @param quiet whether a QNaN is no invalid operation (FUCOM)
   * @return -1, 0, 1 or {@link #UNORDERED}
   */
  public int compare(int ae, long as, int be, long bs, boolean quiet) {
    if (isUnsupported(ae, as) || isUnsupported(be, bs)) {
      flags = INVALID;
      return UNORDERED;
    }
    if (isNan(ae, as) || isNan(be, bs)) {
      flags = 0;
      if (!quiet || isSignalling(ae, as) || isSignalling(be, bs)) {
        flags |= INVALID;
      }
      return UNORDERED;
    }
    if (isDenormal(ae, as) || isDenormal(be, bs)) {
      flags |= DENORMAL;
    }
    if (as == 0 && bs == 0) {
      return 0;
    }
    boolean an = sign(ae);
    if (an != sign(be)) {
      return an ? -1 : 1;
    }
    int ax = (ae & MAX) == 0 ? 1 : ae & MAX;
    int bx = (be & MAX) == 0 ? 1 : be & MAX;
    if (as == 0 || bs == 0) {
      int c = as == 0 ? -1 : 1;
      return an ? -c : c;
    }
    int c = ax != bx ? Integer.compare(ax, bx) : Long.compareUnsigned(as, bs);
    c = Integer.signum(c);
    return an ? -c : c;
  }

  // ---- conversion ----

  /** From a 64-bit integer, exactly. */
  public void fromLong(long v) {
    if (v == 0) {
      setZero(false);
      return;
    }
    long magnitude = v < 0 ? -v : v;
    int lead = Long.numberOfLeadingZeros(magnitude);
    set((v < 0 ? 0x8000 : 0) | (BIAS + 63 - lead), magnitude << lead);
  }

  /**
   * From single precision, exactly. A denormal is noted in {@link #flags}; a signalling NaN stays
   * one for the operation that takes it, or for {@link #quiet()}.
   */
  public void fromFloat(int bits) {
    boolean n = bits < 0;
    int x = bits >>> 23 & 0xff;
    long f = bits & 0x7fffffL;
    if (x == 0xff) {
      set(n ? 0xffff : MAX, INTEGER_BIT | f << 40);
    } else if (x == 0) {
      fromTiny(n, f, -126 - 23);
    } else {
      set((n ? 0x8000 : 0) | (x - 127 + BIAS), INTEGER_BIT | f << 40);
    }
  }

  /** From double precision, as {@link #fromFloat}. */
  public void fromDouble(long bits) {
    boolean n = bits < 0;
    int x = (int) (bits >>> 52) & 0x7ff;
    long f = bits & 0xfffffffffffffL;
    if (x == 0x7ff) {
      set(n ? 0xffff : MAX, INTEGER_BIT | f << 11);
    } else if (x == 0) {
      fromTiny(n, f, -1022 - 52);
    } else {
      set((n ? 0x8000 : 0) | (x - 1023 + BIAS), INTEGER_BIT | f << 11);
    }
  }

  /** Makes a signalling NaN in the result a quiet one, with the invalid-operation exception. */
  public void quiet() {
    if (isSignalling(exponent, significand)) {
      flags |= INVALID;
      significand |= QUIET_BIT;
    }
  }

  private void fromTiny(boolean negative, long fraction, int unit) {
    if (fraction == 0) {
      setZero(negative);
      return;
    }
    flags |= DENORMAL;
    int lead = Long.numberOfLeadingZeros(fraction);
    set((negative ? 0x8000 : 0) | (unit + 63 - lead + BIAS), fraction << lead);
  }

  /** To single precision bits. */
  public int toFloat(int e, long s) {
    return (int) narrow(e, s, 24, 8);
  }

  /** To double precision bits. */
  public long toDouble(int e, long s) {
    return narrow(e, s, 53, 11);
  }

  private long narrow(int e, long s, int bits, int exponentBits) {
    int width = bits - 1;
    int max = (1 << exponentBits) - 1;
    int bias = max >> 1;
    long negative = sign(e) ? 1L << width + exponentBits : 0;
    if (isUnsupported(e, s)) {
      flags |= INVALID;
      return 1L << width + exponentBits | (long) max << width | 1L << width - 1;
    }
    if (isNan(e, s)) {
      if (isSignalling(e, s)) {
        flags |= INVALID;
      }
      return negative | (long) max << width | (s << 1 >>> 64 - width) | 1L << width - 1;
    }
    if (isInfinity(e, s)) {
      return negative | (long) max << width;
    }
    if (s == 0) {
      return negative;
    }
    number.set(negative != 0, topExponent(e) - BIAS + bias, s);
    boolean tiny = number.exponent < 0 || number.exponent == 0 && !number.carries(bits, rounding);
    if (number.exponent < 1) {
      number.shiftRight(1 - number.exponent);
      number.exponent = 0;
    }
    number.round(bits, rounding);
    if (number.inexact) {
      flags |= INEXACT;
      roundedUp = number.roundedUp;
      if (tiny) {
        flags |= UNDERFLOW;
      }
    } else if (tiny && (masks & UNDERFLOW) == 0) {
      flags |= UNDERFLOW;
    }
    long kept = number.high >>> 64 - bits;
    int x = number.exponent == 0 && kept >>> width != 0 ? 1 : number.exponent;
    if (x >= max) {
      flags |= OVERFLOW | INEXACT;
      boolean toInfinity =
          rounding == NEAREST
              || (rounding == UP && negative == 0)
              || (rounding == DOWN && negative != 0);
      roundedUp = toInfinity;
      return toInfinity
          ? negative | (long) max << width
          : negative | (long) (max - 1) << width | (1L << width) - 1;
    }
    return negative | (long) x << width | kept & (1L << width) - 1;
  }

  /**
   * To an integer of 16, 32 or 64 bits; the integer indefinite and the invalid-operation exception
   * where it does not fit.
   */
  public long toInteger(int e, long s, int bits, boolean truncate) {
    long indefinite = -1L << bits - 1;
    if ((e & MAX) == MAX || isUnsupported(e, s)) {
      flags |= INVALID;
      return indefinite;
    }
    if (s == 0) {
      return 0;
    }
    boolean negative = sign(e);
    int shift = BIAS + 63 - topExponent(e);
    if (shift < 0) {
      flags |= INVALID;
      return indefinite;
    }
    wholePart(negative, s, shift, truncate ? TRUNCATE : rounding);
    long whole = number.high;
    if (number.exponent != 0) {
      flags |= INVALID;
      return indefinite;
    }
    long limit = negative ? 1L << bits - 1 : (1L << bits - 1) - 1;
    if (Long.compareUnsigned(whole, limit) > 0) {
      flags |= INVALID;
      return indefinite;
    }
    noteInexact();
    return negative ? -whole : whole;
  }

  /** Rounds a significand to its whole part; the exponent is 1 if that takes 65 bits. */
  private void wholePart(boolean negative, long s, int shift, int mode) {
    number.negative = negative;
    number.exponent = 0;
    number.high = s;
    number.low = 0;
    number.shiftRight(shift);
    number.round(64, mode);
  }

  private void noteInexact() {
    if (number.inexact) {
      flags |= INEXACT;
      roundedUp = number.roundedUp;
    }
  }

  /** Rounds to an integral value. */
  public void roundToInteger(int e, long s) {
    if (nan(e, s)) {
      return;
    }
    int x = e & MAX;
    if (x >= BIAS + 63 || s == 0) {
      set(e, s);
      return;
    }
    boolean negative = sign(e);
    wholePart(negative, s, BIAS + 63 - topExponent(e), rounding);
    noteInexact();
    long whole = number.high;
    if (whole == 0) {
      setZero(negative);
      return;
    }
    int lead = Long.numberOfLeadingZeros(whole);
    set((negative ? 0x8000 : 0) | (BIAS + 63 - lead), whole << lead);
  }

  /** a times two to the truncated b (FSCALE). */
  public void scale(int ae, long as, int be, long bs) {
    if (nans(ae, as, be, bs)) {
      return;
    }
    if (isInfinity(be, bs)) {
      boolean down = sign(be);
      if (down ? isInfinity(ae, as) : as == 0) {
        invalid();
      } else if (down) {
        setZero(sign(ae));
      } else {
        setInfinity(sign(ae));
      }
      return;
    }
    if (isInfinity(ae, as) || as == 0) {
      set(ae, as);
      return;
    }
    int x = be & MAX;
    int by = 0;
    if (x >= BIAS) {
      by = x > BIAS + 16 ? 0x20000 : (int) (bs >>> BIAS + 63 - x);
      if (sign(be)) {
        by = -by;
      }
    }
    int exp = normalExponent(ae, as) + by;
    if (exp - WRAP >= MAX && (masks & OVERFLOW) == 0) {
      // Beyond what an unmasked overflow or underflow moves into range.
      flags |= OVERFLOW | INEXACT;
      roundedUp = true;
      setInfinity(sign(ae));
    } else if (exp + WRAP < 1 && (masks & UNDERFLOW) == 0) {
      flags |= UNDERFLOW | INEXACT;
      setZero(sign(ae));
    } else {
      number.set(sign(ae), exp, normalSignificand(as));
      pack(64);
    }
  }

  /** The exponent as a number, the first result of FXTRACT. */
  public void extractExponent(int e, long s) {
    if (nan(e, s)) {
      return;
    }
    if (isInfinity(e, s)) {
      setInfinity(false);
    } else if (s == 0) {
      flags |= ZERO_DIVIDE;
      setInfinity(true);
    } else {
      fromLong(normalExponent(e, s) - BIAS);
    }
  }

  /** The significand as a number with the sign, the second result of FXTRACT. */
  public void extractSignificand(int e, long s) {
    if (nan(e, s)) {
      return;
    }
    if (isInfinity(e, s) || s == 0) {
      set(e, s);
    } else {
      set(e & 0x8000 | BIAS, normalSignificand(s));
    }
  }

  /** The quotient's low bits after {@link #remainder}, and whether the reduction is complete. */
  public long quotient;

  public boolean complete;

  /**
   * FPREM and FPREM1: the exact remainder, or a partial one where the exponents differ by 64 or
   * more.
   *
   * @param nearest FPREM1: the quotient rounded to nearest, not truncated
   */
  public void remainder(int ae, long as, int be, long bs, boolean nearest) {
    quotient = 0;
    complete = true;
    if (nans(ae, as, be, bs)) {
      return;
    }
    if (isInfinity(ae, as) || bs == 0) {
      invalid();
      return;
    }
    if (as == 0) {
      set(ae, as);
      return;
    }
    int ax = normalExponent(ae, as);
    int bx = normalExponent(be, bs);
    int distance = ax - bx;
    if (isInfinity(be, bs) || distance < (nearest ? -1 : 0)) {
      pack(ae, as, 64);
      return;
    }
    BigInteger a = unsigned(normalSignificand(as));
    BigInteger b = unsigned(normalSignificand(bs));
    boolean negative = sign(ae);
    int unit;
    BigInteger rest;
    if (distance >= 64) {
      // A partial reduction by 2^63 at least, as processors do: 32 to 63 bits at a time.
      int n = 32 + distance % 32;
      complete = false;
      BigInteger divisor = b.shiftLeft(distance - n);
      finish(negative, bx, a.shiftLeft(distance).mod(divisor));
      return;
    }
    BigInteger dividend = distance >= 0 ? a.shiftLeft(distance) : a;
    BigInteger divisor = distance >= 0 ? b : b.shiftLeft(-distance);
    unit = distance >= 0 ? bx : ax;
    BigInteger[] qr = dividend.divideAndRemainder(divisor);
    BigInteger q = qr[0];
    rest = qr[1];
    if (nearest) {
      int c = rest.shiftLeft(1).compareTo(divisor);
      if (c > 0 || (c == 0 && q.testBit(0))) {
        q = q.add(BigInteger.ONE);
        rest = divisor.subtract(rest);
        negative = !negative;
      }
    }
    quotient = q.longValue();
    finish(rest.signum() == 0 ? sign(ae) : negative, unit, rest);
  }

  /** Packs an exact value: an integer times the unit of a significand with the exponent. */
  private void finish(boolean negative, int unit, BigInteger value) {
    if (value.signum() == 0) {
      setZero(negative);
      return;
    }
    int length = value.bitLength();
    BigInteger s = length <= 64 ? value.shiftLeft(64 - length) : value.shiftRight(length - 64);
    number.set(negative, unit + length - 64, s.longValue());
    pack(64);
  }
}
