package org.kvm4j.vmm;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.DebugRegs;
import org.kvm4j.kvm.Fpu;
import org.kvm4j.kvm.Irqchip;
import org.kvm4j.kvm.LapicState;
import org.kvm4j.kvm.MpState;
import org.kvm4j.kvm.MsrEntry;
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
   * @param hasChips whether the kernel has PICs and I/O APIC for it
   * @param hasApics whether the kernel has local APICs for it
   * @param hasTimer whether the kernel has the timer
   */
  PowerOnState(Vm vm, List<Vcpu> vcpus, boolean hasChips, boolean hasApics, boolean hasTimer) {
    this.vm = vm;
    if (hasChips) {
      chips.add(vm.getIrqchip(Uapi.KVM_IRQCHIP_PIC_MASTER));
      chips.add(vm.getIrqchip(Uapi.KVM_IRQCHIP_PIC_SLAVE));
      chips.add(vm.getIrqchip(Uapi.KVM_IRQCHIP_IOAPIC));
    }
    timer = hasTimer ? vm.getPit2() : null;
    for (Vcpu vcpu : vcpus) {
      processors.add(new Processor(vcpu, hasApics));
    }
  }

  /**
   * Remembers the processors' MSRs too, for {@link #reset}.
   *
   * @param indices which there are
   */
  void rememberMsrs(int[] indices) {
    processors.forEach(p -> p.rememberMsrs(indices));
  }

  /**
   * Gives back what INIT would set: the processors' registers and local APICs. No processor may be
   * running.
   */
  void initialize() {
    processors.forEach(Processor::restore);
  }

  /** Gives all back, and the processors' MSRs too, which S3 leaves to the guest. */
  void reset() {
    processors.forEach(Processor::restoreMsrs);
    restore();
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

  /** Counters of time, which go on. */
  private static final Set<Integer> TIME = Set.of(0x10, 0x3b, 0x6e0);

  private static final class Processor {
    private final List<MsrEntry> msrs = new ArrayList<>();
    private final Vcpu vcpu;
    private final Regs regs;
    private final Sregs sregs;
    private final Fpu fpu;
    private final DebugRegs debug;
    private final VcpuEvents events;
    private final @Nullable LapicState apic;
    private final @Nullable MpState state;

    Processor(Vcpu vcpu, boolean hasApics) {
      this.vcpu = vcpu;
      regs = vcpu.getRegs();
      sregs = vcpu.getSregs();
      fpu = vcpu.getFpu();
      debug = vcpu.getDebugRegs();
      events = vcpu.getVcpuEvents();
      apic = hasApics ? vcpu.getLapic() : null;
      state = hasApics ? vcpu.getMpState() : null;
    }

    void rememberMsrs(int[] indices) {
      for (int index : indices) {
        List<MsrEntry> one = List.of(new MsrEntry(index, 0));
        if (!TIME.contains(index) && vcpu.getMsrs(one) == 1) {
          msrs.addAll(one);
        }
      }
    }

    /** Those that have changed; what cannot be written has not. */
    void restoreMsrs() {
      for (MsrEntry before : msrs) {
        List<MsrEntry> now = List.of(new MsrEntry(before.index, 0));
        if (vcpu.getMsrs(now) == 1 && now.get(0).data != before.data) {
          vcpu.setMsrs(List.of(before));
        }
      }
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
