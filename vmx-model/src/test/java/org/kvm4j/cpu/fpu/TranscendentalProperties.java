package org.kvm4j.cpu.fpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigDecimal;
import java.math.MathContext;
import java.util.Random;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;

/**
 * {@link Transcendental} against Java's functions of double precision, as far as these go, and
 * against itself by identities to the last place. Results bit by bit are held against a CPU's.
 */
class TranscendentalProperties {
  private static final int TRIES = 200;
  private static final int BIAS = 16383;
  private static final double DOUBLE_ERROR = 0x1p-50;
  private static final MathContext DIGITS = new MathContext(40);

  /** Two units of the last of 64 bits. */
  private static final BigDecimal ERROR = Reference.power(-62);

  private final Float80 unit = new Float80();

  /** Numbers of double precision: a sign, an exponent and bits. */
  @Provide
  Arbitrary<Double> numbers() {
    return Arbitraries.randomValue(r -> number(r, 12));
  }

  @Provide
  Arbitrary<Double> fractions() {
    return Arbitraries.randomValue(r -> number(r, 0));
  }

  private static double number(Random r, int exponents) {
    double magnitude = Math.scalb(1 + r.nextDouble(), r.nextInt(exponents + 20) - 21);
    return r.nextBoolean() ? magnitude : -magnitude;
  }

  private void load(double v) {
    unit.begin();
    unit.fromDouble(Double.doubleToRawLongBits(v));
  }

  private interface Function {
    void apply(Float80 f, int e, long s);
  }

  private interface BinaryFunction {
    void apply(Float80 f, int ae, long as, int be, long bs);
  }

  private BigDecimal result() {
    return new Float80Properties.Number(unit.exponent, unit.significand).exact();
  }

  private BigDecimal of(Function function, double x) {
    load(x);
    function.apply(unit, unit.exponent, unit.significand);
    return result();
  }

  private BigDecimal of(BinaryFunction function, double x, double y) {
    load(y);
    int ye = unit.exponent;
    long ys = unit.significand;
    load(x);
    function.apply(unit, unit.exponent, unit.significand, ye, ys);
    return result();
  }

  private static void near(double expected, BigDecimal actual, double scale) {
    double error = Math.abs(actual.doubleValue() - expected);
    assertTrue(error <= DOUBLE_ERROR * scale, () -> expected + " is " + actual);
  }

  private static void near(double expected, BigDecimal actual) {
    near(expected, actual, Math.abs(expected));
  }

  @Property(tries = TRIES)
  void angles(@ForAll("numbers") double x, @ForAll("numbers") double y) {
    // Pi has 66 bits here and more in Java, which matters near its multiples.
    near(StrictMath.sin(x), of(Transcendental::sine, x), 1);
    near(StrictMath.cos(x), of(Transcendental::cosine, x), 1);
    near(StrictMath.atan2(y, x), of(Transcendental::arctangent, x, y));
    BigDecimal sine = of(Transcendental::sine, x);
    BigDecimal cosine = of(Transcendental::cosine, x);
    BigDecimal tangent = of(Transcendental::tangent, x);
    BigDecimal squares = sine.multiply(sine).add(cosine.multiply(cosine));
    assertTrue(squares.subtract(BigDecimal.ONE).abs().compareTo(ERROR) <= 0);
    BigDecimal quotient = sine.divide(cosine, DIGITS);
    BigDecimal error = tangent.subtract(quotient).abs();
    assertTrue(error.compareTo(tangent.abs().multiply(ERROR)) <= 0);
  }

  @Property(tries = TRIES)
  void logarithms_and_powers(
      @ForAll("numbers") double x, @ForAll("numbers") double y, @ForAll("fractions") double f) {
    near(
        StrictMath.log(Math.abs(x)) / StrictMath.log(2) * y,
        of(Transcendental::logarithm, Math.abs(x), y),
        Math.max(1, Math.abs(Math.getExponent(x))) * Math.abs(y));
    near(StrictMath.expm1(f * StrictMath.log(2)), of(Transcendental::power, f));
    double s = f / 4;
    near(
        StrictMath.log1p(s) / StrictMath.log(2) * y,
        of(Transcendental::logarithmPlusOne, s, y),
        4 * Math.abs(s * y));
    // The logarithm of two to the f is f.
    BigDecimal less = of(Transcendental::power, f);
    int e = unit.exponent;
    long bits = unit.significand;
    unit.begin();
    Transcendental.logarithmPlusOne(unit, e, bits, BIAS, 1L << 63);
    BigDecimal back = result().subtract(new BigDecimal(f)).abs();
    assertTrue(
        back.compareTo(new BigDecimal(Math.abs(f)).multiply(ERROR).multiply(BigDecimal.TEN)) <= 0,
        () -> less + " is two to the " + f + " less 1");
  }

  @Example
  void pi_has_66_bits() {
    unit.begin();
    Transcendental.sine(unit, BIAS + 1, 0xc90fdaa22168c235L);
    assertEquals(0x8000 | BIAS - 64, unit.exponent);
    assertEquals(1L << 63, unit.significand);
  }

  @Example
  void a_logarithm_of_a_power_of_two_is_rounded_from_what_it_is() {
    unit.rounding = Float80.UP;
    assertEquals(0, of(Transcendental::logarithm, 8, 0x1.8p0).compareTo(new BigDecimal("4.5")));
    assertEquals(Float80.INEXACT, unit.flags);
  }
}
