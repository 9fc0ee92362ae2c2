package org.kvm4j.cpu.semantics;

/**
 * Shuffles, unpacking and packing: 64-bit words of a result, made of words of which an instruction
 * chooses the ones. What becomes of which word of an XMM register, {@code a} being the first source
 * (the destination without VEX) and {@code b} the second, is for the interpreter's handlers and
 * translated code to say alike:
 *
 * <pre>
 * instruction              low word                          high word
 * PUNPCKLBW, WD, DQ        unpackLow...(aLow, bLow)          unpackHigh...(aLow, bLow)
 * PUNPCKHBW, WD, DQ        unpackLow...(aHigh, bHigh)        unpackHigh...(aHigh, bHigh)
 * PACKSSWB and so on       pack...(aLow, aHigh)              pack...(bLow, bHigh)
 * PSHUFD                   doublewords(bLow, bHigh, imm)     doublewords(bLow, bHigh, imm >> 4)
 * SHUFPS                   doublewords(aLow, aHigh, imm)     doublewords(bLow, bHigh, imm >> 4)
 * PSHUFLW                  words(bLow, imm)                  bHigh
 * PSHUFHW                  bLow                              words(bHigh, imm)
 * PSHUFB                   bytes(aLow, aHigh, bLow)          bytes(aLow, aHigh, bHigh)
 * PALIGNR                  alignLow(a, b, imm)               alignHigh(a, b, imm)
 * PSRLDQ                   alignLow(0, b, imm)               alignHigh(0, b, imm)
 * PSLLDQ                   alignLow(b, 0, 16 - imm)          alignHigh(b, 0, 16 - imm)
 * </pre>
 *
 * SDM Vol. 2, each instruction's page.
 */
public final class LaneWords {
  private static final long EVEN_BYTES = 0x00ff00ff00ff00ffL;
  private static final long EVEN_WORDS = 0x0000ffff0000ffffL;
  private static final long LOW = 0xffffffffL;

  private LaneWords() {}

  // ---- unpacking: elements of a and b in turn, those of a first ----

  /** The lower two words, each in 32 bits. */
  private static long apartWords(long x) {
    return (x & LOW | x << 16) & EVEN_WORDS;
  }

  /** The lower four bytes, each in 16 bits. */
  private static long apartBytes(long x) {
    long words = apartWords(x);
    return (words | words << 8) & EVEN_BYTES;
  }

  /** The lower four bytes of each source. */
  public static long unpackLowBytes(long a, long b) {
    return apartBytes(a) | apartBytes(b) << 8;
  }

  /** The upper four bytes of each source. */
  public static long unpackHighBytes(long a, long b) {
    return unpackLowBytes(a >>> 32, b >>> 32);
  }

  /** The lower two words of each source. */
  public static long unpackLowWords(long a, long b) {
    return apartWords(a) | apartWords(b) << 16;
  }

  /** The upper two words of each source. */
  public static long unpackHighWords(long a, long b) {
    return unpackLowWords(a >>> 32, b >>> 32);
  }

  /** The lower doubleword of each source. */
  public static long unpackLowDoublewords(long a, long b) {
    return a & LOW | b << 32;
  }

  /** The upper doubleword of each source. */
  public static long unpackHighDoublewords(long a, long b) {
    return a >>> 32 | b & ~LOW;
  }

  // ---- packing: elements of two words, saturated to half their size ----

  /** The even bytes in the lower half. */
  private static long togetherBytes(long x) {
    long pairs = x & EVEN_BYTES;
    return togetherWords(pairs | pairs >>> 8);
  }

  /** The even words in the lower half. */
  private static long togetherWords(long x) {
    long pairs = x & EVEN_WORDS;
    return (pairs | pairs >>> 16) & LOW;
  }

  private static long withinWords(long x, long least, long most) {
    return PackedWords.maxSignedWords(PackedWords.minSignedWords(x, most), least);
  }

  private static long withinDoublewords(long x, long least, long most) {
    return PackedWords.maxSignedDoublewords(PackedWords.minSignedDoublewords(x, most), least);
  }

