package org.kvm4j.cpu.semantics;

import static org.kvm4j.cpu.semantics.VectorLanes.both;
import static org.kvm4j.cpu.semantics.VectorLanes.one;

import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.fpu.VectorUnit;

/**
 * The AES instructions. The state is a lane, byte 4c + r being row r of column c. FIPS 197; SDM
 * Vol. 1, 12.13 "Advanced Encryption Standard New Instructions"; Vol. 2, each instruction's page.
 */
final class Aes {
  private static final int[] SUBSTITUTE = new int[256];
  private static final int[] RESTORE = new int[256];

  /** The column that a byte of row 0 gives in MixColumns. */
  private static final int[] MIX = new int[256];

  /** The same of its inverse. */
  private static final int[] UNMIX = new int[256];

  static {
    for (int x = 0; x < 256; x++) {
      int b = GaloisField.inverse(x);
      int spread = b * 0x101;
      int s = (b ^ spread >> 4 ^ spread >> 5 ^ spread >> 6 ^ spread >> 7 ^ 0x63) & 0xff;
      SUBSTITUTE[x] = s;
      RESTORE[s] = x;
      MIX[x] = column(x, 2, 1, 1, 3);
      UNMIX[x] = column(x, 14, 9, 13, 11);
    }
  }

  private Aes() {}

  private static int column(int x, int row0, int row1, int row2, int row3) {
    return GaloisField.multiply(x, row0)
        | GaloisField.multiply(x, row1) << 8
        | GaloisField.multiply(x, row2) << 16
        | GaloisField.multiply(x, row3) << 24;
  }

  static void register() {
    both((v, at, width, imm) -> round(v, at, 1, SUBSTITUTE, MIX), Opcode.AESENC);
    both((v, at, width, imm) -> lastRound(v, at, 1, SUBSTITUTE), Opcode.AESENCLAST);
    both((v, at, width, imm) -> round(v, at, -1, RESTORE, UNMIX), Opcode.AESDEC);
    both((v, at, width, imm) -> lastRound(v, at, -1, RESTORE), Opcode.AESDECLAST);
    one(Aes::unmixColumns, Opcode.AESIMC);
    one(Aes::assistKey, Opcode.AESKEYGENASSIST);
  }

  /** A byte of a lane, by row and column. */
  private static int at(long[] state, int at, int row, int column) {
    return (int) PackedMath.zero(state, at + 32 * (column & 3) + 8 * row, 8);
  }

  /**
   * ShiftRows, SubBytes, MixColumns, AddRoundKey, or their inverses.
   *
   * @param direction by how many columns each row is shifted more than the one above: 1 or -1
   */
  private static void round(VectorUnit v, int at, int direction, int[] box, int[] mix) {
    for (int column = 0; column < 4; column++) {
      int mixed = 0;
      for (int row = 0; row < 4; row++) {
        int b = box[at(v.a, at, row, column + direction * row)];
        mixed ^= Integer.rotateLeft(mix[b], 8 * row);
      }
      int place = at + 32 * column;
      PackedMath.put(v.d, place, 32, mixed ^ PackedMath.zero(v.b, place, 32));
    }
  }

  private static void lastRound(VectorUnit v, int at, int direction, int[] box) {
    for (int column = 0; column < 4; column++) {
      for (int row = 0; row < 4; row++) {
        int place = at + 32 * column + 8 * row;
        long key = PackedMath.zero(v.b, place, 8);
        PackedMath.put(v.d, place, 8, box[at(v.a, at, row, column + direction * row)] ^ key);
      }
    }
  }

  private static void unmixColumns(VectorUnit v, int at, int width, int imm) {
    for (int column = 0; column < 4; column++) {
      int mixed = 0;
      for (int row = 0; row < 4; row++) {
        mixed ^= Integer.rotateLeft(UNMIX[at(v.b, at, row, column)], 8 * row);
      }
      PackedMath.put(v.d, at + 32 * column, 32, mixed);
    }
  }

  /** Of columns 1 and 3: SubWord, and RotWord of it with the round constant. */
  private static void assistKey(VectorUnit v, int at, int width, int imm) {
    for (int half = 0; half < 2; half++) {
      int word = 0;
      for (int row = 3; row >= 0; row--) {
        word = word << 8 | SUBSTITUTE[at(v.b, at, row, 2 * half + 1)];
      }
      PackedMath.put(v.d, at + 64 * half, 32, word);
      PackedMath.put(v.d, at + 64 * half + 32, 32, Integer.rotateRight(word, 8) ^ imm);
    }
  }
}
