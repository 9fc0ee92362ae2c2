package org.kvm4j.cpu.semantics;

import java.util.function.LongUnaryOperator;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.fpu.VectorUnit;

/**
 * Vector moves: of whole registers, of their lowest elements, of halves, of one element from and to
 * general registers, of sign bits. SDM Vol. 2, each instruction's page.
 *
 * <p>Where an instruction changes a part of its destination, the rest comes from the destination,
 * or with VEX from operand 1: that is what {@link VectorOperands#sources} calls the first source.
 */
final class VectorMoves {
  private VectorMoves() {}

  static void register() {
    for (Opcode opcode :
        new Opcode[] {
          Opcode.MOVUPS,
          Opcode.MOVUPD,
          Opcode.MOVAPS,
          Opcode.MOVAPD,
          Opcode.MOVDQA,
          Opcode.MOVDQU,
          Opcode.MOVNTPS,
          Opcode.MOVNTPD,
          Opcode.MOVNTDQ,
          Opcode.MOVNTDQA,
          Opcode.LDDQU
        }) {
      Handlers.putVector(opcode, VectorMoves::move);
    }
    Handlers.putVector(Opcode.MOVNTQ, VectorMoves::moveLow);
    Handlers.putVector(Opcode.MOVD, VectorMoves::moveLow);
    Handlers.putVector(Opcode.MOVQ, VectorMoves::moveLow);
    Handlers.putVector(Opcode.MOVQ2DQ, VectorMoves::moveLow);
    Handlers.putVector(Opcode.MOVDQ2Q, VectorMoves::moveLow);
    Handlers.putVector(Opcode.MOVSS, (c, i) -> moveScalar(c, i, 0xffffffffL));
    Handlers.putVector(Opcode.MOVSD, (c, i) -> moveScalar(c, i, -1));
    for (Opcode opcode : new Opcode[] {Opcode.MOVLPS, Opcode.MOVLPD}) {
      Handlers.putVector(opcode, (c, i) -> moveHalf(c, i, 0));
    }
    for (Opcode opcode : new Opcode[] {Opcode.MOVHPS, Opcode.MOVHPD}) {
      Handlers.putVector(opcode, (c, i) -> moveHalf(c, i, 1));
    }
    Handlers.putVector(Opcode.MOVHLPS, (c, i) -> moveAcross(c, i, 0));
    Handlers.putVector(Opcode.MOVLHPS, (c, i) -> moveAcross(c, i, 1));
    Handlers.putVector(Opcode.PMOVMSKB, (c, i) -> signs(c, i, 8, PackedWords::signsOfBytes));
    Handlers.putVector(Opcode.MOVMSKPS, (c, i) -> signs(c, i, 2, PackedWords::signsOfDoublewords));
    Handlers.putVector(Opcode.MOVMSKPD, (c, i) -> signs(c, i, 1, a -> a >>> 63));
    element(8, Opcode.PINSRB, Opcode.PEXTRB);
    element(16, Opcode.PINSRW, Opcode.PEXTRW);
    element(32, Opcode.PINSRD, Opcode.PEXTRD);
    element(64, Opcode.PINSRQ, Opcode.PEXTRQ);
    Handlers.putVector(Opcode.EXTRACTPS, (c, i) -> extract(c, i, 32));
    Handlers.putVector(Opcode.INSERTPS, VectorMoves::insertSingle);
  }

  /** A move of everything. */
  private static void move(Cpu cpu, Instruction i) {
    long[] value = cpu.vector.d;
    VectorOperands.read1(cpu, i, value);
    VectorOperands.write0(cpu, i, value);
  }

  /** A move of 4 or 8 bytes that zeroes the rest of a destination register. */
  private static void moveLow(Cpu cpu, Instruction i) {
    long[] value = cpu.vector.d;
    VectorOperands.read1(cpu, i, value);
    value[1] = 0;
    VectorOperands.write0(cpu, i, value);
  }

