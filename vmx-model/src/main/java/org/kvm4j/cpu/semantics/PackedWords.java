package org.kvm4j.cpu.semantics;

/**
 * Arithmetic on all 1-, 2-, 4- or 8-byte elements of a 64-bit word at once: what vector
 * instructions do to each word of their operands, for the interpreter's handlers and for translated
 * code. Unless it says otherwise, {@code a} is the first source (the destination without VEX) and
 * {@code b} the second. SDM Vol. 2, each instruction's page.
 *
 * <p>No carry leaves an element: the highest bits are kept apart, and what says something of an
 * element is first found in its highest bit, then spread over it.
 */
public final class PackedWords {
  /** The highest bit of each byte, word and doubleword. */
  private static final long TOPS8 = 0x8080808080808080L;

  private static final long TOPS16 = 0x8000800080008000L;
  private static final long TOPS32 = 0x8000000080000000L;

  /** The lowest bit of each word and doubleword. */
  private static final long ONES16 = 0x0001000100010001L;

  private static final long ONES32 = 0x0000000100000001L;

  private PackedWords() {}

  // ---- logic ----

  /** PAND. */
  public static long and(long a, long b) {
    return a & b;
  }

  /** PANDN. */
  public static long andNot(long a, long b) {
    return ~a & b;
  }

  /** POR. */
  public static long or(long a, long b) {
    return a | b;
  }

  /** PXOR. */
  public static long xor(long a, long b) {
    return a ^ b;
  }

  /** Where the mask has ones {@code a}, elsewhere {@code b}. */
  private static long choose(long mask, long a, long b) {
    return b ^ (a ^ b) & mask;
  }

  /** All ones where the highest bit of an element is set; only highest bits may be. */
  private static long spread(long tops, int bits) {
    return (tops << 1) - (tops >>> bits - 1);
  }

  // ---- addition and subtraction that wrap ----

  private static long add(long a, long b, long tops) {
    return (a & ~tops) + (b & ~tops) ^ (a ^ b) & tops;
  }

  private static long subtract(long a, long b, long tops) {
    return (a | tops) - (b & ~tops) ^ (a ^ ~b) & tops;
  }

  /** PADDB. */
  public static long addBytes(long a, long b) {
    return add(a, b, TOPS8);
  }

  /** PADDW. */
  public static long addWords(long a, long b) {
    return add(a, b, TOPS16);
  }

  /** PADDD. */
  public static long addDoublewords(long a, long b) {
    return add(a, b, TOPS32);
  }

  /** PADDQ. */
  public static long addQuadwords(long a, long b) {
    return a + b;
  }

  /** PSUBB. */
  public static long subtractBytes(long a, long b) {
    return subtract(a, b, TOPS8);
  }

  /** PSUBW. */
  public static long subtractWords(long a, long b) {
    return subtract(a, b, TOPS16);
  }

  /** PSUBD. */
  public static long subtractDoublewords(long a, long b) {
    return subtract(a, b, TOPS32);
  }

  /** PSUBQ. */
  public static long subtractQuadwords(long a, long b) {
    return a - b;
  }

  // ---- addition and subtraction that saturate ----

  /** Sums or differences, but the limit of the sign of {@code a} where they overflow. */
  private static long limit(long result, long overflow, long a, long tops, int bits) {
    long limits = ~tops + ((a & tops) >>> bits - 1);
    return choose(spread(overflow & tops, bits), limits, result);
  }

  private static long addSigned(long a, long b, long tops, int bits) {
    long sum = add(a, b, tops);
    return limit(sum, ~(a ^ b) & (a ^ sum), a, tops, bits);
  }

  private static long subtractSigned(long a, long b, long tops, int bits) {
    long difference = subtract(a, b, tops);
    return limit(difference, (a ^ b) & (a ^ difference), a, tops, bits);
  }

  private static long addUnsigned(long a, long b, long tops, int bits) {
    long sum = add(a, b, tops);
    long carries = a & b | (a | b) & ~sum;
    return sum | spread(carries & tops, bits);
  }

  private static long subtractUnsigned(long a, long b, long tops, int bits) {
    long difference = subtract(a, b, tops);
    long borrows = ~a & b | ~(a ^ b) & difference;
    return difference & ~spread(borrows & tops, bits);
  }

