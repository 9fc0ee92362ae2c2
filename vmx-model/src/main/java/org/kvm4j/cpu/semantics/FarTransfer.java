package org.kvm4j.cpu.semantics;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.cet.BranchTracking;
import org.kvm4j.cpu.cet.ShadowStack;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.event.TaskSwitch;
import org.kvm4j.cpu.segment.Descriptor;
import org.kvm4j.cpu.segment.DescriptorTables;
import org.kvm4j.cpu.segment.InnerStack;
import org.kvm4j.cpu.segment.SegmentLoader;
import org.kvm4j.cpu.segment.StackAccess;

/**
 * Far CALL, JMP and RET. SDM Vol. 2, "CALL—Call Procedure", "JMP—Jump", "RET—Return From
 * Procedure"; Vol. 3, "Privilege Level Checking When Transferring Program Control Between Code
 * Segments". The order of checks is that of the operation sections.
 */
final class FarTransfer {
  private FarTransfer() {}

  static void register() {
    Handlers.put(Opcode.JMP_FAR, (c, i) -> transfer(c, i, false));
    Handlers.put(Opcode.CALL_FAR, (c, i) -> transfer(c, i, true));
    Handlers.put(Opcode.RET_FAR, FarTransfer::ret);
  }

  private static void transfer(Cpu cpu, Instruction i, boolean call) {
    int size = i.operandSize;
    long offset;
    int selector;
    if (i.kind0 == OperandKind.FAR_POINTER) {
      offset = Operands.truncate(i.immediate, size);
      selector = (int) i.immediate2 & 0xffff;
    } else {
      long at = Operands.linear(cpu, i, size + 2, false);
      offset = cpu.mmu.read(at, size);
      long second = at + size;
      selector = cpu.mmu.read16(cpu.codeSize == 8 ? second : second & 0xffffffffL);
    }
    if (!cpu.protectedMode) {
      transferReal(cpu, size, selector, offset, call);
      return;
    }
    if (DescriptorTables.isNull(selector)) {
      throw cpu.gp(0);
    }
    Descriptor d = DescriptorTables.fetch(cpu, selector, Vector.GP, 0);
    if (d.isSegment()) {
      direct(cpu, d, size, offset, call);
    } else {
      system(cpu, d, call);
    }
  }

  /** Real-address and virtual-8086 mode. */
  private static void transferReal(Cpu cpu, int size, int selector, long offset, boolean call) {
    StackAccess stack = StackAccess.current(cpu);
    if (call) {
      stack.reserve(2, size, 0);
    }
    if (offset > (cpu.v86 ? 0xffff : cpu.seg[Cpu.CS].limit)) {
      throw cpu.gp(0);
    }
    if (call) {
      push(cpu, stack, size);
    }
    loadRealCode(cpu, selector);
    cpu.rip = offset;
    cpu.updateMode();
  }

  static void loadRealCode(Cpu cpu, int selector) {
    if (cpu.v86) {
      SegmentLoader.loadV86(cpu.seg[Cpu.CS], selector);
    } else {
      SegmentLoader.loadReal(cpu.seg[Cpu.CS], selector);
    }
  }

  /** Pushes CS and the return address on the reserved stack, which becomes the current one. */
  private static void push(Cpu cpu, StackAccess stack, int size) {
    stack.push(size, cpu.seg[Cpu.CS].selector);
    stack.push(size, cpu.rip);
    cpu.r[Cpu.RSP] = stack.sp;
  }

  /** #GP(selector) unless it is code of the mode that a transfer may go to without a gate. */
  private static void direct(Cpu cpu, Descriptor code, int size, long offset, boolean call) {
    int selector = code.selector;
    boolean allowed =
        code.isCode()
            && (code.isConforming()
                ? code.dpl() <= cpu.cpl
                : (selector & 3) <= cpu.cpl && code.dpl() == cpu.cpl);
    if (!allowed || isLongAnd32(cpu, code)) {
      throw DescriptorTables.fault(cpu, Vector.GP, selector, 0);
    }
    if (!code.isPresent()) {
      throw DescriptorTables.fault(cpu, Vector.NP, selector, 0);
    }
    StackAccess stack = StackAccess.current(cpu);
    if (call) {
      stack.reserve(2, size, 0);
    }
    checkTarget(cpu, code, offset);
    ShadowStack.checkFar(cpu, is64(cpu, code));
    DescriptorTables.setAccessed(cpu, code);
    same(cpu, stack, size, call);
    enter(cpu, code, cpu.cpl, offset);
  }

