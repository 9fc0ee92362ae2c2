package org.kvm4j.vmx.entry;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/** What the checks of VM entry read: the VMCS, the capabilities, the processor. Reused, mutable. */
public final class EntryContext {
  public final Cpu cpu;
  public final VmxCapabilities capabilities;

  /** The fields of the current VMCS, by ordinal. */
  public long[] v = new long[0];

  public EntryContext(Cpu cpu, VmxCapabilities capabilities) {
    this.cpu = cpu;
    this.capabilities = capabilities;
  }
}
