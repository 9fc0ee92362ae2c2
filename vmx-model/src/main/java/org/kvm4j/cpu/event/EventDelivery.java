package org.kvm4j.cpu.event;

import org.kvm4j.cpu.cet.BranchTracking;
import org.kvm4j.cpu.cet.ShadowStack;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.GuestMode;
import org.kvm4j.cpu.core.NestedFault;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.core.ShutdownReport;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.segment.Descriptor;
import org.kvm4j.cpu.segment.DescriptorTables;
import org.kvm4j.cpu.segment.InnerStack;
import org.kvm4j.cpu.segment.SegmentLoader;
import org.kvm4j.cpu.segment.StackAccess;

/**
 * Delivery of exceptions and interrupts. SDM Vol. 3, ch. "Interrupt and Exception Handling"; Vol.
 * 2, "INT n/INTO/INT3/INT1—Call to Interrupt Procedure", whose order of checks and error codes is
 * the one here.
 *
 * <p>None of these throws {@link CpuException}: what goes wrong in delivery is delivered in turn,
 * up to the triple fault. {@link NestedFault} passes through with nothing changed, for the engine
 * to hand to {@link GuestMode#nestedFault}.
 */
public final class EventDelivery {
  /** Types of events, as in the VMX interruption-information fields. */
  public static final int EXTERNAL = 0;

  public static final int NMI = 2;
  public static final int HARDWARE_EXCEPTION = 3;
  public static final int SOFTWARE_INTERRUPT = 4;
  public static final int PRIVILEGED_SOFTWARE_EXCEPTION = 5;
  public static final int SOFTWARE_EXCEPTION = 6;

  /** No exception is being delivered, or a benign event. */
  private static final int BENIGN = -1;

  private static final int IDT = 2;
  private static final int TYPE_TRAP = 1;
  private static final long DR7_GD = 1 << 13;

  /** DR6 bits that a debug exception sets: B0..B3, BD, BS, BT. */
  private static final long DR6_SET = 0xe00f;

  /** LBR and BTF of IA32_DEBUGCTL, which a debug exception clears. */
  private static final long DEBUGCTL_CLEARED = 3;

  private EventDelivery() {}

  // ---- events ----

  /**
   * Delivers a fault of the instruction at {@link Cpu#instructionRip}: rip goes back there first. A
   * VM exit may be taken instead.
   */
  public static void exception(Cpu cpu, CpuException e) {
    cpu.rip = cpu.instructionRip;
    cpu.trail.close();
    raise(cpu, e, BENIGN);
  }

  /**
   * Delivers a debug exception of the trap class, to return to {@link Cpu#rip}.
   *
   * @param dr6Bits bits for DR6: 0..3, 13 (BD), 14 (BS), 15 (BT); bit 12 is ignored by DR6 and
   *     passed to a VM exit
   */
  public static void debugTrap(Cpu cpu, long dr6Bits) {
    cpu.trail.close();
    raise(cpu, Vector.DB, false, 0, dr6Bits, BENIGN, flagsBetweenInstructions(cpu));
  }

  /**
   * Delivers an external interrupt that was acknowledged, between instructions. External-interrupt
   * exiting is the caller's question, before the acknowledgement.
   */
  public static void interrupt(Cpu cpu, int vector) {
    start(cpu, EXTERNAL, vector, false, 0, 0, cpu.rip, 1, flagsBetweenInstructions(cpu));
  }

  /**
   * Delivers an NMI between instructions; NMIs are blocked from here on. NMI exiting is the
   * caller's question.
   */
  public static void nmi(Cpu cpu) {
    cpu.nmiBlocked = true;
    start(cpu, NMI, Vector.NMI, false, 0, 0, cpu.rip, 1, flagsBetweenInstructions(cpu));
  }

