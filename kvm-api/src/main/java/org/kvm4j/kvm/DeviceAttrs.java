package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmDeviceAttr;
import org.kvm4j.kvm.uapi.KvmIoctl;

/** The device attribute ioctls, which three kinds of descriptor take. */
final class DeviceAttrs {

  /** Where the attribute's value lies in the block, after the struct. */
  private static final int VALUE = 64;

  private DeviceAttrs() {}

  static boolean has(Handle handle, ArgumentBlock arguments, int group, long attribute) {
    fill(arguments, group, attribute);
    int result = handle.ioctl(KvmIoctl.KVM_HAS_DEVICE_ATTR.number(), arguments.address());
    if (result == Errno.ENXIO.result()) {
      return false;
    }
    if (result < 0) {
      throw new KvmException(
          KvmIoctl.KVM_HAS_DEVICE_ATTR.name(), -result, describe(group, attribute));
    }
    return true;
  }

  static long get(Handle handle, ArgumentBlock arguments, int group, long attribute) {
    UserMemory memory = fill(arguments, group, attribute);
    handle.call(
        KvmIoctl.KVM_GET_DEVICE_ATTR, arguments.address(), () -> describe(group, attribute));
    return memory.getLong(VALUE);
  }

  static void set(Handle handle, ArgumentBlock arguments, int group, long attribute, long value) {
    UserMemory memory = fill(arguments, group, attribute);
    memory.putLong(VALUE, value);
    handle.call(
        KvmIoctl.KVM_SET_DEVICE_ATTR,
        arguments.address(),
        () -> describe(group, attribute) + ", value 0x" + Long.toHexString(value));
  }

  private static UserMemory fill(ArgumentBlock arguments, int group, long attribute) {
    UserMemory memory = arguments.zeroed(VALUE + 8);
    memory.putInt(KvmDeviceAttr.GROUP, group);
    memory.putLong(KvmDeviceAttr.ATTR, attribute);
    memory.putLong(KvmDeviceAttr.ADDR, arguments.address() + VALUE);
    return memory;
  }

  private static String describe(int group, long attribute) {
    return "group " + group + ", attribute " + attribute;
  }
}
