package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.event.EventDelivery;
import org.kvm4j.kvm.module.vendor.VendorVcpu;
import org.kvm4j.kvm.module.vendor.VmExit;
import org.kvm4j.kvm.uapi.KvmVcpuEvents;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * The events on their way into a virtual CPU: pending (to be weighed), or injected (to be delivered
 * by the next entry whatever comes). Source: Linux 6.1 kvm_check_and_inject_events and
 * vmx_complete_interrupts; struct kvm_vcpu_events.
 */
final class VcpuEvents {
  private static final long DR7_GD = 1 << 13;

  /** The flags of KVM_SET_VCPU_EVENTS. */
  private static final int VALID =
      Uapi.KVM_VCPUEVENT_VALID_NMI_PENDING
          | Uapi.KVM_VCPUEVENT_VALID_SIPI_VECTOR
          | Uapi.KVM_VCPUEVENT_VALID_SHADOW
          | Uapi.KVM_VCPUEVENT_VALID_SMM
          | Uapi.KVM_VCPUEVENT_VALID_PAYLOAD
          | Uapi.KVM_VCPUEVENT_VALID_TRIPLE_FAULT;

  private final VendorVcpu vendor;
  private final VcpuInterrupts interrupts;

  boolean exceptionPending;
  boolean exceptionInjected;
  int exception;
  boolean exceptionHasError;
  int exceptionError;
  boolean exceptionHasPayload;
  long exceptionPayload;

  /** Of a re-injected software exception. */
  private int exceptionLength;

  private boolean exceptionSoft;

  boolean interruptInjected;
  int interrupt;
  boolean interruptSoft;
  private int interruptLength;

  boolean nmiInjected;
  int nmiPending;

  boolean tripleFault;

  VcpuEvents(VendorVcpu vendor, VcpuInterrupts interrupts) {
    this.vendor = vendor;
    this.interrupts = interrupts;
  }

  /** INIT: nothing is on its way any more. */
  void reset() {
    forgetInjected();
    exceptionPending = false;
    nmiPending = 0;
    tripleFault = false;
  }

  /** Makes NMIs that have come pending: one that runs and one after it at most. */
  void takeNmis() {
    int come = interrupts.takeNmis();
    if (come != 0) {
      int limit = vendor.nmiMasked() || nmiInjected ? 1 : 2;
      nmiPending = (int) Math.min((long) nmiPending + come, limit);
    }
  }

  /** Whether something would end a HLT. */
  boolean wouldWake() {
    takeNmis();
    return exceptionPending
        || (nmiPending > 0 && !vendor.nmiMasked() && vendor.interruptShadow() == 0)
        || (interruptAllowed() && interrupts.due());
  }

  /** Whether the guest takes interrupts now. */
  boolean interruptAllowed() {
    return (vendor.rflags() & Flags.IF) != 0 && vendor.interruptShadow() == 0;
  }

  /** Queues an exception that the module raises; one on top of another becomes a double fault. */
  void queueException(int vector, boolean hasError, int error, boolean hasPayload, long payload) {
    if (!exceptionPending && !exceptionInjected) {
      set(vector, hasError, error, hasPayload, payload);
      return;
    }
    int previous = exception;
    if (previous == Vector.DF) {
      exceptionPending = false;
      exceptionInjected = false;
      tripleFault = true;
      return;
    }
    boolean contributory = contributory(previous) && contributory(vector);
    boolean pageFault = previous == Vector.PF && (vector == Vector.PF || contributory(vector));
    if (contributory || pageFault) {
      set(Vector.DF, true, 0, false, 0);
    } else {
      set(vector, hasError, error, hasPayload, payload);
    }
  }

  /** Of the class whose pushed RFLAGS has RF set, so that a restart meets no breakpoint again. */
  private static boolean isFault(int v) {
    return v != Vector.DB && v != Vector.BP && v != Vector.OF && v != Vector.DF && v != Vector.MC;
  }

