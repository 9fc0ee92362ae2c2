package org.kvm4j.cpu.semantics;

import static org.kvm4j.cpu.semantics.VectorLanes.both;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.fpu.VectorUnit;

/**
 * The SHA instructions by their operands, XMM registers without VEX; what is computed is {@link
 * ShaWords}'.
 */
final class Sha {
  private Sha() {}

  static void register() {
    both(
        (v, at, width, imm) -> {
          v.d[0] = ShaWords.nextELow(v.a[0], v.a[1], v.b[0], v.b[1]);
          v.d[1] = ShaWords.nextEHigh(v.a[0], v.a[1], v.b[0], v.b[1]);
        },
        Opcode.SHA1NEXTE);
    both(
        (v, at, width, imm) -> {
          v.d[0] = ShaWords.sha1Message1Low(v.a[0], v.a[1], v.b[0], v.b[1]);
          v.d[1] = ShaWords.sha1Message1High(v.a[0], v.a[1], v.b[0], v.b[1]);
        },
        Opcode.SHA1MSG1);
    both(
        (v, at, width, imm) -> {
          v.d[0] = ShaWords.sha1Message2Low(v.a[0], v.a[1], v.b[0], v.b[1]);
          v.d[1] = ShaWords.sha1Message2High(v.a[0], v.a[1], v.b[0], v.b[1]);
        },
        Opcode.SHA1MSG2);
    both(
        (v, at, width, imm) -> {
          v.d[0] = ShaWords.sha256Message1Low(v.a[0], v.a[1], v.b[0], v.b[1]);
          v.d[1] = ShaWords.sha256Message1High(v.a[0], v.a[1], v.b[0], v.b[1]);
        },
        Opcode.SHA256MSG1);
    both(
        (v, at, width, imm) -> {
          v.d[0] = ShaWords.sha256Message2Low(v.a[0], v.a[1], v.b[0], v.b[1]);
          v.d[1] = ShaWords.sha256Message2High(v.a[0], v.a[1], v.b[0], v.b[1]);
        },
        Opcode.SHA256MSG2);
    both(
        (v, at, width, imm) -> {
          v.d[0] = ShaWords.fourRoundsLow(v.a[0], v.a[1], v.b[0], v.b[1], imm);
          v.d[1] = ShaWords.fourRoundsHigh(v.a[0], v.a[1], v.b[0], v.b[1], imm);
        },
        Opcode.SHA1RNDS4);
    Handlers.putVectorOnly(Opcode.SHA256RNDS2, Sha::twoRounds);
  }

  private static void twoRounds(Cpu cpu, Instruction i) {
    VectorUnit v = VectorOperands.sources(cpu, i);
    VectorOperands.read2(cpu, i, v.c);
    v.d[0] = ShaWords.twoRoundsLow(v.a[0], v.a[1], v.b[0], v.b[1], v.c[0]);
    v.d[1] = ShaWords.twoRoundsHigh(v.a[0], v.a[1], v.b[0], v.b[1], v.c[0]);
    VectorOperands.write0(cpu, i, v.d);
  }
}
