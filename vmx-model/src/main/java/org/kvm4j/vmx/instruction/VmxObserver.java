package org.kvm4j.vmx.instruction;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.vmx.entry.VmEntryFailure;
import org.kvm4j.vmx.exit.TransitionListener;
import org.kvm4j.vmx.vmcs.Vmcs;

/**
 * Told of what VMX does in root operation, step by step, on the processor's thread: for traces, and
 * for those who want to know why an entry failed. Of instructions in non-root operation the VM
 * exits tell.
 */
public interface VmxObserver extends TransitionListener {
  /**
   * A VMX instruction other than VMLAUNCH and VMRESUME has ended.
   *
   * @param operand the physical address that it was given, the encoding of the field, or the type
   *     of an invalidation
   * @param value what was read or written: of VMREAD, VMWRITE and VMPTRST; the EPTP or VPID of an
   *     invalidation
   * @param result {@link InstructionError#SUCCESS}, {@link InstructionError#FAIL_INVALID} or the
   *     number of VMfailValid
   */
  void executed(Opcode opcode, long operand, long value, int result);

  /** A VMX instruction has ended in an exception. */
  void faulted(Opcode opcode, int vector);

  /**
   * VMLAUNCH or VMRESUME has failed, or VM entry has.
   *
   * @param vmcs the current VMCS, or null if there is none
   * @param opcode VMLAUNCH or VMRESUME
   * @param result as of {@link #executed}; success if it ended as a VM exit
   * @param failure the check that failed, or null if it was none of VM entry's
   */
  void entryFailed(
      @Nullable Vmcs vmcs, Opcode opcode, int result, @Nullable VmEntryFailure failure);
}
