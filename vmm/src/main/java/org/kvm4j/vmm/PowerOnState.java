package org.kvm4j.vmm;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;
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
import org.kvm4j.kvm.Xcrs;
import org.kvm4j.kvm.Xsave;
import org.kvm4j.kvm.uapi.Caps;
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
    boolean hasXsave = vm.checkExtension(Caps.KVM_CAP_XSAVE) > 0;
    boolean hasXcrs = vm.checkExtension(Caps.KVM_CAP_XCRS) > 0;
    for (Vcpu vcpu : vcpus) {
      processors.add(new Processor(vcpu, hasApics, hasXsave, hasXcrs));
    }
  }

  /**
   * Remembers the processors' MSRs too, for {@link #reset}.
   *
   * @param indices which there are
   */
  void rememberMsrs(int[] indices) {
    int[] all = IntStream.concat(Arrays.stream(indices), Arrays.stream(UNLISTED)).toArray();
    processors.forEach(p -> p.rememberMsrs(all));
  }

  /**
   * Does what INIT does: to the processors' registers and local APICs, but not to FPU, XCR0 and
   * MSRs (SDM volume 3, "Processor State After Reset"). No processor may be running.
   */
  void initialize() {
    processors.forEach(Processor::initialize);
  }

  /** Gives all back, and the processors' MSRs too, which S3 leaves to the guest. */
  void reset() {
    restore();
    processors.forEach(Processor::restoreMsrs);
    processors.forEach(Processor::matchTime);
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

  private static final int TSC = 0x10;
  private static final int TSC_ADJUST = 0x3b;

  /** Of the counter of time, which goes on; the local APIC's state has its deadline. */
  private static final Set<Integer> TIME = Set.of(TSC, TSC_ADJUST, 0x6e0);

  /**
   * What the kernel keeps and does not list: MTRRs, what machine checks are enabled, AMD's HWCR.
   */
  private static final int[] UNLISTED =
      Stream.of(
              IntStream.range(0x200, 0x220), // variable MTRRs
              IntStream.of(0x250, 0x258, 0x259),
              IntStream.range(0x268, 0x270),
              IntStream.range(0, 32).map(bank -> 0x400 + 4 * bank),
              IntStream.of(0xc001_0015))
          .flatMapToInt(part -> part)
          .toArray();

  /** CR0's CD and NW, which INIT leaves. */
  private static final long CR0_CACHES = 3L << 29;

  private static final class Processor {
    private final List<MsrEntry> msrs = new ArrayList<>();
    private final Vcpu vcpu;
    private final Regs regs;
    private final Sregs sregs;
    private final Fpu fpu;
    private final @Nullable Xsave extended;
    private final @Nullable Xcrs xcrs;
    private final DebugRegs debug;
    private final VcpuEvents events;
    private final @Nullable LapicState apic;
    private final @Nullable MpState state;

    Processor(Vcpu vcpu, boolean hasApics, boolean hasXsave, boolean hasXcrs) {
      this.vcpu = vcpu;
      regs = vcpu.getRegs();
      sregs = vcpu.getSregs();
      fpu = vcpu.getFpu();
      extended = hasXsave ? vcpu.getXsave() : null;
      xcrs = hasXcrs ? vcpu.getXcrs() : null;
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

    /** Counters that the guest moved are together with the others again. */
    void matchTime() {
      vcpu.setMsrs(List.of(new MsrEntry(TSC_ADJUST, 0)));
      vcpu.setMsrs(List.of(new MsrEntry(TSC, 0))); // which Linux takes for: as the others
    }

    void initialize() {
      Sregs now = vcpu.getSregs();
      long cr0 = sregs.cr0;
      long apicBase = sregs.apicBase;
      sregs.cr0 = cr0 & ~CR0_CACHES | now.cr0 & CR0_CACHES;
      sregs.apicBase = now.apicBase;
      restoreInitialized();
      sregs.cr0 = cr0;
      sregs.apicBase = apicBase;
    }

    void restore() {
      restoreInitialized();
      vcpu.setFpu(fpu);
      Xcrs x = xcrs;
      if (x != null) {
        vcpu.setXcrs(x);
      }
      Xsave e = extended;
      if (e != null) {
        vcpu.setXsave(e);
      }
    }

    private void restoreInitialized() {
      vcpu.setSregs(sregs);
      vcpu.setRegs(regs);
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