  /** MOVSS, MOVSD: a load zeroes the rest of the register, a move between registers keeps it. */
  private static void moveScalar(Cpu cpu, Instruction i, long mask) {
    if (i.kind0 == OperandKind.MEMORY) {
      move(cpu, i);
    } else if (i.kind1 == OperandKind.MEMORY) {
      moveLow(cpu, i);
    } else {
      VectorUnit v = VectorOperands.sources(cpu, i);
      v.d[0] = v.a[0] & ~mask | v.b[0] & mask;
      v.d[1] = v.a[1];
      VectorOperands.write0(cpu, i, v.d);
    }
  }

  /** One half of a register from or to memory. */
  private static void moveHalf(Cpu cpu, Instruction i, int half) {
    VectorUnit v = cpu.vector;
    if (i.kind0 == OperandKind.MEMORY) {
      VectorOperands.read1(cpu, i, v.a);
      v.d[0] = v.a[half];
    } else {
      VectorOperands.sources(cpu, i);
      v.d[half] = v.b[0];
      v.d[1 - half] = v.a[1 - half];
    }
    VectorOperands.write0(cpu, i, v.d);
  }

  /** One half of a register from the other half of another. */
  private static void moveAcross(Cpu cpu, Instruction i, int half) {
    VectorUnit v = VectorOperands.sources(cpu, i);
    v.d[half] = v.b[1 - half];
    v.d[1 - half] = v.a[1 - half];
    VectorOperands.write0(cpu, i, v.d);
  }

  /** The highest bit of each element, so many of each word, in a general register. */
  private static void signs(Cpu cpu, Instruction i, int count, LongUnaryOperator ofWord) {
    VectorUnit v = cpu.vector;
    VectorOperands.read1(cpu, i, v.a);
    long signs = 0;
    for (int k = (i.size1 >> 3) - 1; k >= 0; k--) {
      signs = signs << count | ofWord.applyAsLong(v.a[k]);
    }
    v.d[0] = signs;
    VectorOperands.write0(cpu, i, v.d);
  }

  // ---- one element ----

  private static void element(int bits, Opcode insert, Opcode extract) {
    Handlers.putVector(insert, (c, i) -> insert(c, i, bits));
    Handlers.putVector(extract, (c, i) -> extract(c, i, bits));
  }

  /**
   * The bit at which the element begins that the immediate names, in a register of so many bytes.
   */
  private static int at(Instruction i, int registerBytes, int bits) {
    return (int) i.immediate * bits & 8 * registerBytes - 1;
  }

  private static void insert(Cpu cpu, Instruction i, int bits) {
    VectorUnit v = VectorOperands.sources(cpu, i);
    PackedMath.put(v.a, at(i, i.size0, bits), bits, v.b[0]);
    VectorOperands.write0(cpu, i, v.a);
  }

  private static void extract(Cpu cpu, Instruction i, int bits) {
    VectorUnit v = cpu.vector;
    VectorOperands.read1(cpu, i, v.a);
    v.d[0] = PackedMath.zero(v.a, at(i, i.size1, bits), bits);
    VectorOperands.write0(cpu, i, v.d);
  }

  /** INSERTPS: source and destination elements and the elements to zero, from the immediate. */
  private static void insertSingle(Cpu cpu, Instruction i) {
    VectorUnit v = VectorOperands.sources(cpu, i);
    int imm = (int) i.immediate;
    boolean register = (i.vex ? i.kind2 : i.kind1) == OperandKind.XMM;
    int from = register ? imm >> 6 & 3 : 0;
    PackedMath.put(v.a, 32 * (imm >> 4 & 3), 32, PackedMath.zero(v.b, 32 * from, 32));
    for (int k = 0; k < 4; k++) {
      if ((imm >> k & 1) != 0) {
        PackedMath.put(v.a, 32 * k, 32, 0);
      }
    }
    VectorOperands.write0(cpu, i, v.a);
  }
}
