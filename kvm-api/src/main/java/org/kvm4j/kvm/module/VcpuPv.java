package org.kvm4j.kvm.module;

import java.util.concurrent.atomic.AtomicInteger;
import org.kvm4j.kvm.module.pv.AsyncPageFaults;
import org.kvm4j.kvm.module.pv.KvmFeature;
import org.kvm4j.kvm.module.pv.LazyEoi;
import org.kvm4j.kvm.module.pv.StealTime;
import org.kvm4j.kvm.module.pv.VcpuClock;

/**
 * What a virtual CPU shares with a guest that knows of KVM: its MSRs, and what is due in the
 * guest's memory before it runs on. Source: Linux 6.1 kvm_set_msr_common, vcpu_enter_guest,
 * kvm_arch_vcpu_load; Documentation/virt/kvm/x86/msr.rst.
 */
final class VcpuPv {
  static final int WALL_CLOCK = 0x11;
  static final int SYSTEM_TIME = 0x12;
  static final int WALL_CLOCK_NEW = 0x4b564d00;
  static final int SYSTEM_TIME_NEW = 0x4b564d01;
  static final int ASYNC_PF_EN = 0x4b564d02;
  static final int STEAL_TIME = 0x4b564d03;
  static final int PV_EOI_EN = 0x4b564d04;
  static final int POLL_CONTROL = 0x4b564d05;
  static final int ASYNC_PF_INT = 0x4b564d06;
  static final int ASYNC_PF_ACK = 0x4b564d07;

  // What is due before the next entry.
  private static final int CLOCK = 1;
  private static final int MASTER_CLOCK = 2;
  private static final int STEAL = 4;
  private static final int PAGES_READY = 8;

  private final VirtualCpu vcpu;
  private final VmFile vm;
  private final AtomicInteger due = new AtomicInteger();
  private final VcpuClock clock;
  private final StealTime steal;
  private final AsyncPageFaults pageFaults;
  private final LazyEoi eoi;
  private long pollControl = 1;

  /** KVM_CAP_ENFORCE_PV_FEATURE_CPUID. */
  private boolean enforced;

  VcpuPv(VirtualCpu vcpu) {
    this.vcpu = vcpu;
    this.vm = vcpu.vm;
    this.clock = new VcpuClock(vm.clock, vm.guestPhysical);
    this.steal = new StealTime(vm.guestPhysical);
    this.pageFaults = new AsyncPageFaults(vm.guestPhysical);
    this.eoi = vcpu.apicShare.eoi;
  }

  // ---- features ----

  void enforce(boolean on) {
    enforced = on;
  }

  /** Whether the guest may use a feature: any, unless user space has what its CPUID says hold. */
  boolean has(KvmFeature feature) {
    return !enforced || (vcpu.cpuid.kvmFeatures() & feature.mask) != 0;
  }

  // ---- MSRs ----

  /** Whether an MSR is one of these. */
  static boolean hasMsr(int index) {
    return feature(index) != null;
  }

  private static @org.jspecify.annotations.Nullable KvmFeature feature(int index) {
    return switch (index) {
      case WALL_CLOCK, SYSTEM_TIME -> KvmFeature.CLOCKSOURCE;
      case WALL_CLOCK_NEW, SYSTEM_TIME_NEW -> KvmFeature.CLOCKSOURCE2;
      case ASYNC_PF_EN -> KvmFeature.ASYNC_PF;
      case ASYNC_PF_INT, ASYNC_PF_ACK -> KvmFeature.ASYNC_PF_INT;
      case STEAL_TIME -> KvmFeature.STEAL_TIME;
      case PV_EOI_EN -> KvmFeature.PV_EOI;
      case POLL_CONTROL -> KvmFeature.POLL_CONTROL;
      default -> null;
    };
  }

  private boolean isAllowed(int index) {
    KvmFeature f = feature(index);
    return f != null && has(f);
  }

  int read(int index, long[] out) {
    if (!isAllowed(index)) {
      return VcpuMsrs.INVALID;
    }
    out[0] =
        switch (index) {
          case WALL_CLOCK, WALL_CLOCK_NEW -> vm.clock.wallClock();
          case SYSTEM_TIME, SYSTEM_TIME_NEW -> clock.msr();
          case ASYNC_PF_EN -> pageFaults.enable();
          case ASYNC_PF_INT -> pageFaults.interrupt();
          case STEAL_TIME -> steal.msr();
          case PV_EOI_EN -> eoi.msr();
          case POLL_CONTROL -> pollControl;
          default -> 0;
        };
    return VcpuMsrs.OK;
  }

