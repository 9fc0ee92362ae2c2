package org.kvm4j.kvm.module.pv;

import org.kvm4j.kvm.module.irqchip.LocalApic;

/**
 * Ends of interrupts by a bit in memory instead of a write to the local APIC, which would exit: the
 * module sets it where nobody waits for the end, and a guest that finds and clears it has ended its
 * interrupt. Source: Linux 6.1 kvm_lapic_set_pv_eoi, apic_sync_pv_eoi_to_guest,
 * apic_sync_pv_eoi_from_guest.
 */
public final class LazyEoi {
  private final SharedMemory memory;
  private long msr;

  /** The bit is set, for the interrupt in service. */
  private boolean offered;

  public LazyEoi(SharedMemory memory) {
    this.memory = memory;
  }

  /** MSR_KVM_PV_EOI_EN: a guest-physical address, and bit 0 if it is on. */
  public long msr() {
    return msr;
  }

  /** False if the address cannot be. */
  public boolean setMsr(long value) {
    long address = value & ~1L;
    if ((address & 3) != 0 || ((value & 1) != 0 && !memory.has(address, 1))) {
      return false;
    }
    msr = value;
    return true;
  }

  public boolean isOn() {
    return (msr & 1) != 0;
  }

  public boolean isOffered() {
    return offered;
  }

  /** Before an entry; the chips' lock is held. */
  public void offer(LocalApic apic) {
    if (isOn() && apic.canEndLazily()) {
      offered = memory.exchangeByte(msr & ~1L, 1) >= 0;
    }
  }

  /** After an exit, if {@link #isOffered}; the chips' lock is held. */
  public void collect(LocalApic apic) {
    offered = false;
    int bits = memory.exchangeByte(msr & ~1L, 0);
    if (bits < 0 || (bits & 1) == 0) {
      apic.end();
    }
  }

  /** INIT. */
  public void reset() {
    msr = 0;
    offered = false;
  }
}
