package org.kvm4j.cpu.decode;

/**
 * One decoded instruction. Nobody but the decoder changes it, and that only one that it was given
 * to overwrite; who keeps an instruction keeps a {@link #copy}. The fields are public and plain,
 * and small, because the interpreter and the translator read them in their hottest paths.
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
  public Opcode opcode;

  /** The length in bytes, 1 to 15; of what is no instruction, the bytes that were looked at. */
  public byte length;

  /** The size in bytes of the code segment's mode: 2, 4, or 8 in 64-bit mode. */
  public byte codeSize;

  /**
   * The operand-size attribute in bytes: 2, 4 or 8. It is 8 already for instructions whose default
   * is 64 bits in 64-bit mode, such as PUSH and near CALL.
   */
  public byte operandSize;

  /** The address-size attribute in bytes: 2, 4 or 8. */
  public byte addressSize;

  /** The condition of Jcc, SETcc and CMOVcc, 0 to 15 (SDM vol. 1, app. B); otherwise 0. */
  public byte condition;

  /** The kind of the first operand: a constant of {@link OperandKind}. */
  public byte kind0;

  /**
   * The size of the first operand in bytes; 0 where it has none, as for LEA and INVLPG. That of an
   * immediate is the size in which it is used: the operand size where it is sign-extended to that.
   */
  public short size0;

  /** The register number of the first operand. */
  public byte reg0;

  public byte kind1;
  public short size1;
  public byte reg1;
  public byte kind2;
  public short size2;
  public byte reg2;
  public byte kind3;
  public short size3;
  public byte reg3;

  /**
   * The segment of the memory operand or string source, 0 to 5: ES, CS, SS, DS, FS, GS; overrides
   * are applied, and in 64-bit mode those of ES, CS, SS and DS are ignored.
   */
  public byte segment;

  /** The base register, 0 to 15, {@link #NO_REGISTER} or {@link #RIP}. */
  public byte base;

  /** The index register, 0 to 15, or {@link #NO_REGISTER}. */
  public byte index;

  /** The shift of the index, 0 to 3. */
  public byte scale;

  /** The displacement, sign-extended. An absolute one of 8 bytes (MOV moffs) is whole. */
  public long displacement;

  /** The vector index's register size in bytes, 16 or 32, if the index is one; otherwise 0. */
  public byte vectorIndexSize;

  /**
   * The immediate, sign-extended to 64 bits where the instruction sign-extends it, otherwise
   * zero-extended (shift counts, ports, interrupt vectors). Also a branch's displacement.
   */
  public long immediate;

  /** The second immediate: the nesting level of ENTER, the selector of a far pointer. */
  public long immediate2;

  /** Whether there was a LOCK prefix (F0). */
  public boolean lock;

  /** Whether the last repeat prefix was F3 (REP, REPE), be it part of the opcode or not. */
  public boolean rep;

  /** Whether the last repeat prefix was F2 (REPNE), be it part of the opcode or not. */
  public boolean repne;

  /** Whether there was an operand-size prefix (66), be it part of the opcode or not. */
  public boolean operandSizePrefix;

  /** Whether there was an address-size prefix (67). */
  public boolean addressSizePrefix;

  /** The segment of the last override prefix, 0 to 5, or -1. */
  public byte segmentOverride;

  /** Whether the last segment prefix was 3EH, in 64-bit mode too: NOTRACK of indirect branches. */
  public boolean noTrack;

  /** The REX prefix (40 to 4F), or 0. */
  public byte rex;

  /** The ModR/M byte, or -1. */
  public short modrm;

  /** The opcode map: 0 one-byte, 1 for 0F, 2 for 0F 38, 3 for 0F 3A. */
  public byte opcodeMap;

  /** The opcode byte in its map. */
  public short opcodeByte;

  /** Whether the instruction has a VEX prefix. */
  public boolean vex;

  /** VEX.vvvv, not inverted, 0 to 15. */
  public byte vexV;

  /** VEX.L, 0 or 1. */
  public byte vexL;

  /** VEX.W, 0 or 1. */
  public byte vexW;

  /** VEX.pp: 0 none, 1 for 66, 2 for F3, 3 for F2. */
  public byte vexP;

  /**
   * Whether straight-line execution must stop after the instruction: it transfers control, or may
   * change mode, privilege, paging, segments or interruptibility, or may cause a VM exit by itself.
   */
  public boolean endsBlock;

  /** Whether the instruction transfers control. */
  public boolean isBranch;

  /** Whether this is a string instruction, which {@link #rep} or {@link #repne} repeats. */
  public boolean isString;

  /** Whether the instruction needs CPL 0. */
  public boolean isPrivileged;

  /** Whether LOCK may precede this form: the opcode allows it and the destination is memory. */
  public boolean lockable;

  Instruction(Fields from, Opcode opcode, int length) {
    this.opcode = opcode;
    set(from, opcode, length);
  }

  /**
   * One to be overwritten by {@link Decoder#decode(java.nio.ByteBuffer, int, int, int,
   * Instruction)}.
   */
  public Instruction() {
    this(new Fields(), Opcode.INVALID, 0);
  }

  /** One that is not overwritten. */
  public Instruction copy() {
    return new Instruction(this);
  }

  void set(Fields from, Opcode opcode, int length) {
    this.opcode = opcode;
    this.length = (byte) length;
    codeSize = (byte) from.codeSize;
    operandSize = (byte) from.operandSize;
    addressSize = (byte) from.addressSize;
    condition = (byte) from.condition;
    kind0 = (byte) from.kind[0];
    size0 = (short) from.size[0];
    reg0 = (byte) from.reg[0];
    kind1 = (byte) from.kind[1];
    size1 = (short) from.size[1];
    reg1 = (byte) from.reg[1];
    kind2 = (byte) from.kind[2];
    size2 = (short) from.size[2];
    reg2 = (byte) from.reg[2];
    kind3 = (byte) from.kind[3];
    size3 = (short) from.size[3];
    reg3 = (byte) from.reg[3];
    segment = (byte) from.segment;
    base = (byte) from.base;
    index = (byte) from.index;
    scale = (byte) from.scale;
    displacement = from.displacement;
    vectorIndexSize = (byte) from.vectorIndexSize;
    immediate = from.immediate;
    immediate2 = from.immediate2;
    lock = from.lock;
    rep = from.rep;
    repne = from.repne;
    operandSizePrefix = from.operandSizePrefix;
    addressSizePrefix = from.addressSizePrefix;
    segmentOverride = (byte) from.segmentOverride;
    noTrack = from.noTrack;
    rex = (byte) from.rex;
    modrm = (short) from.modrm;
    opcodeMap = (byte) from.opcodeMap;
    opcodeByte = (short) from.opcodeByte;
    vex = from.vex;
    vexV = (byte) from.vexV;
    vexL = (byte) from.vexL;
    vexW = (byte) from.vexW;
    vexP = (byte) from.vexP;
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

  private Instruction(Instruction from) {
    opcode = from.opcode;
    length = from.length;
    codeSize = from.codeSize;
    operandSize = from.operandSize;
    addressSize = from.addressSize;
    condition = from.condition;
    kind0 = from.kind0;
    size0 = from.size0;
    reg0 = from.reg0;
    kind1 = from.kind1;
    size1 = from.size1;
    reg1 = from.reg1;
    kind2 = from.kind2;
    size2 = from.size2;
    reg2 = from.reg2;
    kind3 = from.kind3;
    size3 = from.size3;
    reg3 = from.reg3;
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
    noTrack = from.noTrack;
    rex = from.rex;
    modrm = from.modrm;
    opcodeMap = from.opcodeMap;
    opcodeByte = from.opcodeByte;
    vex = from.vex;
    vexV = from.vexV;
    vexL = from.vexL;
    vexW = from.vexW;
    vexP = from.vexP;
    endsBlock = from.endsBlock;
    isBranch = from.isBranch;
    isString = from.isString;
    isPrivileged = from.isPrivileged;
    lockable = from.lockable;
  }

  /** Returns whether this is an instruction of the CPU, so that it may be executed. */
  public boolean isValid() {
    return opcode.compareTo(Opcode.PAST_LIMIT) > 0;
  }

  /** Returns the instruction in Intel's syntax. */
  /**
   * Whether it moves data between memory and a general register, or from an immediate to memory,
   * and does nothing else: MOV, MOVZX, MOVSX, MOVSXD.
   */
  public boolean isPlainMove() {
    return switch (opcode) {
      case MOV, MOVZX, MOVSX, MOVSXD ->
          kind0 == OperandKind.MEMORY && kind1 <= OperandKind.IMMEDIATE
              || kind1 == OperandKind.MEMORY && kind0 <= OperandKind.GPR_HIGH;
      default -> false;
    };
  }

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
    boolean noTrack;
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
