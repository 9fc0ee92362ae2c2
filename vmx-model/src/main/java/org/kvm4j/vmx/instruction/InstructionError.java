package org.kvm4j.vmx.instruction;

import org.jspecify.annotations.Nullable;

/**
 * The numbers of the VM-instruction error field, and how a VMX instruction ended.
 *
 * <p>The methods of {@link VmxUnit} return {@link #SUCCESS}, {@link #FAIL_INVALID} or one of these
 * numbers, which is VMfailValid.
 *
 * <p>Source: SDM 31.4 "VM Instruction Error Numbers", 31.2 "Conventions".
 */
public enum InstructionError {
  VMCALL_IN_ROOT(1, "VMCALL executed in VMX root operation"),
  VMCLEAR_INVALID_ADDRESS(2, "VMCLEAR with invalid physical address"),
  VMCLEAR_VMXON_POINTER(3, "VMCLEAR with VMXON pointer"),
  VMLAUNCH_NOT_CLEAR(4, "VMLAUNCH with non-clear VMCS"),
  VMRESUME_NOT_LAUNCHED(5, "VMRESUME with non-launched VMCS"),
  VMRESUME_AFTER_VMXOFF(
      6, "VMRESUME after VMXOFF (VMXOFF and VMXON between VMLAUNCH and VMRESUME)"),
  ENTRY_INVALID_CONTROL(7, "VM entry with invalid control field(s)"),
  ENTRY_INVALID_HOST_STATE(8, "VM entry with invalid host-state field(s)"),
  VMPTRLD_INVALID_ADDRESS(9, "VMPTRLD with invalid physical address"),
  VMPTRLD_VMXON_POINTER(10, "VMPTRLD with VMXON pointer"),
  VMPTRLD_INCORRECT_REVISION(11, "VMPTRLD with incorrect VMCS revision identifier"),
  UNSUPPORTED_COMPONENT(12, "VMREAD/VMWRITE from/to unsupported VMCS component"),
  VMWRITE_READ_ONLY(13, "VMWRITE to read-only VMCS component"),
  VMXON_IN_ROOT(15, "VMXON executed in VMX root operation"),
  ENTRY_INVALID_EXECUTIVE_POINTER(16, "VM entry with invalid executive-VMCS pointer"),
  ENTRY_NON_LAUNCHED_EXECUTIVE(17, "VM entry with non-launched executive VMCS"),
  ENTRY_EXECUTIVE_NOT_VMXON(18, "VM entry with executive-VMCS pointer not VMXON pointer"),
  VMCALL_NON_CLEAR(
      19, "VMCALL with non-clear VMCS (when attempting to deactivate the dual-monitor treatment)"),
  VMCALL_INVALID_EXIT_CONTROLS(20, "VMCALL with invalid VM-exit control fields"),
  VMCALL_INCORRECT_MSEG(22, "VMCALL with incorrect MSEG revision identifier"),
  VMXOFF_DUAL_MONITOR(23, "VMXOFF under dual-monitor treatment of SMIs and SMM"),
  VMCALL_INVALID_SMM_MONITOR(24, "VMCALL with invalid SMM-monitor features"),
  ENTRY_INVALID_EXECUTIVE_CONTROLS(
      25, "VM entry with invalid VM-execution control fields in executive VMCS"),
  ENTRY_MOV_SS(26, "VM entry with events blocked by MOV SS"),
  INVALID_OPERAND(28, "Invalid operand to INVEPT/INVVPID");

  /** VMsucceed. */
  public static final int SUCCESS = 0;

  /** VMfailInvalid: there is no current VMCS to hold a number. */
  public static final int FAIL_INVALID = -1;

  /** The number in the VM-instruction error field. */
  public final int number;

  /** The SDM's description. */
  public final String title;

  InstructionError(int number, String title) {
    this.number = number;
    this.title = title;
  }

  /** The error of a number, or null if none is defined. */
  public static @Nullable InstructionError of(int number) {
    for (InstructionError error : values()) {
      if (error.number == number) {
        return error;
      }
    }
    return null;
  }
}
