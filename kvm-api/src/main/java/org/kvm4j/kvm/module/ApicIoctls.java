package org.kvm4j.kvm.module;

import static org.kvm4j.kvm.uapi.Ioctls.*;

import java.nio.ByteBuffer;
import org.kvm4j.kvm.module.irqchip.InterruptChips;
import org.kvm4j.kvm.module.irqchip.LocalApic;
import org.kvm4j.kvm.uapi.KvmInterrupt;
import org.kvm4j.kvm.uapi.KvmLapicState;
import org.kvm4j.kvm.uapi.KvmMpState;
import org.kvm4j.kvm.uapi.KvmTprAccessCtl;
import org.kvm4j.kvm.uapi.KvmVapicAddr;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * The vCPU ioctls of interrupts, the local APIC and the activity state. Source: Linux 6.1
 * kvm_arch_vcpu_ioctl, kvm_arch_vcpu_ioctl_set_mpstate.
 */
final class ApicIoctls {
  private final VirtualCpu vcpu;
  private final VcpuInterrupts interrupts;
  private final UserSpace user;

  ApicIoctls(VirtualCpu vcpu) {
    this.vcpu = vcpu;
    this.interrupts = vcpu.interrupts;
    this.user = vcpu.user();
  }

  /** Whether an ioctl is one of these. */
  static boolean has(int request) {
    return switch (request) {
      case KVM_INTERRUPT,
          KVM_NMI,
          KVM_GET_LAPIC,
          KVM_SET_LAPIC,
          KVM_GET_MP_STATE,
          KVM_SET_MP_STATE,
          KVM_TPR_ACCESS_REPORTING,
          KVM_SET_VAPIC_ADDR ->
          true;
      default -> false;
    };
  }

  int ioctl(int request, long argument) {
    return switch (request) {
      case KVM_INTERRUPT -> interrupt(argument);
      case KVM_NMI -> {
        interrupts.nmi();
        yield 0;
      }
      case KVM_GET_LAPIC -> getApic(argument);
      case KVM_SET_LAPIC -> setApic(argument);
      case KVM_GET_MP_STATE -> getMpState(argument);
      case KVM_SET_MP_STATE -> setMpState(argument);
      case KVM_TPR_ACCESS_REPORTING -> reportTaskPriority(argument);
      case KVM_SET_VAPIC_ADDR -> setVirtualApic(argument);
      default -> Results.EINVAL;
    };
  }

  private int interrupt(long argument) {
    ByteBuffer b = user.copyIn(argument, KvmInterrupt.SIZEOF);
    if (b == null) {
      return Results.EFAULT;
    }
    int vector = b.getInt(KvmInterrupt.IRQ);
    if (vector < 0 || vector >= Uapi.KVM_NR_INTERRUPTS) {
      return Results.EINVAL;
    }
    if (interrupts.hasApic()) {
      return interrupts.queueExternal(vector);
    }
    vcpu.events.queueInterrupt(vector);
    return 0;
  }

  // ---- struct kvm_lapic_state ----

  private int getApic(long argument) {
    LocalApic apic = interrupts.apic();
    if (apic == null) {
      return Results.EINVAL;
    }
    ByteBuffer b = UserSpace.struct(KvmLapicState.SIZEOF);
    interrupts.lock();
    try {
      apic.save(b, 0);
    } finally {
      interrupts.unlock();
    }
    return user.copyOut(argument, b) ? 0 : Results.EFAULT;
  }

  private int setApic(long argument) {
    LocalApic apic = interrupts.apic();
    InterruptChips chips = vcpu.vm.chips();
    if (apic == null || chips == null) {
      return Results.EINVAL;
    }
    ByteBuffer b = user.copyIn(argument, KvmLapicState.SIZEOF);
    if (b == null) {
      return Results.EFAULT;
    }
    return chips.loadApic(apic, b) ? 0 : Results.EINVAL;
  }

  // ---- KVM_MP_STATE_* ----

  private int getMpState(long argument) {
    vcpu.acceptStartEvents();
    int state = vcpu.mpState();
    if (state == Uapi.KVM_MP_STATE_HALTED && interrupts.isUnhalted()) {
      state = Uapi.KVM_MP_STATE_RUNNABLE;
    }
    ByteBuffer b = UserSpace.struct(KvmMpState.SIZEOF).putInt(KvmMpState.MP_STATE, state);
    return user.copyOut(argument, b) ? 0 : Results.EFAULT;
  }

  private int setMpState(long argument) {
    ByteBuffer b = user.copyIn(argument, KvmMpState.SIZEOF);
    if (b == null) {
      return Results.EFAULT;
    }
    int state = b.getInt(KvmMpState.MP_STATE);
    switch (state) {
      case Uapi.KVM_MP_STATE_RUNNABLE:
        break;
      case Uapi.KVM_MP_STATE_UNINITIALIZED:
      case Uapi.KVM_MP_STATE_HALTED:
      case Uapi.KVM_MP_STATE_INIT_RECEIVED:
        if (!interrupts.hasApic()) {
          return Results.EINVAL;
        }
        break;
      case Uapi.KVM_MP_STATE_SIPI_RECEIVED:
        if (!interrupts.hasApic()) {
          return Results.EINVAL;
        }
        state = Uapi.KVM_MP_STATE_INIT_RECEIVED;
        interrupts.restoreStartup();
        break;
      default:
        return Results.EINVAL;
    }
    vcpu.setMpState(state);
    return 0;
  }

  // ---- task priority ----

  private int reportTaskPriority(long argument) {
    ByteBuffer b = user.copyIn(argument, KvmTprAccessCtl.SIZEOF);
    if (b == null) {
      return Results.EFAULT;
    }
    if (b.getInt(KvmTprAccessCtl.FLAGS) != 0) {
      return Results.EINVAL;
    }
    interrupts.reportTaskPriority(b.getInt(KvmTprAccessCtl.ENABLED) != 0);
    return user.copyOut(argument, b) ? 0 : Results.EFAULT;
  }

  private int setVirtualApic(long argument) {
    if (!interrupts.hasApic()) {
      return Results.EINVAL;
    }
    ByteBuffer b = user.copyIn(argument, KvmVapicAddr.SIZEOF);
    if (b == null) {
      return Results.EFAULT;
    }
    return vcpu.apicShare.setVirtualApic(b.getLong(KvmVapicAddr.VAPIC_ADDR)) ? 0 : Results.EINVAL;
  }
}
