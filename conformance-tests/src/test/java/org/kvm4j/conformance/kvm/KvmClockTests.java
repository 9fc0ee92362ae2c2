package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.conformance.kvm.RealModeCode.*;

import java.math.BigInteger;
import java.util.Arrays;
import java.util.stream.Collectors;
import org.kvm4j.kvm.ClockData;
import org.kvm4j.kvm.CpuidEntry;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.GuestMemory;
import org.kvm4j.kvm.KvmException;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.uapi.Caps;
import org.kvm4j.kvm.uapi.KvmCap;
import org.kvm4j.kvm.uapi.Uapi;

/** kvmclock: the VM's clock, and the one that each virtual CPU's guest reads in its memory. */
class KvmClockTests extends KvmContract {
  private static final int WALL_CLOCK = 0x4b564d00;
  private static final int SYSTEM_TIME = 0x4b564d01;
  private static final int STEAL_TIME = 0x4b564d03;
  private static final long SECOND = 1_000_000_000L;

  private static final int CLOCK = 0x6000;
  private static final int TSC = 0x7000;
  private static final int STABLE = 1;
  private static final int STOPPED = 2;
  private static final int PORT = 0x10;

  /** Reads the time-stamp counter into memory again and again. */
  private static final int[] READ_TSC =
      join(RDTSC, store(TSC, EAX), store(TSC + 4, EDX), out(PORT), new int[] {0xeb, -16 & 0xff});

  private RealModeGuest guest() {
    backend.needs(kvm, KvmCap.KVM_CAP_ADJUST_CLOCK);
    return new RealModeGuest(kvm, READ_TSC);
  }

  private static int version(GuestMemory memory) {
    return memory.getInt(CLOCK);
  }

  private static int flags(GuestMemory memory) {
    return memory.getInt(CLOCK + 28) >> 8 & 0xff;
  }

  /** What a guest makes of its clock and of the time-stamp counter that it has read. */
  private static long guestTime(GuestMemory memory) {
    long delta = memory.getLong(TSC) - memory.getLong(CLOCK + 8);
    int shift = (byte) memory.getInt(CLOCK + 28);
    BigInteger ticks = BigInteger.valueOf(delta).shiftLeft(shift);
    BigInteger scaled = ticks.multiply(BigInteger.valueOf(memory.getInt(CLOCK + 24) & 0xffffffffL));
    return memory.getLong(CLOCK + 16) + scaled.shiftRight(32).longValue();
  }

  @EachBackend
  void guestReadsTheVmsClock() {
    RealModeGuest guest = guest();
    guest.vcpu.setMsr(SYSTEM_TIME, CLOCK | 1);
    guest.run(Exit.IoOut.class);
    for (int i = 0; i < 3; i++) {
      long before = guest.vm.getClock().clock;
      guest.run(Exit.IoOut.class);
      long after = guest.vm.getClock().clock;
      long time = guestTime(guest.memory);
      // The scale is a fraction of 32 bits.
      assertTrue(time >= before - 1000 && time <= after + 1000, before + " " + time + " " + after);
    }
    assertNotEquals(0, version(guest.memory));
    assertEquals(0, version(guest.memory) & 1);
  }

  @EachBackend
  void clockIsStableWhileTscsMatch() {
    RealModeGuest guest = guest();
    guest.vcpu.setMsr(SYSTEM_TIME, CLOCK | 1);
    guest.run(Exit.IoOut.class);
    int known = Uapi.KVM_CLOCK_TSC_STABLE;
    assertEquals((guest.vm.getClock().flags & known) != 0, (flags(guest.memory) & STABLE) != 0);
    if (!backend.isEmulated()) {
      backend.limit("whether the host's clock source is its TSC is the host's affair");
    }
    assertEquals(STABLE, flags(guest.memory));

    guest.vm.createVcpu(1);
    guest.vcpu.setMsr(0x10, 1L << 50);
    guest.run(Exit.IoOut.class);
    assertEquals(0, flags(guest.memory));
    assertEquals(0, guest.vm.getClock().flags);
  }

  @EachBackend
  void clockIsSet() {
    RealModeGuest guest = guest();
    guest.vcpu.setMsr(SYSTEM_TIME, CLOCK | 1);
    guest.run(Exit.IoOut.class);
    ClockData data = new ClockData();
    data.clock = 1000 * SECOND;
    guest.vm.setClock(data);
    long now = guest.vm.getClock().clock;
    assertTrue(now >= 1000 * SECOND && now < 2000 * SECOND, () -> "clock " + now);
    guest.run(Exit.IoOut.class);
    assertTrue(guestTime(guest.memory) >= 1000 * SECOND);
  }

  @EachBackend
  void timeThatHasPassedIsAdded() {
    RealModeGuest guest = guest();
    guest.run(Exit.IoOut.class);
    ClockData data = guest.vm.getClock();
    if ((data.flags & Uapi.KVM_CLOCK_REALTIME) == 0) {
      backend.limit("has no real time with the clock");
    }
    data.clock = 0;
    data.realtime -= 5000 * SECOND;
    guest.vm.setClock(data);
    assertTrue(guest.vm.getClock().clock >= 5000 * SECOND);

    ClockData future = guest.vm.getClock();
    future.clock = 0;
    future.realtime += 5000 * SECOND;
    guest.vm.setClock(future);
    assertTrue(guest.vm.getClock().clock < 5000 * SECOND, "the clock is not set back");
  }

  @EachBackend
  void unknownFlagsAreRefused() {
    RealModeGuest guest = guest();
    ClockData data = new ClockData();
    data.flags = 1;
    refused(Errno.EINVAL, () -> guest.vm.setClock(data));
  }

