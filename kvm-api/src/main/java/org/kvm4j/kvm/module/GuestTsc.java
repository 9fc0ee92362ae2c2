package org.kvm4j.kvm.module;

import org.kvm4j.kvm.module.pv.TimeScale;
import org.kvm4j.kvm.module.pv.VcpuClock;
import org.kvm4j.kvm.module.vendor.VendorVcpu;

/**
 * A virtual CPU's time-stamp counter: the host's, scaled and offset. Source: Linux 6.1
 * kvm_set_tsc_khz, kvm_scale_tsc, kvm_set_msr_common.
 */
final class GuestTsc implements VcpuClock.GuestTsc {
  /** A ratio of 1: 48 bits of fraction. */
  private static final long ONE = 1L << 48;

  /** Frequencies are below. */
  private static final int LIMIT_KHZ = Integer.MAX_VALUE;

  /** A frequency this close to the host's is the host's, in parts of a million. */
  private static final int TOLERANCE = 250;

  private final VirtualCpu vcpu;
  private final VendorVcpu vendor;
  private final TscSync sync;
  private int khz = MachineClock.TSC_KHZ;
  private long ratio = ONE;
  private long offset;

  /** IA32_TSC_ADJUST. */
  private long adjust;

  /** Which of the VM's counters it matches. */
  int generation;

  GuestTsc(VirtualCpu vcpu, VendorVcpu vendor) {
    this.vcpu = vcpu;
    this.vendor = vendor;
    this.sync = vcpu.vm.tscs;
    setKhz(vcpu.vm.defaultTscKhz);
  }

  // ---- frequency ----

  /** Whether a machine's guests can have such a frequency at all: that of a VM to be. */
  static boolean isPossible(boolean scaling, int khz) {
    return !scaling || (khz >= 0 && khz < LIMIT_KHZ);
  }

  int khz() {
    return khz;
  }

  @Override
  public long frequency() {
    return scaledBy(MachineClock.TSC_KHZ) * 1000;
  }

  /**
   * KVM_SET_TSC_KHZ.
   *
   * @param wanted in kHz; 0 for the host's
   * @return false if the host cannot
   */
  boolean setKhz(int wanted) {
    int host = MachineClock.TSC_KHZ;
    int now = wanted == 0 ? host : wanted;
    boolean scaling = vendor.canScaleTsc();
    if (!isPossible(scaling, now)) {
      return false;
    }
    long difference = Math.abs((now & 0xffffffffL) - host);
    long newRatio = ONE;
    if (difference * 1_000_000 > (long) TOLERANCE * host) {
      if (!scaling) {
        return false;
      }
      newRatio = ratio(now, host);
    }
    khz = now;
    ratio = newRatio;
    vendor.setTscMultiplier(ratio);
    vcpu.interrupts.tscChanged();
    return true;
  }

  /** A quotient of positive numbers with 48 bits of fraction. */
  private static long ratio(long a, long b) {
    long upper = (a % b << 24) / b;
    long lower = ((a % b << 24) % b << 24) / b;
    return a / b << 48 | upper << 24 | lower;
  }

  private long scaledBy(long ticks) {
    if (ratio == ONE) {
      return ticks;
    }
    return Math.multiplyHigh(ticks, ratio) << 16 | ticks * ratio >>> 48;
  }

  /** How many ticks a number of nanoseconds comes to. */
  long ticks(long nanos) {
    return TimeScale.of(TimeScale.NANOS, khz * 1000L).apply(nanos);
  }

  /** How long a number of ticks takes, in ns; negative if for centuries. */
  long nanos(long ticks) {
    long millis = Long.divideUnsigned(ticks, khz);
    long rest = Long.remainderUnsigned(ticks, khz);
    return millis < 0 || millis > Long.MAX_VALUE / 1_000_000 - 1
        ? -1
        : millis * 1_000_000 + rest * 1_000_000 / khz;
  }

  // ---- the counter ----

  /** The counter without its offset at a moment of the host's, whose counter counts ns. */
  long scaled(long hostTime) {
    return scaledBy(hostTime);
  }

  @Override
  public long at(long hostTime) {
    return scaledBy(hostTime) + offset;
  }

  long now() {
    return at(vcpu.vm.time.now());
  }

  long offset() {
    return offset;
  }

  void setOffset(long value) {
    offset = value;
    vendor.setTscOffset(value);
    vcpu.interrupts.tscChanged();
  }

  /** The virtual CPU is made. */
  void start() {
    sync.start(this);
    vcpu.pv.trackClocks();
  }

  /** KVM_VCPU_TSC_OFFSET. */
  void writeOffset(long value) {
    sync.writeOffset(this, value);
    vcpu.pv.trackClocks();
  }

  /**
   * A write of IA32_TIME_STAMP_COUNTER. The guest's moves IA32_TSC_ADJUST along; user space's may
   * be meant to match another virtual CPU's.
   */
  void write(long value, boolean host) {
    if (host) {
      sync.write(this, value);
      vcpu.pv.trackClocks();
    } else {
      move(value - now());
    }
  }

  private void move(long by) {
    setOffset(offset + by);
    adjust += by;
  }

  long adjust() {
    return adjust;
  }

  /** A write of IA32_TSC_ADJUST, which moves the counter if it is the guest's. */
  void writeAdjust(long value, boolean host) {
    if (!host) {
      move(value - adjust);
      vcpu.pv.clockChanged();
    }
    adjust = value;
  }
}
