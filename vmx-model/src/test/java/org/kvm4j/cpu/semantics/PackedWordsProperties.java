package org.kvm4j.cpu.semantics;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.math.BigInteger;
import java.util.Random;
import java.util.function.LongBinaryOperator;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.IntRange;

/** All elements of a word at once against one after the other, and products against long ones. */
final class PackedWordsProperties {
  /** Words of which many elements are equal, or at a limit of their range. */
  @Provide
  Arbitrary<Long> words() {
    long[] elements = {0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000L, -1};
    return Arbitraries.randomValue(
        random -> random.nextInt(3) == 0 ? random.nextLong() : mixture(random, elements));
  }

  private static long mixture(Random random, long[] elements) {
    int bits = 8 << random.nextInt(3);
    long word = 0;
    for (int at = 0; at < 64; at += bits) {
      word = word << bits | elements[random.nextInt(elements.length)] & -1L >>> 64 - bits;
    }
    return word;
  }

  private static long each(int bits, boolean signed, long a, long b, LongBinaryOperator f) {
    long result = 0;
    for (int at = 64 - bits; at >= 0; at -= bits) {
      long x = signed ? PackedMath.sign(a, at, bits) : PackedMath.zero(a, at, bits);
      long y = signed ? PackedMath.sign(b, at, bits) : PackedMath.zero(b, at, bits);
      result = result << bits | f.applyAsLong(x, y) & -1L >>> 64 - bits;
    }
    return result;
  }

  private static LongBinaryOperator signed(int bits, LongBinaryOperator f) {
    return (a, b) -> each(bits, true, a, b, f);
  }

  private static LongBinaryOperator unsigned(int bits, LongBinaryOperator f) {
    return (a, b) -> each(bits, false, a, b, f);
  }

  private static long within(long value, long least, long most) {
    return Math.max(least, Math.min(most, value));
  }

  /** An operation on words, and what it does to elements. */
  private record Pair(String name, LongBinaryOperator operation, LongBinaryOperator reference) {}

  private static final LongBinaryOperator GREATER = (a, b) -> a > b ? -1 : 0;
  private static final LongBinaryOperator EQUAL = (a, b) -> a == b ? -1 : 0;
  private static final LongBinaryOperator SIGN = (a, b) -> b == 0 ? 0 : b < 0 ? -a : a;
  private static final LongBinaryOperator ABSOLUTE = (unused, b) -> Math.abs(b);
  private static final LongBinaryOperator AVERAGE = (a, b) -> a + b + 1 >> 1;

