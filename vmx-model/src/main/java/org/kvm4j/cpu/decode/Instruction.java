package org.kvm4j.cpu.decode;

/**
 * One decoded instruction. It never changes. The fields are public and plain, because the
 * interpreter and the translator read them in their hottest paths.
 *
 * <p>The operands are in the order of the SDM's (Intel) syntax, destination first. Operands that
 * the encoding implies and that Intel's syntax names (AL, DX, CL, 1, ST(0)) are operands; others
 * (rDX:rAX of MUL, rSP of PUSH) are not.
 */
public final class Instruction {
  /** A {@link #base} or an {@link #index} that is absent. */
  public static final int NO_REGISTER = 16;

  /** The {@link #base} RIP: the address is relative to the next instruction's. */
  public static final int RIP = 17;

  /** Stands for an instruction that goes on at or past the limit of the given bytes. */
  public static final Instruction PAST_LIMIT = new Instruction(new Fields(), Opcode.PAST_LIMIT, 0);

  /** What the instruction does. */
  public final Opcode opcode;

  /** The length in bytes, 1 to 15; of what is no instruction, the bytes that were looked at. */
  public final int length;

  /** The size in bytes of the code segment's mode: 2, 4, or 8 in 64-bit mode. */
  public final int codeSize;

  /**
   * The operand-size attribute in bytes: 2, 4 or 8. It is 8 already for instructions whose default
   * is 64 bits in 64-bit mode, such as PUSH and near CALL.
   */
  public final int operandSize;

  /** The address-size attribute in bytes: 2, 4 or 8. */
  public final int addressSize;

  /** The condition of Jcc, SETcc and CMOVcc, 0 to 15 (SDM vol. 1, app. B); otherwise 0. */
  public final int condition;

  /** The kind of the first operand: a constant of {@link OperandKind}. */
  public final int kind0;

  /**
   * The size of the first operand in bytes; 0 where it has none, as for LEA and INVLPG. That of an
   * immediate is the size in which it is used: the operand size where it is sign-extended to that.
   */
  public final int size0;

  /** The register number of the first operand. */
  public final int reg0;

  public final int kind1;
  public final int size1;
  public final int reg1;
  public final int kind2;
  public final int size2;
  public final int reg2;
  public final int kind3;
  public final int size3;
  public final int reg3;

  /**
   * The segment of the memory operand or string source, 0 to 5: ES, CS, SS, DS, FS, GS; overrides
   * are applied, and in 64-bit mode those of ES, CS, SS and DS are ignored.
   */
  public final int segment;

  /** The base register, 0 to 15, {@link #NO_REGISTER} or {@link #RIP}. */
  public final int base;

  /** The index register, 0 to 15, or {@link #NO_REGISTER}. */
  public final int index;

  /** The shift of the index, 0 to 3. */
  public final int scale;

  /** The displacement, sign-extended. An absolute one of 8 bytes (MOV moffs) is whole. */
  public final long displacement;

  /** The vector index's register size in bytes, 16 or 32, if the index is one; otherwise 0. */
  public final int vectorIndexSize;

  /**
   * The immediate, sign-extended to 64 bits where the instruction sign-extends it, otherwise
   * zero-extended (shift counts, ports, interrupt vectors). Also a branch's displacement.
   */
  public final long immediate;

  /** The second immediate: the nesting level of ENTER, the selector of a far pointer. */
  public final long immediate2;

  /** Whether there was a LOCK prefix (F0). */
  public final boolean lock;

  /** Whether the last repeat prefix was F3 (REP, REPE), be it part of the opcode or not. */
  public final boolean rep;

  /** Whether the last repeat prefix was F2 (REPNE), be it part of the opcode or not. */
  public final boolean repne;

  /** Whether there was an operand-size prefix (66), be it part of the opcode or not. */
  public final boolean operandSizePrefix;

  /** Whether there was an address-size prefix (67). */
  public final boolean addressSizePrefix;

  /** The segment of the last override prefix, 0 to 5, or -1. */
  public final int segmentOverride;

  /** The REX prefix (40 to 4F), or 0. */
  public final int rex;

  /** The ModR/M byte, or -1. */
  public final int modrm;

  /** The opcode map: 0 one-byte, 1 for 0F, 2 for 0F 38, 3 for 0F 3A. */
  public final int opcodeMap;

