package org.kvm4j.kvm.module;

import static org.kvm4j.kvm.uapi.Ioctls.*;

import java.nio.ByteBuffer;
import org.kvm4j.cpu.profile.StateComponent;
import org.kvm4j.kvm.uapi.KvmCpuid2;
import org.kvm4j.kvm.uapi.KvmCpuidEntry2;
import org.kvm4j.kvm.uapi.KvmDeviceAttr;
import org.kvm4j.kvm.uapi.Uapi;

/** An open {@code /dev/kvm}: the system ioctls. Source: Linux 6.1 kvm_dev_ioctl. */
final class SystemFile extends FileObject {
  private final EmulatedKernel kernel;
  private final UserSpace user;

  SystemFile(EmulatedKernel kernel) {
    this.kernel = kernel;
    this.user = kernel.user();
  }

  @Override
  int ioctl(int request, long argument) {
    switch (request) {
      case KVM_GET_API_VERSION:
        return argument != 0 ? Results.EINVAL : Uapi.KVM_API_VERSION;
      case KVM_CREATE_VM:
        if (argument != 0) {
          return Results.EINVAL;
        }
        return VmFile.create(kernel);
      case KVM_CHECK_EXTENSION:
        return Capabilities.value(kernel.machine(), argument);
      case KVM_GET_VCPU_MMAP_SIZE:
        return argument != 0 ? Results.EINVAL : VcpuPages.MMAP_SIZE;
      case KVM_GET_MSR_INDEX_LIST:
        return msrList(argument, VcpuMsrs.savedIndices(kernel.machine().model()));
      case KVM_GET_MSR_FEATURE_INDEX_LIST:
        return msrList(argument, VcpuMsrs.featureIndices());
      case KVM_GET_MSRS:
        return VcpuMsrs.copyMsrs(
            user, argument, (index, out) -> VcpuMsrs.readFeature(kernel.machine(), index, out));
      case KVM_GET_SUPPORTED_CPUID:
        return cpuid(argument, kernel.machine().supportedCpuid(), false);
      case KVM_GET_EMULATED_CPUID:
        return cpuid(argument, VcpuCpuid.emulated(), true);
      case KVM_X86_GET_MCE_CAP_SUPPORTED:
        {
          long supported = MachineCheck.supported(kernel.machine().model());
          ByteBuffer b = UserSpace.struct(8).putLong(0, supported);
          return user.copyOut(argument, b) ? 0 : Results.EFAULT;
        }
      case KVM_HAS_DEVICE_ATTR:
        return attribute(argument, false);
      case KVM_GET_DEVICE_ATTR:
        return attribute(argument, true);
      default:
        return Results.EINVAL;
    }
  }

  private int msrList(long argument, int[] indices) {
    ByteBuffer head = user.copyIn(argument, 4);
    if (head == null) {
      return Results.EFAULT;
    }
    int room = head.getInt(0);
    head.putInt(0, indices.length);
    if (!user.copyOut(argument, head)) {
      return Results.EFAULT;
    }
    if (Integer.compareUnsigned(room, indices.length) < 0) {
      return Results.E2BIG;
    }
    ByteBuffer list = UserSpace.struct(4 * indices.length);
    for (int i = 0; i < indices.length; i++) {
      list.putInt(4 * i, indices[i]);
    }
    return user.copyOut(argument + 4, list) ? 0 : Results.EFAULT;
  }

  /**
   * @param clean whether the entries' padding has to be 0
   */
  private int cpuid(long argument, VcpuCpuid.Entry[] entries, boolean clean) {
    ByteBuffer head = user.copyIn(argument, KvmCpuid2.SIZEOF);
    if (head == null) {
      return Results.EFAULT;
    }
    int room = head.getInt(KvmCpuid2.NENT);
    // The count is unsigned; above the most it counts as that.
    room = room < 0 ? VcpuCpuid.MAX_ENTRIES : Math.min(room, VcpuCpuid.MAX_ENTRIES);
    if (clean && room > 0 && !isPaddingClean(argument + KvmCpuid2.SIZEOF, room)) {
      return Results.EINVAL;
    }
    if (room < entries.length) {
      return Results.E2BIG;
    }
    ByteBuffer out = UserSpace.struct(entries.length * KvmCpuidEntry2.SIZEOF);
    VcpuCpuid.write(entries, out, 0);
    if (!user.copyOut(argument + KvmCpuid2.SIZEOF, out)) {
      return Results.EFAULT;
    }
    head.putInt(KvmCpuid2.NENT, entries.length);
    return user.copyOut(argument, head) ? 0 : Results.EFAULT;
  }

  private boolean isPaddingClean(long entries, int count) {
    for (int i = 0; i < count; i++) {
      ByteBuffer padding =
          user.copyIn(entries + (long) i * KvmCpuidEntry2.SIZEOF + KvmCpuidEntry2.PADDING, 12);
      if (padding == null || padding.getInt(0) != 0 || padding.getLong(4) != 0) {
        return false;
      }
    }
    return true;
  }

  /** KVM_X86_XCOMP_GUEST_SUPP: the XCR0 bits that a guest may have. */
  private int attribute(long argument, boolean get) {
    ByteBuffer attr = user.copyIn(argument, KvmDeviceAttr.SIZEOF);
    if (attr == null) {
      return Results.EFAULT;
    }
    if (attr.getInt(KvmDeviceAttr.GROUP) != 0 || attr.getLong(KvmDeviceAttr.ATTR) != 0) {
      return Results.ENXIO;
    }
    if (!get) {
      return 0;
    }
    ByteBuffer value = UserSpace.struct(8);
    value.putLong(0, StateComponent.supported(kernel.machine().model()));
    return user.copyOut(attr.getLong(KvmDeviceAttr.ADDR), value) ? 0 : Results.EFAULT;
  }
}
