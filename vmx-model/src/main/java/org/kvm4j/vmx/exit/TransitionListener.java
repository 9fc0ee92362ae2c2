package org.kvm4j.vmx.exit;

import org.kvm4j.vmx.vmcs.Vmcs;

/**
 * Told of VM entries and VM exits as they happen, on the processor's thread, for traces. It may
 * read the VMCS and changes nothing.
 */
public interface TransitionListener {
  /**
   * Guest state and MSRs are loaded. The event to be injected, if any, is not delivered yet, and
   * the launch state is as it was: clear for VMLAUNCH, launched for VMRESUME.
   */
  void entered(Vmcs vmcs);

  /**
   * A VM exit: the exit information and the guest's RIP, RSP and RFLAGS are in the VMCS, all other
   * registers are in the processor still.
   */
  void exited(Vmcs vmcs);

  /** A VMX abort: the processor shuts down. */
  void aborted(Vmcs vmcs, VmxAbort why);
}
