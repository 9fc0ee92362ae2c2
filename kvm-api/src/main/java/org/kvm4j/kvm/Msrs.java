package org.kvm4j.kvm;

import java.util.List;
import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmIoctl;
import org.kvm4j.kvm.uapi.KvmMsrEntry;
import org.kvm4j.kvm.uapi.KvmMsrs;
import org.kvm4j.kvm.uapi.Uapi;

/** {@code KVM_GET_MSRS} and {@code KVM_SET_MSRS}, which two kinds of descriptor take. */
final class Msrs {

  private Msrs() {}

  static int get(Handle handle, ArgumentBlock arguments, List<MsrEntry> entries) {
    UserMemory memory = fill(arguments, entries);
    int done =
        handle.call(KvmIoctl.KVM_GET_MSRS, arguments.address(), () -> tooMany(entries.size()));
    for (int i = 0; i < done; i++) {
      entries.get(i).readFrom(memory, KvmMsrs.ENTRIES + (long) i * KvmMsrEntry.SIZEOF);
    }
    return done;
  }

  static int set(Handle handle, ArgumentBlock arguments, List<MsrEntry> entries) {
    fill(arguments, entries);
    return handle.call(KvmIoctl.KVM_SET_MSRS, arguments.address(), () -> tooMany(entries.size()));
  }

  private static UserMemory fill(ArgumentBlock arguments, List<MsrEntry> entries) {
    UserMemory memory =
        arguments.zeroed(KvmMsrs.SIZEOF + (long) entries.size() * KvmMsrEntry.SIZEOF);
    memory.putInt(KvmMsrs.NMSRS, entries.size());
    for (int i = 0; i < entries.size(); i++) {
      entries.get(i).writeTo(memory, KvmMsrs.ENTRIES + (long) i * KvmMsrEntry.SIZEOF);
    }
    return memory;
  }

  private static String tooMany(int count) {
    return count >= Uapi.KVM_MAX_MSR_ENTRIES
        ? count + " entries; at most " + (Uapi.KVM_MAX_MSR_ENTRIES - 1) + " go in one call"
        : "";
  }
}
