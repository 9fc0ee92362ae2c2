package org.kvm4j.kvm.module.pv;

import java.nio.ByteBuffer;

/**
 * How long a virtual CPU had to wait for a processor, and whether it waits now: struct
 * kvm_steal_time. Source: Linux 6.1 record_steal_time, kvm_steal_time_set_preempted;
 * Documentation/virt/kvm/x86/msr.rst.
 */
public final class StealTime {
  private static final int STEAL = 0;
  private static final int VERSION = 8;
  private static final int PREEMPTED = 16;
  private static final int SIZE = 64;

  /** Values of {@code preempted}. */
  private static final int WAITS = 1;

  private static final int FLUSH_TLB = 2;

  /** The structure is aligned to 64 bytes: bits 5 to 1 are reserved. */
  private static final long RESERVED = 0x3e;

  private final SharedMemory memory;
  private final byte[] bytes = new byte[12];
  private final ByteBuffer info = VmKvmClock.buffer(bytes);
  private final byte[] word = new byte[4];
  private final ByteBuffer versionWord = VmKvmClock.buffer(word);
  private long msr;
  private boolean preempted;
  private long last;

  public StealTime(SharedMemory memory) {
    this.memory = memory;
  }

  /** MSR_KVM_STEAL_TIME: a guest-physical address, and bit 0 if it is on. */
  public long msr() {
    return msr;
  }

  /** False if reserved bits are set. */
  public boolean setMsr(long value) {
    if ((value & RESERVED) != 0) {
      return false;
    }
    msr = value;
    return true;
  }

  public boolean isOn() {
    return (msr & 1) != 0;
  }

  private long address() {
    return msr & -SIZE;
  }

  /** The virtual CPU gives its processor to another, between two instructions. */
  public void preempt() {
    if (isOn() && !preempted && memory.exchangeByte(address() + PREEMPTED, WAITS) >= 0) {
      preempted = true;
    }
  }

  /**
   * Whether the guest is to be told that the virtual CPU has waited.
   *
   * @param waited how long it has since it was made, in ns
   */
  public boolean isDue(long waited) {
    return isOn() && (preempted || waited != last);
  }

  /**
   * The virtual CPU runs again.
   *
   * @param waited how long it has waited for a processor since it was made, in ns
   * @return whether another virtual CPU asked in the meantime that its translations be dropped
   */
  public boolean record(long waited) {
    if (!isOn() || !memory.has(address(), SIZE)) {
      return false;
    }
    int was = memory.exchangeByte(address() + PREEMPTED, 0);
    preempted = false;
    if (memory.read(address(), bytes)) {
      int version = (info.getInt(VERSION) + 1 & ~1) + 1;
      putVersion(version);
      info.putLong(STEAL, info.getLong(STEAL) + waited - last).putInt(VERSION, version);
      last = waited;
      memory.write(address(), bytes);
      putVersion(version + 1);
    }
    return was > 0 && (was & FLUSH_TLB) != 0;
  }

  private void putVersion(int version) {
    versionWord.putInt(0, version);
    memory.write(address() + VERSION, word);
  }

  /** INIT. */
  public void reset() {
    msr = 0;
    preempted = false;
  }
}
