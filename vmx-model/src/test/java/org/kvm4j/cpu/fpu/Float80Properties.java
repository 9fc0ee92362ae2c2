package org.kvm4j.cpu.fpu;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.Random;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.IntRange;

/**
 * The basic arithmetic of {@link Float80} against decimal arithmetic, with every rounding and
 * precision. Exponents stay near those of one: their ends are held against a CPU.
 */
class Float80Properties {
  private static final int BIAS = 16383;
  private static final int[] PRECISIONS = {24, 53, 64};

  /** A number of 80 bits. */
  record Number(int exponent, long significand) {
    BigDecimal exact() {
      BigInteger s = new BigInteger(Long.toUnsignedString(significand));
      return Reference.number(exponent >= 0x8000, s, (exponent & 0x7fff) - BIAS - 63);
    }
  }

  private final Float80 unit = new Float80();
  private final Reference[] references = {reference(24), reference(53), reference(64)};

  @Provide
  Arbitrary<Number> numbers() {
    return Arbitraries.randomValue(Float80Properties::number);
  }

  private static Number number(Random r) {
    long any = r.nextLong();
    long s =
        switch (r.nextInt(6)) {
          case 0 -> any & -1L << r.nextInt(64);
          case 1 -> any | -1L >>> r.nextInt(64);
          case 2 -> any & 7;
          case 3 -> any & -1L << 40;
          case 4 -> any & -1L << 11;
          default -> any;
        };
    int exponent = BIAS + (r.nextBoolean() ? r.nextInt(5) : r.nextInt(140) - 70);
    return new Number(exponent | (r.nextBoolean() ? 0x8000 : 0), s | 1L << 63);
  }

  private void begin(int control) {
    unit.rounding = control & 3;
    unit.precision = PRECISIONS[(control >> 2) % 3];
    unit.begin();
  }

  private static Reference reference(int precision) {
    return new Reference(precision, -16382, 400);
  }

  private Reference reference() {
    return references[unit.precision / 32];
  }

  private void check(BigDecimal exact) {
    if (exact.signum() == 0) {
      assertEquals(0, unit.significand);
      assertEquals(0, unit.flags);
      return;
    }
    Reference to = reference().round(exact, unit.rounding);
    BigDecimal actual = new Number(unit.exponent, unit.significand).exact();
    assertEquals(0, to.value.compareTo(actual), () -> to.value + " is " + actual);
    assertEquals(to.inexact ? Float80.INEXACT : 0, unit.flags);
    assertEquals(to.value.abs().compareTo(exact.abs()) > 0, unit.roundedUp);
  }

  @Property(tries = 600)
  void sums_and_products(
      @ForAll("numbers") Number a, @ForAll("numbers") Number b, @ForAll @IntRange(max = 11) int c) {
    begin(c);
    unit.add(a.exponent, a.significand, b.exponent, b.significand);
    check(a.exact().add(b.exact()));
    begin(c);
    unit.subtract(a.exponent, a.significand, b.exponent, b.significand);
    check(a.exact().subtract(b.exact()));
    begin(c);
    unit.multiply(a.exponent, a.significand, b.exponent, b.significand);
    check(a.exact().multiply(b.exact()));
  }

  @Property(tries = 300)
  void quotients_and_roots(
      @ForAll("numbers") Number a, @ForAll("numbers") Number b, @ForAll @IntRange(max = 11) int c) {
    begin(c);
    unit.divide(a.exponent, a.significand, b.exponent, b.significand);
    check(reference().quotient(a.exact(), b.exact()));
    begin(c);
    unit.squareRoot(a.exponent & 0x7fff, a.significand);
    check(reference().root(a.exact().abs()));
  }
}
