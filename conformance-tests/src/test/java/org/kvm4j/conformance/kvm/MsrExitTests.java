package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.KvmException;
import org.kvm4j.kvm.MsrFilter;
import org.kvm4j.kvm.Regs;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.uapi.Caps;
import org.kvm4j.kvm.uapi.KvmCap;
import org.kvm4j.kvm.uapi.Uapi;

class MsrExitTests extends KvmContract {

  private static final int UNKNOWN_MSR = 0x12345678;
  private static final int SYSENTER_ESP = 0x175;
  private static final int READ_WRITE = Uapi.KVM_MSR_FILTER_READ | Uapi.KVM_MSR_FILTER_WRITE;

  /** rdmsr (or wrmsr of EDX:EAX 0x1122:0x55667788), then out; #GP goes to another out. */
  private RealModeGuest guest(boolean write, int msr) {
    int[] code = {
      0x66,
      0xb9,
      msr & 0xff,
      msr >> 8 & 0xff,
      msr >> 16 & 0xff,
      msr >>> 24, // mov ecx, msr
      0x66,
      0xb8,
      0x88,
      0x77,
      0x66,
      0x55, // mov eax, 0x55667788
      0x66,
      0xba,
      0x22,
      0x11,
      0x00,
      0x00, // mov edx, 0x1122
      0x0f,
      write ? 0x30 : 0x32, // wrmsr or rdmsr
      0xe6,
      0x10, // out 0x10, al
      0xf4 // hlt
    };
    RealModeGuest guest = new RealModeGuest(kvm, code);
    guest.memory.putInt(13 * 4L, 0x2000);
    guest.load(0x2000, 0xe6, 0x0d, 0xf4); // out 13, al; hlt
    return guest;
  }

  private static void port(RealModeGuest guest, int port) {
    assertEquals(port, guest.run(Exit.IoOut.class).port());
  }

  private static void userSpaceMsrs(RealModeGuest guest, int reasons) {
    guest.vm.enableCap(Caps.KVM_CAP_X86_USER_SPACE_MSR, reasons);
  }

  @EachBackend
  void anUnknownMsrFaultsInTheGuest() {
    port(guest(false, UNKNOWN_MSR), 13);
    port(guest(true, UNKNOWN_MSR), 13);
  }

  @EachBackend
  void aKnownMsrIsReadAndWrittenByTheGuest() {
    RealModeGuest guest = guest(true, SYSENTER_ESP);
    port(guest, 0x10);
    assertEquals(0x1122_55667788L, guest.vcpu.getMsr(SYSENTER_ESP));
    guest = guest(false, SYSENTER_ESP);
    guest.vcpu.setMsr(SYSENTER_ESP, 0x1234_5678);
    port(guest, 0x10);
    assertEquals(0x1234_5678, guest.vcpu.getRegs().rax);
    assertEquals(0, guest.vcpu.getRegs().rdx);
  }

  @EachBackend
  void anUnknownMsrReadIsAnsweredByUserSpace() {
    backend.needs(kvm, KvmCap.KVM_CAP_X86_USER_SPACE_MSR);
    RealModeGuest guest = guest(false, UNKNOWN_MSR);
    userSpaceMsrs(guest, Uapi.KVM_MSR_EXIT_REASON_UNKNOWN);
    assertEquals(new Exit.RdMsr(UNKNOWN_MSR, Uapi.KVM_MSR_EXIT_REASON_UNKNOWN), guest.run());
    guest.vcpu.answerRdMsr(0xaabbccdd_00112233L);
    port(guest, 0x10);
    Regs regs = guest.vcpu.getRegs();
    assertEquals(0x00112233L, regs.rax);
    assertEquals(0xaabbccddL, regs.rdx);
  }

  @EachBackend
  void anUnknownMsrWriteTellsItsValue() {
    backend.needs(kvm, KvmCap.KVM_CAP_X86_USER_SPACE_MSR);
    RealModeGuest guest = guest(true, UNKNOWN_MSR);
    userSpaceMsrs(guest, Uapi.KVM_MSR_EXIT_REASON_UNKNOWN);
    assertEquals(
        new Exit.WrMsr(UNKNOWN_MSR, Uapi.KVM_MSR_EXIT_REASON_UNKNOWN, 0x1122_55667788L),
        guest.run());
    port(guest, 0x10);
  }