  @EachBackend
  void guestLearnsThatItWasStopped() {
    RealModeGuest guest = guest();
    refused(Errno.EINVAL, guest.vcpu::kvmclockCtrl);
    guest.vcpu.setMsr(SYSTEM_TIME, CLOCK | 1);
    guest.run(Exit.IoOut.class);
    assertEquals(0, flags(guest.memory) & STOPPED);
    guest.vcpu.kvmclockCtrl();
    guest.run(Exit.IoOut.class);
    assertEquals(STOPPED, flags(guest.memory) & STOPPED);

    ClockData data = guest.vm.getClock();
    data.flags = 0;
    guest.vm.setClock(data);
    guest.run(Exit.IoOut.class);
    assertEquals(STOPPED, flags(guest.memory) & STOPPED, "until the guest has seen it");
  }

  @EachBackend
  void wallClockTellsWhenTheClockWasZero() {
    RealModeGuest guest = guest();
    guest.memory.putInt(CLOCK, 0x1001);
    guest.vcpu.setMsr(WALL_CLOCK, CLOCK);
    assertEquals(0x1004, guest.memory.getInt(CLOCK));
    long then = guest.memory.getInt(CLOCK + 4) * SECOND + guest.memory.getInt(CLOCK + 8);
    guest.run(Exit.IoOut.class);
    ClockData now = guest.vm.getClock();
    if ((now.flags & Uapi.KVM_CLOCK_REALTIME) == 0) {
      backend.limit("has no real time with the clock");
    }
    // Nobody stops the host from adjusting its real time a little meanwhile.
    assertTrue(Math.abs(now.realtime - now.clock - then) < 10 * SECOND, then + " " + now);
  }

  @EachBackend
  void clockWithoutMemoryIsIgnored() {
    RealModeGuest guest = guest();
    guest.vcpu.setMsr(SYSTEM_TIME, RealModeGuest.HOLE | 1);
    guest.vcpu.setMsr(WALL_CLOCK, RealModeGuest.HOLE);
    guest.run(Exit.IoOut.class);
    assertEquals(RealModeGuest.HOLE | 1, guest.vcpu.getMsr(SYSTEM_TIME));
    guest.vcpu.kvmclockCtrl();
    guest.run(Exit.IoOut.class);
  }

  @EachBackend
  void clockPageIsDirty() {
    backend.needs(kvm, KvmCap.KVM_CAP_ADJUST_CLOCK);
    RealModeGuest guest = new RealModeGuest(kvm, Uapi.KVM_MEM_LOG_DIRTY_PAGES, READ_TSC);
    guest.vcpu.setMsr(SYSTEM_TIME, CLOCK | 1);
    guest.run(Exit.IoOut.class);
    assertTrue(guest.vm.getDirtyLog(0).isDirty(CLOCK >> 12));
  }

  @EachBackend
  void msrsAreSavedAndRestored() {
    RealModeGuest guest = guest();
    var listed = Arrays.stream(kvm.getMsrIndexList()).boxed().collect(Collectors.toSet());
    for (int msr = WALL_CLOCK; msr <= 0x4b564d07; msr++) {
      assertTrue(listed.contains(msr), Integer.toHexString(msr));
    }
    assertTrue(listed.contains(0x11) && listed.contains(0x12));
    guest.vcpu.setMsr(SYSTEM_TIME, CLOCK | 1);
    assertEquals(CLOCK | 1, guest.vcpu.getMsr(SYSTEM_TIME));
    assertEquals(CLOCK | 1, guest.vcpu.getMsr(0x12), "the old number");
    guest.vcpu.setMsr(WALL_CLOCK, CLOCK + 0x100);
    assertEquals(CLOCK + 0x100, guest.vcpu.getMsr(0x11));
    assertEquals(1, guest.vcpu.getMsr(0x4b564d05), "polling is on at first");
    assertThrows(KvmException.class, () -> guest.vcpu.setMsr(0x4b564d05, 2));
  }

  /** Without KVM_CAP_ENFORCE_PV_FEATURE_CPUID all is there, whatever CPUID says. */
  @EachBackend
  void featuresAreEnforcedOnRequest() {
    RealModeGuest guest = guest();
    backend.needs(kvm, KvmCap.KVM_CAP_ENFORCE_PV_FEATURE_CPUID);
    var entries = kvm.getSupportedCpuid();
    for (CpuidEntry e : entries) {
      if (e.function == 0x40000001) {
        e.eax = 1 << 5; // steal time
      }
    }
    guest.vcpu.setCpuid2(entries);
    guest.vcpu.setMsr(SYSTEM_TIME, CLOCK | 1);
    guest.vcpu.enableCap(Caps.KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1);
    assertThrows(KvmException.class, () -> guest.vcpu.setMsr(SYSTEM_TIME, CLOCK | 1));
    guest.vcpu.setMsr(STEAL_TIME, 0x6401);
    guest.vcpu.enableCap(Caps.KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 0);
    guest.vcpu.setMsr(SYSTEM_TIME, CLOCK | 1);
  }

  @EachBackend
  void guestIsToldOfAllFeatures() {
    CpuidEntry features =
        kvm.getSupportedCpuid().stream()
            .filter(e -> e.function == 0x40000001)
            .findFirst()
            .orElseThrow();
    assertEquals(0x01007efb, features.eax & 0x01007efb);
    if (backend.isEmulated()) {
      assertEquals(0x01007efb, features.eax);
    }
  }
}
