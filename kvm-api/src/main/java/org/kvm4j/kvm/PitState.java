package org.kvm4j.kvm;

import java.util.List;
import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmPitChannelState;
import org.kvm4j.kvm.uapi.KvmPitState2;
import org.kvm4j.kvm.uapi.StructLayout;

/** The 8254, {@code struct kvm_pit_state2}; {@code struct kvm_pit_state} is its first 72 bytes. */
public final class PitState extends UapiStruct {

  /** {@code KVM_PIT_FLAGS_*}. */
  public int flags;

  /** Reserved; kept. */
  public final int[] reserved = new int[9];

  /** Counters 0 to 2. */
  public final List<PitChannel> channels =
      List.of(new PitChannel(), new PitChannel(), new PitChannel());

  @Override
  public StructLayout layout() {
    return KvmPitState2.LAYOUT;
  }

  @Override
  public void readFrom(UserMemory memory, long offset) {
    for (int i = 0; i < channels.size(); i++) {
      channels
          .get(i)
          .readFrom(memory, offset + KvmPitState2.CHANNELS + i * KvmPitChannelState.SIZEOF);
    }
    flags = memory.getInt(offset + KvmPitState2.FLAGS);
    readInts(memory, offset + KvmPitState2.RESERVED, reserved);
  }

  @Override
  public void writeTo(UserMemory memory, long offset) {
    for (int i = 0; i < channels.size(); i++) {
      channels
          .get(i)
          .writeTo(memory, offset + KvmPitState2.CHANNELS + i * KvmPitChannelState.SIZEOF);
    }
    memory.putInt(offset + KvmPitState2.FLAGS, flags);
    writeInts(memory, offset + KvmPitState2.RESERVED, reserved);
  }
}
