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

  public static final int NEAREST = 0;
  public static final int DOWN = 1;
  public static final int UP = 2;
  public static final int TRUNCATE = 3;

  private static final int BIAS = 16383;
  private static final int MAX = 0x7fff;
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

  private void set(int e, long s) {
    exponent = e;
    significand = s;
  }

  private void setZero(boolean negative) {
    set(negative ? 0x8000 : 0, 0);
  }

  private void setInfinity(boolean negative) {
    set(negative ? 0xffff : MAX, INTEGER_BIT);
  }

  /** The indefinite QNaN, with the invalid-operation exception. */
  public void invalid() {
    flags = flags & ~DENORMAL | INVALID;
    set(0xffff, 0xC000000000000000L);
  }

  /** Handles NaNs and unsupported operands; true if the result is decided. */
  private boolean nans(int ae, long as, int be, long bs) {
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

  private boolean nan(int e, long s) {
    return nans(e, s, e, s);
  }

  /** Biased exponent of the number with its significand shifted up to the integer bit. */
  private static int normalExponent(int e, long s) {
    int x = e & MAX;
    return (x == 0 ? 1 : x) - Long.numberOfLeadingZeros(s);
  }

  private static long normalSignificand(long s) {
    return s << Long.numberOfLeadingZeros(s);
  }

  // ---- rounding ----

  /**
   * Whether a remainder (compared with one half: -1, 0, 1; 2 for none) is rounded away from zero.
   */
  private boolean increments(boolean negative, int half, boolean odd) {
    if (half == 2) {
      return false;
    }
    return switch (rounding) {
      case NEAREST -> half > 0 || (half == 0 && odd);
      case DOWN -> negative;
      case UP -> !negative;
      default -> false;
    };
  }

  /** How what is below the kept bits compares with one half of their unit; 2 if it is zero. */
  private static int half(long significand, long low, int drop) {
    if (drop == 0) {
      return low == 0 ? 2 : Long.compareUnsigned(low, INTEGER_BIT);
    }
    long rest = significand & (1L << drop) - 1;
    if (rest == 0 && low == 0) {
      return 2;
    }
    int c = Long.compareUnsigned(rest, 1L << drop - 1);
    return c != 0 ? Integer.signum(c) : low != 0 ? 1 : 0;
  }

  /**
   * Rounds to the precision and packs.
   *
   * @param exp biased exponent of the significand's top bit, any int
   * @param sig top bit set
   * @param low 64 more bits below
   */
  private void pack(boolean negative, int exp, long sig, long low, int bits) {
    int drop = 64 - bits;
    int half = half(sig, low, drop);
    long unit = drop == 0 ? 1 : 1L << drop;
    long kept = drop == 0 ? sig : sig & -unit;
    boolean up = increments(negative, half, (kept & unit) != 0);
    boolean carries = up && kept == -unit;
    if (exp < 1 && !(exp == 0 && carries)) {
      if ((masks & UNDERFLOW) == 0) {
        flags |= UNDERFLOW;
        exp += WRAP;
      } else {
        denormal(negative, exp, sig, low, bits);
        return;
      }
    }
    if (half != 2) {
      flags |= INEXACT;
      roundedUp = up;
    }
    if (up) {
      kept += unit;
      if (carries) {
        kept = INTEGER_BIT;
        exp++;
      }
    }
    if (exp >= MAX) {
      overflow(negative, exp, kept, unit);
      return;
    }
    set((negative ? 0x8000 : 0) | exp, kept);
  }

  private void denormal(boolean negative, int exp, long sig, long low, int bits) {
    int shift = 1 - exp;
    boolean sticky;
    if (shift >= 128) {
      sticky = true;
      low = 0;
      sig = 0;
    } else if (shift >= 64) {
      sticky = low != 0 || (shift > 64 && sig << 128 - shift != 0);
      low = sig >>> shift - 64;
      sig = 0;
    } else {
      sticky = low << 64 - shift != 0;
      low = low >>> shift | sig << 64 - shift;
      sig >>>= shift;
    }
    if (sticky) {
      low |= 1;
    }
    int drop = 64 - bits;
    int half = half(sig, low, drop);
    long unit = drop == 0 ? 1 : 1L << drop;
    long kept = drop == 0 ? sig : sig & -unit;
    boolean up = increments(negative, half, (kept & unit) != 0);
    if (half != 2) {
      flags |= INEXACT | UNDERFLOW;
      roundedUp = up;
    }
    if (up) {
      kept += unit;
    }
    set((negative ? 0x8000 : 0) | (kept < 0 ? 1 : 0), kept);
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
        pack(bn, normalExponent(be, bs), normalSignificand(bs), 0, precision);
      } else {
        pack(an, normalExponent(ae, as), normalSignificand(as), 0, precision);
      }
      return;
    }
    int ax = normalExponent(ae, as);
    int bx = normalExponent(be, bs);
    as = normalSignificand(as);
    bs = normalSignificand(bs);
    if (ax < bx || (ax == bx && Long.compareUnsigned(as, bs) < 0)) {
      int x = ax;
      ax = bx;
      bx = x;
      long s = as;
      as = bs;
      bs = s;
      boolean n = an;
      an = bn;
      bn = n;
    }
    int shift = ax - bx;
    long high;
    long low;
    if (shift == 0) {
      high = bs;
      low = 0;
    } else if (shift < 64) {
      high = bs >>> shift;
      low = bs << 64 - shift;
    } else if (shift < 128) {
      high = 0;
      low = shift == 64 ? bs : bs >>> shift - 64;
      if (shift > 64 && bs << 128 - shift != 0) {
        low |= 1;
      }
    } else {
      high = 0;
      low = 1;
    }
    if (an == bn) {
      long sum = as + high;
      if (Long.compareUnsigned(sum, as) < 0) {
        low = low >>> 1 | low & 1 | sum << 63;
        sum = sum >>> 1 | INTEGER_BIT;
        ax++;
      }
      pack(an, ax, sum, low, precision);
      return;
    }
    long lowDifference = -low;
    long difference = as - high - (low != 0 ? 1 : 0);
    if (difference == 0 && lowDifference == 0) {
      setZero(rounding == DOWN);
      return;
    }
    if (difference == 0) {
      difference = lowDifference;
      lowDifference = 0;
      ax -= 64;
    }
    int up = Long.numberOfLeadingZeros(difference);
    if (up > 0) {
      difference = difference << up | lowDifference >>> 64 - up;
      lowDifference <<= up;
      ax -= up;
    }
    pack(an, ax, difference, lowDifference, precision);
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
    int x = normalExponent(ae, as) + normalExponent(be, bs) - BIAS + 1;
    as = normalSignificand(as);
    bs = normalSignificand(bs);
    long high = Math.multiplyHigh(as, bs) + (as >> 63 & bs) + (bs >> 63 & as);
    long low = as * bs;
    if (high >= 0) {
      high = high << 1 | low >>> 63;
      low <<= 1;
      x--;
    }
    pack(negative, x, high, low, precision);
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
    as = normalSignificand(as);
    bs = normalSignificand(bs);
    // The quotient's 64 bits one by one; the rest decides the rounding.
    long rest = as;
    long quotient = 0;
    boolean carry = false;
    if (Long.compareUnsigned(rest, bs) < 0) {
      x--;
      carry = rest < 0;
      rest <<= 1;
    }
    for (int i = 0; i < 64; i++) {
      quotient <<= 1;
      if (carry || Long.compareUnsigned(rest, bs) >= 0) {
        rest -= bs;
        quotient |= 1;
      }
      carry = rest < 0;
      rest <<= 1;
    }
    long low;
    if (rest == 0 && !carry) {
      low = 0;
    } else {
      // What is left is twice the remainder: it compares with the divisor as the remainder with
      // half.
      int c = carry ? 1 : Long.compareUnsigned(rest, bs);
      low = c > 0 ? 3L << 62 : c == 0 ? INTEGER_BIT : 1L << 62;
    }
    pack(negative, x, quotient, low, precision);
  }

  private static BigInteger unsigned(long v) {
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
    int x = normalExponent(ae, as) - BIAS;
    BigInteger v = unsigned(normalSignificand(as)).shiftLeft((x & 1) == 0 ? 63 : 64);
    BigInteger[] root = v.sqrtAndRemainder();
    long low = 0;
    if (root[1].signum() != 0) {
      // The remainder exceeds the root exactly where the fraction exceeds one half; it never equals
      // it.
      low = root[1].compareTo(root[0]) > 0 ? 3L << 62 : 1L << 62;
    }
    pack(false, (x >> 1) + BIAS, root[0].longValue(), low, precision);
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
    int x = normalExponent(e, s) - BIAS + bias;
    s = normalSignificand(s);
    long low = 0;
    boolean tiny = false;
    if (x < 1) {
      // Tiny after rounding to unbounded range?
      int h = half(s, 0, 64 - bits);
      long unit = 1L << 64 - bits;
      boolean carries = increments(negative != 0, h, (s & unit) != 0) && (s & -unit) == -unit;
      tiny = !(x == 0 && carries);
      int shift = 1 - x;
      if (shift >= 64) {
        low = shift == 64 ? s : 1;
        s = 0;
      } else {
        low = s << 64 - shift;
        s >>>= shift;
      }
      x = 0;
    }
    int half = half(s, low, 64 - bits);
    long unit = 1L << 64 - bits;
    long kept = s >>> 64 - bits;
    boolean up = increments(negative != 0, half, (s & unit) != 0);
    if (half != 2) {
      flags |= INEXACT;
      roundedUp = up;
      if (tiny) {
        flags |= UNDERFLOW;
      }
    } else if (tiny && (masks & UNDERFLOW) == 0) {
      flags |= UNDERFLOW;
    }
    if (up) {
      kept++;
      if (kept == 1L << bits) {
        kept >>>= 1;
        x++;
      }
    }
    if (x == 0 && kept >>> width != 0) {
      x = 1;
    }
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
    int shift = BIAS + 63 - ((e & MAX) == 0 ? 1 : e & MAX);
    long low;
    long whole;
    if (shift < 0) {
      flags |= INVALID;
      return indefinite;
    } else if (shift == 0) {
      whole = s;
      low = 0;
    } else if (shift < 64) {
      whole = s >>> shift;
      low = s << 64 - shift;
    } else {
      whole = 0;
      low = shift == 64 ? s : 1;
    }
    int saved = rounding;
    if (truncate) {
      rounding = TRUNCATE;
    }
    int half = half(whole, low, 0);
    boolean up = increments(negative, half, (whole & 1) != 0);
    rounding = saved;
    if (up) {
      whole++;
      if (whole == 0) {
        flags |= INVALID;
        return indefinite;
      }
    }
    long limit = negative ? 1L << bits - 1 : (1L << bits - 1) - 1;
    if (Long.compareUnsigned(whole, limit) > 0) {
      flags |= INVALID;
      return indefinite;
    }
    if (half != 2) {
      flags |= INEXACT;
      roundedUp = up;
    }
    return negative ? -whole : whole;
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
    int shift = BIAS + 63 - (x == 0 ? 1 : x);
    long whole = shift < 64 ? s >>> shift : 0;
    long low = shift < 64 ? s << 64 - shift : shift == 64 ? s : 1;
    int half = half(whole, low, 0);
    boolean up = increments(negative, half, (whole & 1) != 0);
    if (half != 2) {
      flags |= INEXACT;
      roundedUp = up;
    }
    if (up) {
      whole++;
    }
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
      pack(sign(ae), exp, normalSignificand(as), 0, 64);
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
      pack(sign(ae), ax, normalSignificand(as), 0, 64);
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
    pack(negative, unit + length - 64, s.longValue(), 0, 64);
  }
}
