package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.module.irqchip.ApicOwner;
import org.kvm4j.kvm.module.irqchip.InterruptChips;
import org.kvm4j.kvm.module.irqchip.LocalApic;
import org.kvm4j.kvm.uapi.KvmRun;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * The interrupts of a virtual CPU: its local APIC, if the module has it, and the PICs', which it
 * may take. Without one, what user space sees of IA32_APIC_BASE and CR8. Source: Linux 6.1
 * kvm_cpu_has_injectable_intr, kvm_cpu_get_interrupt, kvm_set_apic_base.
 */
final class VcpuInterrupts implements ApicOwner {
  private static final int NONE = -1;

  private final VirtualCpu vcpu;
  private final @Nullable InterruptChips chips;
  private final @Nullable LocalApic apic;

  /** NMIs that have come and are not pending yet; any thread may add one. */
  private final AtomicInteger nmis = new AtomicInteger();

  /** A paravirtual kick, which ends a HLT. */
  private volatile boolean unhalted;

  /** Of a processor whose local APIC is user space's. */
  private long base;

  private int cr8;

  /** With a split chip: the vector of user space's PIC (KVM_INTERRUPT). */
  private int external = NONE;

  /** With a split chip: an interrupt that user space's I/O APIC is to be told the end of. */
  private int ended = NONE;

  private boolean reportTaskPriority;
  private boolean taskPriorityAccessed;

  VcpuInterrupts(VirtualCpu vcpu) {
    this.vcpu = vcpu;
    boolean boot = vcpu.vm.bootCpu() == vcpu.id();
    chips = vcpu.vm.chips();
    if (chips != null) {
      boolean lint0 = vcpu.vm.hasQuirk(Uapi.KVM_X86_QUIRK_LINT0_REENABLED);
      apic = chips.addApic(vcpu.id(), this, boot, lint0);
    } else {
      apic = null;
      base = LocalApic.DEFAULT_BASE | LocalApic.BASE_ENABLE | (boot ? LocalApic.BASE_BSP : 0);
    }
  }

  VirtualCpu vcpu() {
    return vcpu;
  }

  /** The processor is gone. */
  void close() {
    if (chips != null && apic != null) {
      chips.removeApic(apic);
    }
  }

  // ---- what there is ----

  /** The local APIC, if the module has it; use it between {@link #lock} and {@link #unlock}. */
  @Nullable LocalApic apic() {
    return apic;
  }

  void lock() {
    if (chips != null) {
      chips.lock();
    }
  }

  void unlock() {
    if (chips != null) {
      chips.unlock();
    }
  }

  boolean hasApic() {
    return apic != null;
  }

  /** Whether the PICs are the module's. */
  boolean hasPics() {
    return chips != null && !chips.isSplit();
  }

  /** The guest's CPUID is known. */
  void setFeatures(boolean x2apic, boolean deadline) {
    if (apic != null) {
      lock();
      try {
        apic.setFeatures(x2apic, deadline);
      } finally {
        unlock();
      }
    }
  }

  // ---- interrupts that are due ----

  /** Whether the PICs', or user space's PIC's, is due. The lock is held. */
  private boolean externalDue(InterruptChips c, LocalApic a) {
    return (c.isSplit() ? external != NONE : c.picOutput()) && a.acceptsPic();
  }

  /** Whether an interrupt is due. */
  boolean due() {
    InterruptChips c = chips;
    LocalApic a = apic;
    if (c == null || a == null || (!a.mayHaveInterrupt() && !c.picOutput() && external == NONE)) {
      return false;
    }
    c.lock();
    try {
      return externalDue(c, a) || a.pending() != NONE;
    } finally {
      c.unlock();
    }
  }

  /** Whether nothing has come for the processor, and user space is to be told of nothing. */
  boolean isQuiet() {
    InterruptChips c = chips;
    LocalApic a = apic;
    return nmis.get() == 0
        && !taskPriorityAccessed
        && ended == NONE
        && !hasStartEvents()
        && (c == null || a == null || !a.mayHaveInterrupt() && !c.picOutput() && external == NONE);
  }

  /** Takes the interrupt that is due: its vector, or -1 if none is any more. */
  int acknowledge() {
    InterruptChips c = chips;
    LocalApic a = apic;
    if (c == null || a == null) {
      return NONE;
    }
    c.lock();
    try {
      if (!externalDue(c, a)) {
        return a.acknowledge();
      }
      if (!c.isSplit()) {
        return c.acknowledgePic();
      }
      int vector = external;
      external = NONE;
      return vector;
    } finally {
      c.unlock();
    }
  }

