package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.fpu.VectorUnit;

/**
 * Vector instructions that work lane by lane. A lane is an MMX register, an XMM register or half of
 * a YMM register; nothing crosses lanes, so one function of a lane serves all forms.
 */
final class VectorLanes {
  private VectorLanes() {}

  /** What becomes of a lane. */
  @FunctionalInterface
  interface Lane {
    /**
     * Makes a lane of {@link VectorUnit#d} from the same lane of the sources.
     *
     * @param at the bit at which it begins: 0 or 128
     * @param width its bits: 64 or 128
     * @param imm the immediate byte, if there is one
     */
    void apply(VectorUnit v, int at, int width, int imm);
  }

  /** Enters an operation on two sources. */
  static void both(Lane operation, Opcode... opcodes) {
    for (Opcode opcode : opcodes) {
      Handlers.putVector(
          opcode,
          (c, i) -> {
            VectorOperands.sources(c, i);
            apply(c, i, operation);
          });
    }
  }

  /** Enters an operation on one source, which it finds as the second. */
  static void one(Lane operation, Opcode opcode) {
    Handlers.putVector(
        opcode,
        (c, i) -> {
          VectorOperands.read1(c, i, c.vector.b);
          apply(c, i, operation);
        });
  }

  /** Applies an operation to sources that have been read, and writes the result. */
  static void apply(Cpu cpu, Instruction i, Lane operation) {
    int words = VectorOperands.words(i);
    int imm = (int) i.immediate;
    operation.apply(cpu.vector, 0, words == 1 ? 64 : 128, imm);
    if (words == 4) {
      operation.apply(cpu.vector, 128, 128, imm);
    }
    VectorOperands.write0(cpu, i, cpu.vector.d);
  }
}