  private static boolean contributory(int v) {
    return v == Vector.DE || v >= Vector.TS && v <= Vector.GP;
  }

  private void set(int vector, boolean hasError, int error, boolean hasPayload, long payload) {
    exceptionPending = true;
    exceptionInjected = false;
    exception = vector;
    exceptionHasError = hasError;
    exceptionError = error;
    exceptionHasPayload = hasPayload;
    exceptionPayload = payload;
    exceptionSoft = false;
  }

  /** Makes CR2 or DR6 what the pending exception says. */
  void deliverPayload() {
    if (!exceptionHasPayload) {
      return;
    }
    Cpu cpu = vendor.cpu();
    if (exception == Vector.PF) {
      cpu.cr2 = exceptionPayload;
    } else if (exception == Vector.DB) {
      cpu.dr6 = cpu.dr6 & ~0xfL | 0xffff0ff0L | exceptionPayload;
      cpu.dr6 ^= exceptionPayload & 0x10000;
    }
    exceptionHasPayload = false;
    exceptionPayload = 0;
  }

  /** Whether nothing is on its way into the guest, nor waits to be. */
  boolean isQuiet() {
    return !exceptionPending && !reinjecting() && nmiPending == 0 && interrupts.isQuiet();
  }

  /** Whether an entry would deliver something already decided. */
  boolean reinjecting() {
    return exceptionInjected || interruptInjected || nmiInjected;
  }

  /** Drops what was injected: something else delivers it. */
  void forgetInjected() {
    exceptionInjected = false;
    interruptInjected = false;
    nmiInjected = false;
  }

  /**
   * Chooses what the next entry delivers, and asks for windows for what has to wait.
   *
   * @param window whether user space waits for a window for interrupts
   * @param blocked whether the host's debugger wants neither NMIs nor interrupts
   */
  void inject(boolean window, boolean blocked) {
    takeNmis();
    boolean canInject = true;
    if (exceptionInjected) {
      injectException();
      canInject = false;
    } else if (!exceptionPending) {
      if (nmiInjected) {
        vendor.inject(EventDelivery.NMI, Vector.NMI, false, 0, 0);
        canInject = false;
      } else if (interruptInjected) {
        vendor.inject(
            interruptSoft ? EventDelivery.SOFTWARE_INTERRUPT : EventDelivery.EXTERNAL,
            interrupt,
            false,
            0,
            interruptLength);
        canInject = false;
      }
    }
    if (exceptionPending) {
      deliverPayload();
      if (exception == Vector.DB) {
        vendor.setDr7(vendor.dr7() & ~DR7_GD);
      } else if (isFault(exception)) {
        vendor.setRflags(vendor.rflags() | Flags.RF);
      }
      exceptionPending = false;
      exceptionInjected = true;
      injectException();
      canInject = false;
    }
    if (blocked) {
      vendor.setInterruptWindow(window);
      return;
    }
    if (nmiPending > 0) {
      boolean allowed = canInject && !vendor.nmiMasked() && vendor.interruptShadow() == 0;
      if (allowed) {
        nmiPending--;
        nmiInjected = true;
        vendor.inject(EventDelivery.NMI, Vector.NMI, false, 0, 0);
        canInject = false;
      }
      vendor.setNmiWindow(nmiPending > 0);
    }
    vendor.setInterruptWindow(injectInterrupt(canInject) || window);
  }

  /** Delivers the interrupt that is due; whether one has to wait. */
  private boolean injectInterrupt(boolean canInject) {
    if (!interrupts.due()) {
      return false;
    }
    if (canInject && interruptAllowed()) {
      int vector = interrupts.acknowledge();
      if (vector >= 0) {
        queueInterrupt(vector);
        vendor.inject(EventDelivery.EXTERNAL, vector, false, 0, 0);
      }
    }
    return interrupts.due();
  }

  private void injectException() {
    vendor.inject(
        exceptionSoft ? EventDelivery.SOFTWARE_EXCEPTION : EventDelivery.HARDWARE_EXCEPTION,
        exception,
        exceptionHasError,
        exceptionError,
        exceptionLength);
  }