  /** What a transfer leaves on the stacks before it goes on at the same privilege level. */
  private static void same(Cpu cpu, StackAccess stack, int size, boolean call) {
    if (call) {
      if (cpu.shadowStack) {
        ShadowStack.enterSame(cpu, returnAddress(cpu, size));
      }
      push(cpu, stack, size);
    }
    BranchTracking.far(cpu, cpu.cpl);
  }

  /** RIP as a call of an operand size pushes it. */
  private static long returnAddress(Cpu cpu, int size) {
    return Operands.truncate(cpu.rip, size);
  }

  /** Whether a code segment is one of 64-bit mode. */
  static boolean is64(Cpu cpu, Descriptor code) {
    return cpu.longMode && code.isLong();
  }

  /** L and D/B both set, in IA-32e mode. */
  static boolean isLongAnd32(Cpu cpu, Descriptor code) {
    return cpu.longMode && code.isLong() && code.isDefault32();
  }

  /** #GP(0) if the target is outside of the code segment, or not canonical. */
  static void checkTarget(Cpu cpu, Descriptor code, long offset) {
    boolean fits =
        cpu.longMode && code.isLong()
            ? cpu.isCanonical(offset)
            : Long.compareUnsigned(offset, code.limit()) <= 0;
    if (!fits) {
      throw cpu.gp(0);
    }
  }

  static void enter(Cpu cpu, Descriptor code, int cpl, long offset) {
    SegmentLoader.loadCode(cpu, code, cpl);
    cpu.cpl = cpl;
    cpu.rip = offset;
    cpu.updateMode();
  }

  private static void system(Cpu cpu, Descriptor d, boolean call) {
    int type = d.type();
    boolean gate =
        type == Descriptor.CALL_GATE32 || !cpu.longMode && type == Descriptor.CALL_GATE16;
    boolean task = !cpu.longMode && (type == Descriptor.TASK_GATE || d.isAvailableTss());
    if (!gate && !task || d.dpl() < cpu.cpl || d.dpl() < (d.selector & 3)) {
      throw DescriptorTables.fault(cpu, Vector.GP, d.selector, 0);
    }
    if (gate) {
      d = DescriptorTables.expand(cpu, d, Vector.GP, 0);
    }
    if (!d.isPresent()) {
      throw DescriptorTables.fault(cpu, Vector.NP, d.selector, 0);
    }
    if (gate) {
      callGate(cpu, d, call);
    } else {
      Descriptor tss =
          type == Descriptor.TASK_GATE
              ? TaskSwitch.available(cpu, d.gateSelector(), 0)
              : TaskSwitch.available(cpu, d.selector, 0);
      TaskSwitch.transfer(cpu, tss, call ? TaskSwitch.CALL : TaskSwitch.JMP);
    }
  }

  private static void callGate(Cpu cpu, Descriptor gate, boolean call) {
    int selector = gate.gateSelector();
    if (DescriptorTables.isNull(selector)) {
      throw cpu.gp(0);
    }
    Descriptor code = DescriptorTables.fetch(cpu, selector, Vector.GP, 0);
    boolean allowed =
        code.isCode()
            && (call || code.isConforming() ? code.dpl() <= cpu.cpl : code.dpl() == cpu.cpl);
    if (!allowed || cpu.longMode && (!code.isLong() || code.isDefault32())) {
      throw DescriptorTables.fault(cpu, Vector.GP, selector, 0);
    }
    if (!code.isPresent()) {
      throw DescriptorTables.fault(cpu, Vector.NP, selector, 0);
    }
    int size = cpu.longMode ? 8 : gate.type() == Descriptor.CALL_GATE32 ? 4 : 2;
    long offset = size == 2 ? gate.gateOffset() & 0xffff : gate.gateOffset();
    boolean inner = call && !code.isConforming() && code.dpl() < cpu.cpl;
    if (!inner) {
      StackAccess stack = gateStack(cpu);
      if (call) {
        stack.reserve(2, size, 0);
      }
      checkTarget(cpu, code, offset);
      ShadowStack.checkFar(cpu, is64(cpu, code));
      DescriptorTables.setAccessed(cpu, code);
      same(cpu, stack, size, call);
      enter(cpu, code, cpu.cpl, offset);
    } else if (cpu.longMode) {
      inner64(cpu, code, offset);
    } else {
      inner(cpu, code, offset, size, gate.gateParameters());
    }
  }

