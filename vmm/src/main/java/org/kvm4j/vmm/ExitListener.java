package org.kvm4j.vmm;

import org.kvm4j.kvm.Exit;

/** Sees every exit of a machine, for traces. Called by the vCPUs' threads. */
@FunctionalInterface
public interface ExitListener {

  /**
   * An exit was handled.
   *
   * @param vcpu whose
   * @param exit what it was
   * @param outcome what it led to
   */
  void exited(int vcpu, Exit exit, Outcome outcome);
}