  /** PADDSB. */
  public static long addSignedBytes(long a, long b) {
    return addSigned(a, b, TOPS8, 8);
  }

  /** PADDSW. */
  public static long addSignedWords(long a, long b) {
    return addSigned(a, b, TOPS16, 16);
  }

  /** PSUBSB. */
  public static long subtractSignedBytes(long a, long b) {
    return subtractSigned(a, b, TOPS8, 8);
  }

  /** PSUBSW. */
  public static long subtractSignedWords(long a, long b) {
    return subtractSigned(a, b, TOPS16, 16);
  }

  /** PADDUSB. */
  public static long addUnsignedBytes(long a, long b) {
    return addUnsigned(a, b, TOPS8, 8);
  }

  /** PADDUSW. */
  public static long addUnsignedWords(long a, long b) {
    return addUnsigned(a, b, TOPS16, 16);
  }

  /** PSUBUSB. */
  public static long subtractUnsignedBytes(long a, long b) {
    return subtractUnsigned(a, b, TOPS8, 8);
  }

  /** PSUBUSW. */
  public static long subtractUnsignedWords(long a, long b) {
    return subtractUnsigned(a, b, TOPS16, 16);
  }

  // ---- averages, absolute values, signs ----

  /** PAVGB: the upper one of two halves. */
  public static long averageBytes(long a, long b) {
    return (a | b) - ((a ^ b) >>> 1 & ~TOPS8);
  }

  /** PAVGW: the upper one of two halves. */
  public static long averageWords(long a, long b) {
    return (a | b) - ((a ^ b) >>> 1 & ~TOPS16);
  }

  /** The values, negated where the mask has ones. */
  private static long negate(long values, long mask, long tops) {
    return subtract(values ^ mask, mask, tops);
  }

  /** PABSB of {@code b}. */
  public static long absoluteBytes(long a, long b) {
    return negate(b, spread(b & TOPS8, 8), TOPS8);
  }

  /** PABSW of {@code b}. */
  public static long absoluteWords(long a, long b) {
    return negate(b, spread(b & TOPS16, 16), TOPS16);
  }

  /** PABSD of {@code b}. */
  public static long absoluteDoublewords(long a, long b) {
    return negate(b, spread(b & TOPS32, 32), TOPS32);
  }

  /** PSIGNB. */
  public static long signBytes(long a, long b) {
    return negate(a, spread(b & TOPS8, 8), TOPS8) & ~equalBytes(b, 0);
  }

  /** PSIGNW. */
  public static long signWords(long a, long b) {
    return negate(a, spread(b & TOPS16, 16), TOPS16) & ~equalWords(b, 0);
  }

  /** PSIGND. */
  public static long signDoublewords(long a, long b) {
    return negate(a, spread(b & TOPS32, 32), TOPS32) & ~equalDoublewords(b, 0);
  }

  // ---- comparison: all ones where it holds, otherwise zero ----

  private static long equal(long a, long b, long tops, int bits) {
    long x = a ^ b;
    long unequal = (x & ~tops) + ~tops | x;
    return spread(~unequal & tops, bits);
  }

  /** The sign of b - a, had it a bit more; with highest bits inverted, that of unsigned numbers. */
  private static long greater(long a, long b, long tops, int bits) {
    long x = a ^ b;
    return spread((x & b | ~x & subtract(b, a, tops)) & tops, bits);
  }

  /** PCMPEQB. */
  public static long equalBytes(long a, long b) {
    return equal(a, b, TOPS8, 8);
  }

  /** PCMPEQW. */
  public static long equalWords(long a, long b) {
    return equal(a, b, TOPS16, 16);
  }

  /** PCMPEQD. */
  public static long equalDoublewords(long a, long b) {
    return equal(a, b, TOPS32, 32);
  }

  /** PCMPEQQ. */
  public static long equalQuadwords(long a, long b) {
    return a == b ? -1 : 0;
  }

  /** PCMPGTB. */
  public static long greaterBytes(long a, long b) {
    return greater(a, b, TOPS8, 8);
  }

  /** PCMPGTW. */
  public static long greaterWords(long a, long b) {
    return greater(a, b, TOPS16, 16);
  }

  /** PCMPGTD. */
  public static long greaterDoublewords(long a, long b) {
    return greater(a, b, TOPS32, 32);
  }