  @EachBackend
  void userSpaceCanMakeTheGuestFault() {
    backend.needs(kvm, KvmCap.KVM_CAP_X86_USER_SPACE_MSR);
    for (boolean write : new boolean[] {false, true}) {
      RealModeGuest guest = guest(write, UNKNOWN_MSR);
      userSpaceMsrs(guest, Uapi.KVM_MSR_EXIT_REASON_UNKNOWN);
      guest.run();
      guest.vcpu.failMsr();
      port(guest, 13);
    }
  }

  @EachBackend
  void onlyTheReasonsAskedForExit() {
    backend.needs(kvm, KvmCap.KVM_CAP_X86_USER_SPACE_MSR);
    RealModeGuest guest = guest(false, UNKNOWN_MSR);
    userSpaceMsrs(guest, Uapi.KVM_MSR_EXIT_REASON_FILTER);
    port(guest, 13);
    refused(Errno.EINVAL, () -> guest.vm.enableCap(Caps.KVM_CAP_X86_USER_SPACE_MSR, 0x80));
  }

  @EachBackend
  void aFilteredMsrFaultsOrExits() {
    backend.needs(kvm, KvmCap.KVM_CAP_X86_MSR_FILTER);
    MsrFilter filter = MsrFilter.defaultAllow().deny(READ_WRITE, SYSENTER_ESP, 1);
    RealModeGuest guest = guest(false, SYSENTER_ESP);
    guest.vm.setMsrFilter(filter);
    port(guest, 13);

    guest = guest(false, SYSENTER_ESP);
    guest.vm.setMsrFilter(filter);
    userSpaceMsrs(guest, Uapi.KVM_MSR_EXIT_REASON_FILTER);
    assertEquals(new Exit.RdMsr(SYSENTER_ESP, Uapi.KVM_MSR_EXIT_REASON_FILTER), guest.run());
    guest.vcpu.answerRdMsr(5);
    port(guest, 0x10);
    assertEquals(5, guest.vcpu.getRegs().rax);
    assertEquals(0, guest.vcpu.getMsr(SYSENTER_ESP), "user space is not filtered");
  }

  @EachBackend
  void aFilterTellsReadsFromWritesAndHasADefault() {
    backend.needs(kvm, KvmCap.KVM_CAP_X86_MSR_FILTER);
    RealModeGuest guest = guest(true, SYSENTER_ESP);
    guest.vm.setMsrFilter(MsrFilter.defaultAllow().deny(Uapi.KVM_MSR_FILTER_READ, SYSENTER_ESP, 1));
    port(guest, 0x10);

    guest = guest(true, SYSENTER_ESP);
    guest.vm.setMsrFilter(MsrFilter.defaultDeny().allow(READ_WRITE, 0x174, 3));
    port(guest, 0x10);
    guest = guest(true, 0x277);
    guest.vm.setMsrFilter(MsrFilter.defaultDeny().allow(READ_WRITE, 0x174, 3));
    port(guest, 13);

    RealModeGuest last = guest;
    KvmException e =
        assertThrows(KvmException.class, () -> last.vm.setMsrFilter(MsrFilter.defaultDeny()));
    assertTrue(e.is(Errno.EINVAL));
  }

  @EachBackend
  void anMsrAccessIsForgottenWhereUserSpaceSendsTheGuestElsewhere() {
    if (!backend.isEmulated()) {
      backend.limit("steps over whatever is at the new RIP");
    }
    for (boolean write : new boolean[] {false, true}) {
      RealModeGuest guest = guest(write, UNKNOWN_MSR);
      userSpaceMsrs(guest, Uapi.KVM_MSR_EXIT_REASON_UNKNOWN);
      assertEquals(write, guest.run() instanceof Exit.WrMsr);
      guest.load(0x3000, 0xe6, 0x11, 0xf4); // out 0x11, al; hlt
      guest.regs(r -> r.rip = 0x3000);
      port(guest, 0x11);
    }
  }
}
