package org.kvm4j.cpu.fpu;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.math.BigDecimal;
import java.util.Random;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.IntRange;

/**
 * {@link SimdFloat} and {@link SimdConversions} against decimal arithmetic: the result, and which
 * of overflow, underflow and inexact it raises, with every rounding, masked and not, flushed to
 * zero or not, and on the way through Java's arithmetic. What is not a finite number is held
 * against a CPU.
 */
class SimdFloatProperties {
  private static final int TRIES = 600;
  private static final int ALL_MASKED = 0x1f80;
  private static final Reference SINGLE = new Reference(24, -126, 200);
  private static final Reference DOUBLE = new Reference(53, -1022, 1150);

  private final SimdFloat unit = new SimdFloat();

  /** An inexact result that has been noted before need not be noted. */
  private int noted;

  /** Rounding control, with an inexact result noted before or not, flushing, underflow unmasked. */
  private int begin(int control) {
    int mxcsr = ALL_MASKED | (control & 3) << 13 | (control & 4) << 3;
    if ((control & 8) != 0) {
      mxcsr |= SimdFloat.FLUSH_TO_ZERO;
    }
    if ((control & 16) != 0) {
      mxcsr &= ~(SimdFloat.UNDERFLOW << 7);
    }
    unit.begin(mxcsr);
    noted = mxcsr & SimdFloat.INEXACT;
    return control & 3;
  }

  @Provide
  Arbitrary<Integer> singles() {
    return Arbitraries.randomValue(
        r -> {
          int exponent = pick(r, 254, 127, 23);
          int fraction = (int) fraction(r, 23);
          return r.nextInt() & 1 << 31 | exponent << 23 | fraction;
        });
  }

  @Provide
  Arbitrary<Long> doubles() {
    return Arbitraries.randomValue(
        r -> {
          long exponent = pick(r, 2046, 1023, 52);
          return r.nextLong() & 1L << 63 | exponent << 52 | fraction(r, 52);
        });
  }

  /** Exponents that meet: those near one, near the ends, near half of them. */
  private static int pick(Random r, int max, int bias, int width) {
    int[] around = {bias, bias, bias, bias + width, bias - width, 0, max, bias / 2, bias * 3 / 2};
    int e = around[r.nextInt(around.length)] + r.nextInt(5) - 2;
    return Math.max(0, Math.min(max, e));
  }

  private static long fraction(Random r, int width) {
    long ones = (1L << width) - 1;
    return switch (r.nextInt(4)) {
      case 0 -> r.nextLong() & ones & -1L << r.nextInt(width);
      case 1 -> r.nextLong() & 3;
      case 2 -> ones - (r.nextLong() & 3);
      default -> r.nextLong() & ones;
    };
  }

  private static BigDecimal exact(int v) {
    return new BigDecimal(Float.intBitsToFloat(v));
  }

  private static BigDecimal exact(long v) {
    return new BigDecimal(Double.longBitsToDouble(v));
  }

  private void check(BigDecimal exact, int actual, int mode) {
    check(exact, FloatFormat.SINGLE, SINGLE, actual & 0xffffffffL, mode);
  }

  private void check(BigDecimal exact, long actual, int mode) {
    check(exact, FloatFormat.DOUBLE, DOUBLE, actual, mode);
  }

  private void check(BigDecimal exact, FloatFormat f, Reference to, long actual, int mode) {
    if (exact.signum() == 0) {
      assertEquals(0, f.magnitude(actual));
      assertEquals(noted, unit.flags & ~SimdFloat.DENORMAL | noted);
      return;
    }
    to.round(exact, mode);
    boolean negative = exact.signum() < 0;
    int expected = 0;
    boolean masked = (unit.masks & SimdFloat.UNDERFLOW) != 0;
    if (to.overflow) {
      expected = SimdFloat.OVERFLOW | SimdFloat.INEXACT;
      long most = Reference.toInfinity(negative, mode) ? f.infinity : f.largest;
      assertEquals(most | f.zero(negative), actual);
    } else if (to.tiny && masked && unit.flushToZero) {
      expected = SimdFloat.UNDERFLOW | SimdFloat.INEXACT;
      assertEquals(f.zero(negative), actual);
    } else if (to.tiny && !masked) {
      // There is no result; whether it is inexact is asked of unbounded exponents.
      assertEquals(SimdFloat.UNDERFLOW, unit.flags & SimdFloat.UNDERFLOW);
      return;
    } else {
      expected =
          (to.inexact ? SimdFloat.INEXACT : 0) | (to.tiny && to.inexact ? SimdFloat.UNDERFLOW : 0);
      BigDecimal value = f == FloatFormat.SINGLE ? exact((int) actual) : exact(actual);
      assertEquals(0, to.value.compareTo(value), () -> to.value + " is " + value);
      assertEquals(negative, f.isNegative(actual));
    }
    assertEquals(expected | noted, unit.flags & ~SimdFloat.DENORMAL | noted);
  }