  /**
   * @param host whether user space writes
   */
  int write(int index, long value, boolean host) {
    return isAllowed(index) && take(index, value, host) ? VcpuMsrs.OK : VcpuMsrs.INVALID;
  }

  private boolean take(int index, long value, boolean host) {
    boolean apic = vcpu.interrupts.hasApic();
    switch (index) {
      case WALL_CLOCK, WALL_CLOCK_NEW -> vm.clock.setWallClock(value);
      case SYSTEM_TIME, SYSTEM_TIME_NEW -> {
        if (vcpu.id() == 0 && !host && vm.clock.chooseOld(index == SYSTEM_TIME)) {
          request(MASTER_CLOCK);
        }
        clock.setMsr(value);
        requestClocks();
      }
      case ASYNC_PF_EN -> {
        int allowed = enforced ? vcpu.cpuid.kvmFeatures() : KvmFeature.all();
        if (!pageFaults.setEnable(value, allowed, apic)) {
          return false;
        }
        request(PAGES_READY);
      }
      case ASYNC_PF_INT -> {
        return pageFaults.setInterrupt(value, apic);
      }
      case ASYNC_PF_ACK -> {
        pageFaults.acknowledge(value);
        request(PAGES_READY);
      }
      case STEAL_TIME -> {
        if (!steal.setMsr(value)) {
          return false;
        }
        request(STEAL);
      }
      case PV_EOI_EN -> {
        return eoi.setMsr(value);
      }
      default -> {
        if (value >>> 1 != 0) {
          return false;
        }
        pollControl = value;
      }
    }
    return true;
  }

  // ---- what is due ----

  private void request(int what) {
    due.getAndAccumulate(what, (a, b) -> a | b);
  }

  /** This virtual CPU's clock has to be set, and the others', which might run ahead of it. */
  private void requestClocks() {
    for (VirtualCpu v : vm.vcpus) {
      v.pv.clockChanged();
    }
    clockChanged();
  }

  /** The clock in the guest's memory has to be set anew. */
  void clockChanged() {
    request(CLOCK);
  }

  /** A time-stamp counter was set: whether all match may have changed. */
  void trackClocks() {
    if (vm.clock.isMaster() || vm.tscs.allMatch()) {
      request(MASTER_CLOCK);
    }
  }

  /** KVM_KVMCLOCK_CTRL; false if the guest has no clock. */
  boolean stopClock() {
    if (!clock.stop()) {
      return false;
    }
    clockChanged();
    return true;
  }

  /** Whether there is something to do before the next entry. */
  boolean isDue() {
    return due.get() != 0;
  }

  /** KVM_RUN begins. */
  void enter() {
    if (steal.isOn()) {
      request(STEAL);
    }
    if (clock.isOn() && !vm.clock.isMaster()) {
      clockChanged();
    }
  }

  /**
   * Does what is due before the guest runs on.
   *
   * @param waited how long the virtual CPU has waited for a processor since it was made, in ns
   */
  void beforeEntry(long waited) {
    if (steal.isDue(waited)) {
      request(STEAL);
    }
    if (due.get() == 0) {
      return;
    }
    int what = due.getAndSet(0);
    if ((what & MASTER_CLOCK) != 0) {
      vm.clock.refresh(vm.tscs.allMatch());
      requestClocks();
      what |= due.getAndSet(0);
    }
    if ((what & CLOCK) != 0) {
      clock.update(vcpu.tsc);
    }
    if ((what & STEAL) != 0 && steal.record(waited) && has(KvmFeature.PV_TLB_FLUSH)) {
      vcpu.vendor().flushGuest();
    }
    if ((what & PAGES_READY) != 0) {
      wakeWaiters();
    }
  }

  private void wakeWaiters() {
    if (!pageFaults.isWaking() || !vcpu.apicShare.isEnabled()) {
      return;
    }
    int vector = pageFaults.takeVector();
    if (vector >= 0) {
      vcpu.apicShare.send(vector);
    }
  }

  /** Whether the guest wants to know when its virtual CPU waits for a processor. */
  boolean tellsOfWaiting() {
    return steal.isOn();
  }

  /** The virtual CPU gives its processor away between two instructions. */
  void preempt() {
    steal.preempt();
  }

  /** INIT. */
  void reset() {
    clock.reset();
    steal.reset();
    pageFaults.reset();
    eoi.reset();
  }
}
