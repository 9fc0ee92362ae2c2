package org.kvm4j.cpu.decode;

import java.nio.ByteBuffer;
import org.kvm4j.cpu.profile.FeatureSet;

/**
 * Decodes the instructions that a CPU with given features has (SDM vol. 2, ch. 2, "Instruction
 * Format", and app. A, "Opcode Map").
 *
 * <p>What is no instruction of that CPU is decoded as {@link Opcode#INVALID}, what is longer than
 * 15 bytes as {@link Opcode#TOO_LONG}. A decoder belongs to one thread.
 */
public final class Decoder {

  /**
   * A decoder for a CPU.
   *
   * @param features the CPU's features
   */
  public Decoder(FeatureSet features) {
    throw new UnsupportedOperationException("not built yet: " + features);
  }

  /**
   * Decodes one instruction, taking no more bytes than it has.
   *
   * @param source the bytes; what it throws passes through
   * @param codeSize the default operand size of the code segment: 2, 4, or 8 in 64-bit mode
   */
  public Instruction decode(CodeSource source, int codeSize) {
    throw new UnsupportedOperationException("not built yet");
  }

  /**
   * Decodes one instruction from an array.
   *
   * @param bank the bytes
   * @param offset where the instruction begins
   * @param limit the first index that must not be read
   * @param codeSize the default operand size of the code segment: 2, 4, or 8 in 64-bit mode
   * @return the instruction, or {@link Instruction#PAST_LIMIT} if it goes on at the limit
   */
  public Instruction decode(byte[] bank, int offset, int limit, int codeSize) {
    throw new UnsupportedOperationException("not built yet");
  }

  /**
   * Decodes one instruction from a buffer. The buffer's position and limit play no part and stay.
   *
   * @param bank the bytes
   * @param offset where the instruction begins
   * @param limit the first index that must not be read
   * @param codeSize the default operand size of the code segment: 2, 4, or 8 in 64-bit mode
   * @return the instruction, or {@link Instruction#PAST_LIMIT} if it goes on at the limit
   */
  public Instruction decode(ByteBuffer bank, int offset, int limit, int codeSize) {
    throw new UnsupportedOperationException("not built yet");
  }
}