  /** After an exit: what was injected is delivered, or was interrupted and is due again. */
  void complete(VmExit exit) {
    exceptionInjected = false;
    interruptInjected = false;
    nmiInjected = false;
    if (!exit.vectoring) {
      return;
    }
    switch (exit.vectoringType) {
      case EventDelivery.NMI -> {
        nmiInjected = true;
        vendor.setNmiMasked(false);
      }
      case EventDelivery.HARDWARE_EXCEPTION,
          EventDelivery.SOFTWARE_EXCEPTION,
          EventDelivery.PRIVILEGED_SOFTWARE_EXCEPTION -> {
        exceptionInjected = true;
        exceptionPending = false;
        exception = exit.vectoringVector;
        exceptionHasError = exit.vectoringHasErrorCode;
        exceptionError = exit.vectoringErrorCode;
        exceptionHasPayload = false;
        exceptionSoft = exit.vectoringType != EventDelivery.HARDWARE_EXCEPTION;
        exceptionLength = exit.vectoringLength;
      }
      case EventDelivery.SOFTWARE_INTERRUPT -> {
        interruptInjected = true;
        interruptSoft = true;
        interrupt = exit.vectoringVector;
        interruptLength = exit.vectoringLength;
      }
      default -> {
        interruptInjected = true;
        interruptSoft = false;
        interrupt = exit.vectoringVector;
      }
    }
  }

  /** An interrupt that the next entry delivers whatever comes. */
  void queueInterrupt(int vector) {
    interruptInjected = true;
    interruptSoft = false;
    interrupt = vector;
  }

  // ---- struct kvm_vcpu_events ----

  void get(ByteBuffer b, int at, VmFile vm) {
    takeNmis();
    int flags = 0;
    boolean payload = vm.exceptionPayload;
    if (!payload && exceptionPending && exceptionHasPayload) {
      deliverPayload();
    }
    b.put(
        at + KvmVcpuEvents.EXCEPTION_INJECTED,
        bool(exceptionInjected || !payload && exceptionPending));
    b.put(at + KvmVcpuEvents.EXCEPTION_PENDING, bool(payload && exceptionPending));
    b.put(at + KvmVcpuEvents.EXCEPTION_NR, (byte) exception);
    b.put(at + KvmVcpuEvents.EXCEPTION_HAS_ERROR_CODE, bool(exceptionHasError));
    b.putInt(at + KvmVcpuEvents.EXCEPTION_ERROR_CODE, exceptionError);
    b.put(at + KvmVcpuEvents.EXCEPTION_HAS_PAYLOAD, bool(exceptionHasPayload));
    b.putLong(at + KvmVcpuEvents.EXCEPTION_PAYLOAD, exceptionPayload);
    b.put(at + KvmVcpuEvents.INTERRUPT_INJECTED, bool(interruptInjected && !interruptSoft));
    b.put(at + KvmVcpuEvents.INTERRUPT_NR, (byte) interrupt);
    int shadow = vendor.interruptShadow();
    // KVM_X86_SHADOW_INT_MOV_SS 1, KVM_X86_SHADOW_INT_STI 2.
    b.put(
        at + KvmVcpuEvents.INTERRUPT_SHADOW,
        (byte) (shadow == Cpu.SHADOW_MOV_SS ? 1 : shadow == Cpu.SHADOW_STI ? 2 : 0));
    b.put(at + KvmVcpuEvents.NMI_INJECTED, bool(nmiInjected));
    b.put(at + KvmVcpuEvents.NMI_PENDING, bool(nmiPending != 0));
    b.put(at + KvmVcpuEvents.NMI_MASKED, bool(vendor.nmiMasked()));
    // NMI_PENDING, SHADOW valid.
    flags |= 1 | 4;
    if (payload) {
      flags |= 0x10;
    }
    if (vm.tripleFaultEvent) {
      b.put(at + KvmVcpuEvents.TRIPLE_FAULT_PENDING, bool(tripleFault));
      flags |= 0x20;
    }
    b.putInt(at + KvmVcpuEvents.FLAGS, flags);
  }