  /**
   * INT n, INT3, INTO, INT1: an event that returns to the next instruction, at {@link Cpu#rip}.
   *
   * @param type {@link #SOFTWARE_INTERRUPT}, {@link #SOFTWARE_EXCEPTION} (INT3, INTO) or {@link
   *     #PRIVILEGED_SOFTWARE_EXCEPTION} (INT1)
   * @param length of the instruction
   */
  public static void software(Cpu cpu, int vector, int type, int length) {
    long after = cpu.rip;
    GuestMode guest = cpu.guest;
    if (type != SOFTWARE_INTERRUPT && guest != null && guest.exception(vector, false, 0, 0, true)) {
      return;
    }
    if (type == PRIVILEGED_SOFTWARE_EXCEPTION && cpu.shadow == Cpu.SHADOW_MOV_SS) {
      // Breakpoints met by the move to SS are of the same exception.
      DebugUnit.takeBreakpoints(cpu);
    }
    cpu.rip = cpu.instructionRip;
    if (type == SOFTWARE_INTERRUPT && cpu.v86) {
      if (guest != null) {
        guest.deliveryInProgress(type, vector, false, 0, length);
      }
      try {
        if (redirected(cpu, vector, after)) {
          finish(cpu);
          return;
        }
        if (cpu.iopl() < 3) {
          throw cpu.gp(0);
        }
      } catch (CpuException e) {
        raise(cpu, e, BENIGN, type);
        return;
      }
    }
    int ext = type == PRIVILEGED_SOFTWARE_EXCEPTION ? 1 : 0;
    int flags = (int) cpu.rflags() & ~Flags.RF;
    start(cpu, type, vector, false, 0, length, after, ext, flags);
  }

  /**
   * Event injection by VM entry. SDM Vol. 3, "Event Injection". The event itself is not subject to
   * the exception bitmap, and loads neither CR2 nor DR6.
   *
   * @param type of the VM-entry interruption-information field, but not "other event"
   * @param length of the instruction, for the types of software events
   */
  public static void inject(
      Cpu cpu, int type, int vector, boolean hasErrorCode, int errorCode, int length) {
    boolean software = type >= SOFTWARE_INTERRUPT;
    long after = software ? cpu.rip + length & cpu.ripMask : cpu.rip;
    cpu.instructionRip = cpu.rip;
    if (type == NMI) {
      cpu.nmiBlocked = true;
    }
    if (type == SOFTWARE_INTERRUPT && cpu.v86) {
      // Redirection applies, IOPL does not: SDM Vol. 3, "Details of Vectored-Event Injection".
      GuestMode guest = cpu.guest;
      if (guest != null) {
        guest.deliveryInProgress(type, vector, false, 0, length);
      }
      try {
        if (redirected(cpu, vector, after)) {
          finish(cpu);
          return;
        }
      } catch (CpuException e) {
        raise(cpu, e, BENIGN);
        return;
      }
    }
    int ext = type == SOFTWARE_INTERRUPT || type == SOFTWARE_EXCEPTION ? 0 : 1;
    // RF is pushed as it was loaded, whatever the type: SDM Vol. 3, "Details of Vectored-Event
    // Injection".
    start(cpu, type, vector, hasErrorCode, errorCode, length, after, ext, (int) cpu.rflags());
  }

  // ---- composition ----

  /**
   * Delivers an event that is not subject to the exception bitmap any more.
   *
   * @param flags to be pushed
   */
  private static void start(
      Cpu cpu,
      int type,
      int vector,
      boolean hasErrorCode,
      int errorCode,
      int length,
      long returnRip,
      int ext,
      int flags) {
    GuestMode guest = cpu.guest;
    if (guest != null) {
      guest.deliveryInProgress(type, vector, hasErrorCode, errorCode, length);
    }
    cpu.trail.begin(cpu, type, vector, hasErrorCode, errorCode, cpu.cr2);
    boolean checked = type == SOFTWARE_INTERRUPT || type == SOFTWARE_EXCEPTION;
    try {
      deliver(cpu, vector, checked, ext, hasErrorCode, errorCode, returnRip, flags);
      finish(cpu);
    } catch (CpuException e) {
      raise(cpu, e, type == HARDWARE_EXCEPTION ? vector : BENIGN, type);
    }
  }

  /** As below, of an event of a type: an instruction that has raised it does not retire. */
  private static void raise(Cpu cpu, CpuException e, int during, int type) {
    boolean ofInstruction = type >= SOFTWARE_INTERRUPT && !cpu.delivering;
    if (ofInstruction) {
      cpu.notRetired(1);
    }
    try {
      raise(cpu, e, during);
    } catch (NestedFault n) {
      // It is begun again, as if it had not been.
      if (ofInstruction) {
        cpu.notRetired(-1);
      }
      throw n;
    }
  }

