package org.kvm4j.kvm.module;

import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.module.irqchip.LocalApic;
import org.kvm4j.kvm.module.pv.LazyEoi;
import org.kvm4j.kvm.module.pv.VirtualApicPage;

/**
 * What a virtual CPU's local APIC shares with its guest in memory, and what comes to it other than
 * by messages. Source: Linux 6.1 kvm_lapic_sync_to_vapic, kvm_lapic_sync_from_vapic,
 * kvm_apic_local_deliver.
 */
final class PvInterrupts {
  private final VcpuInterrupts interrupts;
  private final @Nullable LocalApic apic;
  private final VirtualApicPage page;
  final LazyEoi eoi;

  PvInterrupts(VirtualCpu vcpu) {
    this.interrupts = vcpu.interrupts;
    this.apic = interrupts.apic();
    this.eoi = new LazyEoi(vcpu.vm.guestPhysical);
    this.page = new VirtualApicPage(vcpu.vm.guestPhysical);
  }

  /** KVM_SET_VAPIC_ADDR; false if there is no memory. */
  boolean setVirtualApic(long gpa) {
    return page.setAddress(gpa);
  }

  /** Shows the guest the state of its local APIC, right before it runs. */
  void beforeEntry() {
    LocalApic a = apic;
    if (a == null || (!eoi.isOn() && !page.isOn())) {
      return;
    }
    interrupts.lock();
    try {
      eoi.offer(a);
      page.show(a);
    } finally {
      interrupts.unlock();
    }
  }

  /** Takes over what the guest has done to that. */
  void afterExit() {
    LocalApic a = apic;
    if (a == null || (!eoi.isOffered() && !page.isOn())) {
      return;
    }
    interrupts.lock();
    try {
      if (eoi.isOffered()) {
        eoi.collect(a);
      }
      page.take(a);
    } finally {
      interrupts.unlock();
    }
  }

  /** Whether the local APIC takes interrupts. */
  boolean isEnabled() {
    LocalApic a = apic;
    if (a == null) {
      return false;
    }
    interrupts.lock();
    try {
      return a.isEnabled();
    } finally {
      interrupts.unlock();
    }
  }

  /** An interrupt for this processor. */
  void send(int vector) {
    LocalApic a = apic;
    if (a != null) {
      interrupts.lock();
      try {
        a.raise(vector);
      } finally {
        interrupts.unlock();
      }
    }
  }

  /** Whether the local APIC has an entry for corrected machine checks. */
  void setCorrectedMachineCheck(boolean has) {
    LocalApic a = apic;
    if (a != null) {
      interrupts.lock();
      try {
        a.setCorrectedMachineCheck(has);
      } finally {
        interrupts.unlock();
      }
    }
  }

  void signalCorrectedMachineCheck() {
    LocalApic a = apic;
    if (a != null) {
      interrupts.lock();
      try {
        a.signalCorrectedMachineCheck();
      } finally {
        interrupts.unlock();
      }
    }
  }
}
