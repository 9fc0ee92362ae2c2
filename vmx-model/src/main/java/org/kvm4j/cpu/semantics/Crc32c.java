package org.kvm4j.cpu.semantics;

/**
 * The CRC32 instruction's code, of the polynomial 11EDC6F41H with bits reflected. SDM Vol. 2,
 * "CRC32—Accumulate CRC32 Value".
 */
public final class Crc32c {
  /**
   * What a byte comes to after as many bytes of zeroes as the table's number: 8 tables of 256. So
   * eight bytes are eight look-ups that do not wait for each other.
   */
  private static final int[] AFTER = new int[8 * 256];

  static {
    for (int x = 0; x < 256; x++) {
      int crc = x;
      for (int bit = 0; bit < 8; bit++) {
        crc = crc >>> 1 ^ ((crc & 1) != 0 ? 0x82f63b78 : 0);
      }
      AFTER[x] = crc;
    }
    for (int at = 256; at < AFTER.length; at++) {
      AFTER[at] = accumulateByte(AFTER[at - 256], 0);
    }
  }

  private Crc32c() {}

  /**
   * Accumulates the low bytes of a value, the lowest first.
   *
   * @param size bytes: 1, 2, 4 or 8
   */
  public static int accumulate(int crc, long value, int size) {
    return switch (size) {
      case 1 -> accumulateByte(crc, value);
      case 2 -> accumulateWord(crc, value);
      case 4 -> accumulateDoubleword(crc, value);
      default -> accumulateQuadword(crc, value);
    };
  }

  /** Accumulates the lowest 8 bits. */
  public static int accumulateByte(int crc, long value) {
    return crc >>> 8 ^ AFTER[(crc ^ (int) value) & 0xff];
  }

  /** Accumulates the lowest 16 bits. */
  public static int accumulateWord(int crc, long value) {
    int x = crc ^ (int) value;
    return crc >>> 16 ^ AFTER[x & 0xff | 0x100] ^ AFTER[x >>> 8 & 0xff];
  }

  /** Accumulates the lowest 32 bits. */
  public static int accumulateDoubleword(int crc, long value) {
    return after(crc ^ (int) value, 0);
  }

  /** Accumulates 64 bits. */
  public static int accumulateQuadword(int crc, long value) {
    return after(crc ^ (int) value, 0x400) ^ after((int) (value >>> 32), 0);
  }

  /** What four bytes come to. */
  private static int after(int x, int table) {
    return AFTER[x & 0xff | 0x300 + table]
        ^ AFTER[x >>> 8 & 0xff | 0x200 + table]
        ^ AFTER[x >>> 16 & 0xff | 0x100 + table]
        ^ AFTER[x >>> 24 | table];
  }
}