  private static void raise(Cpu cpu, CpuException e, int during) {
    int flags = (int) cpu.rflags();
    // SDM Vol. 3, "Instruction-Breakpoint Exception Condition": only that fault has RF as it is.
    if (e.vector != Vector.DB || (e.payload & DebugUnit.BD) != 0) {
      flags |= Flags.RF;
    }
    raise(cpu, e.vector, e.hasErrorCode, e.errorCode, e.payload, during, flags);
  }

  /**
   * Delivers an exception, and what its delivery leads to. SDM Vol. 3, "Interrupt 8—Double Fault
   * Exception".
   *
   * @param during the exception whose delivery this one was met in, or {@link #BENIGN}
   * @param flags to be pushed
   */
  private static void raise(
      Cpu cpu,
      int vector,
      boolean hasErrorCode,
      int errorCode,
      long payload,
      int during,
      int flags) {
    GuestMode guest = cpu.guest;
    boolean endless = false;
    long since = 0;
    while (true) {
      boolean hasCode = hasErrorCode && (cpu.cr0 & ControlBits.CR0_PE) != 0;
      if (guest != null && guest.exception(vector, hasCode, errorCode, payload, false)) {
        return;
      }
      // What exits at once, such as a trap behind HLT, leaves the processor as inactive as it was:
      // SDM 28.1 "Architectural State Before a VM Exit".
      cpu.activity = Cpu.ACTIVE;
      // A hardware exception discards pending debug exceptions: what the instruction would have
      // trapped for it meets again when it is restarted.
      cpu.pendingDebug &= DebugUnit.BT;
      if (vector == Vector.PF) {
        cpu.cr2 = payload;
      }
      cpu.trail.add(cpu, HARDWARE_EXCEPTION, vector, hasErrorCode, errorCode, payload);
      if (during == Vector.DF && !isBenign(vector)) {
        tripleFault(cpu);
        return;
      }
      if (isDouble(during, vector)) {
        vector = Vector.DF;
        hasCode = (cpu.cr0 & ControlBits.CR0_PE) != 0;
        errorCode = 0;
        cpu.trail.add(cpu, HARDWARE_EXCEPTION, vector, hasCode, 0, 0);
        if (guest != null && guest.exception(vector, hasCode, 0, 0, false)) {
          return;
        }
      } else if (vector == Vector.DB) {
        cpu.dr6 = cpu.dr6 & ~0xfL | payload & DR6_SET;
        cpu.dr7 &= ~DR7_GD;
        cpu.msr.debugCtl &= ~DEBUGCTL_CLEARED;
      }
      if (guest != null) {
        guest.deliveryInProgress(HARDWARE_EXCEPTION, vector, hasCode, errorCode, 0);
      }
      try {
        deliver(cpu, vector, false, 1, hasCode, errorCode, cpu.rip, flags);
        finish(cpu);
        return;
      } catch (CpuException e) {
        if (e.vector == vector && isBenign(vector)) {
          // An alignment check in the delivery of one, which changes nothing: it goes on so without
          // end.
          if (!endless) {
            endless = true;
            since = cpu.platform.tsc();
          }
          if (guest != null && guest.instructionTimeout(since) || pauses(cpu)) {
            return;
          }
        }
        during = vector;
        vector = e.vector;
        hasErrorCode = e.hasErrorCode;
        errorCode = e.errorCode;
        payload = e.payload;
        flags = (int) cpu.rflags() | Flags.RF;
      }
    }
  }

  /**
   * Whether an endless delivery is left for a while, as nothing else of the host's would go on: the
   * instruction is executed again then, and leads there again.
   */
  private static boolean pauses(Cpu cpu) {
    cpu.charge(1);
    if (cpu.countdown > 0 && (cpu.requests() & Cpu.REQUEST_KICK) == 0) {
      return false;
    }
    GuestMode guest = cpu.guest;
    if (guest != null) {
      guest.deliveryInProgress(-1, 0, false, 0, 0);
    }
    cpu.trail.close();
    return true;
  }

  private static boolean isContributory(int vector) {
    return vector == Vector.DE || vector >= Vector.TS && vector <= Vector.GP || vector == Vector.CP;
  }

  private static boolean isPageFault(int vector) {
    return vector == Vector.PF || vector == Vector.VE;
  }

  private static boolean isBenign(int vector) {
    return !isContributory(vector) && !isPageFault(vector);
  }

