package org.kvm4j.cpu.semantics;

import static org.kvm4j.cpu.semantics.VectorLanes.both;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.fpu.VectorUnit;

/**
 * The SHA instructions, which exist for XMM registers without VEX. Words of 32 bits are numbered
 * from the lowest; SHA-1 keeps its earliest word highest. FIPS 180-4; SDM Vol. 2, each
 * instruction's page.
 */
final class Sha {
  private static final int[] SHA1_CONSTANTS = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};

  private Sha() {}

  static void register() {
    both(Sha::nextE, Opcode.SHA1NEXTE);
    both(Sha::message1, Opcode.SHA1MSG1);
    both(Sha::message2, Opcode.SHA1MSG2);
    both(Sha::fourRounds, Opcode.SHA1RNDS4);
    both(Sha::message256First, Opcode.SHA256MSG1);
    both(Sha::message256Second, Opcode.SHA256MSG2);
    Handlers.putVectorOnly(Opcode.SHA256RNDS2, Sha::twoRounds256);
  }

  private static int word(long[] from, int n) {
    return (int) (from[n >> 1] >>> 32 * n);
  }

  private static void put(VectorUnit v, int w3, int w2, int w1, int w0) {
    v.d[0] = (long) w1 << 32 | w0 & 0xffffffffL;
    v.d[1] = (long) w3 << 32 | w2 & 0xffffffffL;
  }

  // ---- SHA-1 ----

  private static void nextE(VectorUnit v, int at, int width, int imm) {
    int e = Integer.rotateLeft(word(v.a, 3), 30);
    put(v, word(v.b, 3) + e, word(v.b, 2), word(v.b, 1), word(v.b, 0));
  }

  private static void message1(VectorUnit v, int at, int width, int imm) {
    put(
        v,
        word(v.a, 1) ^ word(v.a, 3),
        word(v.a, 0) ^ word(v.a, 2),
        word(v.b, 3) ^ word(v.a, 1),
        word(v.b, 2) ^ word(v.a, 0));
  }

  private static void message2(VectorUnit v, int at, int width, int imm) {
    int w16 = Integer.rotateLeft(word(v.a, 3) ^ word(v.b, 2), 1);
    int w17 = Integer.rotateLeft(word(v.a, 2) ^ word(v.b, 1), 1);
    int w18 = Integer.rotateLeft(word(v.a, 1) ^ word(v.b, 0), 1);
    int w19 = Integer.rotateLeft(word(v.a, 0) ^ w16, 1);
    put(v, w16, w17, w18, w19);
  }

  private static void fourRounds(VectorUnit v, int at, int width, int imm) {
    int a = word(v.a, 3);
    int b = word(v.a, 2);
    int c = word(v.a, 1);
    int d = word(v.a, 0);
    // E of the first round is in the first word of the message already.
    int e = 0;
    for (int n = 3; n >= 0; n--) {
      int f =
          switch (imm & 3) {
            case 0 -> b & c ^ ~b & d;
            case 2 -> b & c ^ b & d ^ c & d;
            default -> b ^ c ^ d;
          };
      int next = f + Integer.rotateLeft(a, 5) + word(v.b, n) + e + SHA1_CONSTANTS[imm & 3];
      e = d;
      d = c;
      c = Integer.rotateLeft(b, 30);
      b = a;
      a = next;
    }
    put(v, a, b, c, d);
  }

  // ---- SHA-256 ----

  private static int sigma(int x, int rotated1, int rotated2, int shifted) {
    return Integer.rotateRight(x, rotated1) ^ Integer.rotateRight(x, rotated2) ^ x >>> shifted;
  }

  private static void message256First(VectorUnit v, int at, int width, int imm) {
    put(
        v,
        word(v.a, 3) + sigma(word(v.b, 0), 7, 18, 3),
        word(v.a, 2) + sigma(word(v.a, 3), 7, 18, 3),
        word(v.a, 1) + sigma(word(v.a, 2), 7, 18, 3),
        word(v.a, 0) + sigma(word(v.a, 1), 7, 18, 3));
  }

  private static void message256Second(VectorUnit v, int at, int width, int imm) {
    int w16 = word(v.a, 0) + sigma(word(v.b, 2), 17, 19, 10);
    int w17 = word(v.a, 1) + sigma(word(v.b, 3), 17, 19, 10);
    int w18 = word(v.a, 2) + sigma(w16, 17, 19, 10);
    int w19 = word(v.a, 3) + sigma(w17, 17, 19, 10);
    put(v, w19, w18, w17, w16);
  }

  private static int bigSigma(int x, int n1, int n2, int n3) {
    return Integer.rotateRight(x, n1) ^ Integer.rotateRight(x, n2) ^ Integer.rotateRight(x, n3);
  }

  /** C, D, G and H in the destination, A, B, E and F in the source, message words in XMM0. */
  private static void twoRounds256(Cpu cpu, Instruction i) {
    VectorUnit v = VectorOperands.sources(cpu, i);
    VectorOperands.read2(cpu, i, v.c);
    int a = word(v.b, 3);
    int b = word(v.b, 2);
    int c = word(v.a, 3);
    int d = word(v.a, 2);
    int e = word(v.b, 1);
    int f = word(v.b, 0);
    int g = word(v.a, 1);
    int h = word(v.a, 0);
    for (int n = 0; n < 2; n++) {
      int t = (e & f ^ ~e & g) + bigSigma(e, 6, 11, 25) + word(v.c, n) + h;
      int next = t + (a & b ^ a & c ^ b & c) + bigSigma(a, 2, 13, 22);
      h = g;
      g = f;
      f = e;
      e = t + d;
      d = c;
      c = b;
      b = a;
      a = next;
    }
    put(v, a, b, e, f);
    VectorOperands.write0(cpu, i, v.d);
  }
}