  /** The end of the interrupt in service. */
  void end() {
    if (apic != null) {
      lock();
      try {
        apic.end();
      } finally {
        unlock();
      }
    }
  }

  /**
   * A fixed interrupt to another local APIC.
   *
   * @param destination of 32 bits, of which xAPIC mode takes 15:8
   */
  void send(int destination, int vector) {
    if (apic != null) {
      lock();
      try {
        apic.sendFixed(destination, vector);
      } finally {
        unlock();
      }
    }
  }

  /** A performance counter has overflowed. */
  void performance() {
    if (apic != null) {
      lock();
      try {
        apic.performanceInterrupt();
      } finally {
        unlock();
      }
    }
  }

  /** KVM_INTERRUPT with a local APIC of the module. */
  int queueExternal(int vector) {
    if (hasPics()) {
      return Results.ENXIO;
    }
    if (external != NONE) {
      return Results.EEXIST;
    }
    external = vector;
    return 0;
  }

  /** Whether user space's PIC may put an interrupt in. */
  boolean acceptsExternal() {
    InterruptChips c = chips;
    LocalApic a = apic;
    if (c == null || a == null) {
      return true;
    }
    c.lock();
    try {
      return a.acceptsPic() && !externalDue(c, a);
    } finally {
      c.unlock();
    }
  }

  // ---- what the chips ask for ----

  @Override
  public void wake() {
    vcpu.wake();
  }

  @Override
  public void nmi() {
    nmis.incrementAndGet();
    vcpu.wake();
  }

  /** Whether an NMI has come. */
  boolean nmiQueued() {
    return nmis.get() != 0;
  }

  /** Takes the NMIs that have come. */
  int takeNmis() {
    return nmis.get() == 0 ? 0 : nmis.getAndSet(0);
  }

  @Override
  public void unhalt() {
    unhalted = true;
    vcpu.wake();
  }

  boolean isUnhalted() {
    return unhalted;
  }

  void clearUnhalted() {
    unhalted = false;
  }

  @Override
  public long tsc() {
    return vcpu.tsc.now();
  }

  @Override
  public long nanos(long ticks) {
    return vcpu.tsc.nanos(ticks);
  }

  @Override
  public void taskPriorityAccessed(boolean write) {
    if (reportTaskPriority) {
      ByteBuffer run = vcpu.run();
      run.putLong(KvmRun.TPR_ACCESS_RIP, vcpu.vendor().rip());
      run.putInt(KvmRun.TPR_ACCESS_IS_WRITE, write ? 1 : 0);
      taskPriorityAccessed = true;
    }
  }

  /** KVM_TPR_ACCESS_REPORTING. */
  void reportTaskPriority(boolean on) {
    reportTaskPriority = on;
  }

  /** Whether user space is to be told of an access to the task-priority register; once. */
  boolean takeTaskPriorityAccess() {
    boolean was = taskPriorityAccessed;
    taskPriorityAccessed = false;
    return was;
  }

  @Override
  public void endOfInterrupt(int vector) {
    ended = vector;
  }

  /** The vector whose end user space is to be told of, once; -1 if there is none. */
  int takeEnded() {
    int was = ended;
    ended = NONE;
    return was;
  }

  // ---- IA32_APIC_BASE and CR8 ----

  long base() {
    return apic == null ? base : apic.base();
  }

  /** Whether IA32_APIC_BASE enables the local APIC. */
  boolean isEnabled() {
    return (base() & LocalApic.BASE_ENABLE) != 0;
  }

  /**
   * A write of IA32_APIC_BASE.
   *
   * @param host whether user space writes
   * @return false for #GP
   */
  boolean setBase(long value, boolean host) {
    long reserved = -1L << vcpu.cpuid.physicalBits() | 0x2ff;
    if ((value & reserved) != 0) {
      return false;
    }
    if (apic == null) {
      long mode = value & (LocalApic.BASE_X2APIC | LocalApic.BASE_ENABLE);
      boolean wide = (value & LocalApic.BASE_X2APIC) != 0;
      if (mode == LocalApic.BASE_X2APIC || (wide && !vcpu.cpuid.hasX2apic())) {
        return false;
      }
      base = value;
      return true;
    }
    lock();
    try {
      return apic.setBase(value, host);
    } finally {
      unlock();
    }
  }

