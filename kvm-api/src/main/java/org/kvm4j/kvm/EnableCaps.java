package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmCap;
import org.kvm4j.kvm.uapi.KvmEnableCap;
import org.kvm4j.kvm.uapi.KvmIoctl;

/** {@code KVM_ENABLE_CAP}, which two kinds of descriptor take. */
final class EnableCaps {

  private static final int MAX_ARGUMENTS = 4;

  private EnableCaps() {}

  static void enable(Handle handle, ArgumentBlock block, int capability, long... arguments) {
    if (arguments.length > MAX_ARGUMENTS) {
      throw new IllegalArgumentException(
          "KVM_ENABLE_CAP takes at most 4 arguments, not " + arguments.length);
    }
    UserMemory memory = block.zeroed(KvmEnableCap.SIZEOF);
    memory.putInt(KvmEnableCap.CAP, capability);
    UapiStruct.writeLongs(memory, KvmEnableCap.ARGS, arguments);
    handle.call(
        KvmIoctl.KVM_ENABLE_CAP,
        block.address(),
        () -> {
          StringBuilder text = new StringBuilder(KvmCap.nameOf(capability));
          for (long argument : arguments) {
            text.append(" 0x").append(Long.toHexString(argument));
          }
          return text.append(": unknown here, or not with these arguments or at this time")
              .toString();
        });
  }
}