  /** The stack of a call through a gate to the same level: in IA-32e mode the code is 64-bit. */
  private static StackAccess gateStack(Cpu cpu) {
    return cpu.longMode ? StackAccess.of64(cpu, cpu.r[Cpu.RSP], cpu.cpl) : StackAccess.current(cpu);
  }

  private static void inner(Cpu cpu, Descriptor code, long offset, int size, int parameters) {
    int cpl = code.dpl();
    InnerStack from = InnerStack.read(cpu, cpl, 0);
    if (DescriptorTables.isNull(from.selector)) {
      throw cpu.ts(0);
    }
    Descriptor d = SegmentLoader.stack(cpu, from.selector, cpl, Vector.TS, 0);
    Segment newSs = new Segment();
    d.load(newSs, from.selector);
    StackAccess stack = StackAccess.of(cpu, newSs, from.sp, cpl);
    stack.reserve(4 + parameters, size, from.selector & 0xfffc);
    checkTarget(cpu, code, offset);
    StackAccess old = StackAccess.current(cpu);
    long[] copies = new long[parameters];
    for (int k = 0; k < parameters; k++) {
      copies[k] = old.pop(size);
    }
    DescriptorTables.probeAccessed(cpu, code);
    DescriptorTables.setAccessed(cpu, d);
    DescriptorTables.setAccessed(cpu, code);
    stack.push(size, cpu.seg[Cpu.SS].selector);
    stack.push(size, cpu.r[Cpu.RSP]);
    for (int k = parameters - 1; k >= 0; k--) {
      stack.push(size, copies[k]);
    }
    ShadowStack.enterInner(cpu, cpl, 0, returnAddress(cpu, size), false);
    push(cpu, stack, size);
    BranchTracking.far(cpu, cpl);
    cpu.seg[Cpu.SS].copyFrom(newSs);
    enter(cpu, code, cpl, offset);
  }

  private static void inner64(Cpu cpu, Descriptor code, long offset) {
    int cpl = code.dpl();
    StackAccess stack = StackAccess.of64(cpu, InnerStack.read64(cpu, cpl * 8 + 4, 0), cpl);
    stack.reserve(4, 8, 0);
    checkTarget(cpu, code, offset);
    DescriptorTables.setAccessed(cpu, code);
    stack.push(8, cpu.seg[Cpu.SS].selector);
    stack.push(8, cpu.r[Cpu.RSP]);
    ShadowStack.enterInner(cpu, cpl, 0, cpu.rip, true);
    push(cpu, stack, 8);
    BranchTracking.far(cpu, cpl);
    SegmentLoader.loadNullStack(cpu.seg[Cpu.SS], cpl);
    enter(cpu, code, cpl, offset);
  }

  // ---- return ----