  private static long signedBytes(long x) {
    return togetherBytes(withinWords(x, 0xff80ff80ff80ff80L, 0x007f007f007f007fL));
  }

  private static long unsignedBytes(long x) {
    return togetherBytes(withinWords(x, 0, EVEN_BYTES));
  }

  private static long signedWords(long x) {
    return togetherWords(withinDoublewords(x, 0xffff8000ffff8000L, 0x00007fff00007fffL));
  }

  private static long unsignedWords(long x) {
    return togetherWords(withinDoublewords(x, 0, EVEN_WORDS));
  }

  /** PACKSSWB. */
  public static long packSignedBytes(long low, long high) {
    return signedBytes(low) | signedBytes(high) << 32;
  }

  /** PACKUSWB. */
  public static long packUnsignedBytes(long low, long high) {
    return unsignedBytes(low) | unsignedBytes(high) << 32;
  }

  /** PACKSSDW. */
  public static long packSignedWords(long low, long high) {
    return signedWords(low) | signedWords(high) << 32;
  }

  /** PACKUSDW. */
  public static long packUnsignedWords(long low, long high) {
    return unsignedWords(low) | unsignedWords(high) << 32;
  }

  // ---- shuffles ----

  /**
   * Two doublewords out of four.
   *
   * @param order bits 0 and 1: which becomes the lower one; 2 and 3: the upper
   */
  public static long doublewords(long low, long high, int order) {
    long first = ((order & 2) == 0 ? low : high) >>> 32 * (order & 1) & LOW;
    long second = ((order & 8) == 0 ? low : high) >>> 8 * (order & 4);
    return first | second << 32;
  }

  /**
   * The four words of a word.
   *
   * @param order which becomes each, two bits for each, the lowest first
   */
  public static long words(long from, int order) {
    return from >>> 16 * (order & 3) & 0xffff
        | (from >>> 16 * (order >> 2 & 3) & 0xffff) << 16
        | (from >>> 16 * (order >> 4 & 3) & 0xffff) << 32
        | from >>> 16 * (order >> 6 & 3) << 48;
  }

  /** One byte of 16, or zero where bit 7 of the index is set. */
  private static long chosen(long low, long high, long index) {
    long word = low ^ (low ^ high) & -(index >>> 3 & 1);
    return word >>> (index << 3) & 0xff & (index >>> 7 & 1) - 1;
  }

  /**
   * PSHUFB: eight bytes out of 16.
   *
   * @param indices which becomes each, by bits 0 to 3; zero where bit 7 is set
   */
  public static long bytes(long low, long high, long indices) {
    return chosen(low, high, indices)
        | chosen(low, high, indices >>> 8) << 8
        | chosen(low, high, indices >>> 16) << 16
        | chosen(low, high, indices >>> 24) << 24
        | chosen(low, high, indices >>> 32) << 32
        | chosen(low, high, indices >>> 40) << 40
        | chosen(low, high, indices >>> 48) << 48
        | chosen(low, high, indices >>> 56) << 56;
  }

  // ---- both sources, a above b, shifted right by bytes ----

  /** The word that begins so many bytes into two, 0 to 7. */
  private static long within(long low, long high, int by) {
    return low >>> 8 * by | high << 1 << 63 - 8 * by;
  }

  /**
   * PALIGNR, the lower word.
   *
   * @param by bytes, 0 to 255
   */
  public static long alignLow(long aLow, long aHigh, long bLow, long bHigh, int by) {
    return switch (by >> 3) {
      case 0 -> within(bLow, bHigh, by);
      case 1 -> within(bHigh, aLow, by & 7);
      case 2 -> within(aLow, aHigh, by & 7);
      case 3 -> within(aHigh, 0, by & 7);
      default -> 0;
    };
  }

  /**
   * PALIGNR, the upper word.
   *
   * @param by bytes, 0 to 255
   */
  public static long alignHigh(long aLow, long aHigh, long bLow, long bHigh, int by) {
    // The lower word of what is left when 8 bytes are gone.
    return alignLow(aHigh, 0, bHigh, aLow, by);
  }
}
