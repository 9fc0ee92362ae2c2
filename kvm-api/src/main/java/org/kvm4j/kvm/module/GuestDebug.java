package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.kvm.module.vendor.VendorVcpu;
import org.kvm4j.kvm.module.vendor.VmExit;
import org.kvm4j.kvm.uapi.Exits;
import org.kvm4j.kvm.uapi.KvmGuestDebug;
import org.kvm4j.kvm.uapi.KvmRun;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * KVM_SET_GUEST_DEBUG: single-stepping and breakpoints of the host in the guest. Source: Linux 6.1
 * kvm_arch_vcpu_ioctl_set_guest_debug and handle_exception_nmi.
 */
final class GuestDebug {
  private final VirtualCpu vcpu;
  private final VendorVcpu vendor;
  private int control;

  /** The guest's own breakpoint addresses and DR7, while the host's are in the hardware. */
  private final long[] guestDr = new long[4];

  private long guestDr7 = 0x400;
  private boolean hostBreakpoints;

  GuestDebug(VirtualCpu vcpu, VendorVcpu vendor) {
    this.vcpu = vcpu;
    this.vendor = vendor;
  }

  int set(ByteBuffer a) {
    int wanted = a.getInt(KvmGuestDebug.CONTROL);
    if ((wanted & (Uapi.KVM_GUESTDBG_INJECT_DB | Uapi.KVM_GUESTDBG_INJECT_BP)) != 0) {
      if (vcpu.events.exceptionPending) {
        return Results.EBUSY;
      }
      boolean db = (wanted & Uapi.KVM_GUESTDBG_INJECT_DB) != 0;
      vcpu.events.queueException(db ? Vector.DB : Vector.BP, false, 0, false, 0);
    }
    long rflags = rflags();
    restoreGuestRegisters();
    control = (wanted & Uapi.KVM_GUESTDBG_ENABLE) != 0 ? wanted : 0;
    if ((control & Uapi.KVM_GUESTDBG_USE_HW_BP) != 0) {
      Cpu cpu = vendor.cpu();
      System.arraycopy(cpu.dr, 0, guestDr, 0, 4);
      guestDr7 = vendor.dr7();
      for (int i = 0; i < 4; i++) {
        cpu.dr[i] = a.getLong(KvmGuestDebug.ARCH + i * 8);
      }
      // The host's breakpoints, by their global enables alone, as hardware sees no difference.
      vendor.setDr7(a.getLong(KvmGuestDebug.ARCH + 7 * 8));
      hostBreakpoints = true;
      vendor.setDebugRegisterExiting(true);
    }
    setRflags(rflags);
    vendor.setExceptionBitmap(exceptionBitmap());
    return 0;
  }

  private void restoreGuestRegisters() {
    if (hostBreakpoints) {
      System.arraycopy(guestDr, 0, vendor.cpu().dr, 0, 4);
      vendor.setDr7(guestDr7);
      hostBreakpoints = false;
      vendor.setDebugRegisterExiting(false);
    }
  }

  /**
   * #DB and #AC always, so that no guest can hang the host in their delivery; #UD, which may be the
   * other vendor's hypercall; #BP where asked for.
   */
  int exceptionBitmap() {
    int bitmap = 1 << Vector.DB | 1 << Vector.AC | 1 << Vector.UD;
    if ((control & Uapi.KVM_GUESTDBG_USE_SW_BP) != 0) {
      bitmap |= 1 << Vector.BP;
    }
    return bitmap;
  }

  /** Whether the guest is to get no interrupts. */
  boolean blocksInterrupts() {
    return (control & Uapi.KVM_GUESTDBG_BLOCKIRQ) != 0;
  }

  boolean singleStepping() {
    return (control & Uapi.KVM_GUESTDBG_SINGLESTEP) != 0;
  }

  /** RFLAGS as the guest would see them. */
  long rflags() {
    long f = vendor.rflags();
    return singleStepping() ? f & ~Flags.TF : f;
  }

