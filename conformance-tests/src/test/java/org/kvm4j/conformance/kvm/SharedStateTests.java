package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.conformance.kvm.RealModeCode.*;

import org.kvm4j.kvm.CpuidEntry;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.KvmException;
import org.kvm4j.kvm.LapicState;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.uapi.Caps;
import org.kvm4j.kvm.uapi.KvmCap;
import org.kvm4j.kvm.uapi.Uapi;

/** What the kernel shares with a guest in its memory: steal time, ends of interrupts, pages. */
class SharedStateTests extends KvmContract {
  private static final int ASYNC_PF_EN = 0x4b564d02;
  private static final int STEAL_TIME = 0x4b564d03;
  private static final int PV_EOI_EN = 0x4b564d04;
  private static final int ASYNC_PF_INT = 0x4b564d06;
  private static final int ASYNC_PF_ACK = 0x4b564d07;

  private static final int SHARED = 0x6000;
  private static final int PORT = 0x10;
  private static final int HANDLER_PORT = 0x11;
  private static final int HANDLER = 0x3000;
  private static final int VECTOR = 0x41;
  private static final int SPURIOUS = 0xf0;
  private static final int ISR = 0x100;
  private static final int LVT_TIMER = 0x320;
  private static final int INITIAL_COUNT = 0x380;
  private static final int CURRENT_COUNT = 0x390;
  private static final int[] LOOP = {0xe6, PORT, 0xeb, -4 & 0xff};

  /** A guest that halts with interrupts on, has a local APIC, and a handler for a vector. */
  private RealModeGuest interrupted(int[] handler) {
    backend.needs(kvm, KvmCap.KVM_CAP_IRQCHIP);
    RealModeGuest guest = new RealModeGuest(kvm, vm -> vm.createIrqchip(), 0, join(STI_HLT, LOOP));
    guest.memory.putInt(4L * VECTOR, HANDLER);
    guest.load(HANDLER, handler);
    LapicState lapic = guest.vcpu.getLapic();
    lapic.setRegister(SPURIOUS, 0x1ff);
    guest.vcpu.setLapic(lapic);
    return guest;
  }

  private void needsInterruptsTaken() {
    if (!backend.isEmulated()) {
      backend.limit(
          "executes real mode in its instruction emulator, which never takes the local APIC's"
              + " interrupts from it");
    }
  }

  @EachBackend
  void stolenTimeIsToldWithAVersion() {
    RealModeGuest guest = new RealModeGuest(kvm, LOOP);
    guest.memory.putInt(SHARED + 8, 7);
    guest.memory.putByte(SHARED + 16, (byte) 1);
    guest.vcpu.setMsr(STEAL_TIME, SHARED | 1);
    assertEquals(SHARED | 1, guest.vcpu.getMsr(STEAL_TIME));
    guest.run(Exit.IoOut.class);
    int version = guest.memory.getInt(SHARED + 8);
    assertTrue(version > 8 && (version & 1) == 0, "version " + version);
    assertEquals(0, guest.memory.getByte(SHARED + 16), "it is not preempted");
    assertThrows(KvmException.class, () -> guest.vcpu.setMsr(STEAL_TIME, SHARED | 3));
    guest.vcpu.setMsr(STEAL_TIME, RealModeGuest.HOLE | 1);
    guest.run(Exit.IoOut.class);
  }

  @EachBackend
  void interruptIsEndedInMemory() {
    // The bit is cleared as guests do it: BTR [SHARED], 0.
    int[] end = {0x0f, 0xba, 0x36, SHARED & 0xff, SHARED >> 8, 0};
    RealModeGuest guest = interrupted(join(out(HANDLER_PORT), end, IRET));
    needsInterruptsTaken();
    guest.vcpu.setMsr(PV_EOI_EN, SHARED | 1);
    guest.vm.signalMsi(0xfee00000L, VECTOR);
    assertEquals(HANDLER_PORT, guest.run(Exit.IoOut.class).port());
    assertEquals(1 << 1, guest.vcpu.getLapic().register(ISR + 0x20));
    assertEquals(0, guest.memory.getByte(SHARED), "taken back at each exit");
    assertEquals(PORT, guest.run(Exit.IoOut.class).port());
    assertEquals(0, guest.vcpu.getLapic().register(ISR + 0x20));
    assertEquals(0, guest.memory.getByte(SHARED));
  }

  @EachBackend
  void addressesOfEndsAreChecked() {
    backend.needs(kvm, KvmCap.KVM_CAP_IRQCHIP);
    RealModeGuest guest = new RealModeGuest(kvm, vm -> vm.createIrqchip(), 0, LOOP);
    assertThrows(KvmException.class, () -> guest.vcpu.setMsr(PV_EOI_EN, SHARED | 3));
    assertThrows(KvmException.class, () -> guest.vcpu.setMsr(PV_EOI_EN, RealModeGuest.HOLE | 1));
    guest.vcpu.setMsr(PV_EOI_EN, SHARED | 1);
    assertEquals(SHARED | 1, guest.vcpu.getMsr(PV_EOI_EN));
    guest.vcpu.setMsr(PV_EOI_EN, 0);
  }

