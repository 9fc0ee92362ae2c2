package org.kvm4j.cpu.semantics;

import java.util.function.LongBinaryOperator;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.fpu.VectorUnit;

/**
 * Vector instructions each word of whose result follows from one word of each source: logic,
 * addition, comparison, minimum, multiplication, averages. One function of {@link PackedWords}
 * serves the MMX, SSE and AVX forms. SDM Vol. 2, each instruction's page.
 */
final class PackedArithmetic {
  private PackedArithmetic() {}

  static void register() {
    wordwise(PackedWords::and, Opcode.PAND, Opcode.ANDPS, Opcode.ANDPD);
    wordwise(PackedWords::andNot, Opcode.PANDN, Opcode.ANDNPS, Opcode.ANDNPD);
    wordwise(PackedWords::or, Opcode.POR, Opcode.ORPS, Opcode.ORPD);
    wordwise(PackedWords::xor, Opcode.PXOR, Opcode.XORPS, Opcode.XORPD);

    wordwise(PackedWords::addBytes, Opcode.PADDB);
    wordwise(PackedWords::addWords, Opcode.PADDW);
    wordwise(PackedWords::addDoublewords, Opcode.PADDD);
    wordwise(PackedWords::addQuadwords, Opcode.PADDQ);
    wordwise(PackedWords::subtractBytes, Opcode.PSUBB);
    wordwise(PackedWords::subtractWords, Opcode.PSUBW);
    wordwise(PackedWords::subtractDoublewords, Opcode.PSUBD);
    wordwise(PackedWords::subtractQuadwords, Opcode.PSUBQ);
    wordwise(PackedWords::addSignedBytes, Opcode.PADDSB);
    wordwise(PackedWords::addSignedWords, Opcode.PADDSW);
    wordwise(PackedWords::subtractSignedBytes, Opcode.PSUBSB);
    wordwise(PackedWords::subtractSignedWords, Opcode.PSUBSW);
    wordwise(PackedWords::addUnsignedBytes, Opcode.PADDUSB);
    wordwise(PackedWords::addUnsignedWords, Opcode.PADDUSW);
    wordwise(PackedWords::subtractUnsignedBytes, Opcode.PSUBUSB);
    wordwise(PackedWords::subtractUnsignedWords, Opcode.PSUBUSW);
    wordwise(PackedWords::averageBytes, Opcode.PAVGB);
    wordwise(PackedWords::averageWords, Opcode.PAVGW);

    wordwise(PackedWords::equalBytes, Opcode.PCMPEQB);
    wordwise(PackedWords::equalWords, Opcode.PCMPEQW);
    wordwise(PackedWords::equalDoublewords, Opcode.PCMPEQD);
    wordwise(PackedWords::equalQuadwords, Opcode.PCMPEQQ);
    wordwise(PackedWords::greaterBytes, Opcode.PCMPGTB);
    wordwise(PackedWords::greaterWords, Opcode.PCMPGTW);
    wordwise(PackedWords::greaterDoublewords, Opcode.PCMPGTD);
    wordwise(PackedWords::greaterQuadwords, Opcode.PCMPGTQ);

    wordwise(PackedWords::minSignedBytes, Opcode.PMINSB);
    wordwise(PackedWords::minSignedWords, Opcode.PMINSW);
    wordwise(PackedWords::minSignedDoublewords, Opcode.PMINSD);
    wordwise(PackedWords::minUnsignedBytes, Opcode.PMINUB);
    wordwise(PackedWords::minUnsignedWords, Opcode.PMINUW);
    wordwise(PackedWords::minUnsignedDoublewords, Opcode.PMINUD);
    wordwise(PackedWords::maxSignedBytes, Opcode.PMAXSB);
    wordwise(PackedWords::maxSignedWords, Opcode.PMAXSW);
    wordwise(PackedWords::maxSignedDoublewords, Opcode.PMAXSD);
    wordwise(PackedWords::maxUnsignedBytes, Opcode.PMAXUB);
    wordwise(PackedWords::maxUnsignedWords, Opcode.PMAXUW);
    wordwise(PackedWords::maxUnsignedDoublewords, Opcode.PMAXUD);

    wordwise(PackedWords::multiplyLowWords, Opcode.PMULLW);
    wordwise(PackedWords::multiplyHighWords, Opcode.PMULHW);
    wordwise(PackedWords::multiplyHighUnsignedWords, Opcode.PMULHUW);
    wordwise(PackedWords::multiplyRoundWords, Opcode.PMULHRSW);
    wordwise(PackedWords::multiplyLowDoublewords, Opcode.PMULLD);
    wordwise(PackedWords::multiplySigned, Opcode.PMULDQ);
    wordwise(PackedWords::multiplyUnsigned, Opcode.PMULUDQ);
    wordwise(PackedWords::multiplyAddWords, Opcode.PMADDWD);
    wordwise(PackedWords::multiplyAddBytes, Opcode.PMADDUBSW);
    wordwise(PackedWords::sumOfDifferences, Opcode.PSADBW);

    wordwise(PackedWords::signBytes, Opcode.PSIGNB);
    wordwise(PackedWords::signWords, Opcode.PSIGNW);
    wordwise(PackedWords::signDoublewords, Opcode.PSIGND);
    ofOneSource(PackedWords::absoluteBytes, Opcode.PABSB);
    ofOneSource(PackedWords::absoluteWords, Opcode.PABSW);
    ofOneSource(PackedWords::absoluteDoublewords, Opcode.PABSD);
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