  private static boolean isDouble(int first, int second) {
    return isContributory(first) && isContributory(second)
        || isPageFault(first) && !isBenign(second);
  }

  private static void tripleFault(Cpu cpu) {
    cpu.lastShutdown = new ShutdownReport(cpu);
    GuestMode guest = cpu.guest;
    if (guest != null && guest.tripleFault()) {
      return;
    }
    finish(cpu);
    cpu.activity = Cpu.SHUTDOWN;
    cpu.left = true;
  }

  /**
   * RFLAGS as an event between instructions pushes it. SDM Vol. 3, "Instruction-Breakpoint
   * Exception Condition".
   */
  private static int flagsBetweenInstructions(Cpu cpu) {
    int flags = (int) cpu.rflags();
    return cpu.repeating ? flags | Flags.RF : flags;
  }

  private static void finish(Cpu cpu) {
    cpu.trail.close();
    cpu.shadow = 0;
    cpu.repeating = false;
    cpu.activity = Cpu.ACTIVE;
    cpu.iretUnblockedNmi = false;
    GuestMode guest = cpu.guest;
    if (guest != null) {
      guest.deliveryInProgress(-1, 0, false, 0, 0);
    }
  }

  // ---- delivery ----

  private static void deliver(
      Cpu cpu,
      int vector,
      boolean checkDpl,
      int ext,
      boolean hasErrorCode,
      int errorCode,
      long returnRip,
      int flags) {
    if (cpu.longMode) {
      deliver64(cpu, vector, checkDpl, ext, hasErrorCode, errorCode, returnRip, flags);
    } else if ((cpu.cr0 & ControlBits.CR0_PE) != 0) {
      deliverProtected(cpu, vector, checkDpl, ext, hasErrorCode, errorCode, returnRip, flags);
    } else {
      deliverReal(cpu, vector, ext, returnRip, flags);
    }
  }

  private static void deliverReal(Cpu cpu, int vector, int ext, long returnRip, int flags) {
    int at = vector * 4;
    if (at + 3 > cpu.idtLimit) {
      throw cpu.gp(vector << 3 | IDT | ext);
    }
    int target = (int) cpu.mmu.readSystem(cpu.idtBase + at & 0xffffffffL, 4);
    push16(cpu, flags, returnRip, ext);
    SegmentLoader.loadReal(cpu.seg[Cpu.CS], target >>> 16);
    cpu.rip = target & 0xffff;
    cpu.flagsRest &= ~(Flags.IF | Flags.TF | Flags.RF | Flags.AC);
    cpu.updateMode();
  }

  /** Pushes FLAGS, CS and IP on the current stack. */
  private static void push16(Cpu cpu, int flags, long returnRip, int error) {
    StackAccess stack = StackAccess.current(cpu);
    stack.reserve(3, 2, error);
    stack.push(2, flags);
    stack.push(2, cpu.seg[Cpu.CS].selector);
    stack.push(2, returnRip);
    cpu.r[Cpu.RSP] = stack.sp;
  }

  /**
   * INT n in virtual-8086 mode with CR4.VME: through the interrupt table of the 8086 program, if
   * the redirection bitmap says so. SDM Vol. 3, "Class 3—Software Interrupt Handling in
   * Virtual-8086 Mode".
   *
   * @return false if the interrupt is to go through the IDT
   */
  private static boolean redirected(Cpu cpu, int vector, long returnRip) {
    if ((cpu.cr4 & ControlBits.CR4_VME) == 0) {
      return false;
    }
    Segment tr = cpu.seg[Cpu.TR];
    if (tr.limit < 0x67) {
      throw cpu.gp(0);
    }
    long map = cpu.mmu.readSystem(DescriptorTables.linear(cpu, tr.base + 0x66), 2);
    long at = map - 32 + (vector >> 3);
    if (at < 0 || at > tr.limit) {
      throw cpu.gp(0);
    }
    long bits = cpu.mmu.readSystem(DescriptorTables.linear(cpu, tr.base + at), 1);
    if ((bits >> (vector & 7) & 1) != 0) {
      return false;
    }
    int target = (int) cpu.mmu.readSystem(vector * 4L, 4);
    int flags = (int) cpu.rflags();
    boolean virtual = cpu.iopl() < 3;
    if (virtual) {
      flags |= Flags.IOPL;
      flags = (flags & Flags.VIF) != 0 ? flags | Flags.IF : flags & ~Flags.IF;
    }
    push16(cpu, flags, returnRip, 0);
    SegmentLoader.loadV86(cpu.seg[Cpu.CS], target >>> 16);
    cpu.rip = target & 0xffff;
    cpu.flagsRest &= ~(Flags.TF | Flags.RF | (virtual ? Flags.VIF : Flags.IF));
    cpu.updateMode();
    return true;
  }

