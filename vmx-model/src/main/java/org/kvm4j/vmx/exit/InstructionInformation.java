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
}
