package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmPitChannelState;
import org.kvm4j.kvm.uapi.StructLayout;

/** One counter of the 8254, {@code struct kvm_pit_channel_state}. */
public final class PitChannel extends UapiStruct {

  /** 1 to 65536. */
  public int count;

  public int latchedCount;

  public int countLatched;

  public int statusLatched;

  public int status;

  public int readState;

  public int writeState;

  public int writeLatch;

  public int rwMode;

  public int mode;

  public int bcd;

  public int gate;

  /** When the count was loaded, in ns of the host's monotonic clock. */
  public long countLoadTime;

  @Override
  public StructLayout layout() {
    return KvmPitChannelState.LAYOUT;
  }

  @Override
  public void readFrom(UserMemory memory, long offset) {
    count = memory.getInt(offset + KvmPitChannelState.COUNT);
    latchedCount = u16(memory, offset + KvmPitChannelState.LATCHED_COUNT);
    countLatched = u8(memory, offset + KvmPitChannelState.COUNT_LATCHED);
    statusLatched = u8(memory, offset + KvmPitChannelState.STATUS_LATCHED);
    status = u8(memory, offset + KvmPitChannelState.STATUS);
    readState = u8(memory, offset + KvmPitChannelState.READ_STATE);
    writeState = u8(memory, offset + KvmPitChannelState.WRITE_STATE);
    writeLatch = u8(memory, offset + KvmPitChannelState.WRITE_LATCH);
    rwMode = u8(memory, offset + KvmPitChannelState.RW_MODE);
    mode = u8(memory, offset + KvmPitChannelState.MODE);
    bcd = u8(memory, offset + KvmPitChannelState.BCD);
    gate = u8(memory, offset + KvmPitChannelState.GATE);
    countLoadTime = memory.getLong(offset + KvmPitChannelState.COUNT_LOAD_TIME);
  }

  @Override
  public void writeTo(UserMemory memory, long offset) {
    memory.putInt(offset + KvmPitChannelState.COUNT, count);
    putU16(memory, offset + KvmPitChannelState.LATCHED_COUNT, latchedCount, "latched_count");
    putU8(memory, offset + KvmPitChannelState.COUNT_LATCHED, countLatched, "count_latched");
    putU8(memory, offset + KvmPitChannelState.STATUS_LATCHED, statusLatched, "status_latched");
    putU8(memory, offset + KvmPitChannelState.STATUS, status, "status");
    putU8(memory, offset + KvmPitChannelState.READ_STATE, readState, "read_state");
    putU8(memory, offset + KvmPitChannelState.WRITE_STATE, writeState, "write_state");
    putU8(memory, offset + KvmPitChannelState.WRITE_LATCH, writeLatch, "write_latch");
    putU8(memory, offset + KvmPitChannelState.RW_MODE, rwMode, "rw_mode");
    putU8(memory, offset + KvmPitChannelState.MODE, mode, "mode");
    putU8(memory, offset + KvmPitChannelState.BCD, bcd, "bcd");
    putU8(memory, offset + KvmPitChannelState.GATE, gate, "gate");
    memory.putLong(offset + KvmPitChannelState.COUNT_LOAD_TIME, countLoadTime);
  }
}