  private static void deliverProtected(
      Cpu cpu,
      int vector,
      boolean checkDpl,
      int ext,
      boolean hasErrorCode,
      int errorCode,
      long returnRip,
      int flags) {
    int idtError = vector << 3 | IDT | ext;
    int at = vector * 8;
    if (at + 7 > cpu.idtLimit) {
      throw cpu.gp(idtError);
    }
    long address = cpu.idtBase + at & 0xffffffffL;
    Descriptor gate = new Descriptor(0, address, cpu.mmu.readSystem(address, 8), 0);
    int type = gate.type();
    boolean task = type == Descriptor.TASK_GATE;
    if (gate.isSegment() || !task && (type & 7) < Descriptor.INTERRUPT_GATE16) {
      throw cpu.gp(idtError);
    }
    if (checkDpl && gate.dpl() < cpu.cpl) {
      throw cpu.gp(idtError);
    }
    if (!gate.isPresent()) {
      throw cpu.np(idtError);
    }
    if (task) {
      TaskSwitch.gate(cpu, gate.gateSelector(), ext, returnRip, flags, hasErrorCode, errorCode);
      return;
    }

    int size = (type & 8) != 0 ? 4 : 2;
    long offset = size == 4 ? gate.gateOffset() : gate.gateOffset() & 0xffff;
    Descriptor code = code(cpu, gate, ext);
    if (!code.isPresent()) {
      throw DescriptorTables.fault(cpu, Vector.NP, code.selector, ext);
    }
    boolean inner = !code.isConforming() && code.dpl() < cpu.cpl;
    boolean v86 = cpu.v86;
    if (v86 && (!inner || code.dpl() != 0)) {
      throw DescriptorTables.fault(cpu, Vector.GP, code.selector, ext);
    }
    int cpl = inner ? code.dpl() : cpu.cpl;
    int count = hasErrorCode ? 4 : 3;
    Segment ss = cpu.seg[Cpu.SS];
    Segment newSs = ss;
    StackAccess stack;
    if (inner) {
      InnerStack from = InnerStack.read(cpu, cpl, ext);
      if (DescriptorTables.isNull(from.selector)) {
        throw cpu.ts(ext);
      }
      Descriptor d = SegmentLoader.stack(cpu, from.selector, cpl, Vector.TS, ext);
      newSs = new Segment();
      d.load(newSs, from.selector);
      stack = StackAccess.of(cpu, newSs, from.sp, cpl);
      count += v86 ? 6 : 2;
      stack.reserve(count, size, from.selector & 0xfffc | ext);
      if (offset > code.limit()) {
        throw cpu.gp(ext);
      }
      DescriptorTables.probeAccessed(cpu, code);
      DescriptorTables.setAccessed(cpu, d);
    } else {
      stack = StackAccess.current(cpu);
      stack.reserve(count, size, ext);
      if (offset > code.limit()) {
        throw cpu.gp(ext);
      }
    }
    DescriptorTables.setAccessed(cpu, code);

    if (v86) {
      stack.push(size, cpu.seg[Cpu.GS].selector);
      stack.push(size, cpu.seg[Cpu.FS].selector);
      stack.push(size, cpu.seg[Cpu.DS].selector);
      stack.push(size, cpu.seg[Cpu.ES].selector);
    }
    if (inner) {
      stack.push(size, ss.selector);
      stack.push(size, cpu.r[Cpu.RSP]);
    }
    stack.push(size, flags);
    stack.push(size, cpu.seg[Cpu.CS].selector);
    stack.push(size, returnRip);
    if (hasErrorCode) {
      stack.push(size, errorCode);
    }
    if (inner) {
      ShadowStack.enterInner(cpu, cpl, 0, returnRip, false);
    } else {
      ShadowStack.enterSame(cpu, returnRip);
    }
    if (v86) {
      for (int s : DATA_SEGMENTS) {
        SegmentLoader.loadNull(cpu.seg[s], 0);
      }
    }
    if (inner) {
      ss.copyFrom(newSs);
    }
    cpu.r[Cpu.RSP] = stack.sp;
    enter(cpu, code, cpl, offset, (type & TYPE_TRAP) == 0);
  }

