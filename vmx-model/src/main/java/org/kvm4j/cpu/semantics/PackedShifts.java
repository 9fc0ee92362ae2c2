package org.kvm4j.cpu.semantics;

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
    byOne(16, PackedShifts::left, Opcode.PSLLW);
    byOne(32, PackedShifts::left, Opcode.PSLLD);
    byOne(64, PackedShifts::left, Opcode.PSLLQ);
    byOne(16, PackedShifts::right, Opcode.PSRLW);
    byOne(32, PackedShifts::right, Opcode.PSRLD);
    byOne(64, PackedShifts::right, Opcode.PSRLQ);
    byOne(16, PackedShifts::arithmetic, Opcode.PSRAW);
    byOne(32, PackedShifts::arithmetic, Opcode.PSRAD);
    byEach(32, PackedShifts::left, Opcode.VPSLLVD);
    byEach(64, PackedShifts::left, Opcode.VPSLLVQ);
    byEach(32, PackedShifts::right, Opcode.VPSRLVD);
    byEach(64, PackedShifts::right, Opcode.VPSRLVQ);
    byEach(32, PackedShifts::arithmetic, Opcode.VPSRAVD);
    Handlers.putVector(Opcode.PSLLDQ, (c, i) -> bytes(c, i, -1));
    Handlers.putVector(Opcode.PSRLDQ, (c, i) -> bytes(c, i, 1));
  }

  /** A shift of an element: its value sign-extended, an unsigned count, the element's width. */
  @FunctionalInterface
  private interface Shift {
    long apply(long value, long count, int bits);
  }

  /** Bits beyond the element are cut off by whoever stores it. */
  private static long left(long value, long count, int bits) {
    return count < 0 || count >= bits ? 0 : value << count;
  }

  private static long right(long value, long count, int bits) {
    return count < 0 || count >= bits ? 0 : (value & PackedMath.mask(bits)) >>> count;
  }

  private static long arithmetic(long value, long count, int bits) {
    return value >> (count < 0 || count >= bits ? bits - 1 : count);
  }

  private static void byOne(int bits, Shift shift, Opcode opcode) {
    Handlers.putVector(opcode, (c, i) -> shift(c, i, bits, shift));
  }

  private static void shift(Cpu cpu, Instruction i, int bits, Shift shift) {
    VectorUnit v = cpu.vector;
    long count;
    if ((i.vex ? i.kind2 : i.kind1) == OperandKind.IMMEDIATE) {
      shifted(cpu, i);
      count = i.immediate;
    } else {
      VectorOperands.sources(cpu, i);
      count = v.b[0];
    }
    for (int at = 64 * VectorOperands.words(i) - bits; at >= 0; at -= bits) {
      PackedMath.put(v.d, at, bits, shift.apply(PackedMath.sign(v.a, at, bits), count, bits));
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

  private static void byEach(int bits, Shift shift, Opcode opcode) {
    Handlers.putVectorOnly(
        opcode,
        (c, i) -> {
          VectorUnit v = VectorOperands.sources(c, i);
          for (int at = 64 * VectorOperands.words(i) - bits; at >= 0; at -= bits) {
            long value = PackedMath.sign(v.a, at, bits);
            long count = PackedMath.zero(v.b, at, bits);
            PackedMath.put(v.d, at, bits, shift.apply(value, count, bits));
          }
          VectorOperands.write0(c, i, v.d);
        });
  }

  /** Each lane by bytes, to the right or, with direction -1, to the left. */
  private static void bytes(Cpu cpu, Instruction i, int direction) {
    VectorUnit v = cpu.vector;
    shifted(cpu, i);
    int by = direction * 8 * (int) Math.min(i.immediate, 16);
    for (int at = 64 * VectorOperands.words(i) - 8; at >= 0; at -= 8) {
      int from = (at & 127) + by;
      long value = from < 0 || from >= 128 ? 0 : PackedMath.zero(v.a, (at & 128) + from, 8);
      PackedMath.put(v.d, at, 8, value);
    }
    VectorOperands.write0(cpu, i, v.d);
  }
}
