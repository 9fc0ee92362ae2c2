package org.kvm4j.kvm.module.pv;

import java.nio.ByteBuffer;

/**
 * A virtual CPU's clock in memory, struct pvclock_vcpu_time_info: a moment of kvmclock, the
 * time-stamp counter then, and how its ticks become nanoseconds. Source: Linux 6.1
 * kvm_guest_time_update, kvm_setup_guest_pvclock; Documentation/virt/kvm/x86/msr.rst.
 */
public final class VcpuClock {
  private static final int SIZE = 32;
  private static final int VERSION = 0;
  private static final int TSC_TIMESTAMP = 8;
  private static final int SYSTEM_TIME = 16;
  private static final int MULTIPLIER = 24;
  private static final int SHIFT = 28;
  private static final int FLAGS = 29;
  private static final int TSC_STABLE = 1;
  private static final int GUEST_STOPPED = 2;

  private final VmKvmClock vm;
  private final SharedMemory memory;
  private final byte[] bytes = new byte[SIZE];
  private final ByteBuffer info = VmKvmClock.buffer(bytes);
  private final byte[] word = new byte[4];
  private final ByteBuffer versionWord = VmKvmClock.buffer(word);

  /** MSR_KVM_SYSTEM_TIME. */
  private long msr;

  /** The guest is to be told that it was stopped. */
  private boolean stopped;

  public VcpuClock(VmKvmClock vm, SharedMemory memory) {
    this.vm = vm;
    this.memory = memory;
  }

  /** MSR_KVM_SYSTEM_TIME: a guest-physical address, and bit 0 if the clock is on. */
  public long msr() {
    return msr;
  }

  public void setMsr(long value) {
    msr = value;
  }

  private long address() {
    return msr & ~1L;
  }

  public boolean isOn() {
    return (msr & 1) != 0;
  }

  /** Whether the guest's clock is at an address that can have one. */
  private boolean hasMemory() {
    return (address() & 0xfff) <= 4096 - SIZE && memory.has(address(), SIZE);
  }

  /** KVM_KVMCLOCK_CTRL; false if the guest has no clock. */
  public boolean stop() {
    if (!isOn()) {
      return false;
    }
    stopped = true;
    return true;
  }

  /** The time-stamp counter of the guest at a moment of the host's. */
  public interface GuestTsc {
    long at(long hostTime);

    /** Its frequency in Hz. */
    long frequency();
  }

  /** Sets the guest's clock, if it has one, with an odd version meanwhile. */
  public void update(GuestTsc tsc) {
    if (!isOn() || !hasMemory() || !memory.read(address(), bytes)) {
      return;
    }
    int version = info.getInt(VERSION) + 1 | 1;
    if (!putVersion(version)) {
      return;
    }
    long moment = vm.reference();
    TimeScale scale = TimeScale.of(tsc.frequency(), TimeScale.NANOS);
    int flags = info.get(FLAGS) & GUEST_STOPPED;
    if (stopped) {
      flags |= GUEST_STOPPED;
      stopped = false;
    }
    if (vm.isMaster()) {
      flags |= TSC_STABLE;
    }
    info.putLong(0, version & 0xffffffffL)
        .putLong(TSC_TIMESTAMP, tsc.at(moment))
        .putLong(SYSTEM_TIME, vm.at(moment))
        .putInt(MULTIPLIER, scale.multiplier())
        .put(SHIFT, (byte) scale.shift())
        .put(FLAGS, (byte) flags)
        .putShort(30, (short) 0);
    if (memory.write(address(), bytes)) {
      putVersion(version + 1);
    }
  }

  private boolean putVersion(int version) {
    versionWord.putInt(0, version);
    return memory.write(address() + VERSION, word);
  }

  /** INIT. */
  public void reset() {
    msr = 0;
  }
}