  @Property(tries = TRIES)
  void sums(
      @ForAll("singles") int a,
      @ForAll("singles") int b,
      @ForAll("doubles") long x,
      @ForAll("doubles") long y,
      @ForAll @IntRange(max = 31) int control) {
    int mode = begin(control);
    check(exact(a).add(exact(b)), unit.add(a, b), mode);
    begin(control);
    check(exact(a).subtract(exact(b)), unit.subtract(a, b), mode);
    begin(control);
    check(exact(x).add(exact(y)), unit.add(x, y), mode);
    begin(control);
    check(exact(x).subtract(exact(y)), unit.subtract(x, y), mode);
  }

  @Property(tries = TRIES)
  void products(
      @ForAll("singles") int a,
      @ForAll("singles") int b,
      @ForAll("doubles") long x,
      @ForAll("doubles") long y,
      @ForAll @IntRange(max = 31) int control) {
    int mode = begin(control);
    check(exact(a).multiply(exact(b)), unit.multiply(a, b), mode);
    begin(control);
    check(exact(x).multiply(exact(y)), unit.multiply(x, y), mode);
  }

  @Property(tries = TRIES)
  void fused_products(
      @ForAll("singles") int a,
      @ForAll("singles") int b,
      @ForAll("singles") int c,
      @ForAll("doubles") long x,
      @ForAll("doubles") long y,
      @ForAll("doubles") long z,
      @ForAll @IntRange(max = 31) int control) {
    int mode = begin(control);
    check(exact(a).multiply(exact(b)).add(exact(c)), unit.multiplyAdd(a, b, c), mode);
    begin(control);
    check(exact(x).multiply(exact(y)).add(exact(z)), unit.multiplyAdd(x, y, z), mode);
    // The nearest number to minus the product leaves what the product lost.
    unit.begin(ALL_MASKED);
    int product = unit.multiply(a, b) ^ 1 << 31;
    long longProduct = unit.multiply(x, y) ^ 1L << 63;
    if (FloatFormat.SINGLE.magnitude(product) < FloatFormat.SINGLE.infinity) {
      begin(control);
      BigDecimal left = exact(a).multiply(exact(b)).add(exact(product));
      check(left, unit.multiplyAdd(a, b, product), mode);
    }
    if (FloatFormat.DOUBLE.magnitude(longProduct) < FloatFormat.DOUBLE.infinity) {
      begin(control);
      BigDecimal left = exact(x).multiply(exact(y)).add(exact(longProduct));
      check(left, unit.multiplyAdd(x, y, longProduct), mode);
    }
  }

  @Property(tries = TRIES / 3)
  void quotients_and_roots(
      @ForAll("singles") int a,
      @ForAll("singles") int b,
      @ForAll("doubles") long x,
      @ForAll("doubles") long y,
      @ForAll @IntRange(max = 31) int control) {
    int mode = begin(control);
    if (b << 1 != 0) {
      check(SINGLE.quotient(exact(a), exact(b)), unit.divide(a, b), mode);
    }
    begin(control);
    if (y << 1 != 0) {
      check(DOUBLE.quotient(exact(x), exact(y)), unit.divide(x, y), mode);
    }
    begin(control);
    check(SINGLE.root(exact(a).abs()), unit.squareRoot(a & Integer.MAX_VALUE), mode);
    begin(control);
    check(DOUBLE.root(exact(x).abs()), unit.squareRoot(x & Long.MAX_VALUE), mode);
  }

  @Property(tries = TRIES)
  void conversions(
      @ForAll("doubles") long x,
      @ForAll long whole,
      @ForAll @IntRange(max = 31) int control,
      @ForAll @IntRange(max = 63) int shift) {
    int mode = begin(control);
    check(exact(x), SimdConversions.narrow(unit, x), mode);
    long v = whole >> shift;
    begin(control);
    check(new BigDecimal(v), SimdConversions.toSingle(unit, v), mode);
    begin(control);
    check(new BigDecimal(v), SimdConversions.toDouble(unit, v), mode);
  }
}
