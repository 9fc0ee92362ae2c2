package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmXcr;
import org.kvm4j.kvm.uapi.StructLayout;

/** An extended control register and its value, {@code struct kvm_xcr}. */
public final class Xcr extends UapiStruct {

  /** The register's number; 0 for XCR0. */
  public int xcr;

  /** Reserved; kept. */
  public int reserved;

  /** Its value. */
  public long value;

  @Override
  public StructLayout layout() {
    return KvmXcr.LAYOUT;
  }

  @Override
  public void readFrom(UserMemory memory, long offset) {
    xcr = memory.getInt(offset + KvmXcr.XCR);
    reserved = memory.getInt(offset + KvmXcr.RESERVED);
    value = memory.getLong(offset + KvmXcr.VALUE);
  }

  @Override
  public void writeTo(UserMemory memory, long offset) {
    memory.putInt(offset + KvmXcr.XCR, xcr);
    memory.putInt(offset + KvmXcr.RESERVED, reserved);
    memory.putLong(offset + KvmXcr.VALUE, value);
  }
}