  private static final Pair[] PAIRS = {
    new Pair("PADDB", PackedWords::addBytes, signed(8, Long::sum)),
    new Pair("PADDW", PackedWords::addWords, signed(16, Long::sum)),
    new Pair("PADDD", PackedWords::addDoublewords, signed(32, Long::sum)),
    new Pair("PSUBB", PackedWords::subtractBytes, signed(8, (a, b) -> a - b)),
    new Pair("PSUBW", PackedWords::subtractWords, signed(16, (a, b) -> a - b)),
    new Pair("PSUBD", PackedWords::subtractDoublewords, signed(32, (a, b) -> a - b)),
    new Pair(
        "PADDSB", PackedWords::addSignedBytes, signed(8, (a, b) -> within(a + b, -0x80, 0x7f))),
    new Pair(
        "PADDSW",
        PackedWords::addSignedWords,
        signed(16, (a, b) -> within(a + b, -0x8000, 0x7fff))),
    new Pair(
        "PSUBSB",
        PackedWords::subtractSignedBytes,
        signed(8, (a, b) -> within(a - b, -0x80, 0x7f))),
    new Pair(
        "PSUBSW",
        PackedWords::subtractSignedWords,
        signed(16, (a, b) -> within(a - b, -0x8000, 0x7fff))),
    new Pair(
        "PADDUSB", PackedWords::addUnsignedBytes, unsigned(8, (a, b) -> within(a + b, 0, 0xff))),
    new Pair(
        "PADDUSW", PackedWords::addUnsignedWords, unsigned(16, (a, b) -> within(a + b, 0, 0xffff))),
    new Pair(
        "PSUBUSB",
        PackedWords::subtractUnsignedBytes,
        unsigned(8, (a, b) -> within(a - b, 0, 0xff))),
    new Pair(
        "PSUBUSW",
        PackedWords::subtractUnsignedWords,
        unsigned(16, (a, b) -> within(a - b, 0, 0xffff))),
    new Pair("PAVGB", PackedWords::averageBytes, unsigned(8, AVERAGE)),
    new Pair("PAVGW", PackedWords::averageWords, unsigned(16, AVERAGE)),
    new Pair("PABSB", PackedWords::absoluteBytes, signed(8, ABSOLUTE)),
    new Pair("PABSW", PackedWords::absoluteWords, signed(16, ABSOLUTE)),
    new Pair("PABSD", PackedWords::absoluteDoublewords, signed(32, ABSOLUTE)),
    new Pair("PSIGNB", PackedWords::signBytes, signed(8, SIGN)),
    new Pair("PSIGNW", PackedWords::signWords, signed(16, SIGN)),
    new Pair("PSIGND", PackedWords::signDoublewords, signed(32, SIGN)),
    new Pair("PCMPEQB", PackedWords::equalBytes, signed(8, EQUAL)),
    new Pair("PCMPEQW", PackedWords::equalWords, signed(16, EQUAL)),
    new Pair("PCMPEQD", PackedWords::equalDoublewords, signed(32, EQUAL)),
    new Pair("PCMPGTB", PackedWords::greaterBytes, signed(8, GREATER)),
    new Pair("PCMPGTW", PackedWords::greaterWords, signed(16, GREATER)),
    new Pair("PCMPGTD", PackedWords::greaterDoublewords, signed(32, GREATER)),
    new Pair("PMINSB", PackedWords::minSignedBytes, signed(8, Math::min)),
    new Pair("PMINSW", PackedWords::minSignedWords, signed(16, Math::min)),
    new Pair("PMINSD", PackedWords::minSignedDoublewords, signed(32, Math::min)),
    new Pair("PMINUB", PackedWords::minUnsignedBytes, unsigned(8, Math::min)),
    new Pair("PMINUW", PackedWords::minUnsignedWords, unsigned(16, Math::min)),
    new Pair("PMINUD", PackedWords::minUnsignedDoublewords, unsigned(32, Math::min)),
    new Pair("PMAXSB", PackedWords::maxSignedBytes, signed(8, Math::max)),
    new Pair("PMAXSW", PackedWords::maxSignedWords, signed(16, Math::max)),
    new Pair("PMAXSD", PackedWords::maxSignedDoublewords, signed(32, Math::max)),
    new Pair("PMAXUB", PackedWords::maxUnsignedBytes, unsigned(8, Math::max)),
    new Pair("PMAXUW", PackedWords::maxUnsignedWords, unsigned(16, Math::max)),
    new Pair("PMAXUD", PackedWords::maxUnsignedDoublewords, unsigned(32, Math::max)),
    new Pair("PMULLW", PackedWords::multiplyLowWords, signed(16, (a, b) -> a * b)),
    new Pair("PMULHW", PackedWords::multiplyHighWords, signed(16, (a, b) -> a * b >> 16)),
    new Pair(
        "PMULHUW", PackedWords::multiplyHighUnsignedWords, unsigned(16, (a, b) -> a * b >> 16)),
    new Pair(
        "PMULHRSW", PackedWords::multiplyRoundWords, signed(16, (a, b) -> (a * b >> 14) + 1 >> 1)),
    new Pair("PMULLD", PackedWords::multiplyLowDoublewords, signed(32, (a, b) -> a * b)),
    new Pair("PSADBW", PackedWords::sumOfDifferences, PackedWordsProperties::differences),
    new Pair("PMOVMSKB", (a, b) -> PackedWords.signsOfBytes(a), (a, b) -> signs(a, 8)),
    new Pair("MOVMSKPS", (a, b) -> PackedWords.signsOfDoublewords(a), (a, b) -> signs(a, 32)),
  };

  private static long differences(long a, long b) {
    long sum = 0;
    for (int at = 0; at < 64; at += 8) {
      sum += Math.abs(PackedMath.zero(a, at, 8) - PackedMath.zero(b, at, 8));
    }
    return sum;
  }