  private static final int[] DATA_SEGMENTS = {Cpu.ES, Cpu.DS, Cpu.FS, Cpu.GS};

  /** The code segment of a gate in the IDT. */
  private static Descriptor code(Cpu cpu, Descriptor gate, int ext) {
    int selector = gate.gateSelector();
    if (DescriptorTables.isNull(selector)) {
      throw cpu.gp(ext);
    }
    Descriptor code = DescriptorTables.fetch(cpu, selector, Vector.GP, ext);
    if (!code.isCode() || code.dpl() > cpu.cpl) {
      throw DescriptorTables.fault(cpu, Vector.GP, selector, ext);
    }
    return code;
  }

  private static void enter(Cpu cpu, Descriptor code, int cpl, long rip, boolean interruptGate) {
    BranchTracking.far(cpu, cpl);
    SegmentLoader.loadCode(cpu, code, cpl);
    cpu.cpl = cpl;
    cpu.rip = rip;
    cpu.flagsRest &= ~(Flags.TF | Flags.NT | Flags.RF | Flags.VM);
    if (interruptGate) {
      cpu.flagsRest &= ~Flags.IF;
    }
    cpu.updateMode();
  }

  private static void deliver64(
      Cpu cpu,
      int vector,
      boolean checkDpl,
      int ext,
      boolean hasErrorCode,
      int errorCode,
      long returnRip,
      int flags) {
    int idtError = vector << 3 | IDT | ext;
    int at = vector * 16;
    if (at + 15 > cpu.idtLimit) {
      throw cpu.gp(idtError);
    }
    long address = cpu.idtBase + at;
    Descriptor gate =
        new Descriptor(
            0, address, cpu.mmu.readSystem(address, 8), cpu.mmu.readSystem(address + 8, 8));
    int type = gate.type();
    if (gate.isSegment() || type < Descriptor.INTERRUPT_GATE32) {
      throw cpu.gp(idtError);
    }
    if (checkDpl && gate.dpl() < cpu.cpl) {
      throw cpu.gp(idtError);
    }
    if (!gate.isPresent()) {
      throw cpu.np(idtError);
    }
    long rip = gate.gateOffset();
    Descriptor code = code(cpu, gate, ext);
    if (!code.isLong() || code.isDefault32()) {
      throw DescriptorTables.fault(cpu, Vector.GP, code.selector, ext);
    }
    if (!code.isPresent()) {
      throw DescriptorTables.fault(cpu, Vector.NP, code.selector, ext);
    }
    boolean inner = !code.isConforming() && code.dpl() < cpu.cpl;
    int cpl = inner ? code.dpl() : cpu.cpl;
    int ist = gate.gateIst();
    long rsp = cpu.r[Cpu.RSP];
    if (inner || ist != 0) {
      rsp = InnerStack.read64(cpu, ist != 0 ? ist * 8 + 28 : cpl * 8 + 4, ext);
    }
    StackAccess stack = StackAccess.of64(cpu, rsp & ~15, cpl);
    stack.reserve(hasErrorCode ? 6 : 5, 8, ext);
    if (!cpu.isCanonical(rip)) {
      throw cpu.gp(ext);
    }
    DescriptorTables.setAccessed(cpu, code);

    stack.push(8, cpu.seg[Cpu.SS].selector);
    stack.push(8, cpu.r[Cpu.RSP]);
    stack.push(8, flags & 0xffffffffL);
    stack.push(8, cpu.seg[Cpu.CS].selector);
    stack.push(8, returnRip);
    if (hasErrorCode) {
      stack.push(8, errorCode & 0xffffffffL);
    }
    if (inner) {
      ShadowStack.enterInner(cpu, cpl, ist, returnRip, true);
      SegmentLoader.loadNullStack(cpu.seg[Cpu.SS], cpl);
    } else if (ist != 0) {
      ShadowStack.enterSame(cpu, ist, returnRip);
    } else {
      ShadowStack.enterSame(cpu, returnRip);
    }
    cpu.r[Cpu.RSP] = stack.sp;
    enter(cpu, code, cpl, rip, (type & TYPE_TRAP) == 0);
  }
}
