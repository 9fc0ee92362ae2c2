package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmClockData;
import org.kvm4j.kvm.uapi.StructLayout;

/** The guest's clock, {@code struct kvm_clock_data}. */
public final class ClockData extends UapiStruct {

  /** kvmclock, in ns. */
  public long clock;

  /** {@code KVM_CLOCK_*}: which fields are valid. */
  public int flags;

  /** Not used; kept. */
  public int pad0;

  /** The host's CLOCK_REALTIME, in ns. */
  public long realtime;

  /** The host's TSC, in cycles. */
  public long hostTsc;

  /** Not used; kept. */
  public final int[] pad = new int[4];

  @Override
  public StructLayout layout() {
    return KvmClockData.LAYOUT;
  }

  @Override
  public void readFrom(UserMemory memory, long offset) {
    clock = memory.getLong(offset + KvmClockData.CLOCK);
    flags = memory.getInt(offset + KvmClockData.FLAGS);
    pad0 = memory.getInt(offset + KvmClockData.PAD0);
    realtime = memory.getLong(offset + KvmClockData.REALTIME);
    hostTsc = memory.getLong(offset + KvmClockData.HOST_TSC);
    readInts(memory, offset + KvmClockData.PAD, pad);
  }

  @Override
  public void writeTo(UserMemory memory, long offset) {
    memory.putLong(offset + KvmClockData.CLOCK, clock);
    memory.putInt(offset + KvmClockData.FLAGS, flags);
    memory.putInt(offset + KvmClockData.PAD0, pad0);
    memory.putLong(offset + KvmClockData.REALTIME, realtime);
    memory.putLong(offset + KvmClockData.HOST_TSC, hostTsc);
    writeInts(memory, offset + KvmClockData.PAD, pad);
  }
}
