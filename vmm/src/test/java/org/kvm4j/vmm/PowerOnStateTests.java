package org.kvm4j.vmm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.kvm4j.kvm.DebugRegs;
import org.kvm4j.kvm.HeapMemory;
import org.kvm4j.kvm.Kernels;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.LapicState;
import org.kvm4j.kvm.MpState;
import org.kvm4j.kvm.MsrEntry;
import org.kvm4j.kvm.Regs;
import org.kvm4j.kvm.Sregs;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.VcpuEvents;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.Xcrs;
import org.kvm4j.kvm.Xsave;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.uapi.Uapi;

/** What a reset and an INIT make of processors: SDM volume 3, "Processor State After Reset". */
class PowerOnStateTests {

  private static final int TSC = 0x10;
  private static final int TSC_ADJUST = 0x3b;
  private static final long SECOND = 1_000_000_000L;

  private static final long CR0_CACHES = 3 << 29; // CD, NW
  private static final int APIC_X2APIC = 1 << 10;

  /** MSRs, and what a guest may have written to them. */
  private static final long[][] MSRS = {
    {0x174, 0x10}, // IA32_SYSENTER_CS
    {0x175, 0x2000}, // IA32_SYSENTER_ESP
    {0x176, 0x3000}, // IA32_SYSENTER_EIP
    {0x200, 0x8000_0000L}, // IA32_MTRR_PHYSBASE0
    {0x201, 0x80_0000_0800L}, // IA32_MTRR_PHYSMASK0
    {0x250, 6}, // IA32_MTRR_FIX64K_00000
    {0x26f, 6}, // IA32_MTRR_FIX4K_F8000
    {0x277, 0}, // IA32_PAT
    {0x2ff, 0xc06}, // IA32_MTRR_DEF_TYPE
    {0x400, 0}, // IA32_MC0_CTL
    {0xc000_0081L, 0x8_0000_0000L}, // IA32_STAR
    {0xc000_0082L, 0x4000}, // IA32_LSTAR
    {0xc000_0084L, 0x700} // IA32_FMASK
  };

  // In the XSAVE area.
  private static final int FCW = 0;
  private static final int XMM0 = 160;
  private static final int XSTATE_BV = 512;
  private static final int PKRU = 2688;
  private static final int COMPONENTS = 0x203; // x87, SSE, PKRU

  private final Kernel kernel = Kernels.open("emulated");
  private Kvm kvm;
  private Vm vm;
  private List<Vcpu> vcpus;
  private PowerOnState state;
  private List<Held> before;

  /** All that a processor holds. */
  private record Held(
      Regs regs,
      Sregs sregs,
      DebugRegs debug,
      VcpuEvents events,
      LapicState apic,
      MpState mp,
      Xsave extended,
      long xcr0,
      List<Long> msrs) {
    static Held of(Vcpu vcpu) {
      return new Held(
          vcpu.getRegs(),
          vcpu.getSregs(),
          vcpu.getDebugRegs(),
          vcpu.getVcpuEvents(),
          vcpu.getLapic(),
          vcpu.getMpState(),
          vcpu.getXsave(),
          vcpu.getXcrs().xcr0(),
          Arrays.stream(MSRS).map(msr -> vcpu.getMsr((int) msr[0])).toList());
    }
  }

  @BeforeEach
  void make() {
    kvm = Kvm.open(kernel);
    vm = kvm.createVm();
    vm.createIrqchip();
    vcpus = List.of(vm.createVcpu(0), vm.createVcpu(1));
    vcpus.forEach(vcpu -> vcpu.setCpuid2(kvm.getSupportedCpuid()));
    state = new PowerOnState(vm, vcpus, true, true, false);
    state.rememberMsrs(kvm.getMsrIndexList());
    before = vcpus.stream().map(Held::of).toList();
    vcpus.forEach(PowerOnStateTests::change);
  }

  @AfterEach
  void close() {
    vcpus.forEach(Vcpu::close);
    vm.close();
    kvm.close();
  }