  private static byte bool(boolean v) {
    return (byte) (v ? 1 : 0);
  }

  int set(ByteBuffer b, int at, VmFile vm) {
    int flags = b.getInt(at + KvmVcpuEvents.FLAGS);
    if ((flags & ~VALID) != 0) {
      return Results.EINVAL;
    }
    boolean smm = (flags & Uapi.KVM_VCPUEVENT_VALID_SMM) != 0;
    if (smm
        && (b.get(at + KvmVcpuEvents.SMI_SMM) != 0 || b.get(at + KvmVcpuEvents.SMI_PENDING) != 0)) {
      // There is no system-management mode.
      return Results.EINVAL;
    }
    boolean injected = b.get(at + KvmVcpuEvents.EXCEPTION_INJECTED) != 0;
    boolean pending = b.get(at + KvmVcpuEvents.EXCEPTION_PENDING) != 0;
    boolean hasPayload = b.get(at + KvmVcpuEvents.EXCEPTION_HAS_PAYLOAD) != 0;
    if ((flags & 0x10) != 0) {
      if (!vm.exceptionPayload) {
        return Results.EINVAL;
      }
      if (pending) {
        injected = false;
      } else {
        hasPayload = false;
      }
    } else {
      pending = false;
      hasPayload = false;
    }
    int nr = b.get(at + KvmVcpuEvents.EXCEPTION_NR) & 0xff;
    if ((injected || pending) && (nr > 31 || nr == Vector.NMI)) {
      return Results.EINVAL;
    }
    if ((flags & 0x20) != 0 && !vm.tripleFaultEvent) {
      return Results.EINVAL;
    }
    exceptionInjected = injected;
    exceptionPending = pending;
    exception = nr;
    exceptionSoft = false;
    exceptionHasError = b.get(at + KvmVcpuEvents.EXCEPTION_HAS_ERROR_CODE) != 0;
    exceptionError = b.getInt(at + KvmVcpuEvents.EXCEPTION_ERROR_CODE);
    exceptionHasPayload = hasPayload;
    exceptionPayload = b.getLong(at + KvmVcpuEvents.EXCEPTION_PAYLOAD);
    interruptInjected = b.get(at + KvmVcpuEvents.INTERRUPT_INJECTED) != 0;
    interrupt = b.get(at + KvmVcpuEvents.INTERRUPT_NR) & 0xff;
    interruptSoft = b.get(at + KvmVcpuEvents.INTERRUPT_SOFT) != 0;
    if ((flags & 4) != 0) {
      int shadow = b.get(at + KvmVcpuEvents.INTERRUPT_SHADOW);
      vendor.setInterruptShadow(
          (shadow & 1) != 0 ? Cpu.SHADOW_MOV_SS : (shadow & 2) != 0 ? Cpu.SHADOW_STI : 0);
    }
    nmiInjected = b.get(at + KvmVcpuEvents.NMI_INJECTED) != 0;
    if ((flags & 1) != 0) {
      nmiPending = b.get(at + KvmVcpuEvents.NMI_PENDING) & 0xff;
    }
    vendor.setNmiMasked(b.get(at + KvmVcpuEvents.NMI_MASKED) != 0);
    if ((flags & Uapi.KVM_VCPUEVENT_VALID_SIPI_VECTOR) != 0) {
      interrupts.restoreStartupVector(b.getInt(at + KvmVcpuEvents.SIPI_VECTOR));
    }
    if (smm) {
      interrupts.restoreInit(b.get(at + KvmVcpuEvents.SMI_LATCHED_INIT) != 0);
    }
    if ((flags & 0x20) != 0) {
      tripleFault = b.get(at + KvmVcpuEvents.TRIPLE_FAULT_PENDING) != 0;
    }
    return 0;
  }
}
