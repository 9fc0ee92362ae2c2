package org.kvm4j.cpu.semantics;

/**
 * The rounds of AES on a state of two words, the lower one being columns 0 and 1: byte 4c + r is
 * row r of column c. Each method gives one word of the result. FIPS 197; SDM Vol. 1, 12.13
 * "Advanced Encryption Standard New Instructions"; Vol. 2, each instruction's page.
 *
 * <p>A column of a round is what four bytes, one of each row, come to. What a byte adds is in a
 * table: 256 columns for each row, those of row 0 first.
 */
public final class AesRounds {
  private static final int[] SUBSTITUTE = new int[256];
  private static final int[] RESTORE = new int[256];

  /** SubBytes and MixColumns. */
  private static final int[] ENCRYPT = new int[4 * 256];

  /** Their inverses. */
  private static final int[] DECRYPT = new int[4 * 256];

  /** The inverse of MixColumns alone. */
  private static final int[] UNMIX = new int[4 * 256];

  static {
    for (int x = 0; x < 256; x++) {
      int b = GaloisField.inverse(x);
      int spread = b * 0x101;
      int s = (b ^ spread >> 4 ^ spread >> 5 ^ spread >> 6 ^ spread >> 7 ^ 0x63) & 0xff;
      SUBSTITUTE[x] = s;
      RESTORE[s] = x;
    }
    for (int x = 0; x < 256; x++) {
      for (int row = 0; row < 4; row++) {
        int at = 256 * row + x;
        ENCRYPT[at] = Integer.rotateLeft(column(SUBSTITUTE[x], 2, 1, 1, 3), 8 * row);
        DECRYPT[at] = Integer.rotateLeft(column(RESTORE[x], 14, 9, 13, 11), 8 * row);
        UNMIX[at] = Integer.rotateLeft(column(x, 14, 9, 13, 11), 8 * row);
      }
    }
  }

  private AesRounds() {}

  /** A byte by four factors. */
  private static int column(int x, int row0, int row1, int row2, int row3) {
    return GaloisField.multiply(x, row0)
        | GaloisField.multiply(x, row1) << 8
        | GaloisField.multiply(x, row2) << 16
        | GaloisField.multiply(x, row3) << 24;
  }

  // ---- a column of four bytes, each where its row is in a word ----

  private static int mixed(int[] table, long row0, long row1, long row2, long row3) {
    return table[(int) row0 & 0xff]
        ^ table[(int) (row1 >>> 8) & 0xff | 0x100]
        ^ table[(int) (row2 >>> 16) & 0xff | 0x200]
        ^ table[(int) (row3 >>> 24) & 0xff | 0x300];
  }

  private static int replaced(int[] box, long row0, long row1, long row2, long row3) {
    return box[(int) row0 & 0xff]
        | box[(int) (row1 >>> 8) & 0xff] << 8
        | box[(int) (row2 >>> 16) & 0xff] << 16
        | box[(int) (row3 >>> 24) & 0xff] << 24;
  }

  private static long columns(int first, int second) {
    return first & 0xffffffffL | (long) second << 32;
  }

  /**
   * Two columns of a round: each row comes from as many columns further on. The upper word does as
   * the lower one does with the words exchanged.
   */
  private static long shifted(int[] table, long low, long high) {
    return columns(
        mixed(table, low, low >>> 32, high, high >>> 32),
        mixed(table, low >>> 32, high, high >>> 32, low));
  }

  /** The same of the inverse: each row comes from as many columns back. */
  private static long shiftedBack(int[] table, long low, long high) {
    return columns(
        mixed(table, low, high >>> 32, high, low >>> 32),
        mixed(table, low >>> 32, low, high >>> 32, high));
  }

  // ---- the instructions ----

  /** AESENC. */
  public static long encryptLow(long aLow, long aHigh, long bLow, long bHigh) {
    return shifted(ENCRYPT, aLow, aHigh) ^ bLow;
  }

  /** AESENC. */
  public static long encryptHigh(long aLow, long aHigh, long bLow, long bHigh) {
    return shifted(ENCRYPT, aHigh, aLow) ^ bHigh;
  }

  /** AESDEC. */
  public static long decryptLow(long aLow, long aHigh, long bLow, long bHigh) {
    return shiftedBack(DECRYPT, aLow, aHigh) ^ bLow;
  }

  /** AESDEC. */
  public static long decryptHigh(long aLow, long aHigh, long bLow, long bHigh) {
    return shiftedBack(DECRYPT, aHigh, aLow) ^ bHigh;
  }

  private static long encryptLast(long low, long high) {
    return columns(
        replaced(SUBSTITUTE, low, low >>> 32, high, high >>> 32),
        replaced(SUBSTITUTE, low >>> 32, high, high >>> 32, low));
  }

  private static long decryptLast(long low, long high) {
    return columns(
        replaced(RESTORE, low, high >>> 32, high, low >>> 32),
        replaced(RESTORE, low >>> 32, low, high >>> 32, high));
  }

  /** AESENCLAST. */
  public static long encryptLastLow(long aLow, long aHigh, long bLow, long bHigh) {
    return encryptLast(aLow, aHigh) ^ bLow;
  }

  /** AESENCLAST. */
  public static long encryptLastHigh(long aLow, long aHigh, long bLow, long bHigh) {
    return encryptLast(aHigh, aLow) ^ bHigh;
  }

  /** AESDECLAST. */
  public static long decryptLastLow(long aLow, long aHigh, long bLow, long bHigh) {
    return decryptLast(aLow, aHigh) ^ bLow;
  }

  /** AESDECLAST. */
  public static long decryptLastHigh(long aLow, long aHigh, long bLow, long bHigh) {
    return decryptLast(aHigh, aLow) ^ bHigh;
  }

  /** AESIMC: each word of {@code b} by itself. */
  public static long unmixColumns(long a, long b) {
    long upper = b >>> 32;
    return columns(mixed(UNMIX, b, b, b, b), mixed(UNMIX, upper, upper, upper, upper));
  }

  /**
   * AESKEYGENASSIST: each word of {@code b} by itself. Of its upper column: SubWord, and RotWord of
   * it with the round constant.
   *
   * @param constant 0 to 255
   */
  public static long assistKey(long b, int constant) {
    long upper = b >>> 32;
    int word = replaced(SUBSTITUTE, upper, upper, upper, upper);
    return columns(word, Integer.rotateRight(word, 8) ^ constant);
  }
}
