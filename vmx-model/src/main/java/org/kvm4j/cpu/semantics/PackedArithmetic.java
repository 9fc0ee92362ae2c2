package org.kvm4j.cpu.semantics;

import static org.kvm4j.cpu.semantics.PackedMath.add;
import static org.kvm4j.cpu.semantics.PackedMath.equal;
import static org.kvm4j.cpu.semantics.PackedMath.saturateSigned;
import static org.kvm4j.cpu.semantics.PackedMath.saturateUnsigned;
import static org.kvm4j.cpu.semantics.PackedMath.signed;
import static org.kvm4j.cpu.semantics.PackedMath.subtract;
import static org.kvm4j.cpu.semantics.PackedMath.unsigned;

import java.util.function.LongBinaryOperator;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.fpu.VectorUnit;

/**
 * Vector instructions each word of whose result follows from one word of each source: logic,
 * addition, comparison, minimum, multiplication, averages. One function serves the MMX, SSE and AVX
 * forms. SDM Vol. 2, each instruction's page.
 */
final class PackedArithmetic {
  private PackedArithmetic() {}

  static void register() {
    wordwise((a, b) -> a & b, Opcode.PAND, Opcode.ANDPS, Opcode.ANDPD);
    wordwise((a, b) -> ~a & b, Opcode.PANDN, Opcode.ANDNPS, Opcode.ANDNPD);
    wordwise((a, b) -> a | b, Opcode.POR, Opcode.ORPS, Opcode.ORPD);
    wordwise((a, b) -> a ^ b, Opcode.PXOR, Opcode.XORPS, Opcode.XORPD);

    wordwise(add(8), Opcode.PADDB);
    wordwise(add(16), Opcode.PADDW);
    wordwise(add(32), Opcode.PADDD);
    wordwise((a, b) -> a + b, Opcode.PADDQ);
    wordwise(subtract(8), Opcode.PSUBB);
    wordwise(subtract(16), Opcode.PSUBW);
    wordwise(subtract(32), Opcode.PSUBD);
    wordwise((a, b) -> a - b, Opcode.PSUBQ);
    wordwise(signed(8, (a, b) -> saturateSigned(a + b, 8)), Opcode.PADDSB);
    wordwise(signed(16, (a, b) -> saturateSigned(a + b, 16)), Opcode.PADDSW);
    wordwise(signed(8, (a, b) -> saturateSigned(a - b, 8)), Opcode.PSUBSB);
    wordwise(signed(16, (a, b) -> saturateSigned(a - b, 16)), Opcode.PSUBSW);
    wordwise(unsigned(8, (a, b) -> saturateUnsigned(a + b, 8)), Opcode.PADDUSB);
    wordwise(unsigned(16, (a, b) -> saturateUnsigned(a + b, 16)), Opcode.PADDUSW);
    wordwise(unsigned(8, (a, b) -> saturateUnsigned(a - b, 8)), Opcode.PSUBUSB);
    wordwise(unsigned(16, (a, b) -> saturateUnsigned(a - b, 16)), Opcode.PSUBUSW);
    wordwise(unsigned(8, (a, b) -> a + b + 1 >> 1), Opcode.PAVGB);
    wordwise(unsigned(16, (a, b) -> a + b + 1 >> 1), Opcode.PAVGW);

    wordwise(equal(8), Opcode.PCMPEQB);
    wordwise(equal(16), Opcode.PCMPEQW);
    wordwise(equal(32), Opcode.PCMPEQD);
    wordwise((a, b) -> a == b ? -1 : 0, Opcode.PCMPEQQ);
    LongBinaryOperator greater = (a, b) -> a > b ? -1 : 0;
    wordwise(signed(8, greater), Opcode.PCMPGTB);
    wordwise(signed(16, greater), Opcode.PCMPGTW);
    wordwise(signed(32, greater), Opcode.PCMPGTD);
    wordwise(greater, Opcode.PCMPGTQ);

    wordwise(signed(8, Math::min), Opcode.PMINSB);
    wordwise(signed(16, Math::min), Opcode.PMINSW);
    wordwise(signed(32, Math::min), Opcode.PMINSD);
    wordwise(unsigned(8, Math::min), Opcode.PMINUB);
    wordwise(unsigned(16, Math::min), Opcode.PMINUW);
    wordwise(unsigned(32, Math::min), Opcode.PMINUD);
    wordwise(signed(8, Math::max), Opcode.PMAXSB);
    wordwise(signed(16, Math::max), Opcode.PMAXSW);
    wordwise(signed(32, Math::max), Opcode.PMAXSD);
    wordwise(unsigned(8, Math::max), Opcode.PMAXUB);
    wordwise(unsigned(16, Math::max), Opcode.PMAXUW);
    wordwise(unsigned(32, Math::max), Opcode.PMAXUD);

    wordwise(signed(16, (a, b) -> a * b), Opcode.PMULLW);
    wordwise(signed(16, (a, b) -> a * b >> 16), Opcode.PMULHW);
    wordwise(unsigned(16, (a, b) -> a * b >> 16), Opcode.PMULHUW);
    wordwise(signed(16, (a, b) -> (a * b >> 14) + 1 >> 1), Opcode.PMULHRSW);
    wordwise(signed(32, (a, b) -> a * b), Opcode.PMULLD);
    wordwise(PackedMath::multiplyLow32, Opcode.PMULDQ);
    wordwise(PackedMath::multiplyLow32Unsigned, Opcode.PMULUDQ);
    wordwise(PackedMath::multiplyAddWords, Opcode.PMADDWD);
    wordwise(PackedMath::multiplyAddBytes, Opcode.PMADDUBSW);
    wordwise(PackedMath::sumOfDifferences, Opcode.PSADBW);

    LongBinaryOperator sign = (a, b) -> b == 0 ? 0 : b < 0 ? -a : a;
    wordwise(signed(8, sign), Opcode.PSIGNB);
    wordwise(signed(16, sign), Opcode.PSIGNW);
    wordwise(signed(32, sign), Opcode.PSIGND);
    LongBinaryOperator absolute = (unused, b) -> Math.abs(b);
    ofOneSource(signed(8, absolute), Opcode.PABSB);
    ofOneSource(signed(16, absolute), Opcode.PABSW);
    ofOneSource(signed(32, absolute), Opcode.PABSD);
  }

  /** Enters an operation on two sources. */
  private static void wordwise(LongBinaryOperator operation, Opcode... opcodes) {
    for (Opcode opcode : opcodes) {
      Handlers.putVector(opcode, (c, i) -> apply(c, i, operation, VectorOperands.sources(c, i)));
    }
  }

  /** Enters an operation whose first source counts for nothing. */
  private static void ofOneSource(LongBinaryOperator operation, Opcode opcode) {
    Handlers.putVector(
        opcode,
        (c, i) -> {
          VectorOperands.read1(c, i, c.vector.b);
          apply(c, i, operation, c.vector);
        });
  }

  private static void apply(Cpu cpu, Instruction i, LongBinaryOperator operation, VectorUnit v) {
    for (int k = VectorOperands.words(i) - 1; k >= 0; k--) {
      v.d[k] = operation.applyAsLong(v.a[k], v.b[k]);
    }
    VectorOperands.write0(cpu, i, v.d);
  }
}
