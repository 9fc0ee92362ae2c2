package org.kvm4j.kvm.module;

import static org.kvm4j.kvm.uapi.Ioctls.*;

import java.nio.ByteBuffer;
import org.kvm4j.kvm.uapi.KvmDeviceAttr;

/**
 * The one kind of device that KVM_CREATE_DEVICE makes on x86: what tells KVM of VFIO groups. This
 * kernel has no VFIO, so no descriptor is a group's. Source: Linux 6.1 virt/kvm/vfio.c;
 * Documentation/virt/kvm/devices/vfio.rst.
 */
final class VfioDevice extends FileObject {
  /** KVM_DEV_VFIO_GROUP. */
  private static final int GROUP = 1;

  /** KVM_DEV_VFIO_GROUP_ADD. */
  private static final long ADD = 1;

  /** KVM_DEV_VFIO_GROUP_DEL. */
  private static final long DEL = 2;

  private final VmFile vm;

  VfioDevice(VmFile vm) {
    this.vm = vm;
  }

  @Override
  int ioctl(int request, long argument) {
    return switch (request) {
      case KVM_HAS_DEVICE_ATTR, KVM_SET_DEVICE_ATTR -> {
        ByteBuffer a = vm.user.copyIn(argument, KvmDeviceAttr.SIZEOF);
        if (a == null) {
          yield Results.EFAULT;
        }
        long attribute = a.getLong(KvmDeviceAttr.ATTR);
        if (a.getInt(KvmDeviceAttr.GROUP) != GROUP || (attribute != ADD && attribute != DEL)) {
          yield Results.ENXIO;
        }
        yield request == KVM_HAS_DEVICE_ATTR ? 0 : set(attribute, a.getLong(KvmDeviceAttr.ADDR));
      }
      case KVM_GET_DEVICE_ATTR -> Results.EPERM; // There is nothing to read, whatever the argument.
      default -> Results.ENOTTY;
    };
  }

  private int set(long attribute, long address) {
    ByteBuffer fd = vm.user.copyIn(address, 4);
    if (fd == null) {
      return Results.EFAULT;
    }
    if (vm.kernel.file(fd.getInt(0)) == null) {
      return Results.EBADF;
    }
    return attribute == ADD ? Results.EINVAL : Results.ENOENT;
  }

  @Override
  void release() {
    vm.unreference();
  }
}
