package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmIoapicState;
import org.kvm4j.kvm.uapi.StructLayout;

/** The I/O APIC, {@code struct kvm_ioapic_state}. */
public final class IoapicState extends UapiStruct {

  /** Guest-physical address of its registers. */
  public long baseAddress;

  public int ioregsel;

  public int id;

  /** A bit for each pin. */
  public int irr;

  /** Not used; kept. */
  public int pad;

  /**
   * The redirection entries: bits 0-7 vector, 8-10 delivery mode, 11 destination mode, 12 delivery
   * status, 13 polarity, 14 remote IRR, 15 trigger mode, 16 mask, 56-63 destination.
   */
  public final long[] redirtbl = new long[24];

  @Override
  public StructLayout layout() {
    return KvmIoapicState.LAYOUT;
  }

  @Override
  public void readFrom(UserMemory memory, long offset) {
    baseAddress = memory.getLong(offset + KvmIoapicState.BASE_ADDRESS);
    ioregsel = memory.getInt(offset + KvmIoapicState.IOREGSEL);
    id = memory.getInt(offset + KvmIoapicState.ID);
    irr = memory.getInt(offset + KvmIoapicState.IRR);
    pad = memory.getInt(offset + KvmIoapicState.PAD);
    readLongs(memory, offset + KvmIoapicState.REDIRTBL, redirtbl);
  }

  @Override
  public void writeTo(UserMemory memory, long offset) {
    memory.putLong(offset + KvmIoapicState.BASE_ADDRESS, baseAddress);
    memory.putInt(offset + KvmIoapicState.IOREGSEL, ioregsel);
    memory.putInt(offset + KvmIoapicState.ID, id);
    memory.putInt(offset + KvmIoapicState.IRR, irr);
    memory.putInt(offset + KvmIoapicState.PAD, pad);
    writeLongs(memory, offset + KvmIoapicState.REDIRTBL, redirtbl);
  }
}
