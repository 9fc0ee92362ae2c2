package org.kvm4j.cpu.decode;

/**
 * The operand codes of the opcode maps: an addressing method and a type, packed in an int (SDM vol.
 * 2, app. A.2.1 and A.2.2; the methods A to Z keep their letters).
 *
 * <p>Types: b 1, w 2, d 4, q 8, dq 16, t 10, fx 512 and zz 64 bytes; v the operand size, z that but
 * at most 4, y 8 by W in 64-bit mode and otherwise 4, n 8 in 64-bit mode and otherwise 4, j the
 * address size; x 16 or 32 by VEX.L, h its half, k its quarter, e its eighth; p a far pointer of
 * the operand size, s a table register's image, a a pair of bounds; env and state the x87
 * environment and state. Without a type the operand has no size.
 *
 * <p>Fixed registers are written by name. Beyond the SDM's methods, sI is an immediate that is
 * sign-extended, VM a memory operand with a vector index (its index type and its element's type
 * follow), and a register in parentheses an implied memory operand at it.
 */
final class OperandCode {
  static final int GPR_OR_MEMORY = 1; // E
  static final int MEMORY = 2; // M
  static final int GPR_RM = 3; // R
  static final int GPR_REG = 4; // G
  static final int GPR_OPCODE = 5; // Z
  static final int CONTROL = 6; // C
  static final int DEBUG = 7; // D
  static final int SEGMENT = 8; // S
  static final int IMMEDIATE = 9; // I
  static final int IMMEDIATE_SIGNED = 10; // sI
  static final int RELATIVE = 11; // J
  static final int OFFSET = 12; // O
  static final int FAR_POINTER = 13; // A
  static final int STRING_SOURCE = 14; // X
  static final int STRING_DESTINATION = 15; // Y
  static final int MMX_REG = 16; // P
  static final int MMX_OR_MEMORY = 17; // Q
  static final int MMX_RM = 18; // N
  static final int VECTOR_REG = 19; // V
  static final int VECTOR_OR_MEMORY = 20; // W
  static final int VECTOR_RM = 21; // U
  static final int VECTOR_V = 22; // H
  static final int VECTOR_IMMEDIATE = 23; // L
  static final int GPR_V = 24; // B
  static final int VECTOR_MEMORY = 25; // VM
  static final int FIXED_GPR = 26;
  static final int FIXED_SEGMENT = 27;
  static final int FIXED_XMM = 28;
  static final int ST0 = 29;
  static final int ST_I = 30;
  static final int ONE = 31;
  static final int IMPLIED_MEMORY = 32;

  /** From this number on a type's size depends on the instruction; below it is the size. */
  static final int VARIABLE = 0x400;

  static final int V = VARIABLE;
  static final int Z = VARIABLE + 1;
  static final int Y = VARIABLE + 2;
  static final int N = VARIABLE + 3;
  static final int J = VARIABLE + 4;
  static final int X = VARIABLE + 5;
  static final int H = VARIABLE + 6;
  static final int K = VARIABLE + 7;
  static final int E = VARIABLE + 8;
  static final int P = VARIABLE + 9;
  static final int S = VARIABLE + 10;
  static final int A = VARIABLE + 11;
  static final int ENV = VARIABLE + 12;
  static final int STATE = VARIABLE + 13;

  private OperandCode() {}

  static int method(int code) {
    return code & 0xff;
  }

  static int type(int code) {
    return code >>> 8 & 0xfff;
  }

  /** The number of a fixed register; the index's size of a memory operand with vector index. */
  static int extra(int code) {
    return code >>> 20;
  }

  static boolean usesModrm(int method) {
    switch (method) {
      case GPR_OR_MEMORY:
      case MEMORY:
      case GPR_RM:
      case GPR_REG:
      case CONTROL:
      case DEBUG:
      case SEGMENT:
      case MMX_REG:
      case MMX_OR_MEMORY:
      case MMX_RM:
      case VECTOR_REG:
      case VECTOR_OR_MEMORY:
      case VECTOR_RM:
      case VECTOR_MEMORY:
      case ST_I:
        return true;
      default:
        return false;
    }
  }

  static boolean usesV(int method) {
    return method == VECTOR_V || method == GPR_V;
  }

  /** The values that mod of ModR/M may have: 1 memory, 2 register, 3 both. */
  static int allowedMod(int method) {
    switch (method) {
      case MEMORY:
      case VECTOR_MEMORY:
        return 1;
      case GPR_RM:
      case MMX_RM:
      case VECTOR_RM:
      case ST_I:
        return 2;
      default:
        return 3;
    }
  }

  static boolean isVector(int method) {
    return method >= VECTOR_REG && method <= VECTOR_IMMEDIATE;
  }

