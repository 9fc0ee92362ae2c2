package org.kvm4j.kvm.module;

import static org.kvm4j.kvm.uapi.Ioctls.*;

import java.nio.ByteBuffer;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.ept.paging.Translation;
import org.kvm4j.kvm.module.vendor.VendorVcpu;
import org.kvm4j.kvm.uapi.KvmDebugregs;
import org.kvm4j.kvm.uapi.KvmGuestDebug;
import org.kvm4j.kvm.uapi.KvmRun;
import org.kvm4j.kvm.uapi.KvmSregs;
import org.kvm4j.kvm.uapi.KvmSyncRegs;
import org.kvm4j.kvm.uapi.KvmTranslation;
import org.kvm4j.kvm.uapi.KvmVcpuEvents;

/**
 * The ioctls of a virtual CPU that read and write its state: which one is whose, and those that
 * have no room of their own. Source: Linux 6.1 kvm_vcpu_ioctl and kvm_arch_vcpu_ioctl.
 */
final class VcpuState {
  private final VirtualCpu vcpu;
  private final VmFile vm;
  private final UserSpace user;
  private final VendorVcpu vendor;
  private final Cpu cpu;
  private final ApicIoctls apicIoctls;
  private final TimeIoctls timeIoctls;
  private final CpuidIoctls cpuid;
  private final SystemRegisters system;
  private final FloatingPoint floats;
  final VcpuRegisters registers;

  VcpuState(VirtualCpu vcpu) {
    this.vcpu = vcpu;
    this.vm = vcpu.vm;
    this.user = vcpu.user();
    this.vendor = vcpu.vendor();
    this.cpu = vendor.cpu();
    this.apicIoctls = new ApicIoctls(vcpu);
    this.timeIoctls = new TimeIoctls(vcpu);
    this.cpuid = new CpuidIoctls(vcpu);
    this.system = new SystemRegisters(vcpu);
    this.floats = new FloatingPoint(vcpu);
    this.registers = new VcpuRegisters(vcpu);
  }

  int ioctl(int request, long argument) {
    if (ApicIoctls.has(request)) {
      return apicIoctls.ioctl(request, argument);
    }
    if (TimeIoctls.has(request)) {
      return timeIoctls.ioctl(request, argument);
    }
    switch (request) {
      case KVM_GET_REGS:
        return registers.get(argument);
      case KVM_SET_REGS:
        return registers.set(argument);
      case KVM_GET_SREGS:
        return system.get(argument);
      case KVM_SET_SREGS:
        return system.set(argument);
      case KVM_GET_SREGS2:
        return system.get2(argument);
      case KVM_SET_SREGS2:
        return system.set2(argument);
      case KVM_GET_FPU:
        return floats.getFpu(argument);
      case KVM_SET_FPU:
        return floats.setFpu(argument);
      case KVM_GET_XSAVE:
      case KVM_GET_XSAVE2:
        return floats.getXsave(argument);
      case KVM_SET_XSAVE:
        return floats.setXsave(argument);
      case KVM_GET_XCRS:
        return floats.getXcrs(argument);
      case KVM_SET_XCRS:
        return floats.setXcrs(argument);
      case KVM_GET_DEBUGREGS:
        return getDebugregs(argument);
      case KVM_SET_DEBUGREGS:
        return setDebugregs(argument);
      case KVM_GET_MSRS:
        return VcpuMsrs.copyMsrs(user, argument, (i, v) -> VcpuMsrs.read(vcpu, i, v, true));
      case KVM_SET_MSRS:
        return VcpuMsrs.setMsrs(user, argument, (i, v) -> VcpuMsrs.write(vcpu, i, v[0], true));
      case KVM_SET_CPUID2:
        return cpuid.set2(argument);
      case KVM_GET_CPUID2:
        return cpuid.get2(argument);
      case KVM_SET_CPUID:
        return cpuid.set(argument);
      case KVM_GET_VCPU_EVENTS:
        {
          ByteBuffer b = UserSpace.struct(KvmVcpuEvents.SIZEOF);
          vcpu.events.get(b, 0, vm);
          return out(argument, b);
        }
      case KVM_SET_VCPU_EVENTS:
        {
          ByteBuffer b = user.copyIn(argument, KvmVcpuEvents.SIZEOF);
          return b == null ? Results.EFAULT : vcpu.events.set(b, 0, vm);
        }
      case KVM_TRANSLATE:
        return translate(argument);
      case KVM_SET_GUEST_DEBUG:
        {
          ByteBuffer b = user.copyIn(argument, KvmGuestDebug.SIZEOF);
          return b == null ? Results.EFAULT : vcpu.debug.set(b);
        }
      case KVM_SET_SIGNAL_MASK:
        return setSignalMask(argument);
      case KVM_GET_STATS_FD:
        return vm.kernel.install(StatsFile.of(vcpu, user));
      default:
        return Results.EINVAL;
    }
  }

