package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.conformance.kvm.RealModeCode.*;

import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.uapi.KvmCap;
import org.kvm4j.kvm.uapi.Uapi;

/** The time-stamp counters of guests: their frequency, and how they are kept together. */
class TimeStampCounterTests extends KvmContract {
  private static final int TSC = 0x10;
  private static final int TSC_ADJUST = 0x3b;
  private static final int SAVED = 0x7000;
  private static final int PORT = 0x10;
  private static final int[] READ_TSC =
      join(RDTSC, store(SAVED, EAX), store(SAVED + 4, EDX), out(PORT), HLT);

  private static long offset(Vcpu vcpu) {
    return vcpu.getDeviceAttr(Uapi.KVM_VCPU_TSC_CTRL, Uapi.KVM_VCPU_TSC_OFFSET);
  }

  /** Whether the counter can be set at all. */
  private void needsOffsets() {
    Vcpu vcpu = kvm.createVm().createVcpu(0);
    vcpu.setDeviceAttr(Uapi.KVM_VCPU_TSC_CTRL, Uapi.KVM_VCPU_TSC_OFFSET, 4711);
    if (offset(vcpu) != 4711) {
      backend.limit("its hardware cannot offset the time-stamp counter");
    }
  }

  @EachBackend
  void counterRunsAtTheFrequencyAskedFor() {
    backend.needs(kvm, KvmCap.KVM_CAP_TSC_CONTROL, KvmCap.KVM_CAP_ADJUST_CLOCK);
    int host = kvm.createVm().createVcpu(0).getTscKhz();
    for (int percent : new int[] {50, 250, 1}) {
      RealModeGuest guest = new RealModeGuest(kvm, READ_TSC);
      int khz = (int) ((long) host * percent / 100);
      guest.vcpu.setTscKhz(khz);
      assertEquals(khz, guest.vcpu.getTscKhz());
      guest.vcpu.setMsr(TSC, 0);
      long a = guest.vm.getClock().clock;
      final long first = guest.vcpu.getMsr(TSC);
      long b = guest.vm.getClock().clock;
      guest.run(Exit.IoOut.class);
      final long read = guest.memory.getLong(SAVED);
      long c = guest.vm.getClock().clock;
      final long last = guest.vcpu.getMsr(TSC);
      long d = guest.vm.getClock().clock;
      assertTrue(first <= read && read <= last, first + " " + read + " " + last);
      long most = (d - a) * khz / 1_000_000 + 2;
      long least = (c - b) * khz / 1_000_000 - 2;
      assertTrue(last - first >= least && last - first <= most, least + " " + most);
    }
  }

  @EachBackend
  void frequenciesThatCannotBeAreRefused() {
    Vm vm = kvm.createVm();
    Vcpu vcpu = vm.createVcpu(0);
    int host = vcpu.getTscKhz();
    vcpu.setTscKhz(0);
    assertEquals(host, vcpu.getTscKhz());
    if (kvm.checkExtension(KvmCap.KVM_CAP_TSC_CONTROL) != 0) {
      refused(Errno.EINVAL, () -> vcpu.setTscKhz(0x7fffffff));
      refused(Errno.EINVAL, () -> vcpu.setTscKhz(-1));
      refused(Errno.EINVAL, () -> vm.setTscKhz(-1));
    } else {
      refused(Errno.EINVAL, () -> vcpu.setTscKhz(host / 2));
    }
  }

  @EachBackend
  void vmsFrequencyIsThatOfNewVcpus() {
    backend.needs(kvm, KvmCap.KVM_CAP_VM_TSC_CONTROL);
    Vm vm = kvm.createVm();
    vm.setTscKhz(1_234_567);
    assertEquals(1_234_567, vm.getTscKhz());
    assertEquals(1_234_567, vm.createVcpu(0).getTscKhz());
  }

  @EachBackend
  void countersWrittenAboutAlikeMatch() {
    needsOffsets();
    Vm vm = kvm.createVm();
    Vcpu first = vm.createVcpu(0);
    Vcpu second = vm.createVcpu(1);
    assertEquals(offset(first), offset(second), "as they are made");
    first.setMsr(TSC, 1L << 44);
    second.setMsr(TSC, (1L << 44) + 12345);
    assertEquals(offset(first), offset(second));
    second.setMsr(TSC, 1L << 50);
    assertNotEquals(offset(first), offset(second), "more than a second apart");
    first.setMsr(TSC, 0);
    assertEquals(offset(first), offset(second), "0 is meant to match");
  }

  @EachBackend
  void offsetIsAnAttribute() {
    needsOffsets();
    Vcpu vcpu = kvm.createVm().createVcpu(0);
    vcpu.setDeviceAttr(Uapi.KVM_VCPU_TSC_CTRL, Uapi.KVM_VCPU_TSC_OFFSET, 1L << 60);
    assertEquals(1L << 60, offset(vcpu));
    assertTrue(vcpu.getMsr(TSC) >= 1L << 60);
  }

  private RealModeGuest writer(int msr, long value) {
    RealModeGuest guest = new RealModeGuest(kvm, join(wrmsr(msr, value), READ_TSC));
    guest.vcpu.setCpuid2(kvm.getSupportedCpuid());
    return guest;
  }

  @EachBackend
  void guestsWriteMovesItsAdjustment() {
    needsOffsets();
    RealModeGuest guest = writer(TSC, 1L << 55);
    guest.vcpu.setMsr(TSC, 5);
    assertEquals(0, guest.vcpu.getMsr(TSC_ADJUST), "user space's write does not");
    long before = offset(guest.vcpu);
    guest.run(Exit.IoOut.class);
    assertTrue(guest.memory.getLong(SAVED) >= 1L << 55);
    assertEquals(offset(guest.vcpu) - before, guest.vcpu.getMsr(TSC_ADJUST));
  }

  @EachBackend
  void guestsAdjustmentMovesItsCounter() {
    needsOffsets();
    RealModeGuest guest = writer(TSC_ADJUST, 1L << 55);
    long before = offset(guest.vcpu);
    guest.run(Exit.IoOut.class);
    assertEquals(before + (1L << 55), offset(guest.vcpu));
    assertTrue(guest.memory.getLong(SAVED) >= 1L << 55);
    guest.vcpu.setMsr(TSC_ADJUST, 0);
    assertEquals(before + (1L << 55), offset(guest.vcpu), "user space's write does not move it");
  }
}