  @EachBackend
  void thoseWhoWaitForPagesAreWoken() {
    RealModeGuest guest = interrupted(join(out(HANDLER_PORT), IRET));
    needsInterruptsTaken();
    guest.vcpu.setMsr(ASYNC_PF_INT, VECTOR);
    guest.vcpu.setMsr(ASYNC_PF_EN, SHARED | 8 | 1);
    assertEquals(HANDLER_PORT, guest.run(Exit.IoOut.class).port());
    assertEquals(-1, guest.memory.getInt(SHARED + 4));
    guest.memory.putInt(SHARED + 4, 0);
    guest.vcpu.setMsr(ASYNC_PF_ACK, 1);
    assertEquals(PORT, guest.run(Exit.IoOut.class).port());
    assertEquals(0, guest.memory.getInt(SHARED + 4), "nothing more comes");
  }

  @EachBackend
  void reservedBitsOfPageFaultsAreRefused() {
    backend.needs(kvm, KvmCap.KVM_CAP_IRQCHIP, KvmCap.KVM_CAP_ASYNC_PF);
    RealModeGuest guest = new RealModeGuest(kvm, vm -> vm.createIrqchip(), 0, LOOP);
    assertThrows(KvmException.class, () -> guest.vcpu.setMsr(ASYNC_PF_EN, SHARED | 0x10));
    assertThrows(KvmException.class, () -> guest.vcpu.setMsr(ASYNC_PF_INT, 0x100));
    guest.vcpu.setMsr(ASYNC_PF_INT, 0xec);
    assertEquals(0xec, guest.vcpu.getMsr(ASYNC_PF_INT));
    guest.vcpu.setMsr(ASYNC_PF_EN, SHARED | 9);
    assertEquals(SHARED | 9, guest.vcpu.getMsr(ASYNC_PF_EN));
    RealModeGuest bare = new RealModeGuest(kvm, LOOP);
    assertThrows(KvmException.class, () -> bare.vcpu.setMsr(ASYNC_PF_EN, SHARED | 1));
    bare.vcpu.setMsr(ASYNC_PF_EN, 0);
  }

  @EachBackend
  void initSwitchesAllOff() {
    RealModeGuest guest = interrupted(HLT);
    needsInterruptsTaken();
    guest.vcpu.setMsr(STEAL_TIME, SHARED | 1);
    guest.vcpu.setMsr(PV_EOI_EN, SHARED + 64 | 1);
    guest.vcpu.setMsr(0x4b564d01, SHARED + 128 | 1);
    guest.vm.signalMsi(0xfee00000L, 5 << 8);
    guest.load(0xfff0, LOOP);
    guest.vcpu.getMpState(); // accepts it
    for (int msr : new int[] {STEAL_TIME, PV_EOI_EN, 0x4b564d01}) {
      assertEquals(0, guest.vcpu.getMsr(msr), Integer.toHexString(msr));
    }
  }

  // ---- KVM_CAP_X86_DISABLE_EXITS ----

  private static void withoutHaltExits(Vm vm) {
    vm.createIrqchip();
    vm.enableCap(Caps.KVM_CAP_X86_DISABLE_EXITS, Uapi.KVM_X86_DISABLE_EXITS_HLT);
  }

  @EachBackend
  void haltNeedNotExit() {
    backend.needs(kvm, KvmCap.KVM_CAP_X86_DISABLE_EXITS);
    int exits = kvm.checkExtension(KvmCap.KVM_CAP_X86_DISABLE_EXITS);
    assertEquals(Uapi.KVM_X86_DISABLE_EXITS_HLT, exits & Uapi.KVM_X86_DISABLE_EXITS_HLT);
    needsInterruptsTaken();
    RealModeGuest guest =
        new RealModeGuest(
            kvm, SharedStateTests::withoutHaltExits, 0, join(STI_HLT, out(PORT), HLT));
    guest.memory.putInt(4L * VECTOR, HANDLER);
    guest.load(HANDLER, join(out(HANDLER_PORT), IRET));
    LapicState lapic = guest.vcpu.getLapic();
    lapic.setRegister(SPURIOUS, 0x1ff);
    lapic.setRegister(LVT_TIMER, VECTOR);
    lapic.setRegister(INITIAL_COUNT, 1_000_000);
    lapic.setRegister(CURRENT_COUNT, 1_000_000);
    guest.vcpu.setLapic(lapic);
    assertEquals(HANDLER_PORT, guest.run(Exit.IoOut.class).port());
    assertEquals(PORT, guest.run(Exit.IoOut.class).port());
    refused(
        Errno.EINVAL,
        () -> guest.vm.enableCap(Caps.KVM_CAP_X86_DISABLE_EXITS, Uapi.KVM_X86_DISABLE_EXITS_HLT));
  }

  @EachBackend
  void callToEndAHaltIsWithheldWhereHaltsDoNotExit() {
    backend.needs(kvm, KvmCap.KVM_CAP_X86_DISABLE_EXITS);
    RealModeGuest guest = new RealModeGuest(kvm, SharedStateTests::withoutHaltExits, 0, LOOP);
    guest.vcpu.setCpuid2(kvm.getSupportedCpuid());
    CpuidEntry features =
        guest.vcpu.getCpuid2().stream()
            .filter(e -> e.function == 0x40000001)
            .findFirst()
            .orElseThrow();
    assertEquals(0, features.eax & 1 << 7);
    guest.run(Exit.IoOut.class);
    if (backend.isEmulated()) {
      guest.vcpu.setCpuid2(kvm.getSupportedCpuid()); // the same again
    }
  }
}
