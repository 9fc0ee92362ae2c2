package org.kvm4j.cpu.semantics;

/**
 * The product of two polynomials over GF(2), 64 bits each: PCLMULQDQ. SDM Vol. 2,
 * "PCLMULQDQ—Carry-Less Multiplication Quadword".
 *
 * <p>The processor's multiplication serves where its carries are kept apart: of numbers with every
 * fourth bit alone, up to 16 products meet in a bit, whose sum has its lowest bit there and carries
 * into the next three. (16 carry one further only beyond bit 60, where the word ends.)
 */
public final class CarrylessProduct {
  private static final long EVERY_FOURTH = 0x1111111111111111L;

  private CarrylessProduct() {}

  /** The lower half, 64 bits. */
  public static long low(long a, long b) {
    long result = 0;
    for (int k = 0; k < 4; k++) {
      long sum = 0;
      for (int j = 0; j < 4; j++) {
        sum ^= (a & EVERY_FOURTH << j) * (b & EVERY_FOURTH << (k - j & 3));
      }
      result |= sum & EVERY_FOURTH << k;
    }
    return result;
  }

  /**
   * The upper half, 63 bits: the lower half of the product of the reversed polynomials, reversed.
   */
  public static long high(long a, long b) {
    return Long.reverse(low(Long.reverse(a), Long.reverse(b))) >>> 1;
  }
}
