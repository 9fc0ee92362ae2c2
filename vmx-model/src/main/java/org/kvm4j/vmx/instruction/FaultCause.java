package org.kvm4j.vmx.instruction;

import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/**
 * Why an instruction of VMX raises #UD or #GP(0) before it looks at its operands, in words.
 *
 * <p>Source: SDM 31.3 "VMX Instructions", the instructions' operation.
 */
final class FaultCause {
  private FaultCause() {}

  /** The cause, as the processor is now; "" if it is another. */
  static String of(Cpu cpu, VmxCapabilities c, boolean vmxOn, Opcode opcode) {
    if (opcode == Opcode.VMXON) {
      if ((cpu.cr4 & ControlBits.CR4_VMXE) == 0) {
        return "CR4.VMXE is 0";
      }
    } else if (!vmxOn) {
      return "the processor is not in VMX operation";
    }
    if (opcode == Opcode.VMFUNC) {
      return "";
    }
    if (!cpu.protectedMode) {
      return "the processor is in real or virtual-8086 mode";
    }
    if (cpu.longMode && cpu.codeSize != 8) {
      return "the processor is in compatibility mode";
    }
    if (cpu.cpl > 0) {
      return "CPL is " + cpu.cpl;
    }
    return opcode == Opcode.VMXON && !vmxOn ? ofVmxon(cpu, c) : "";
  }

  private static String ofVmxon(Cpu cpu, VmxCapabilities c) {
    String fixed = fixed("CR0", cpu.cr0, c.cr0Fixed0, c.cr0Fixed1);
    if (fixed.isEmpty()) {
      fixed = fixed("CR4", cpu.cr4, c.cr4Fixed0, c.cr4Fixed1);
    }
    if (!fixed.isEmpty()) {
      return fixed;
    }
    long control = cpu.msr.featureControl;
    String what = "IA32_FEATURE_CONTROL is 0x%x: ".formatted(control);
    if ((control & VmxCapabilities.FEATURE_CONTROL_LOCK) == 0) {
      return what + "it is not locked (bit 0)";
    }
    return (control & VmxCapabilities.FEATURE_CONTROL_VMXON) == 0
        ? what + "VMXON outside SMX operation is not enabled (bit 2)"
        : "";
  }

  /**
   * @param ones bits that must be 1
   * @param mayBeOne bits that may be
   */
  private static String fixed(String register, long value, long ones, long mayBeOne) {
    long missing = ones & ~value;
    long tooMany = value & ~mayBeOne;
    if (missing == 0 && tooMany == 0) {
      return "";
    }
    return missing != 0
        ? "%s is 0x%x, of which bits 0x%x have to be 1 (IA32_VMX_%s_FIXED0)"
            .formatted(register, value, missing, register)
        : "%s is 0x%x, of which bits 0x%x have to be 0 (IA32_VMX_%s_FIXED1)"
            .formatted(register, value, tooMany, register);
  }
}
