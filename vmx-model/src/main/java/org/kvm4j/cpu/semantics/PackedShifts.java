package org.kvm4j.cpu.semantics;

import java.util.function.LongBinaryOperator;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.fpu.VectorUnit;

/**
 * Vector shifts: of all elements by one count (an immediate, or the low 64 bits of a source), of
 * each by its own, of lanes by bytes. A count of the element's width or more shifts everything out.
 * SDM Vol. 2, each instruction's page.
 */
final class PackedShifts {
  private PackedShifts() {}

  static void register() {
    byOne(PackedWords::shiftLeftWords, Opcode.PSLLW);
    byOne(PackedWords::shiftLeftDoublewords, Opcode.PSLLD);
    byOne(PackedWords::shiftLeftQuadwords, Opcode.PSLLQ);
    byOne(PackedWords::shiftRightWords, Opcode.PSRLW);
    byOne(PackedWords::shiftRightDoublewords, Opcode.PSRLD);
    byOne(PackedWords::shiftRightQuadwords, Opcode.PSRLQ);
    byOne(PackedWords::shiftArithmeticWords, Opcode.PSRAW);
    byOne(PackedWords::shiftArithmeticDoublewords, Opcode.PSRAD);
    byEach(each32(PackedWords::shiftLeftDoublewords), Opcode.VPSLLVD);
    byEach(PackedWords::shiftLeftQuadwords, Opcode.VPSLLVQ);
    byEach(each32(PackedWords::shiftRightDoublewords), Opcode.VPSRLVD);
    byEach(PackedWords::shiftRightQuadwords, Opcode.VPSRLVQ);
    byEach(each32(PackedWords::shiftArithmeticDoublewords), Opcode.VPSRAVD);
    Handlers.putVector(Opcode.PSLLDQ, (c, i) -> bytes(c, i, true));
    Handlers.putVector(Opcode.PSRLDQ, (c, i) -> bytes(c, i, false));
  }

  private static void byOne(LongBinaryOperator shift, Opcode opcode) {
    Handlers.putVector(opcode, (c, i) -> shift(c, i, shift));
  }

  private static void shift(Cpu cpu, Instruction i, LongBinaryOperator shift) {
    VectorUnit v = cpu.vector;
    long count;
    if ((i.vex ? i.kind2 : i.kind1) == OperandKind.IMMEDIATE) {
      shifted(cpu, i);
      count = i.immediate;
    } else {
      VectorOperands.sources(cpu, i);
      count = v.b[0];
    }
    for (int k = VectorOperands.words(i) - 1; k >= 0; k--) {
      v.d[k] = shift.applyAsLong(v.a[k], count);
    }
    VectorOperands.write0(cpu, i, v.d);
  }

  /** Reads what an immediate shifts: the destination, or with VEX operand 1. */
  private static void shifted(Cpu cpu, Instruction i) {
    if (i.vex) {
      VectorOperands.read1(cpu, i, cpu.vector.a);
    } else {
      VectorOperands.read0(cpu, i, cpu.vector.a);
    }
  }

  /** A shift of each doubleword by its own count, from that of both by one. */
  private static LongBinaryOperator each32(LongBinaryOperator shift) {
    long low = 0xffffffffL;
    return (a, b) -> shift.applyAsLong(a, b & low) & low | shift.applyAsLong(a, b >>> 32) & ~low;
  }

  private static void byEach(LongBinaryOperator shift, Opcode opcode) {
    Handlers.putVectorOnly(
        opcode,
        (c, i) -> {
          VectorUnit v = VectorOperands.sources(c, i);
          for (int k = VectorOperands.words(i) - 1; k >= 0; k--) {
            v.d[k] = shift.applyAsLong(v.a[k], v.b[k]);
          }
          VectorOperands.write0(c, i, v.d);
        });
  }

  /** Each lane by bytes. */
  private static void bytes(Cpu cpu, Instruction i, boolean left) {
    VectorUnit v = cpu.vector;
    shifted(cpu, i);
    int by = (int) Math.min(i.immediate, 16);
    for (int k = VectorOperands.words(i) - 2; k >= 0; k -= 2) {
      long low = v.a[k];
      long high = v.a[k + 1];
      if (left) {
        v.d[k] = LaneWords.alignLow(low, high, 0, 0, 16 - by);
        v.d[k + 1] = LaneWords.alignHigh(low, high, 0, 0, 16 - by);
      } else {
        v.d[k] = LaneWords.alignLow(0, 0, low, high, by);
        v.d[k + 1] = LaneWords.alignHigh(0, 0, low, high, by);
      }
    }
    VectorOperands.write0(cpu, i, v.d);
  }
}
