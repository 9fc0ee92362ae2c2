package org.kvm4j.cpu.engine;

import static java.util.Map.entry;

import java.util.Map;
import org.kvm4j.cpu.decode.Opcode;

/**
 * Which methods compute the words of what SSE's instructions on integers and shuffles give, for
 * translated code to call: the interpreter's handlers call the same.
 */
final class PackedMethods {
  private PackedMethods() {}

  /**
   * Of {@link org.kvm4j.cpu.semantics.PackedWords}: a word of the result of a word of each source.
   */
  static final Map<Opcode, String> BY_WORD =
      Map.ofEntries(
          entry(Opcode.PADDB, "addBytes"),
          entry(Opcode.PADDW, "addWords"),
          entry(Opcode.PADDD, "addDoublewords"),
          entry(Opcode.PADDQ, "addQuadwords"),
          entry(Opcode.PSUBB, "subtractBytes"),
          entry(Opcode.PSUBW, "subtractWords"),
          entry(Opcode.PSUBD, "subtractDoublewords"),
          entry(Opcode.PSUBQ, "subtractQuadwords"),
          entry(Opcode.PADDSB, "addSignedBytes"),
          entry(Opcode.PADDSW, "addSignedWords"),
          entry(Opcode.PSUBSB, "subtractSignedBytes"),
          entry(Opcode.PSUBSW, "subtractSignedWords"),
          entry(Opcode.PADDUSB, "addUnsignedBytes"),
          entry(Opcode.PADDUSW, "addUnsignedWords"),
          entry(Opcode.PSUBUSB, "subtractUnsignedBytes"),
          entry(Opcode.PSUBUSW, "subtractUnsignedWords"),
          entry(Opcode.PAVGB, "averageBytes"),
          entry(Opcode.PAVGW, "averageWords"),
          entry(Opcode.PCMPEQB, "equalBytes"),
          entry(Opcode.PCMPEQW, "equalWords"),
          entry(Opcode.PCMPEQD, "equalDoublewords"),
          entry(Opcode.PCMPEQQ, "equalQuadwords"),
          entry(Opcode.PCMPGTB, "greaterBytes"),
          entry(Opcode.PCMPGTW, "greaterWords"),
          entry(Opcode.PCMPGTD, "greaterDoublewords"),
          entry(Opcode.PCMPGTQ, "greaterQuadwords"),
          entry(Opcode.PMINSB, "minSignedBytes"),
          entry(Opcode.PMINSW, "minSignedWords"),
          entry(Opcode.PMINSD, "minSignedDoublewords"),
          entry(Opcode.PMINUB, "minUnsignedBytes"),
          entry(Opcode.PMINUW, "minUnsignedWords"),
          entry(Opcode.PMINUD, "minUnsignedDoublewords"),
          entry(Opcode.PMAXSB, "maxSignedBytes"),
          entry(Opcode.PMAXSW, "maxSignedWords"),
          entry(Opcode.PMAXSD, "maxSignedDoublewords"),
          entry(Opcode.PMAXUB, "maxUnsignedBytes"),
          entry(Opcode.PMAXUW, "maxUnsignedWords"),
          entry(Opcode.PMAXUD, "maxUnsignedDoublewords"),
          entry(Opcode.PMULLW, "multiplyLowWords"),
          entry(Opcode.PMULHW, "multiplyHighWords"),
          entry(Opcode.PMULHUW, "multiplyHighUnsignedWords"),
          entry(Opcode.PMULHRSW, "multiplyRoundWords"),
          entry(Opcode.PMULLD, "multiplyLowDoublewords"),
          entry(Opcode.PMULDQ, "multiplySigned"),
          entry(Opcode.PMULUDQ, "multiplyUnsigned"),
          entry(Opcode.PMADDWD, "multiplyAddWords"),
          entry(Opcode.PMADDUBSW, "multiplyAddBytes"),
          entry(Opcode.PSADBW, "sumOfDifferences"),
          entry(Opcode.PSIGNB, "signBytes"),
          entry(Opcode.PSIGNW, "signWords"),
          entry(Opcode.PSIGND, "signDoublewords"));

  /**
   * Of {@link org.kvm4j.cpu.semantics.PackedWords}: a word of the result of a word of the first
   * source and a count.
   */
  static final Map<Opcode, String> SHIFTS =
      Map.of(
          Opcode.PSLLW, "shiftLeftWords",
          Opcode.PSLLD, "shiftLeftDoublewords",
          Opcode.PSLLQ, "shiftLeftQuadwords",
          Opcode.PSRLW, "shiftRightWords",
          Opcode.PSRLD, "shiftRightDoublewords",
          Opcode.PSRLQ, "shiftRightQuadwords",
          Opcode.PSRAW, "shiftArithmeticWords",
          Opcode.PSRAD, "shiftArithmeticDoublewords");

  /**
   * Of {@link org.kvm4j.cpu.semantics.AesRounds}, with Low and High after it: each word of the
   * result of all words of both sources.
   */
  static final Map<Opcode, String> ROUNDS =
      Map.of(
          Opcode.AESENC, "encrypt",
          Opcode.AESENCLAST, "encryptLast",
          Opcode.AESDEC, "decrypt",
          Opcode.AESDECLAST, "decryptLast");

  /**
   * Of {@link org.kvm4j.cpu.semantics.LaneWords}: with Low and High in between, both words of the
   * result of the low words of both sources.
   */
  static final Map<Opcode, String> UNPACK_LOW =
      Map.of(
          Opcode.PUNPCKLBW, "Bytes",
          Opcode.PUNPCKLWD, "Words",
          Opcode.PUNPCKLDQ, "Doublewords",
          Opcode.UNPCKLPS, "Doublewords");

  /** As {@link #UNPACK_LOW}, of the high words. */
  static final Map<Opcode, String> UNPACK_HIGH =
      Map.of(
          Opcode.PUNPCKHBW, "Bytes",
          Opcode.PUNPCKHWD, "Words",
          Opcode.PUNPCKHDQ, "Doublewords",
          Opcode.UNPCKHPS, "Doublewords");

  /**
   * Of {@link org.kvm4j.cpu.semantics.LaneWords}: the low word of the result of both words of the
   * first source, and the high one of the second's.
   */
  static final Map<Opcode, String> PACK =
      Map.of(
          Opcode.PACKSSWB, "packSignedBytes",
          Opcode.PACKUSWB, "packUnsignedBytes",
          Opcode.PACKSSDW, "packSignedWords",
          Opcode.PACKUSDW, "packUnsignedWords");
}