  private int out(long argument, ByteBuffer b) {
    return user.copyOut(argument, b) ? 0 : Results.EFAULT;
  }

  private int getDebugregs(long argument) {
    ByteBuffer b = UserSpace.struct(KvmDebugregs.SIZEOF);
    for (int i = 0; i < 4; i++) {
      b.putLong(KvmDebugregs.DB + i * 8, vcpu.debug.guestDr(i));
    }
    b.putLong(KvmDebugregs.DR6, cpu.dr6);
    b.putLong(KvmDebugregs.DR7, vcpu.debug.guestDr7());
    return out(argument, b);
  }

  private int setDebugregs(long argument) {
    ByteBuffer b = user.copyIn(argument, KvmDebugregs.SIZEOF);
    if (b == null) {
      return Results.EFAULT;
    }
    long dr6 = b.getLong(KvmDebugregs.DR6);
    long dr7 = b.getLong(KvmDebugregs.DR7);
    if (b.getLong(KvmDebugregs.FLAGS) != 0 || dr6 >>> 32 != 0 || dr7 >>> 32 != 0) {
      return Results.EINVAL;
    }
    for (int i = 0; i < 4; i++) {
      vcpu.debug.setGuestDr(i, b.getLong(KvmDebugregs.DB + i * 8));
    }
    cpu.dr6 = dr6;
    vcpu.debug.setGuestDr7(dr7);
    return 0;
  }

  private int translate(long argument) {
    ByteBuffer b = user.copyIn(argument, KvmTranslation.SIZEOF);
    if (b == null) {
      return Results.EFAULT;
    }
    long linear = b.getLong(KvmTranslation.LINEAR_ADDRESS);
    Translation t = new Translation();
    boolean valid = false;
    // Page tables that the guest has not touched yet are mapped on the way.
    for (int tries = 0; tries < 16; tries++) {
      valid =
          vcpu.usingTables(
              () -> vcpu.emulator().translate(vendor, vcpu.nestedPointer(), linear, t));
      if (valid || t.outcome == Translation.PAGE_FAULT) {
        break;
      }
      if (!t.pagingStructureAccess) {
        // The page itself is not mapped in the nested tables: the guest's own translation is good.
        valid = true;
        break;
      }
      if (vm.memory.fault(t.gpa, false) != NestedMemory.Fault.MAPPED) {
        break;
      }
    }
    b.putLong(KvmTranslation.PHYSICAL_ADDRESS, valid ? t.gpa : -1L);
    b.put(KvmTranslation.VALID, (byte) (valid ? 1 : 0));
    // As the kernel: always these.
    b.put(KvmTranslation.WRITEABLE, (byte) 1);
    b.put(KvmTranslation.USERMODE, (byte) 0);
    return out(argument, b);
  }

  private int setSignalMask(long argument) {
    if (argument == 0) {
      return 0;
    }
    ByteBuffer b = user.copyIn(argument, 4);
    if (b == null) {
      return Results.EFAULT;
    }
    if (b.getInt(0) != 8) {
      return Results.EINVAL;
    }
    // The only signal of this process is the kick, which its mask cannot name.
    return user.copyIn(argument + 4, 8) == null ? Results.EFAULT : 0;
  }

  // ---- KVM_CAP_SYNC_REGS ----

  int syncIn(long dirty) {
    ByteBuffer run = vcpu.run();
    int at = KvmRun.S_REGS;
    if ((dirty & 1) != 0) {
      registers.set(run, at + KvmSyncRegs.REGS);
    }
    if ((dirty & 2) != 0) {
      int r = system.set(run, at + KvmSyncRegs.SREGS);
      if (r != 0) {
        return Results.EINVAL;
      }
    }
    if ((dirty & 4) != 0) {
      int r = vcpu.events.set(run, at + KvmSyncRegs.EVENTS, vm);
      if (r != 0) {
        return Results.EINVAL;
      }
    }
    return 0;
  }

  void syncOut(long valid) {
    ByteBuffer run = vcpu.run();
    int at = KvmRun.S_REGS;
    if ((valid & 1) != 0) {
      registers.get(run, at + KvmSyncRegs.REGS);
    }
    if ((valid & 2) != 0) {
      for (int i = 0; i < 32; i += 8) {
        run.putLong(at + KvmSyncRegs.SREGS + KvmSregs.INTERRUPT_BITMAP + i, 0);
      }
      system.get(run, at + KvmSyncRegs.SREGS);
    }
    if ((valid & 4) != 0) {
      vcpu.events.get(run, at + KvmSyncRegs.EVENTS, vm);
    }
  }
}