  /**
   * Reads an operand code.
   *
   * @param text the code, such as Ev
   */
  static int parse(String text) {
    switch (text) {
      case "1":
        return pack(ONE, 1, 0);
      case "AL":
        return pack(FIXED_GPR, 1, 0);
      case "AX":
        return pack(FIXED_GPR, 2, 0);
      case "eAX":
        return pack(FIXED_GPR, Z, 0);
      case "rAX":
        return pack(FIXED_GPR, V, 0);
      case "CL":
        return pack(FIXED_GPR, 1, 1);
      case "DX":
        return pack(FIXED_GPR, 2, 2);
      case "ES":
        return pack(FIXED_SEGMENT, 2, 0);
      case "CS":
        return pack(FIXED_SEGMENT, 2, 1);
      case "SS":
        return pack(FIXED_SEGMENT, 2, 2);
      case "DS":
        return pack(FIXED_SEGMENT, 2, 3);
      case "FS":
        return pack(FIXED_SEGMENT, 2, 4);
      case "GS":
        return pack(FIXED_SEGMENT, 2, 5);
      case "XMM0":
        return pack(FIXED_XMM, 16, 0);
      case "ST":
        return pack(ST0, 10, 0);
      case "STi":
        return pack(ST_I, 10, 0);
      default:
        break;
    }
    if (text.startsWith("(rBX)")) {
      return pack(IMPLIED_MEMORY, parseType(text.substring(5)), 3);
    }
    if (text.startsWith("(rDI)")) {
      return pack(IMPLIED_MEMORY, parseType(text.substring(5)), 7);
    }
    if (text.startsWith("VM")) {
      int index = text.charAt(2) == 'x' ? 1 : 0;
      return pack(VECTOR_MEMORY, parseType(text.substring(3)), index);
    }
    if (text.startsWith("sI")) {
      return pack(IMMEDIATE_SIGNED, parseType(text.substring(2)), 0);
    }
    int type = parseType(text.substring(1));
    switch (text.charAt(0)) {
      case 'A':
        return pack(FAR_POINTER, type, 0);
      case 'B':
        return pack(GPR_V, type, 0);
      case 'C':
        return pack(CONTROL, type, 0);
      case 'D':
        return pack(DEBUG, type, 0);
      case 'E':
        return pack(GPR_OR_MEMORY, type, 0);
      case 'G':
        return pack(GPR_REG, type, 0);
      case 'H':
        return pack(VECTOR_V, type, 0);
      case 'I':
        return pack(type == Z || type == V ? IMMEDIATE_SIGNED : IMMEDIATE, type, 0);
      case 'J':
        return pack(RELATIVE, type, 0);
      case 'L':
        return pack(VECTOR_IMMEDIATE, type, 0);
      case 'M':
        return pack(MEMORY, type, 0);
      case 'N':
        return pack(MMX_RM, type, 0);
      case 'O':
        return pack(OFFSET, type, 0);
      case 'P':
        return pack(MMX_REG, type, 0);
      case 'Q':
        return pack(MMX_OR_MEMORY, type, 0);
      case 'R':
        return pack(GPR_RM, type, 0);
      case 'S':
        return pack(SEGMENT, type, 0);
      case 'U':
        return pack(VECTOR_RM, type, 0);
      case 'V':
        return pack(VECTOR_REG, type, 0);
      case 'W':
        return pack(VECTOR_OR_MEMORY, type, 0);
      case 'X':
        return pack(STRING_SOURCE, type, 0);
      case 'Y':
        return pack(STRING_DESTINATION, type, 0);
      case 'Z':
        return pack(GPR_OPCODE, type, 0);
      default:
        throw new IllegalArgumentException("operand code " + text);
    }
  }

  private static int parseType(String text) {
    switch (text) {
      case "":
        return 0;
      case "b":
        return 1;
      case "w":
        return 2;
      case "d":
        return 4;
      case "q":
        return 8;
      case "t":
        return 10;
      case "dq":
        return 16;
      case "zz":
        return 64;
      case "fx":
        return 512;
      case "v":
        return V;
      case "z":
        return Z;
      case "y":
        return Y;
      case "n":
        return N;
      case "j":
        return J;
      case "x":
        return X;
      case "h":
        return H;
      case "k":
        return K;
      case "e":
        return E;
      case "p":
        return P;
      case "s":
        return S;
      case "a":
        return A;
      case "env":
        return ENV;
      case "state":
        return STATE;
      default:
        throw new IllegalArgumentException("operand type " + text);
    }
  }

  private static int pack(int method, int type, int extra) {
    return extra << 20 | type << 8 | method;
  }
}