  /** As a guest leaves a processor. */
  private static void change(Vcpu vcpu) {
    Sregs sregs = vcpu.getSregs();
    sregs.apicBase |= APIC_X2APIC;
    sregs.cr2 = 0x1234;
    sregs.cr4 = 1 << 18; // OSXSAVE
    sregs.cr8 = 5;
    sregs.cs.base = 0x1000;
    sregs.idt.limit = 0xff;
    vcpu.setSregs(sregs);
    Regs regs = new Regs();
    regs.rip = 0x7c00;
    regs.r15 = 1;
    regs.rflags = 0x202;
    vcpu.setRegs(regs);
    DebugRegs debug = vcpu.getDebugRegs();
    debug.db[0] = 0x5000;
    debug.dr7 = 0x403;
    vcpu.setDebugRegs(debug);
    VcpuEvents events = vcpu.getVcpuEvents();
    events.nmiPending = 1;
    events.smiLatchedInit = 1;
    vcpu.setVcpuEvents(events);
    LapicState apic = vcpu.getLapic();
    apic.setRegister(0xf0, 0x1ff);
    apic.setRegister(0x320, 0x20030);
    vcpu.setLapic(apic);
    vcpu.setMpState(new MpState(Uapi.KVM_MP_STATE_HALTED));
    vcpu.setXcrs(Xcrs.ofXcr0(COMPONENTS));
    Xsave extended = vcpu.getXsave();
    HeapMemory area = new HeapMemory(extended.region);
    area.putShort(FCW, (short) 0x27f);
    area.putLong(XMM0, -1);
    area.putInt(PKRU, 0x55);
    area.putLong(XSTATE_BV, COMPONENTS);
    vcpu.setXsave(extended);
    for (long[] msr : MSRS) {
      vcpu.setMsr((int) msr[0], msr[1]);
    }
  }

  @Test
  void a_reset_leaves_nothing_of_what_the_guest_changed() {
    for (int i = 0; i < 2; i++) {
      assertNotEquals(before.get(i), Held.of(vcpus.get(i)));
    }
    state.reset();
    for (int i = 0; i < 2; i++) {
      assertEquals(before.get(i), Held.of(vcpus.get(i)));
    }
  }

  @Test
  void after_a_reset_the_processors_counters_are_together() {
    Vcpu second = vcpus.get(1);
    second.setMsrs(List.of(new MsrEntry(TSC_ADJUST, 1000 * SECOND)));
    second.setMsr(TSC, second.getMsr(TSC) + 1000 * SECOND);
    state.reset();
    assertEquals(0, second.getMsr(TSC_ADJUST));
    long first = vcpus.get(0).getMsr(TSC);
    assertEquals(first, second.getMsr(TSC), 100 * SECOND);
  }

  @Test
  void an_INIT_leaves_numbers_rights_and_MSRs() {
    Held changed = Held.of(vcpus.get(0));
    Sregs caches = vcpus.get(0).getSregs();
    caches.cr0 &= ~CR0_CACHES;
    vcpus.get(0).setSregs(caches);
    state.initialize();
    Held after = Held.of(vcpus.get(0));
    assertEquals(changed.extended, after.extended);
    assertEquals(changed.xcr0, after.xcr0);
    assertEquals(changed.msrs, after.msrs);
    Held first = before.get(0);
    assertEquals(first.regs, after.regs);
    assertEquals(first.debug, after.debug);
    assertEquals(first.events, after.events);
    assertEquals(first.mp, after.mp);
    assertEquals(first.apic.register(0xf0), after.apic.register(0xf0));
    assertEquals(first.apic.register(0x320), after.apic.register(0x320));
    first.sregs.cr0 &= ~CR0_CACHES;
    first.sregs.apicBase |= APIC_X2APIC;
    assertEquals(first.sregs, after.sregs);
    state.reset();
    assertNotEquals(
        0, vcpus.get(0).getSregs().cr0 & CR0_CACHES, "what INIT kept is not remembered");
  }
}