  private static long signs(long a, int bits) {
    long signs = 0;
    for (int at = 64 - bits; at >= 0; at -= bits) {
      signs = signs << 1 | PackedMath.sign(a, at, bits) >>> 63;
    }
    return signs;
  }

  @Property(tries = 5000)
  void allElementsAreAsOneByOne(@ForAll("words") long a, @ForAll("words") long b) {
    for (Pair pair : PAIRS) {
      assertEquals(pair.reference.applyAsLong(a, b), pair.operation.applyAsLong(a, b), pair.name);
    }
  }

  @Property(tries = 3000)
  void shiftsAreAsOneByOne(@ForAll("words") long a, @ForAll @IntRange(min = -1, max = 70) int by) {
    // A negative count is a large one.
    long left = by < 0 ? 64 : by;
    for (int bits = 16; bits <= 64; bits *= 2) {
      long inside = Math.min(left, bits - 1);
      boolean out = left >= bits;
      assertEquals(
          each(bits, false, a, 0, (x, y) -> out ? 0 : x << inside),
          bits == 16
              ? PackedWords.shiftLeftWords(a, by)
              : bits == 32
                  ? PackedWords.shiftLeftDoublewords(a, by)
                  : PackedWords.shiftLeftQuadwords(a, by));
      assertEquals(
          each(bits, false, a, 0, (x, y) -> out ? 0 : x >>> inside),
          bits == 16
              ? PackedWords.shiftRightWords(a, by)
              : bits == 32
                  ? PackedWords.shiftRightDoublewords(a, by)
                  : PackedWords.shiftRightQuadwords(a, by));
      if (bits < 64) {
        assertEquals(
            each(bits, true, a, 0, (x, y) -> x >> inside),
            bits == 16
                ? PackedWords.shiftArithmeticWords(a, by)
                : PackedWords.shiftArithmeticDoublewords(a, by));
      }
    }
  }

  private static BigInteger unsigned(long high, long low) {
    return new BigInteger(Long.toUnsignedString(high))
        .shiftLeft(64)
        .or(new BigInteger(Long.toUnsignedString(low)));
  }

  @Property(tries = 2000)
  void carrylessProductsAreSumsOfShifts(@ForAll("words") long a, @ForAll("words") long b) {
    BigInteger sum = BigInteger.ZERO;
    for (int k = 0; k < 64; k++) {
      if ((b >>> k & 1) != 0) {
        sum = sum.xor(unsigned(0, a).shiftLeft(k));
      }
    }
    assertEquals(sum, unsigned(CarrylessProduct.high(a, b), CarrylessProduct.low(a, b)));
  }

  @Property(tries = 2000)
  void alignedLanesAreShiftedByBytes(
      @ForAll("words") long aLow,
      @ForAll("words") long aHigh,
      @ForAll("words") long bLow,
      @ForAll("words") long bHigh,
      @ForAll @IntRange(max = 255) int by) {
    BigInteger both = unsigned(aHigh, aLow).shiftLeft(128).or(unsigned(bHigh, bLow));
    BigInteger shifted = both.shiftRight(8 * by);
    assertEquals(shifted.longValue(), LaneWords.alignLow(aLow, aHigh, bLow, bHigh, by));
    assertEquals(
        shifted.shiftRight(64).longValue(), LaneWords.alignHigh(aLow, aHigh, bLow, bHigh, by));
  }

  @Property(tries = 2000)
  void packedElementsAreSaturated(@ForAll("words") long low, @ForAll("words") long high) {
    assertEquals(packed(low, high, 8, -0x80, 0x7f), LaneWords.packSignedBytes(low, high));
    assertEquals(packed(low, high, 8, 0, 0xff), LaneWords.packUnsignedBytes(low, high));
    assertEquals(packed(low, high, 16, -0x8000, 0x7fff), LaneWords.packSignedWords(low, high));
    assertEquals(packed(low, high, 16, 0, 0xffff), LaneWords.packUnsignedWords(low, high));
  }

  private static long packed(long low, long high, int bits, long least, long most) {
    long result = 0;
    for (int at = 0; at < 64; at += bits) {
      long value = PackedMath.sign(at < 32 ? low : high, 2 * at & 63, 2 * bits);
      result |= (within(value, least, most) & -1L >>> 64 - bits) << at;
    }
    return result;
  }
}
