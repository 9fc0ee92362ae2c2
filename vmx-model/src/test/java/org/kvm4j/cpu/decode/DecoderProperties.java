package org.kvm4j.cpu.decode;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Set;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.kvm4j.cpu.profile.Feature;
import org.kvm4j.cpu.profile.FeatureSet;

/** What holds for any bytes. */
class DecoderProperties {
  private static final Decoder DECODER = new Decoder(FeatureSet.all());

  @Provide
  Arbitrary<byte[]> code() {
    Arbitrary<byte[]> random = Arbitraries.bytes().array(byte[].class).ofSize(16);
    Arbitrary<byte[]> prefixes =
        Arbitraries.of(
                (byte) 0x66,
                (byte) 0x67,
                (byte) 0xf0,
                (byte) 0xf2,
                (byte) 0xf3,
                (byte) 0x2e,
                (byte) 0x64,
                (byte) 0x48)
            .array(byte[].class)
            .ofMinSize(0)
            .ofMaxSize(16);
    Arbitrary<byte[]> escapes =
        Arbitraries.of(
            new byte[] {},
            new byte[] {0x0f},
            new byte[] {0x0f, 0x38},
            new byte[] {0x0f, 0x3a},
            new byte[] {(byte) 0xc4},
            new byte[] {(byte) 0xc5});
    return Combinators.combine(prefixes, escapes, random)
        .as(
            (p, e, r) -> {
              byte[] all = Arrays.copyOf(p, 16);
              int at = p.length;
              for (byte b : e) {
                if (at < 16) {
                  all[at++] = b;
                }
              }
              System.arraycopy(r, 0, all, at, 16 - at);
              return all;
            });
  }

  @Provide
  Arbitrary<Integer> codeSize() {
    return Arbitraries.of(2, 4, 8, 2 | Decoder.REAL_MODE, 4 | Decoder.REAL_MODE);
  }

  @Property(tries = 20000)
  void anyBytesDecodeToOneToFifteenBytes(
      @ForAll("code") byte[] code, @ForAll("codeSize") int codeSize) {
    Instruction i = DECODER.decode(code, 0, 16, codeSize);
    assertTrue(i.length >= 1 && i.length <= 15, () -> "length " + i.length);
    assertEquals(codeSize & 15, i.codeSize);
    assertTrue(!Disassembler.disassemble(i).isEmpty());
    assertTrue(!i.lock || !i.isValid() || i.lockable, "LOCK only where it may be");
  }

  @Property(tries = 5000)
  void allSourcesGiveTheSameInstruction(
      @ForAll("code") byte[] code, @ForAll("codeSize") int codeSize) {
    Instruction i = DECODER.decode(code, 0, 16, codeSize);
    byte[] later = new byte[40];
    System.arraycopy(code, 0, later, 20, 16);
    same(i, DECODER.decode(later, 20, 36, codeSize));
    same(i, DECODER.decode(ByteBuffer.allocateDirect(40).put(later), 20, 36, codeSize));
    Bytes bytes = new Bytes(code, 16);
    same(i, DECODER.decode(bytes, codeSize));
    assertEquals(i.length, bytes.position(), "no byte more than the instruction has");
    same(i, new Decoder(FeatureSet.all()).decode(code, 0, 16, codeSize));
  }

  @Property(tries = 5000)
  void aCutInstructionAsksForMore(@ForAll("code") byte[] code, @ForAll("codeSize") int codeSize) {
    Instruction i = DECODER.decode(code, 0, 16, codeSize);
    for (int n = 0; n < i.length; n++) {
      assertSame(Instruction.PAST_LIMIT, DECODER.decode(code, 0, n, codeSize));
    }
    same(i, DECODER.decode(code, 0, Math.max(i.length, 15), codeSize));
    if (i.opcode != Opcode.TOO_LONG) {
      same(i, DECODER.decode(code, 0, i.length, codeSize));
    }
  }

  @Property(tries = 2000)
  void aFaultOfTheSourcePassesThrough(
      @ForAll("code") byte[] code, @ForAll("codeSize") int codeSize) {
    int length = DECODER.decode(code, 0, 16, codeSize).length;
    for (int n = 0; n < length; n++) {
      Bytes bytes = new Bytes(code, n);
      try {
        DECODER.decode(bytes, codeSize);
        throw new AssertionError("no fault at byte " + n);
      } catch (ArrayIndexOutOfBoundsException e) {
        assertEquals(n, bytes.position());
      }
    }
  }

  @Property(tries = 5000)
  void fewerFeaturesNeverMakeInvalidBytesValid(
      @ForAll("code") byte[] code,
      @ForAll("codeSize") int codeSize,
      @ForAll Set<Feature> features) {
    FeatureSet some = FeatureSet.of(features);
    Instruction i = new Decoder(some).decode(code, 0, 16, codeSize);
    if (i.isValid()) {
      assertTrue(DECODER.decode(code, 0, 16, codeSize).isValid());
    }
  }

  @Property(tries = 2000)
  void aCpuWithoutFeaturesKnowsNoLaterInstruction(
      @ForAll("code") byte[] code, @ForAll("codeSize") int codeSize) {
    Instruction i = new Decoder(FeatureSet.none()).decode(code, 0, 16, codeSize);
    assertTrue(!i.isValid() || i.opcode.feature == null, () -> "" + i.opcode);
  }

  private static void same(Instruction expected, Instruction actual) {
    assertEquals(expected.opcode, actual.opcode);
    assertEquals(expected.length, actual.length);
    assertEquals(Disassembler.disassemble(expected), Disassembler.disassemble(actual));
    assertEquals(expected.immediate, actual.immediate);
    assertEquals(expected.displacement, actual.displacement);
    assertEquals(expected.kind0, actual.kind0);
    assertEquals(expected.kind1, actual.kind1);
    assertEquals(expected.operandSize, actual.operandSize);
    assertEquals(expected.addressSize, actual.addressSize);
  }

  /** Gives the bytes of an array up to a limit, then throws as a page fault would. */
  private static final class Bytes implements CodeSource {
    private final byte[] code;
    private final int limit;
    private int position;

    Bytes(byte[] code, int limit) {
      this.code = code;
      this.limit = limit;
    }

    @Override
    public int nextByte() {
      if (position == limit) {
        throw new ArrayIndexOutOfBoundsException(position);
      }
      return code[position++] & 0xff;
    }

    @Override
    public int position() {
      return position;
    }
  }
}
