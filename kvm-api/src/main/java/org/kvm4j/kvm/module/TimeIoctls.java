package org.kvm4j.kvm.module;

import static org.kvm4j.kvm.uapi.Caps.KVM_CAP_ENFORCE_PV_FEATURE_CPUID;
import static org.kvm4j.kvm.uapi.Ioctls.*;

import java.nio.ByteBuffer;
import org.kvm4j.kvm.uapi.KvmDeviceAttr;
import org.kvm4j.kvm.uapi.KvmEnableCap;
import org.kvm4j.kvm.uapi.KvmX86Mce;

/**
 * The vCPU ioctls of time, machine checks and paravirtual features. Source: Linux 6.1
 * kvm_arch_vcpu_ioctl.
 */
final class TimeIoctls {
  private final VirtualCpu vcpu;
  private final UserSpace user;

  TimeIoctls(VirtualCpu vcpu) {
    this.vcpu = vcpu;
    this.user = vcpu.user();
  }

  /** Whether an ioctl is one of these. */
  static boolean has(int request) {
    return switch (request) {
      case KVM_GET_TSC_KHZ,
          KVM_SET_TSC_KHZ,
          KVM_KVMCLOCK_CTRL,
          KVM_HAS_DEVICE_ATTR,
          KVM_GET_DEVICE_ATTR,
          KVM_SET_DEVICE_ATTR,
          KVM_X86_SETUP_MCE,
          KVM_X86_SET_MCE,
          KVM_ENABLE_CAP ->
          true;
      default -> false;
    };
  }

  int ioctl(int request, long argument) {
    return switch (request) {
      case KVM_GET_TSC_KHZ -> vcpu.tsc.khz();
      case KVM_SET_TSC_KHZ -> vcpu.tsc.setKhz((int) argument) ? 0 : Results.EINVAL;
      case KVM_KVMCLOCK_CTRL -> vcpu.pv.stopClock() ? 0 : Results.EINVAL;
      case KVM_X86_SETUP_MCE -> {
        ByteBuffer b = user.copyIn(argument, 8);
        yield b == null ? Results.EFAULT : vcpu.machineCheck.setUp(b.getLong(0));
      }
      case KVM_X86_SET_MCE -> {
        ByteBuffer b = user.copyIn(argument, KvmX86Mce.SIZEOF);
        yield b == null ? Results.EFAULT : vcpu.machineCheck.report(b);
      }
      case KVM_ENABLE_CAP -> enableCap(argument);
      default -> attribute(request, argument);
    };
  }

  private int enableCap(long argument) {
    ByteBuffer b = user.copyIn(argument, KvmEnableCap.SIZEOF);
    if (b == null) {
      return Results.EFAULT;
    }
    if (b.getInt(KvmEnableCap.FLAGS) != 0
        || b.getInt(KvmEnableCap.CAP) != KVM_CAP_ENFORCE_PV_FEATURE_CPUID) {
      return Results.EINVAL;
    }
    vcpu.pv.enforce(b.getLong(KvmEnableCap.ARGS) != 0);
    return 0;
  }

  /** KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET. */
  private int attribute(int request, long argument) {
    ByteBuffer a = user.copyIn(argument, KvmDeviceAttr.SIZEOF);
    if (a == null) {
      return Results.EFAULT;
    }
    if (a.getInt(KvmDeviceAttr.GROUP) != 0 || a.getLong(KvmDeviceAttr.ATTR) != 0) {
      return Results.ENXIO;
    }
    long address = a.getLong(KvmDeviceAttr.ADDR);
    switch (request) {
      case KVM_HAS_DEVICE_ATTR:
        return 0;
      case KVM_GET_DEVICE_ATTR:
        ByteBuffer offset = UserSpace.struct(8).putLong(0, vcpu.tsc.offset());
        return user.copyOut(address, offset) ? 0 : Results.EFAULT;
      default:
        ByteBuffer b = user.copyIn(address, 8);
        if (b == null) {
          return Results.EFAULT;
        }
        vcpu.tsc.writeOffset(b.getLong(0));
        return 0;
    }
  }
}
