package org.kvm4j.machine;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * Encodes x86-64 instructions into a buffer. Opcodes are given as the SDM's volume 2 has them,
 * those of the maps 0F, 0F 38 and 0F 3A with these bytes in front (0x0faf); what an assembler adds
 * is the prefixes, the ModR/M byte, SIB and displacement. Registers are numbered as in the
 * encoding, 0 (RAX) to 15.
 */
public final class Assembler {
  private static final VarHandle INT =
      MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);

  public static final int RAX = 0;
  public static final int RCX = 1;
  public static final int RDX = 2;
  public static final int RBX = 3;
  public static final int RSP = 4;
  public static final int RBP = 5;
  public static final int RSI = 6;
  public static final int RDI = 7;
  public static final int R8 = 8;
  public static final int R9 = 9;
  public static final int R10 = 10;
  public static final int R11 = 11;
  public static final int R12 = 12;
  public static final int R13 = 13;
  public static final int R14 = 14;
  public static final int R15 = 15;

  /** No base, or no index. */
  public static final int NONE = -1;

  // Conditions, as in Jcc.
  public static final int O = 0;
  public static final int B = 2;
  public static final int AE = 3;
  public static final int E = 4;
  public static final int NE = 5;
  public static final int BE = 6;
  public static final int A = 7;
  public static final int S = 8;

  // Opcodes of two operands, register and register or memory: the register is the source. For
  // operands of 1 byte; the others are one more.
  public static final int ADD = 0x00;
  public static final int OR = 0x08;
  public static final int AND = 0x20;
  public static final int SUB = 0x28;
  public static final int XOR = 0x30;
  public static final int CMP = 0x38;
  public static final int MOV = 0x88;

  private byte[] code = new byte[1024];
  private int length;

  /** Where the part begins that goes elsewhere; beyond all while there is none. */
  private int apart = Integer.MAX_VALUE;

  /** The ends of distances of 32 bits from one part to the other. */
  private int[] crossing = new int[32];

  private int crossings;

  /** Bytes so far. */
  public int position() {
    return length;
  }

  /** Begins anew. */
  public void clear() {
    length = 0;
    apart = Integer.MAX_VALUE;
    crossings = 0;
  }

  /** What follows goes elsewhere than what is there, by a distance that {@link #part} tells. */
  public void beginPart() {
    apart = length;
  }

  /**
   * Has what came since {@link #beginPart} go elsewhere.
   *
   * @param distance how far from where it would be behind the rest
   */
  public void part(int distance) {
    for (int k = 0; k < crossings; k++) {
      int end = crossing[k];
      int there = (int) INT.get(code, end - 4);
      INT.set(code, end - 4, end <= apart ? there + distance : there - distance);
    }
  }

  /** Takes back what came after a position. */
  public void rewind(int position) {
    length = position;
  }

  /** Takes back the last byte: of an instruction without ModR/M. */
  public void dropLast() {
    length--;
  }

  /** The code, and more behind {@link #position}; until more is written. */
  public byte[] buffer() {
    return code;
  }

  /** A copy of the code. */
  public byte[] bytes() {
    return Arrays.copyOf(code, length);
  }

  /** One byte. */
  public void emit(int value) {
    if (length == code.length) {
      code = Arrays.copyOf(code, 2 * length);
    }
    code[length++] = (byte) value;
  }

  /** Four bytes, low ones first. */
  public void emit32(int value) {
    emit(value);
    emit(value >> 8);
    emit(value >> 16);
    emit(value >> 24);
  }

  // ---- registers and memory ----

  /**
   * An instruction with two registers.
   *
   * @param prefix 66, F2 or F3, or 0
   * @param size of the operands in bytes: 8 sets REX.W, 1 reaches SPL to DIL, 2 has the prefix 66
   * @param opcode with the bytes of its map
   * @param reg the number in ModR/M.reg, or an extension of the opcode
   * @param rm the number in ModR/M.rm
   */
  public void registers(int prefix, int size, int opcode, int reg, int rm) {
    boolean low = size == 1 && (isHidden(reg) && !isExtension(opcode) || isHidden(rm));
    begin(prefix, size, opcode, reg, 0, rm, low);
    emit(0xc0 | (reg & 7) << 3 | rm & 7);
  }

  /** As {@link #registers(int, int, int, int, int)}, with operands of a size and no prefix. */
  public void registers(int size, int opcode, int reg, int rm) {
    registers(0, size, opcode, reg, rm);
  }

  /**
   * An instruction with a memory operand.
   *
   * @param base or {@link #NONE}
   * @param index or {@link #NONE}; never {@link #RSP}
   * @param scale the shift of the index, 0 to 3
   */
  public void memory(
      int prefix, int size, int opcode, int reg, int base, int index, int scale, int displacement) {
    boolean low = size == 1 && isHidden(reg) && !isExtension(opcode);
    begin(prefix, size, opcode, reg, Math.max(index, 0), Math.max(base, 0), low);
    int r = (reg & 7) << 3;
    boolean small = displacement == (byte) displacement;
    if (base == NONE) {
      emit(4 | r);
      emit(scale << 6 | (index == NONE ? 4 : index & 7) << 3 | 5);
      emit32(displacement);
      return;
    }
    int mod = displacement == 0 && (base & 7) != RBP ? 0 : small ? 0x40 : 0x80;
    if (index == NONE && (base & 7) != RSP) {
      emit(mod | r | base & 7);
    } else {
      emit(mod | r | 4);
      emit(scale << 6 | (index == NONE ? 4 : index & 7) << 3 | base & 7);
    }
    if (mod == 0x40) {
      emit(displacement);
    } else if (mod == 0x80) {
      emit32(displacement);
    }
  }

  /** As the other, with a base alone. */
  public void memory(int size, int opcode, int reg, int base, int displacement) {
    memory(0, size, opcode, reg, base, NONE, 0, displacement);
  }

  /** SPL, BPL, SIL and DIL are there with a REX prefix only; without, AH to BH are. */
  private static boolean isHidden(int register) {
    return register >= 4 && register < 8;
  }

  /** Whether ModR/M.reg is no register with this opcode, of those with operands of 1 byte. */
  private static boolean isExtension(int opcode) {
    return switch (opcode) {
      case 0x80, 0xc0, 0xc6, 0xd0, 0xd2, 0xf6, 0xfe -> true;
      default -> opcode >= 0x0f90 && opcode <= 0x0f9f;
    };
  }

  private void begin(int prefix, int size, int opcode, int reg, int index, int rm, boolean low) {
    if (size == 2) {
      emit(0x66);
    }
    if (prefix != 0) {
      emit(prefix);
    }
    int rex = (size == 8 ? 8 : 0) | (reg >> 3 & 1) << 2 | (index >> 3 & 1) << 1 | rm >> 3 & 1;
    if (rex != 0 || low) {
      emit(0x40 | rex);
    }
    if (opcode > 0xffff) {
      emit(opcode >> 16);
    }
    if (opcode > 0xff) {
      emit(opcode >> 8);
    }
    emit(opcode);
  }

  /**
   * MOVZX, MOVSX and MOVSXD of a register.
   *
   * @param low whether the source is of one byte
   */
  public void extend(int size, int opcode, int to, int from, boolean low) {
    begin(0, size, opcode, to, 0, from, low && isHidden(from));
    emit(0xc0 | (to & 7) << 3 | from & 7);
  }

  /**
   * An instruction with two registers and no REX prefix, so that AH to BH are 4 to 7 where it has
   * operands of one byte.
   */
  public void plain(int opcode, int reg, int rm) {
    if (opcode > 0xff) {
      emit(opcode >> 8);
    }
    emit(opcode);
    emit(0xc0 | (reg & 7) << 3 | rm & 7);
  }

  /** BSWAP. */
  public void swap(int size, int register) {
    begin(0, size, 0x0fc8 | register & 7, 0, 0, register, false);
  }

  // ---- frequent ones ----

  /** The opcode for operands of a size: that of 1 byte, or one more. */
  public static int sized(int opcode, int size) {
    return size == 1 ? opcode : opcode + 1;
  }

  /** MOV between registers, 64 bits. */
  public void move(int to, int from) {
    registers(8, 0x89, from, to);
  }

  /** MOV of 8 bytes from memory. */
  public void load(int to, int base, int displacement) {
    memory(8, 0x8b, to, base, displacement);
  }

  /** MOV of 8 bytes to memory. */
  public void store(int from, int base, int displacement) {
    memory(8, 0x89, from, base, displacement);
  }

  /** MOV of 4 bytes to memory. */
  public void store32(int value, int base, int displacement) {
    memory(4, 0xc7, 0, base, displacement);
    emit32(value);
  }

  /**
   * LEA of a position.
   *
   * @param to 8 or above
   */
  public void addressOf(int to, int position) {
    emit(0x4c);
    emit(0x8d);
    emit(5 | (to & 7) << 3);
    emit32(0);
    bind(length, position);
  }

  /** LEA, 64 bits. */
  public void address(int to, int base, int index, int scale, int displacement) {
    memory(0, 8, 0x8d, to, base, index, scale, displacement);
  }

  /** MOV of a 32-bit value, zero-extended. */
  public void set32(int to, int value) {
    if (to >= 8) {
      emit(0x41);
    }
    emit(0xb8 | to & 7);
    emit32(value);
  }

  /** MOV of a 64-bit value, in as few bytes as it needs. */
  public void set(int to, long value) {
    if (value >>> 32 == 0) {
      set32(to, (int) value);
    } else if (value == (int) value) {
      registers(8, 0xc7, 0, to);
      emit32((int) value);
    } else {
      emit(to >= 8 ? 0x49 : 0x48);
      emit(0xb8 | to & 7);
      emit32((int) value);
      emit32((int) (value >> 32));
    }
  }

  /**
   * Arithmetic with an immediate.
   *
   * @param operation ADD 0, OR 1, ADC 2, SBB 3, AND 4, SUB 5, XOR 6, CMP 7
   */
  public void immediate(int size, int operation, int register, int value) {
    boolean small = value == (byte) value;
    registers(size, size == 1 ? 0x80 : small ? 0x83 : 0x81, operation, register);
    emitImmediate(size, small, value);
  }

  /** The same with 8 bytes of memory, or as many as the size says. */
  public void immediate(int size, int operation, int base, int index, int displacement, int value) {
    boolean small = value == (byte) value;
    memory(
        0, size, size == 1 ? 0x80 : small ? 0x83 : 0x81, operation, base, index, 0, displacement);
    emitImmediate(size, small, value);
  }

  private void emitImmediate(int size, boolean small, int value) {
    if (size == 1 || small) {
      emit(value);
    } else {
      emitSized(size, value);
    }
  }

  /** An immediate of an operand's size: at most 4 bytes. */
  public void emitSized(int size, int value) {
    emit(value);
    if (size > 1) {
      emit(value >> 8);
    }
    if (size > 2) {
      emit(value >> 16);
      emit(value >> 24);
    }
  }

  // ---- jumps ----

  /**
   * Jcc to what is not known yet.
   *
   * @return for {@link #bind}
   */
  public int jump(int condition) {
    emit(0x0f);
    emit(0x80 | condition);
    emit32(0);
    return length;
  }

  private static final int[][] NOPS = {{}, {0x90}, {0x66, 0x90}, {0x0f, 0x1f, 0x00}};

  /** NOPs until the distance of a jump after them would be at a multiple of its size. */
  private void alignDistance(int opcodeLength) {
    for (int b : NOPS[-(length + opcodeLength) & 3]) {
      emit(b);
    }
  }

  /**
   * As {@link #jump(int)}, for one that may be changed while others execute it: they see the one
   * distance or the other, as long as the code begins at a multiple of 4.
   */
  public int jumpAligned(int condition) {
    alignDistance(2);
    return jump(condition);
  }

  /** As {@link #jump()}, for one that may be changed while others execute it. */
  public int jumpAligned() {
    alignDistance(1);
    return jump();
  }

  /**
   * JMP to what is not known yet.
   *
   * @return for {@link #bind}
   */
  public int jump() {
    emit(0xe9);
    emit32(0);
    return length;
  }

  /** Jcc of two bytes to what is not known yet, for {@link #bindShort}. */
  public int jumpShort(int condition) {
    emit(0x70 | condition);
    emit(0);
    return length;
  }

  /** JMP of two bytes to what is not known yet, for {@link #bindShort}. */
  public int jumpShort() {
    emit(0xeb);
    emit(0);
    return length;
  }

  /** Has a jump lead here. */
  public void bind(int jump) {
    bind(jump, length);
  }

  /** Has a jump lead to a position. */
  public void bind(int jump, int position) {
    INT.set(code, jump - 4, position - jump);
    if (jump <= apart != position < apart) {
      if (crossings == crossing.length) {
        crossing = Arrays.copyOf(crossing, 2 * crossings);
      }
      crossing[crossings++] = jump;
    }
  }

  /** Has a short jump lead here. */
  public void bindShort(int jump) {
    int distance = length - jump;
    if (distance != (byte) distance) {
      throw new IllegalStateException("too far for a short jump: " + distance);
    }
    code[jump - 1] = (byte) distance;
  }

  /** JMP to an address in memory. */
  public void jumpTo(int base, int displacement) {
    memory(4, 0xff, 4, base, displacement);
  }

  /** JMP to an address in a register. */
  public void jumpTo(int register) {
    registers(4, 0xff, 4, register);
  }
}
