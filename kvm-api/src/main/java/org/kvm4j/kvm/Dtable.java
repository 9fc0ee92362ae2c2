package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmDtable;
import org.kvm4j.kvm.uapi.StructLayout;

/** A descriptor table register, {@code struct kvm_dtable}. */
public final class Dtable extends UapiStruct {

  /** The linear address of the table. */
  public long base;

  /** The last valid offset in bytes. */
  public int limit;

  /** Not used; kept. */
  public final byte[] padding = new byte[6];

  @Override
  public StructLayout layout() {
    return KvmDtable.LAYOUT;
  }

  @Override
  public void readFrom(UserMemory memory, long offset) {
    base = memory.getLong(offset + KvmDtable.BASE);
    limit = u16(memory, offset + KvmDtable.LIMIT);
    memory.read(offset + KvmDtable.PADDING, padding, 0, padding.length);
  }

  @Override
  public void writeTo(UserMemory memory, long offset) {
    memory.putLong(offset + KvmDtable.BASE, base);
    putU16(memory, offset + KvmDtable.LIMIT, limit, "limit");
    memory.write(offset + KvmDtable.PADDING, padding, 0, padding.length);
  }
}
