package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmDebugregs;
import org.kvm4j.kvm.uapi.StructLayout;

/** The debug registers, {@code struct kvm_debugregs}. */
public final class DebugRegs extends UapiStruct {

  /** DR0 to DR3. */
  public final long[] db = new long[4];

  public long dr6;

  public long dr7;

  /** Must be 0. */
  public long flags;

  /** Reserved; kept. */
  public final long[] reserved = new long[9];

  @Override
  public StructLayout layout() {
    return KvmDebugregs.LAYOUT;
  }

  @Override
  public void readFrom(UserMemory memory, long offset) {
    readLongs(memory, offset + KvmDebugregs.DB, db);
    dr6 = memory.getLong(offset + KvmDebugregs.DR6);
    dr7 = memory.getLong(offset + KvmDebugregs.DR7);
    flags = memory.getLong(offset + KvmDebugregs.FLAGS);
    readLongs(memory, offset + KvmDebugregs.RESERVED, reserved);
  }

  @Override
  public void writeTo(UserMemory memory, long offset) {
    writeLongs(memory, offset + KvmDebugregs.DB, db);
    memory.putLong(offset + KvmDebugregs.DR6, dr6);
    memory.putLong(offset + KvmDebugregs.DR7, dr7);
    memory.putLong(offset + KvmDebugregs.FLAGS, flags);
    writeLongs(memory, offset + KvmDebugregs.RESERVED, reserved);
  }
}
