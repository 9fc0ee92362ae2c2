package org.kvm4j.cpu.fpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/** SDM Vol. 2, RCPPS and RSQRTPS. */
class EstimatesTests {
  private static final double BOUND = 1.5 * 0x1p-12;

  @Test
  void estimates_are_as_near_as_the_manual_says() {
    // The ends of every entry's numbers, at exponents of both parities.
    for (int exponent : new int[] {1, 2, 126, 127, 128, 251, 252}) {
      for (int k = 0; k < 4096; k++) {
        for (int low : new int[] {0, 0x7ff}) {
          int bits = exponent << 23 | k << 11 | low;
          double x = Float.intBitsToFloat(bits);
          check(1 / x, Estimates.reciprocal(bits));
          check(-1 / x, Estimates.reciprocal(bits | 1 << 31));
          check(1 / Math.sqrt(x), Estimates.reciprocalRoot(bits));
        }
      }
    }
  }

  private static void check(double exact, int estimate) {
    double relative = Math.abs(Float.intBitsToFloat(estimate) / exact - 1);
    assertTrue(
        relative <= BOUND, () -> exact + " is estimated as " + Float.intBitsToFloat(estimate));
  }

  @Test
  void tiny_results_are_zeroes_and_denormals_are_taken_for_zeroes() {
    assertEquals(0, Estimates.reciprocal(0x7f7fffff));
    assertEquals(1 << 31, Estimates.reciprocal(0xfe800000));
    assertEquals(0x7f800000, Estimates.reciprocal(1));
    assertEquals(0xff800000, Estimates.reciprocal(0x807fffff));
    assertEquals(0xff800000, Estimates.reciprocalRoot(0x80000001));
    assertEquals(0xffc00000, Estimates.reciprocalRoot(0x80800000));
    assertEquals(0x7fc00001, Estimates.reciprocalRoot(0x7f800001));
  }
}