  int cr8() {
    return apic == null ? cr8 : apic.cr8();
  }

  /**
   * @param value 0 to 15
   */
  void setCr8(int value) {
    cr8 = value;
    if (apic != null) {
      lock();
      try {
        apic.setCr8(value);
      } finally {
        unlock();
      }
    }
  }

  /** The guest's time-stamp counter was set. */
  void tscChanged() {
    if (apic != null) {
      lock();
      try {
        apic.tscChanged();
      } finally {
        unlock();
      }
    }
  }

  // ---- MSRs ----

  /** RDMSR of x2APIC mode; false for #GP. */
  boolean readMsr(int msr, long[] out) {
    if (apic == null) {
      return false;
    }
    lock();
    try {
      return apic.readMsr(msr, out);
    } finally {
      unlock();
    }
  }

  /** WRMSR of x2APIC mode; false for #GP. */
  boolean writeMsr(int msr, long value) {
    if (apic == null) {
      return false;
    }
    lock();
    try {
      return apic.writeMsr(msr, value);
    } finally {
      unlock();
    }
  }

  /** IA32_TSC_DEADLINE. */
  long tscDeadline() {
    return apic == null ? 0 : apic.tscDeadline();
  }

  void setTscDeadline(long value) {
    if (apic != null) {
      lock();
      try {
        apic.setTscDeadline(value);
      } finally {
        unlock();
      }
    }
  }

  // ---- the page of registers ----

  /** Whether a guest-physical address is in the page of the local APIC. */
  boolean hasMemory(long gpa) {
    if (apic == null || (gpa & -4096L) != (base() & -4096L)) {
      return false;
    }
    // A local APIC that is off, or in x2APIC mode, hides what is there, unless the quirk is off.
    return hasPage() || vcpu.vm.hasQuirk(Uapi.KVM_X86_QUIRK_LAPIC_MMIO_HOLE);
  }

  private boolean hasPage() {
    return apic != null && apic.isPresent() && !apic.isWide();
  }

  long readMemory(long gpa, int size) {
    if (apic == null || !hasPage()) {
      return -1;
    }
    lock();
    try {
      return apic.read((int) gpa & 0xfff, size);
    } finally {
      unlock();
    }
  }

  void writeMemory(long gpa, int size, long value) {
    if (apic != null && hasPage()) {
      lock();
      try {
        apic.write((int) gpa & 0xfff, size, (int) value);
      } finally {
        unlock();
      }
    }
  }

  // ---- INIT and startup ----

  /** Whether an INIT or a startup interrupt has come. */
  boolean hasStartEvents() {
    return apic != null && apic.hasStartEvents();
  }

  /** Takes an INIT; false if none has come. */
  boolean takeInit() {
    lock();
    try {
      return apic != null && apic.takeInit();
    } finally {
      unlock();
    }
  }

  /** Takes a startup interrupt: its vector, or -1. */
  int takeStartup() {
    lock();
    try {
      return apic == null ? NONE : apic.takeStartup();
    } finally {
      unlock();
    }
  }

  /** The vector that a startup interrupt is to have. */
  void restoreStartupVector(int vector) {
    if (apic != null) {
      lock();
      try {
        apic.setStartupVector(vector);
      } finally {
        unlock();
      }
    }
  }

  /** Whether an INIT is to be pending. */
  void restoreInit(boolean pending) {
    if (apic != null) {
      lock();
      try {
        apic.restoreInit(pending);
      } finally {
        unlock();
      }
    }
  }

  /** Has a startup interrupt be pending (KVM_MP_STATE_SIPI_RECEIVED). */
  void restoreStartup() {
    if (apic != null) {
      lock();
      try {
        apic.restoreStartup();
      } finally {
        unlock();
      }
    }
  }

  /** INIT. */
  void reset() {
    unhalted = false;
    nmis.set(0);
    if (apic != null) {
      boolean boot = vcpu.vm.bootCpu() == vcpu.id();
      boolean lint0 = vcpu.vm.hasQuirk(Uapi.KVM_X86_QUIRK_LINT0_REENABLED);
      lock();
      try {
        apic.reset(true, boot, lint0);
      } finally {
        unlock();
      }
    }
  }
}