  /** The opcode byte in its map. */
  public final int opcodeByte;

  /** Whether the instruction has a VEX prefix. */
  public final boolean vex;

  /** VEX.vvvv, not inverted, 0 to 15. */
  public final int vexV;

  /** VEX.L, 0 or 1. */
  public final int vexL;

  /** VEX.W, 0 or 1. */
  public final int vexW;

  /** VEX.pp: 0 none, 1 for 66, 2 for F3, 3 for F2. */
  public final int vexP;

  /**
   * Whether straight-line execution must stop after the instruction: it transfers control, or may
   * change mode, privilege, paging, segments or interruptibility, or may cause a VM exit by itself.
   */
  public final boolean endsBlock;

  /** Whether the instruction transfers control. */
  public final boolean isBranch;

  /** Whether this is a string instruction, which {@link #rep} or {@link #repne} repeats. */
  public final boolean isString;

  /** Whether the instruction needs CPL 0. */
  public final boolean isPrivileged;

  /** Whether LOCK may precede this form: the opcode allows it and the destination is memory. */
  public final boolean lockable;

  Instruction(Fields from, Opcode opcode, int length) {
    this.opcode = opcode;
    this.length = length;
    codeSize = from.codeSize;
    operandSize = from.operandSize;
    addressSize = from.addressSize;
    condition = from.condition;
    kind0 = from.kind[0];
    size0 = from.size[0];
    reg0 = from.reg[0];
    kind1 = from.kind[1];
    size1 = from.size[1];
    reg1 = from.reg[1];
    kind2 = from.kind[2];
    size2 = from.size[2];
    reg2 = from.reg[2];
    kind3 = from.kind[3];
    size3 = from.size[3];
    reg3 = from.reg[3];
    segment = from.segment;
    base = from.base;
    index = from.index;
    scale = from.scale;
    displacement = from.displacement;
    vectorIndexSize = from.vectorIndexSize;
    immediate = from.immediate;
    immediate2 = from.immediate2;
    lock = from.lock;
    rep = from.rep;
    repne = from.repne;
    operandSizePrefix = from.operandSizePrefix;
    addressSizePrefix = from.addressSizePrefix;
    segmentOverride = from.segmentOverride;
    rex = from.rex;
    modrm = from.modrm;
    opcodeMap = from.opcodeMap;
    opcodeByte = from.opcodeByte;
    vex = from.vex;
    vexV = from.vexV;
    vexL = from.vexL;
    vexW = from.vexW;
    vexP = from.vexP;
    boolean system =
        kind0 == OperandKind.CONTROL
            || kind0 == OperandKind.DEBUG
            || kind1 == OperandKind.CONTROL
            || kind1 == OperandKind.DEBUG;
    boolean loadsSegment =
        kind0 == OperandKind.SEGMENT && (opcode == Opcode.MOV || opcode == Opcode.POP);
    endsBlock = opcode.endsBlock || system || loadsSegment;
    isBranch = opcode.isBranch;
    isString = opcode.isString;
    isPrivileged = opcode.isPrivileged || system;
    lockable = opcode.lockable && kind0 == OperandKind.MEMORY;
  }

  /** Returns whether this is an instruction of the CPU, so that it may be executed. */
  public boolean isValid() {
    return opcode.compareTo(Opcode.PAST_LIMIT) > 0;
  }

  /** Returns the instruction in Intel's syntax. */
  @Override
  public String toString() {
    return Disassembler.disassemble(this);
  }

  /** The fields of the instruction that is being decoded. */
  static class Fields {
    int codeSize;
    int operandSize;
    int addressSize;
    int condition;
    final int[] kind = new int[4];
    final int[] size = new int[4];
    final int[] reg = new int[4];
    int segment;
    int base = NO_REGISTER;
    int index = NO_REGISTER;
    int scale;
    long displacement;
    int vectorIndexSize;
    long immediate;
    long immediate2;
    boolean lock;
    boolean rep;
    boolean repne;
    boolean operandSizePrefix;
    boolean addressSizePrefix;
    int segmentOverride = -1;
    int rex;
    int modrm = -1;
    int opcodeMap;
    int opcodeByte;
    boolean vex;
    int vexV;
    int vexL;
    int vexW;
    int vexP;
  }
}
