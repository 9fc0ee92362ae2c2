package org.kvm4j.cpu.semantics;

import static org.kvm4j.cpu.semantics.VectorLanes.both;

import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.fpu.VectorUnit;

/**
 * Arithmetic without carries: products of polynomials over GF(2) (PCLMULQDQ), and of bytes modulo
 * x^8 + x^4 + x^3 + x + 1, the field of AES and GFNI. SDM Vol. 2, each instruction's page.
 */
final class GaloisField {
  /** x^4 + x^3 + x + 1, which x^8 is equal to. */
  private static final int REDUCTION = 0x1b;

  /** The inverse of each byte; that of 0 is 0. */
  private static final byte[] INVERSE = new byte[256];

  static {
    // The powers of 3 are all elements but 0, so that of 255 - n is the inverse of that of n.
    int[] power = new int[256];
    power[0] = 1;
    for (int n = 1; n < 256; n++) {
      power[n] = multiply(power[n - 1], 3);
    }
    for (int n = 0; n < 255; n++) {
      INVERSE[power[n]] = (byte) power[255 - n];
    }
  }

  private GaloisField() {}

  static void register() {
    both(GaloisField::carrylessMultiply, Opcode.PCLMULQDQ);
    both(GaloisField::multiplyBytes, Opcode.GF2P8MULB);
    both((v, at, width, imm) -> affine(v, at, imm, false), Opcode.GF2P8AFFINEQB);
    both((v, at, width, imm) -> affine(v, at, imm, true), Opcode.GF2P8AFFINEINVQB);
  }

  // ---- the field of 256 elements ----

  /** The product of two bytes. */
  static int multiply(int a, int b) {
    int product = 0;
    for (int k = 7; k >= 0; k--) {
      product = product << 1 ^ (product >> 7) * (REDUCTION | 0x100);
      product ^= (b >> k & 1) * a;
    }
    return product;
  }

  /** The inverse of a byte, or 0 for 0. */
  static int inverse(int a) {
    return INVERSE[a] & 0xff;
  }

  private static void multiplyBytes(VectorUnit v, int at, int width, int imm) {
    for (int k = at; k < at + width; k += 8) {
      int product = multiply((int) PackedMath.zero(v.a, k, 8), (int) PackedMath.zero(v.b, k, 8));
      PackedMath.put(v.d, k, 8, product);
    }
  }

  /** Each byte of a, or its inverse, times the matrix in the same word of b, plus the immediate. */
  private static void affine(VectorUnit v, int at, int imm, boolean inverted) {
    for (int k = at; k < at + 128; k += 8) {
      int x = (int) PackedMath.zero(v.a, k, 8);
      PackedMath.put(v.d, k, 8, transform(v.b[k >> 6], inverted ? inverse(x) : x) ^ imm);
    }
  }

  /** A byte times a matrix of 8 rows, the first of which is its highest byte. */
  private static int transform(long matrix, int x) {
    int result = 0;
    for (int row = 0; row < 8; row++) {
      result = result << 1 | Long.bitCount(matrix >>> 8 * row & x) & 1;
    }
    return result;
  }

  // ---- polynomials ----

  /** The product of one word of each source, chosen by bits 0 and 4 of the immediate. */
  private static void carrylessMultiply(VectorUnit v, int at, int width, int imm) {
    int lane = at >> 6;
    long a = v.a[lane + (imm & 1)];
    long b = v.b[lane + (imm >> 4 & 1)];
    v.d[lane] = CarrylessProduct.low(a, b);
    v.d[lane + 1] = CarrylessProduct.high(a, b);
  }
}
