package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmMsrEntry;
import org.kvm4j.kvm.uapi.StructLayout;

/** A model-specific register and its value, {@code struct kvm_msr_entry}. */
public final class MsrEntry extends UapiStruct {

  /** The register's number. */
  public int index;

  /** Reserved; kept. */
  public int reserved;

  /** Its value. */
  public long data;

  /** MSR 0 with value 0. */
  public MsrEntry() {}

  /**
   * @param index the register's number, 32 bits
   * @param data its value
   */
  public MsrEntry(int index, long data) {
    this.index = index;
    this.data = data;
  }

  @Override
  public StructLayout layout() {
    return KvmMsrEntry.LAYOUT;
  }

  @Override
  public void readFrom(UserMemory memory, long offset) {
    index = memory.getInt(offset + KvmMsrEntry.INDEX);
    reserved = memory.getInt(offset + KvmMsrEntry.RESERVED);
    data = memory.getLong(offset + KvmMsrEntry.DATA);
  }

  @Override
  public void writeTo(UserMemory memory, long offset) {
    memory.putInt(offset + KvmMsrEntry.INDEX, index);
    memory.putInt(offset + KvmMsrEntry.RESERVED, reserved);
    memory.putLong(offset + KvmMsrEntry.DATA, data);
  }
}
