package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmGuestDebug;
import org.kvm4j.kvm.uapi.StructLayout;

/** What {@code KVM_SET_GUEST_DEBUG} takes, {@code struct kvm_guest_debug}. */
public final class GuestDebug extends UapiStruct {

  /** {@code KVM_GUESTDBG_*}. */
  public int control;

  /** Not used; kept. */
  public int pad;

  /** DR0 to DR7 for hardware breakpoints: addresses in 0 to 3, DR7 in 7. */
  public final long[] debugreg = new long[8];

  @Override
  public StructLayout layout() {
    return KvmGuestDebug.LAYOUT;
  }

  @Override
  public void readFrom(UserMemory memory, long offset) {
    control = memory.getInt(offset + KvmGuestDebug.CONTROL);
    pad = memory.getInt(offset + KvmGuestDebug.PAD);
    readLongs(memory, offset + KvmGuestDebug.ARCH, debugreg);
  }

  @Override
  public void writeTo(UserMemory memory, long offset) {
    memory.putInt(offset + KvmGuestDebug.CONTROL, control);
    memory.putInt(offset + KvmGuestDebug.PAD, pad);
    writeLongs(memory, offset + KvmGuestDebug.ARCH, debugreg);
  }
}