  void setRflags(long f) {
    vendor.setRflags(singleStepping() ? f | Flags.TF : f);
  }

  long guestDr(int i) {
    return hostBreakpoints ? guestDr[i] : vendor.cpu().dr[i];
  }

  void setGuestDr(int i, long value) {
    if (hostBreakpoints) {
      guestDr[i] = value;
    } else {
      vendor.cpu().dr[i] = value;
    }
  }

  long guestDr7() {
    return hostBreakpoints ? guestDr7 : vendor.dr7();
  }

  void setGuestDr7(long value) {
    if (hostBreakpoints) {
      guestDr7 = value & 0xffffffffL | 0x400;
    } else {
      vendor.setDr7(value);
    }
  }

  /** Fills in a debug exit. */
  void exit(ByteBuffer run, int vector, long dr6) {
    run.putInt(KvmRun.EXIT_REASON, Exits.KVM_EXIT_DEBUG);
    run.putInt(KvmRun.DEBUG_ARCH_EXCEPTION, vector);
    run.putLong(KvmRun.DEBUG_ARCH_PC, vcpu.linearRip());
    if (vector == Vector.DB) {
      run.putLong(KvmRun.DEBUG_ARCH_DR6, dr6);
      run.putLong(KvmRun.DEBUG_ARCH_DR7, vendor.dr7());
    }
  }

  /** #DB: the host's if it debugs, else the guest's. */
  int debugException(ByteBuffer run, VmExit exit) {
    long dr6 = exit.qualification;
    if ((control & (Uapi.KVM_GUESTDBG_SINGLESTEP | Uapi.KVM_GUESTDBG_USE_HW_BP)) == 0) {
      if (exit.privilegedSoftware) {
        vcpu.passInstruction();
      } else if ((vendor.rflags() & Flags.TF) != 0 && vendor.interruptShadow() != 0) {
        // The exit does not record that a step is pending, and the entry insists on it.
        vendor.setPendingDebug(vendor.pendingDebug() | 1 << 14);
      }
      vcpu.events.queueException(Vector.DB, false, 0, true, dr6);
      return 1;
    }
    // A step that was met behind HLT: no event is injected that ends the HLT state.
    vendor.endHalt();
    exit(run, Vector.DB, dr6 | 0xffff0ff0L);
    return 0;
  }

  /** MOV DR while the host's breakpoints are in the hardware. */
  int drAccess(ByteBuffer run, VmExit exit, Runnable skip) {
    Cpu cpu = vendor.cpu();
    int dr = exit.register;
    if (dr == 4 || dr == 5) {
      if ((vendor.cr4() & 8) != 0) {
        vcpu.events.queueException(Vector.UD, false, 0, false, 0);
        return 1;
      }
      dr += 2;
    }
    if ((guestDr7() & 0x2000) != 0) {
      exit(run, Vector.DB, 0xffff0ff0L | 0x2000);
      return 0;
    }
    if (exit.accessType == 1) {
      long value = dr < 4 ? guestDr(dr) : dr == 6 ? cpu.dr6 : guestDr7();
      if (exit.gpr == Cpu.RSP) {
        vendor.setRsp(value);
      } else {
        cpu.r[exit.gpr] = value;
      }
    } else {
      long value = exit.gpr == Cpu.RSP ? vendor.rsp() : cpu.r[exit.gpr];
      if (!vcpu.in64BitMode()) {
        value &= 0xffffffffL;
      }
      if (dr >= 6 && value >>> 32 != 0) {
        vcpu.events.queueException(Vector.GP, true, 0, false, 0);
        return 1;
      }
      if (dr < 4) {
        setGuestDr(dr, value);
      } else if (dr == 6) {
        cpu.dr6 = value & 0x1e00f | 0xffff0ff0L;
      } else {
        setGuestDr7(value);
      }
    }
    skip.run();
    return 1;
  }
}
