package org.kvm4j.cpu.decode;

/** What an operand of an {@link Instruction} is: constants for a {@code switch}. */
public final class OperandKind {
  /** No operand. */
  public static final int NONE = 0;

  /** A general register, 0 to 15: the low 1, 2, 4 or 8 bytes by the operand's size. */
  public static final int GPR = 1;

  /** AH, CH, DH or BH: register 0 to 3, size 1. */
  public static final int GPR_HIGH = 2;

  /** Memory, at the instruction's segment, base, index, scale and displacement. */
  public static final int MEMORY = 3;

  /** The instruction's immediate. The second immediate of ENTER is an operand of this kind too. */
  public static final int IMMEDIATE = 4;

  /** A branch displacement, sign-extended, in the immediate: relative to the next instruction. */
  public static final int RELATIVE = 5;

  /** A far pointer: the offset in the immediate, the selector in the second immediate. */
  public static final int FAR_POINTER = 6;

  /** A segment register, 0 to 5: ES, CS, SS, DS, FS, GS. */
  public static final int SEGMENT = 7;

  /** A control register, 0 to 15. */
  public static final int CONTROL = 8;

  /** A debug register, 0 to 15. */
  public static final int DEBUG = 9;

  /** An MMX register, 0 to 7. */
  public static final int MMX = 10;

  /** An XMM register, 0 to 15. */
  public static final int XMM = 11;

  /** A YMM register, 0 to 15. */
  public static final int YMM = 12;

  /** An x87 register, ST(0) to ST(7). */
  public static final int X87 = 13;

  /** The string source: the instruction's segment and rSI by its address size. */
  public static final int STRING_SOURCE = 14;

  /** The string destination: ES and rDI by the instruction's address size. */
  public static final int STRING_DESTINATION = 15;

  private OperandKind() {}
}