  /** PCMPGTQ. */
  public static long greaterQuadwords(long a, long b) {
    return a > b ? -1 : 0;
  }

  // ---- minimum and maximum ----

  private static long greaterUnsigned(long a, long b, long tops, int bits) {
    return greater(a ^ tops, b ^ tops, tops, bits);
  }

  /** PMINSB. */
  public static long minSignedBytes(long a, long b) {
    return choose(greaterBytes(a, b), b, a);
  }

  /** PMINSW. */
  public static long minSignedWords(long a, long b) {
    return choose(greaterWords(a, b), b, a);
  }

  /** PMINSD. */
  public static long minSignedDoublewords(long a, long b) {
    return choose(greaterDoublewords(a, b), b, a);
  }

  /** PMAXSB. */
  public static long maxSignedBytes(long a, long b) {
    return choose(greaterBytes(a, b), a, b);
  }

  /** PMAXSW. */
  public static long maxSignedWords(long a, long b) {
    return choose(greaterWords(a, b), a, b);
  }

  /** PMAXSD. */
  public static long maxSignedDoublewords(long a, long b) {
    return choose(greaterDoublewords(a, b), a, b);
  }

  /** PMINUB. */
  public static long minUnsignedBytes(long a, long b) {
    return choose(greaterUnsigned(a, b, TOPS8, 8), b, a);
  }

  /** PMINUW. */
  public static long minUnsignedWords(long a, long b) {
    return choose(greaterUnsigned(a, b, TOPS16, 16), b, a);
  }

  /** PMINUD. */
  public static long minUnsignedDoublewords(long a, long b) {
    return choose(greaterUnsigned(a, b, TOPS32, 32), b, a);
  }

  /** PMAXUB. */
  public static long maxUnsignedBytes(long a, long b) {
    return choose(greaterUnsigned(a, b, TOPS8, 8), a, b);
  }

  /** PMAXUW. */
  public static long maxUnsignedWords(long a, long b) {
    return choose(greaterUnsigned(a, b, TOPS16, 16), a, b);
  }

  /** PMAXUD. */
  public static long maxUnsignedDoublewords(long a, long b) {
    return choose(greaterUnsigned(a, b, TOPS32, 32), a, b);
  }

  // ---- multiplication ----

  /** The product of the signed words at a bit offset. */
  private static int product(long a, long b, int at) {
    return (short) (a >>> at) * (short) (b >>> at);
  }

  /** The product of the unsigned words at a bit offset. */
  private static int productUnsigned(long a, long b, int at) {
    return ((int) (a >>> at) & 0xffff) * ((int) (b >>> at) & 0xffff);
  }

  /** The lowest 16 bits of each as one word, the first lowest. */
  private static long words(int w0, int w1, int w2, int w3) {
    return w0 & 0xffffL | (w1 & 0xffffL) << 16 | (w2 & 0xffffL) << 32 | (long) w3 << 48;
  }

  /** PMULLW. */
  public static long multiplyLowWords(long a, long b) {
    return words(product(a, b, 0), product(a, b, 16), product(a, b, 32), product(a, b, 48));
  }

  /** PMULHW. */
  public static long multiplyHighWords(long a, long b) {
    return words(
        product(a, b, 0) >> 16,
        product(a, b, 16) >> 16,
        product(a, b, 32) >> 16,
        product(a, b, 48) >> 16);
  }

  /** PMULHUW. */
  public static long multiplyHighUnsignedWords(long a, long b) {
    return words(
        productUnsigned(a, b, 0) >> 16,
        productUnsigned(a, b, 16) >> 16,
        productUnsigned(a, b, 32) >> 16,
        productUnsigned(a, b, 48) >> 16);
  }

  private static int rounded(int product) {
    return (product >> 14) + 1 >> 1;
  }

  /** PMULHRSW. */
  public static long multiplyRoundWords(long a, long b) {
    return words(
        rounded(product(a, b, 0)),
        rounded(product(a, b, 16)),
        rounded(product(a, b, 32)),
        rounded(product(a, b, 48)));
  }

  /** PMULLD. */
  public static long multiplyLowDoublewords(long a, long b) {
    return a * b & 0xffffffffL | (a >>> 32) * (b >>> 32) << 32;
  }

