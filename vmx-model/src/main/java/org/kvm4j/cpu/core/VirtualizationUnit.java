package org.kvm4j.cpu.core;

import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;

/**
 * VMX (or SVM) as the rest of the processor sees it: the instructions themselves, and what root
 * operation changes in others. The implementation is in {@code org.kvm4j.vmx.instruction}.
 */
public interface VirtualizationUnit {

  /**
   * Executes VMXON, VMXOFF, VMCLEAR, VMPTRLD, VMPTRST, VMREAD, VMWRITE, VMLAUNCH, VMRESUME, VMCALL,
   * VMFUNC, INVEPT or INVVPID in the current mode, with all checks; in non-root operation it exits.
   */
  void execute(Instruction i);

  /**
   * Why an instruction that {@link #execute} carries out has faulted, as the processor is now.
   *
   * @return words; "" if it was of its operands, or did not
   */
  String faultCause(Opcode opcode);

  /** Whether the processor is in VMX operation (root or not). */
  boolean inVmxOperation();

  /** Bits of CR0 that must be 1 in the current operation. */
  long cr0FixedOnes();

  /** Bits of CR4 that must be 1 in the current operation. */
  long cr4FixedOnes();

  /** Reads an IA32_VMX_* capability MSR or IA32_FEATURE_CONTROL; false if there is none. */
  boolean readMsr(int index, long[] out);

  /** Writes IA32_FEATURE_CONTROL; false if the MSR is not ours or refuses the value. */
  boolean writeMsr(int index, long value);
}