  private static void ret(Cpu cpu, Instruction i) {
    int size = i.operandSize;
    int extra = i.kind0 == OperandKind.IMMEDIATE ? (int) i.immediate & 0xffff : 0;
    StackAccess stack = StackAccess.current(cpu);
    long rip = stack.pop(size);
    int selector = (int) stack.pop(size) & 0xffff;
    if (!cpu.protectedMode) {
      if (rip > (cpu.v86 ? 0xffff : cpu.seg[Cpu.CS].limit)) {
        throw cpu.gp(0);
      }
      stack.skip(extra);
      loadRealCode(cpu, selector);
      cpu.r[Cpu.RSP] = stack.sp;
      cpu.rip = rip;
      cpu.updateMode();
      return;
    }
    Descriptor code = returnCode(cpu, selector);
    int rpl = selector & 3;
    if (rpl == cpu.cpl) {
      checkTarget(cpu, code, rip);
      DescriptorTables.setAccessed(cpu, code);
      ShadowStack.leaveSame(cpu, selector, linear(cpu, code, rip), is64(cpu, code), false);
      stack.skip(extra);
      cpu.r[Cpu.RSP] = stack.sp;
      enter(cpu, code, rpl, rip);
      return;
    }
    stack.skip(extra);
    long rsp = stack.pop(size);
    int ss = (int) stack.pop(size) & 0xffff;
    Descriptor d = returnStack(cpu, ss, code, rpl);
    checkTarget(cpu, code, rip);
    DescriptorTables.setAccessed(cpu, code);
    if (d != null) {
      DescriptorTables.setAccessed(cpu, d);
    }
    ShadowStack.leaveOuter(cpu, rpl, selector, linear(cpu, code, rip), is64(cpu, code));
    outer(cpu, code, d, rpl, rip, rsp, ss, extra);
  }

  /** The linear address of an instruction pointer in a code segment. */
  static long linear(Cpu cpu, Descriptor code, long rip) {
    return ShadowStack.linear(code.base(), rip, is64(cpu, code));
  }

  /** The code segment that RET or IRET goes back to, checked up to its presence. */
  static Descriptor returnCode(Cpu cpu, int selector) {
    if (DescriptorTables.isNull(selector)) {
      throw cpu.gp(0);
    }
    Descriptor code = DescriptorTables.fetch(cpu, selector, Vector.GP, 0);
    int rpl = selector & 3;
    boolean allowed =
        code.isCode()
            && rpl >= cpu.cpl
            && (code.isConforming() ? code.dpl() <= rpl : code.dpl() == rpl);
    if (!allowed || isLongAnd32(cpu, code)) {
      throw DescriptorTables.fault(cpu, Vector.GP, selector, 0);
    }
    if (!code.isPresent()) {
      throw DescriptorTables.fault(cpu, Vector.NP, selector, 0);
    }
    return code;
  }

  /**
   * The stack segment that RET or IRET goes back to.
   *
   * @return null for a null selector, where 64-bit mode allows it
   */
  static @Nullable Descriptor returnStack(Cpu cpu, int selector, Descriptor code, int rpl) {
    if (DescriptorTables.isNull(selector)) {
      if (cpu.longMode && code.isLong() && rpl != 3 && (selector & 3) == rpl) {
        return null;
      }
      throw cpu.gp(0);
    }
    return SegmentLoader.stack(cpu, selector, rpl, Vector.GP, 0);
  }

  /** Loads CS:rIP and SS:rSP of an outer level, after every check. */
  static void outer(
      Cpu cpu,
      Descriptor code,
      @Nullable Descriptor stack,
      int cpl,
      long rip,
      long rsp,
      int ss,
      int extra) {
    Segment segment = cpu.seg[Cpu.SS];
    if (stack != null) {
      DescriptorTables.setAccessed(cpu, stack);
      stack.load(segment, ss);
    } else {
      SegmentLoader.loadNullStack(segment, cpl);
    }
    boolean drop = cpl != cpu.cpl;
    enter(cpu, code, cpl, rip);
    if (drop) {
      SegmentLoader.dropInaccessible(cpu, cpl);
    }
    setStackPointer(cpu, rsp, extra);
    if (drop) {
      cpu.updateMode();
    }
  }

  /** Sets rSP as wide as the (new) stack is: a 16-bit stack leaves the bits above as they are. */
  private static void setStackPointer(Cpu cpu, long rsp, int extra) {
    if (cpu.stackMask == 0xffff) {
      cpu.r[Cpu.RSP] = cpu.r[Cpu.RSP] & ~0xffffL | rsp + extra & 0xffff;
    } else {
      cpu.r[Cpu.RSP] = rsp + extra & cpu.stackMask;
    }
  }
}