  /** PMULDQ: the product of the lower halves' signed 32 bits. */
  public static long multiplySigned(long a, long b) {
    return (long) (int) a * (int) b;
  }

  /** PMULUDQ: the product of the lower halves' unsigned 32 bits. */
  public static long multiplyUnsigned(long a, long b) {
    return (a & 0xffffffffL) * (b & 0xffffffffL);
  }

  /** PMADDWD: products of signed words, added in pairs; all four -8000H wrap. */
  public static long multiplyAddWords(long a, long b) {
    int low = product(a, b, 0) + product(a, b, 16);
    int high = product(a, b, 32) + product(a, b, 48);
    return (long) high << 32 | low & 0xffffffffL;
  }

  /** The sum of two products of an unsigned and a signed byte, saturated to 16 bits. */
  private static int sumOfProducts(long a, long b, int at) {
    int first = ((int) (a >>> at) & 0xff) * (byte) (b >>> at);
    int second = ((int) (a >>> at + 8) & 0xff) * (byte) (b >>> at + 8);
    return Math.max(-0x8000, Math.min(0x7fff, first + second));
  }

  /** PMADDUBSW: unsigned by signed bytes, added in pairs, saturated to signed words. */
  public static long multiplyAddBytes(long a, long b) {
    return words(
        sumOfProducts(a, b, 0),
        sumOfProducts(a, b, 16),
        sumOfProducts(a, b, 32),
        sumOfProducts(a, b, 48));
  }

  /** PSADBW: the sum of the absolute differences of unsigned bytes. */
  public static long sumOfDifferences(long a, long b) {
    long d = subtractUnsignedBytes(a, b) | subtractUnsignedBytes(b, a);
    long pairs = (d & ~0xff00ff00ff00ff00L) + (d >>> 8 & ~0xff00ff00ff00ff00L);
    return pairs * ONES16 >>> 48;
  }

  // ---- shifts: all elements of a by an unsigned count of 64 bits, which may be beyond them ----

  /** PSLLW. */
  public static long shiftLeftWords(long a, long count) {
    return count >>> 4 != 0 ? 0 : a << count & ONES16 * (0xffff << count & 0xffff);
  }

  /** PSLLD. */
  public static long shiftLeftDoublewords(long a, long count) {
    return count >>> 5 != 0 ? 0 : a << count & ONES32 * (0xffffffffL << count & 0xffffffffL);
  }

  /** PSLLQ. */
  public static long shiftLeftQuadwords(long a, long count) {
    return count >>> 6 != 0 ? 0 : a << count;
  }

  /** PSRLW. */
  public static long shiftRightWords(long a, long count) {
    return count >>> 4 != 0 ? 0 : a >>> count & ONES16 * (0xffff >>> count);
  }

  /** PSRLD. */
  public static long shiftRightDoublewords(long a, long count) {
    return count >>> 5 != 0 ? 0 : a >>> count & ONES32 * (0xffffffffL >>> count);
  }

  /** PSRLQ. */
  public static long shiftRightQuadwords(long a, long count) {
    return count >>> 6 != 0 ? 0 : a >>> count;
  }

  /** PSRAW. */
  public static long shiftArithmeticWords(long a, long count) {
    long by = count >>> 4 != 0 ? 15 : count;
    long kept = ONES16 * (0xffff >>> by);
    return a >>> by & kept | spread(a & TOPS16, 16) & ~kept;
  }

  /** PSRAD. */
  public static long shiftArithmeticDoublewords(long a, long count) {
    long by = count >>> 5 != 0 ? 31 : count;
    long kept = ONES32 * (0xffffffffL >>> by);
    return a >>> by & kept | spread(a & TOPS32, 32) & ~kept;
  }

  // ---- signs ----

  /** PMOVMSKB of a word: the highest bits of its bytes, in bits 0 to 7. */
  public static long signsOfBytes(long a) {
    // Bit 8i moves to 56 + i by 2^(7 (8 - i)); no two products of a bit and a power are the same.
    return (a >>> 7 & 0x0101010101010101L) * 0x0102040810204080L >>> 56;
  }

  /** MOVMSKPS of a word: the highest bits of its doublewords, in bits 0 and 1. */
  public static long signsOfDoublewords(long a) {
    return a >>> 31 & 1 | a >>> 62 & 2;
  }
}
