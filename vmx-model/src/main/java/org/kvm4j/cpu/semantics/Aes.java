package org.kvm4j.cpu.semantics;

import static org.kvm4j.cpu.semantics.VectorLanes.both;
import static org.kvm4j.cpu.semantics.VectorLanes.one;

import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.fpu.VectorUnit;

/** The AES instructions by their operands; what is computed is {@link AesRounds}'. */
final class Aes {
  private Aes() {}

  static void register() {
    both(
        (v, at, width, imm) -> {
          int k = at >> 6;
          v.d[k] = AesRounds.encryptLow(v.a[k], v.a[k + 1], v.b[k], v.b[k + 1]);
          v.d[k + 1] = AesRounds.encryptHigh(v.a[k], v.a[k + 1], v.b[k], v.b[k + 1]);
        },
        Opcode.AESENC);
    both(
        (v, at, width, imm) -> {
          int k = at >> 6;
          v.d[k] = AesRounds.encryptLastLow(v.a[k], v.a[k + 1], v.b[k], v.b[k + 1]);
          v.d[k + 1] = AesRounds.encryptLastHigh(v.a[k], v.a[k + 1], v.b[k], v.b[k + 1]);
        },
        Opcode.AESENCLAST);
    both(
        (v, at, width, imm) -> {
          int k = at >> 6;
          v.d[k] = AesRounds.decryptLow(v.a[k], v.a[k + 1], v.b[k], v.b[k + 1]);
          v.d[k + 1] = AesRounds.decryptHigh(v.a[k], v.a[k + 1], v.b[k], v.b[k + 1]);
        },
        Opcode.AESDEC);
    both(
        (v, at, width, imm) -> {
          int k = at >> 6;
          v.d[k] = AesRounds.decryptLastLow(v.a[k], v.a[k + 1], v.b[k], v.b[k + 1]);
          v.d[k + 1] = AesRounds.decryptLastHigh(v.a[k], v.a[k + 1], v.b[k], v.b[k + 1]);
        },
        Opcode.AESDECLAST);
    one(Aes::unmixColumns, Opcode.AESIMC);
    one(Aes::assistKey, Opcode.AESKEYGENASSIST);
  }

  private static void unmixColumns(VectorUnit v, int at, int width, int imm) {
    v.d[0] = AesRounds.unmixColumns(v.a[0], v.b[0]);
    v.d[1] = AesRounds.unmixColumns(v.a[1], v.b[1]);
  }

  private static void assistKey(VectorUnit v, int at, int width, int imm) {
    v.d[0] = AesRounds.assistKey(v.b[0], imm);
    v.d[1] = AesRounds.assistKey(v.b[1], imm);
  }
}
