package org.kvm4j.kvm.module.pv;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * A VM's kvmclock: what its virtual CPUs' clocks have in common. While all time-stamp counters
 * match, they all count from one moment, the master clock, and agree exactly. Source: Linux 6.1
 * pvclock_update_vm_gtod_copy, get_kvmclock, kvm_vm_ioctl_set_clock, kvm_write_wall_clock.
 */
public final class VmKvmClock {
  private static final long NANOS = TimeScale.NANOS;

  private final HostClock host;
  private final SharedMemory memory;

  /** What is added to the host's monotonic time. */
  private long offset;

  private volatile boolean master;

  /** The moment that all count from. */
  private long masterTime;

  /** The bootstrap processor uses MSR_KVM_SYSTEM_TIME, whose guests know no stable clock. */
  private boolean oldGuest;

  /** MSR_KVM_WALL_CLOCK. */
  private long wallClock;

  public VmKvmClock(HostClock host, SharedMemory memory) {
    this.host = host;
    this.memory = memory;
    this.offset = -host.now();
  }

  /** Takes a new moment to count from. */
  public synchronized void refresh(boolean tscsMatch) {
    masterTime = host.now();
    master = tscsMatch && !oldGuest;
  }

  /** Whether all virtual CPUs' clocks count from one moment. */
  public boolean isMaster() {
    return master;
  }

  /** The host's monotonic time that a virtual CPU's clock is to be set from. */
  synchronized long reference() {
    return master ? masterTime : host.now();
  }

  /** kvmclock at a moment of the host's. */
  public synchronized long at(long hostTime) {
    return hostTime + offset;
  }

  /** kvmclock now, in ns. */
  public synchronized long nanos() {
    return host.now() + offset;
  }

  /**
   * KVM_SET_CLOCK.
   *
   * @param tscsMatch whether all time-stamp counters match
   */
  public synchronized void set(long nanos, boolean tscsMatch) {
    refresh(tscsMatch);
    offset = nanos - masterTime;
  }

  /**
   * The bootstrap processor's guest has chosen by which MSR it uses its clock.
   *
   * @return whether it was by the other one before
   */
  public synchronized boolean chooseOld(boolean old) {
    boolean changed = oldGuest != old;
    oldGuest = old;
    return changed;
  }

  public synchronized long wallClock() {
    return wallClock;
  }

  /**
   * MSR_KVM_WALL_CLOCK and MSR_KVM_WALL_CLOCK_NEW: writes struct pvclock_wall_clock, the real time
   * when kvmclock was 0.
   */
  public synchronized void setWallClock(long gpa) {
    wallClock = gpa;
    byte[] word = new byte[4];
    if (gpa == 0 || !memory.read(gpa, word)) {
      return;
    }
    int version = buffer(word).getInt(0);
    version = (version + 1 & ~1) + 1;
    buffer(word).putInt(0, version);
    if (!memory.write(gpa, word)) {
      return;
    }
    long real = host.realTime() - nanos();
    byte[] all = new byte[12];
    buffer(all)
        .putInt(0, version)
        .putInt(4, (int) Long.divideUnsigned(real, NANOS))
        .putInt(8, (int) Long.remainderUnsigned(real, NANOS));
    if (memory.write(gpa, all)) {
      buffer(word).putInt(0, version + 1);
      memory.write(gpa, word);
    }
  }

  static ByteBuffer buffer(byte[] bytes) {
    return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }
}
