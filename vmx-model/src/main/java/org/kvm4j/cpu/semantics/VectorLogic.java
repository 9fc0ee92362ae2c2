package org.kvm4j.cpu.semantics;

import java.util.function.LongBinaryOperator;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.fpu.VectorUnit;

/** Vector instructions that treat each 64-bit word of their sources alike. SDM Vol. 2. */
final class VectorLogic {
  private VectorLogic() {}

  static void register() {
    wordwise((a, b) -> a & b, Opcode.PAND, Opcode.ANDPS, Opcode.ANDPD);
    wordwise((a, b) -> ~a & b, Opcode.PANDN, Opcode.ANDNPS, Opcode.ANDNPD);
    wordwise((a, b) -> a | b, Opcode.POR, Opcode.ORPS, Opcode.ORPD);
    wordwise((a, b) -> a ^ b, Opcode.PXOR, Opcode.XORPS, Opcode.XORPD);
  }

  /** Enters an operation that makes each word of the result of one word of each source. */
  static void wordwise(LongBinaryOperator operation, Opcode... opcodes) {
    for (Opcode opcode : opcodes) {
      Handlers.putVector(opcode, (c, i) -> apply(c, i, operation));
    }
  }

  private static void apply(Cpu cpu, Instruction i, LongBinaryOperator operation) {
    VectorUnit v = VectorOperands.sources(cpu, i);
    for (int k = VectorOperands.words(i) - 1; k >= 0; k--) {
      v.d[k] = operation.applyAsLong(v.a[k], v.b[k]);
    }
    VectorOperands.write0(cpu, i, v.d);
  }
}
