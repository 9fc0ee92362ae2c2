package org.kvm4j.cpu.semantics;

/**
 * What the SHA instructions make of XMM registers; each method gives one 64-bit word of the result.
 * Words of the algorithms have 32 bits and are numbered from the lowest; SHA-1 keeps its earliest
 * one highest. FIPS 180-4; SDM Vol. 2, each instruction's page.
 */
public final class ShaWords {
  private ShaWords() {}

  private static int upper(long words) {
    return (int) (words >>> 32);
  }

  private static long words(int upper, int lower) {
    return (long) upper << 32 | lower & 0xffffffffL;
  }

  // ---- SHA-1 ----

  private static final int[] SHA1_CONSTANTS = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};

  /** SHA1NEXTE, the lower word. */
  public static long nextELow(long aLow, long aHigh, long bLow, long bHigh) {
    return bLow;
  }

  /** SHA1NEXTE, the upper word. */
  public static long nextEHigh(long aLow, long aHigh, long bLow, long bHigh) {
    return words(upper(bHigh) + Integer.rotateLeft(upper(aHigh), 30), (int) bHigh);
  }

  /** SHA1MSG1, the lower word. */
  public static long sha1Message1Low(long aLow, long aHigh, long bLow, long bHigh) {
    return bHigh ^ aLow;
  }

  /** SHA1MSG1, the upper word. */
  public static long sha1Message1High(long aLow, long aHigh, long bLow, long bHigh) {
    return aLow ^ aHigh;
  }

  /** SHA1MSG2, the upper word: W16 and W17. */
  public static long sha1Message2High(long aLow, long aHigh, long bLow, long bHigh) {
    return words(
        Integer.rotateLeft(upper(aHigh) ^ (int) bHigh, 1),
        Integer.rotateLeft((int) aHigh ^ upper(bLow), 1));
  }

  /** SHA1MSG2, the lower word: W18 and W19, which takes W16. */
  public static long sha1Message2Low(long aLow, long aHigh, long bLow, long bHigh) {
    int w16 = Integer.rotateLeft(upper(aHigh) ^ (int) bHigh, 1);
    return words(
        Integer.rotateLeft(upper(aLow) ^ (int) bLow, 1), Integer.rotateLeft((int) aLow ^ w16, 1));
  }

  /**
   * What A becomes in a round.
   *
   * @param e with the message's word
   */
  private static int round(int function, int a, int b, int c, int d, int e) {
    int f =
        switch (function) {
          case 0 -> b & c ^ ~b & d;
          case 2 -> b & c ^ b & d ^ c & d;
          default -> b ^ c ^ d;
        };
    return f + Integer.rotateLeft(a, 5) + e + SHA1_CONSTANTS[function];
  }

  /**
   * SHA1RNDS4, the lower word: what A was after the first and the second round, as C and D.
   *
   * @param imm bits 0 and 1: which function and constant
   */
  public static long fourRoundsLow(long aLow, long aHigh, long bLow, long bHigh, int imm) {
    int a = upper(aHigh);
    int b = (int) aHigh;
    int c = upper(aLow);
    int d = (int) aLow;
    // E of the first round is in the first word of the message already.
    int a1 = round(imm & 3, a, b, c, d, upper(bHigh));
    int a2 = round(imm & 3, a1, a, Integer.rotateLeft(b, 30), c, d + (int) bHigh);
    return words(Integer.rotateLeft(a2, 30), Integer.rotateLeft(a1, 30));
  }

  /**
   * SHA1RNDS4, the upper word: A and B after four rounds.
   *
   * @param imm bits 0 and 1: which function and constant
   */
  public static long fourRoundsHigh(long aLow, long aHigh, long bLow, long bHigh, int imm) {
    long first = fourRoundsLow(aLow, aHigh, bLow, bHigh, imm);
    int c = upper(first);
    int d = (int) first;
    int a2 = Integer.rotateRight(c, 30);
    int a1 = Integer.rotateRight(d, 30);
    int a0 = Integer.rotateLeft(upper(aHigh), 30);
    int b0 = Integer.rotateLeft((int) aHigh, 30);
    int a3 = round(imm & 3, a2, a1, a0, b0, upper(aLow) + upper(bLow));
    int a4 = round(imm & 3, a3, a2, d, a0, b0 + (int) bLow);
    return words(a4, a3);
  }

  // ---- SHA-256 ----

  private static int sigma(int x, int rotated1, int rotated2, int shifted) {
    return Integer.rotateRight(x, rotated1) ^ Integer.rotateRight(x, rotated2) ^ x >>> shifted;
  }

  private static int sigma0(int x) {
    return sigma(x, 7, 18, 3);
  }

  private static int sigma1(int x) {
    return sigma(x, 17, 19, 10);
  }

  /** SHA256MSG1, the lower word. */
  public static long sha256Message1Low(long aLow, long aHigh, long bLow, long bHigh) {
    return words(upper(aLow) + sigma0((int) aHigh), (int) aLow + sigma0(upper(aLow)));
  }

  /** SHA256MSG1, the upper word. */
  public static long sha256Message1High(long aLow, long aHigh, long bLow, long bHigh) {
    return words(upper(aHigh) + sigma0((int) bLow), (int) aHigh + sigma0(upper(aHigh)));
  }

  /** SHA256MSG2, the lower word: W16 and W17. */
  public static long sha256Message2Low(long aLow, long aHigh, long bLow, long bHigh) {
    return words(upper(aLow) + sigma1(upper(bHigh)), (int) aLow + sigma1((int) bHigh));
  }

  /** SHA256MSG2, the upper word: W18 and W19, which take W16 and W17. */
  public static long sha256Message2High(long aLow, long aHigh, long bLow, long bHigh) {
    long first = sha256Message2Low(aLow, aHigh, bLow, bHigh);
    return words(upper(aHigh) + sigma1(upper(first)), (int) aHigh + sigma1((int) first));
  }

  private static int bigSigma(int x, int n1, int n2, int n3) {
    return Integer.rotateRight(x, n1) ^ Integer.rotateRight(x, n2) ^ Integer.rotateRight(x, n3);
  }

  /**
   * What a round adds to D.
   *
   * @param h with the message's word and its constant
   */
  private static int addend(int e, int f, int g, int h) {
    return (e & f ^ ~e & g) + bigSigma(e, 6, 11, 25) + h;
  }

  private static int sumOfA(int a, int b, int c) {
    return (a & b ^ a & c ^ b & c) + bigSigma(a, 2, 13, 22);
  }

  /**
   * SHA256RNDS2, the lower word: E and F after two rounds.
   *
   * @param aLow G and H
   * @param aHigh C and D
   * @param bLow E and F
   * @param bHigh A and B
   * @param message the lower word of XMM0
   */
  public static long twoRoundsLow(long aLow, long aHigh, long bLow, long bHigh, long message) {
    int e = upper(bLow);
    int f = (int) bLow;
    int g = upper(aLow);
    int e1 = (int) aHigh + addend(e, f, g, (int) aLow + (int) message);
    return words(upper(aHigh) + addend(e1, e, f, g + upper(message)), e1);
  }

  /** SHA256RNDS2, the upper word: A and B after two rounds; see {@link #twoRoundsLow}. */
  public static long twoRoundsHigh(long aLow, long aHigh, long bLow, long bHigh, long message) {
    long lower = twoRoundsLow(aLow, aHigh, bLow, bHigh, message);
    int a = upper(bHigh);
    int b = (int) bHigh;
    int c = upper(aHigh);
    int a1 = (int) lower - (int) aHigh + sumOfA(a, b, c);
    return words(upper(lower) - c + sumOfA(a1, a, b), a1);
  }
}
