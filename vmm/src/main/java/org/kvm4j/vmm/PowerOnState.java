package org.kvm4j.vmm;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.DebugRegs;
import org.kvm4j.kvm.Fpu;
import org.kvm4j.kvm.Irqchip;
import org.kvm4j.kvm.LapicState;
import org.kvm4j.kvm.MpState;
import org.kvm4j.kvm.PitState;
import org.kvm4j.kvm.Regs;
import org.kvm4j.kvm.Sregs;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.VcpuEvents;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * What the kernel's processors, interrupt chips and timer are like when they are made, to have them
 * so again after a sleep in which they had no power.
 */
final class PowerOnState {

  private final Vm vm;
  private final List<Irqchip> chips = new ArrayList<>();
  private final @Nullable PitState timer;
  private final List<Processor> processors = new ArrayList<>();

  /**
   * Remembers the state of a machine that has not run yet.
   *
   * @param hasChips whether the kernel has interrupt chips for it
   * @param hasTimer whether the kernel has the timer
   */
  PowerOnState(Vm vm, List<Vcpu> vcpus, boolean hasChips, boolean hasTimer) {
    this.vm = vm;
    if (hasChips) {
      chips.add(vm.getIrqchip(Uapi.KVM_IRQCHIP_PIC_MASTER));
      chips.add(vm.getIrqchip(Uapi.KVM_IRQCHIP_PIC_SLAVE));
      chips.add(vm.getIrqchip(Uapi.KVM_IRQCHIP_IOAPIC));
    }
    timer = hasTimer ? vm.getPit2() : null;
    for (Vcpu vcpu : vcpus) {
      processors.add(new Processor(vcpu, hasChips));
    }
  }

  /** Gives it back. No processor may be running. */
  void restore() {
    chips.forEach(vm::setIrqchip);
    PitState pit = timer;
    if (pit != null) {
      vm.setPit2(pit);
    }
    processors.forEach(Processor::restore);
  }

  private static final class Processor {
    private final Vcpu vcpu;
    private final Regs regs;
    private final Sregs sregs;
    private final Fpu fpu;
    private final DebugRegs debug;
    private final VcpuEvents events;
    private final @Nullable LapicState apic;
    private final @Nullable MpState state;

    Processor(Vcpu vcpu, boolean hasChips) {
      this.vcpu = vcpu;
      regs = vcpu.getRegs();
      sregs = vcpu.getSregs();
      fpu = vcpu.getFpu();
      debug = vcpu.getDebugRegs();
      events = vcpu.getVcpuEvents();
      apic = hasChips ? vcpu.getLapic() : null;
      state = hasChips ? vcpu.getMpState() : null;
    }

    void restore() {
      vcpu.setSregs(sregs);
      vcpu.setRegs(regs);
      vcpu.setFpu(fpu);
      vcpu.setDebugRegs(debug);
      vcpu.setVcpuEvents(events);
      LapicState a = apic;
      if (a != null) {
        vcpu.setLapic(a);
      }
      MpState s = state;
      if (s != null) {
        vcpu.setMpState(s);
      }
    }
  }
}
