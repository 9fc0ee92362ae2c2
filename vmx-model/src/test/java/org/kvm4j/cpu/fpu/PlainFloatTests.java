package org.kvm4j.cpu.fpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Where Java's arithmetic serves, results and flags are those of the general way. */
class PlainFloatTests {
  private static final int MASKED = 0x1f80;
  private static final int NOTED = MASKED | 1 << 5;
  private static final int ROUNDS = 200_000;

  private final Random random = new Random(20261129);
  private final SimdFloat f = new SimdFloat();
  private long served;

  @FunctionalInterface
  private interface Operation {
    long apply(long x, long y);
  }

  /** Numbers of few and of many bits, near one another and apart, and some that are no numbers. */
  private double number() {
    return switch (random.nextInt(8)) {
      case 0 -> random.nextInt(41) - 20;
      case 1 -> Math.scalb(random.nextInt(1 << 12), random.nextInt(40) - 20);
      case 2 -> Math.scalb(1.0 + random.nextInt(16) / 16.0, random.nextInt(250) - 125);
      case 3 -> random.nextDouble() - 0.5;
      case 4 -> Double.longBitsToDouble(random.nextLong());
      case 5 -> random.nextInt(1 << 24);
      case 6 -> Double.MIN_NORMAL * (1 + random.nextInt(3));
      default -> random.nextInt(5) == 0 ? Double.POSITIVE_INFINITY : -0.0;
    };
  }

  private void compare(int mxcsr, long x, long y, Operation plain, Operation general) {
    f.begin(mxcsr);
    long fast = plain.apply(x, y);
    int fastFlags = f.flags();
    f.begin(mxcsr);
    long slow = general.apply(x, y);
    assertEquals(slow, fast, () -> "%#x, %#x".formatted(x, y));
    assertEquals(f.flags() | mxcsr, fastFlags | mxcsr, () -> "flags of %#x, %#x".formatted(x, y));
    served += fastFlags == 0 ? 1 : 0;
  }

  @ParameterizedTest
  @ValueSource(ints = {MASKED, NOTED})
  void doublePrecisionIsAsTheGeneralWay(int mxcsr) {
    FloatFormat format = FloatFormat.DOUBLE;
    for (int k = 0; k < ROUNDS; k++) {
      long x = Double.doubleToRawLongBits(number());
      long y = Double.doubleToRawLongBits(number());
      compare(mxcsr, x, y, f::add, (a, b) -> f.add(format, a, b));
      compare(mxcsr, x, y, f::subtract, (a, b) -> f.subtract(format, a, b));
      compare(mxcsr, x, y, f::multiply, (a, b) -> f.multiply(format, a, b));
      compare(mxcsr, x, y, f::divide, (a, b) -> f.divide(format, a, b));
      compare(mxcsr, x, y, (a, b) -> f.squareRoot(a), (a, b) -> f.squareRoot(format, a));
    }
    assertTrue(served > ROUNDS, () -> served + " without flags");
  }

  @ParameterizedTest
  @ValueSource(ints = {MASKED, NOTED})
  void singlePrecisionIsAsTheGeneralWay(int mxcsr) {
    FloatFormat format = FloatFormat.SINGLE;
    for (int k = 0; k < ROUNDS; k++) {
      int x = Float.floatToRawIntBits((float) number());
      int y = Float.floatToRawIntBits((float) number());
      long a = x & 0xffffffffL;
      long b = y & 0xffffffffL;
      compare(mxcsr, a, b, (p, q) -> f.add(x, y), (p, q) -> (int) f.add(format, p, q));
      compare(mxcsr, a, b, (p, q) -> f.subtract(x, y), (p, q) -> (int) f.subtract(format, p, q));
      compare(mxcsr, a, b, (p, q) -> f.multiply(x, y), (p, q) -> (int) f.multiply(format, p, q));
      compare(mxcsr, a, b, (p, q) -> f.divide(x, y), (p, q) -> (int) f.divide(format, p, q));
    }
    assertTrue(served > ROUNDS, () -> served + " without flags");
  }
}
