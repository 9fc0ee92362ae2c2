package org.kvm4j.vmx.exit;

import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.OperandKind;

/**
 * The VM-exit instruction-information field, computed from the decoded instruction.
 *
 * <p>Source: SDM 28.2.5 "Information for VM Exits Due to Instruction Execution" and its tables.
 */
public final class InstructionInformation {
  private static final int ADDRESS_SIZE_SHIFT = 7;
  private static final int REGISTER_OPERAND = 1 << 10;
  private static final int NO_INDEX = 1 << 22;
  private static final int NO_BASE = 1 << 27;

  private InstructionInformation() {}

  /** Table "Format of the VM-Exit Instruction-Information Field as Used for INS and OUTS". */
  static int string(Instruction i, boolean in) {
    return addressSize(i) | (in ? 0 : i.segment << 15);
  }

  /** INVEPT, INVPCID and INVVPID: memory operand 1, register operand 0. */
  static int invalidation(Instruction i) {
    return memory(i) | i.reg0 << 28;
  }

  /**
   * LGDT, LIDT, SGDT, SIDT.
   *
   * @param identity 0 SGDT, 1 SIDT, 2 LGDT, 3 LIDT
   */
  static int descriptorTable(Instruction i, int identity) {
    return memory(i) | (i.operandSize == 2 ? 0 : 1 << 11) | identity << 28;
  }

  /**
   * LLDT, LTR, SLDT, STR.
   *
   * @param identity 0 SLDT, 1 STR, 2 LLDT, 3 LTR
   */
  static int segmentRegister(Instruction i, int identity) {
    int operand = i.kind0 == OperandKind.MEMORY ? memory(i) : REGISTER_OPERAND | i.reg0 << 3;
    return operand | identity << 28;
  }

  /** RDRAND, RDSEED, TPAUSE, UMWAIT. */
  static int random(Instruction i) {
    return i.reg0 << 3 | (i.operandSize == 8 ? 2 : i.operandSize == 4 ? 1 : 0) << 11;
  }

  /** VMCLEAR, VMPTRLD, VMPTRST, VMXON, XRSTORS, XSAVES. */
  static int memoryOperand(Instruction i) {
    return memory(i);
  }

  /** VMREAD (operand 0 is r/m) and VMWRITE (operand 1 is r/m). */
  static int vmreadVmwrite(Instruction i, boolean read) {
    int kind = read ? i.kind0 : i.kind1;
    int rm = read ? i.reg0 : i.reg1;
    int field = read ? i.reg1 : i.reg0;
    int operand = kind == OperandKind.MEMORY ? memory(i) : REGISTER_OPERAND | rm << 3;
    return operand | field << 28;
  }

  private static int addressSize(Instruction i) {
    return (i.addressSize == 8 ? 2 : i.addressSize == 4 ? 1 : 0) << ADDRESS_SIZE_SHIFT;
  }

  private static int memory(Instruction i) {
    int info = i.scale | addressSize(i) | i.segment << 15;
    info |= i.index >= Instruction.NO_REGISTER ? NO_INDEX : i.index << 18;
    info |= i.base >= Instruction.NO_REGISTER ? NO_BASE : i.base << 23;
    return info;
  }

  /**
   * The displacement as exit qualification: sign-extended, and for RIP-relative addressing added to
   * the address of the next instruction; 0 for register operands.
   */
  static long displacement(Instruction i, boolean memory, long nextRip) {
    if (!memory) {
      return 0;
    }
    return i.base == Instruction.RIP ? nextRip + i.displacement : i.displacement;
  }

  // ---- in words

  private static final String[] REGISTERS = {
    "RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
    "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15"
  };

  private static final String[] SEGMENTS = {"ES", "CS", "SS", "DS", "FS", "GS", "?", "?"};

  /**
   * The field in words, as the exit's reason has it.
   *
   * @return empty for reasons that do not define it
   */
  public static String describe(ExitReason reason, int info) {
    return switch (reason) {
      case IO_INSTRUCTION ->
          "INS or OUTS with %d-bit addresses, segment %s (of OUTS)"
              .formatted(addressBits(info), SEGMENTS[info >> 15 & 7]);
      case INVEPT, INVPCID, INVVPID -> operand(info) + ", type in " + REGISTERS[info >>> 28];
      case GDTR_IDTR ->
          new String[] {"SGDT", "SIDT", "LGDT", "LIDT"}[info >> 28 & 3]
              + ", "
              + operand(info)
              + ", operand size "
              + ((info & 1 << 11) != 0 ? 32 : 16);
      case LDTR_TR ->
          new String[] {"SLDT", "STR", "LLDT", "LTR"}[info >> 28 & 3]
              + ", "
              + registerOrMemory(info);
      case RDRAND, RDSEED, TPAUSE, UMWAIT ->
          "register %s, operand size %d".formatted(REGISTERS[info >> 3 & 15], size(info >> 11));
      case VMCLEAR, VMPTRLD, VMPTRST, VMXON, XRSTORS, XSAVES -> operand(info);
      case VMREAD, VMWRITE -> registerOrMemory(info) + ", field in " + REGISTERS[info >>> 28];
      default -> "";
    };
  }

  /** The name of a general register by its number in exit information. */
  public static String register(int number) {
    return REGISTERS[number & 15];
  }

  private static int size(int code) {
    return 16 << Math.min(code & 3, 2);
  }

  private static int addressBits(int info) {
    return 16 << Math.min(info >> ADDRESS_SIZE_SHIFT & 7, 2);
  }

  private static String registerOrMemory(int info) {
    return (info & REGISTER_OPERAND) != 0 ? "register " + REGISTERS[info >> 3 & 15] : operand(info);
  }

  /** A memory operand but for its displacement, which is the exit qualification. */
  private static String operand(int info) {
    StringBuilder text = new StringBuilder("memory at ").append(SEGMENTS[info >> 15 & 7]);
    text.append(":[");
    if ((info & NO_BASE) == 0) {
      text.append(REGISTERS[info >> 23 & 15]).append(" + ");
    }
    if ((info & NO_INDEX) == 0) {
      text.append(REGISTERS[info >> 18 & 15]).append(" * ").append(1 << (info & 3)).append(" + ");
    }
    return text.append("displacement], ").append(addressBits(info)).append("-bit").toString();
  }
}
