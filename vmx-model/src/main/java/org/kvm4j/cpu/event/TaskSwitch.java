package org.kvm4j.cpu.event;

import org.kvm4j.cpu.cet.TaskShadowStack;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.GuestMode;
import org.kvm4j.cpu.core.Mmu;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.segment.Descriptor;
import org.kvm4j.cpu.segment.DescriptorTables;
import org.kvm4j.cpu.segment.SegmentLoader;
import org.kvm4j.cpu.segment.StackAccess;
import org.kvm4j.ept.paging.PagingMode;

/**
 * Task switches through 16- and 32-bit TSSs. SDM Vol. 3, "Task Switching", with the checks of table
 * "Exception Conditions Checked During a Task Switch". There are none in IA-32e mode: the callers
 * see to that.
 */
public final class TaskSwitch {
  /** What a task switch comes from, numbered as in the exit qualification. */
  public static final int CALL = 0;

  public static final int IRET = 1;
  public static final int JMP = 2;
  public static final int GATE = 3;

  private static final int LIMIT32 = 0x67;
  private static final int LIMIT16 = 0x2b;
  private static final int TRAP_FLAG = 0x64;

  /** L0..L3 and LE of DR7, which a task switch clears. */
  private static final long LOCAL_ENABLES = 0x155;

  /** Present, accessed, readable code. */
  private static final int NO_CODE = 0x9b;

  private TaskSwitch() {}

  /** The TSS that a task gate or a far pointer names, checked to be available and present. */
  public static Descriptor available(Cpu cpu, int selector, int ext) {
    if ((selector & 4) != 0) {
      throw DescriptorTables.fault(cpu, Vector.GP, selector, ext);
    }
    Descriptor tss = DescriptorTables.fetch(cpu, selector, Vector.GP, ext);
    if (DescriptorTables.isNull(selector) || !tss.isAvailableTss()) {
      throw DescriptorTables.fault(cpu, Vector.GP, selector, ext);
    }
    if (!tss.isPresent()) {
      throw DescriptorTables.fault(cpu, Vector.NP, selector, ext);
    }
    return tss;
  }

  /** CALL or JMP to a task; {@link Cpu#rip} is where the old task goes on. */
  public static void transfer(Cpu cpu, Descriptor tss, int source) {
    perform(cpu, tss, source, 0, cpu.rip, (int) cpu.rflags() & ~Flags.RF, false, 0);
  }

  /** IRET with EFLAGS.NT: back to the task that the current one was called from. */
  public static void returnToPrevious(Cpu cpu) {
    int selector = (int) cpu.mmu.readSystem(DescriptorTables.linear(cpu, cpu.seg[Cpu.TR].base), 2);
    if ((selector & 4) != 0 || DescriptorTables.isNull(selector)) {
      throw DescriptorTables.fault(cpu, Vector.TS, selector, 0);
    }
    Descriptor tss = DescriptorTables.fetch(cpu, selector, Vector.TS, 0);
    if (!tss.isBusyTss()) {
      throw DescriptorTables.fault(cpu, Vector.TS, selector, 0);
    }
    if (!tss.isPresent()) {
      throw DescriptorTables.fault(cpu, Vector.NP, selector, 0);
    }
    int flags = (int) cpu.rflags() & ~(Flags.NT | Flags.RF);
    perform(cpu, tss, IRET, 0, cpu.rip, flags, false, 0);
  }

  /**
   * An interrupt or exception through a task gate.
   *
   * @param returnRip where the old task goes on
   * @param flags of the old task
   */
  static void gate(
      Cpu cpu,
      int selector,
      int ext,
      long returnRip,
      int flags,
      boolean hasErrorCode,
      int errorCode) {
    Descriptor tss = available(cpu, selector, ext);
    perform(cpu, tss, GATE, ext, returnRip, flags, hasErrorCode, errorCode);
  }

  private static void perform(
      Cpu cpu,
      Descriptor tss,
      int source,
      int ext,
      long returnRip,
      int flags,
      boolean hasErrorCode,
      int errorCode) {
    Mmu mmu = cpu.mmu;
    Segment tr = cpu.seg[Cpu.TR];
    boolean new32 = (tss.type() & 8) != 0;
    boolean old32 = (tr.type() & 8) != 0;
    boolean nests = source == CALL || source == GATE;
    if (tss.limit() < (new32 ? LIMIT32 : LIMIT16)
        || !TaskShadowStack.allows(cpu, new32, tss.limit())) {
      throw DescriptorTables.fault(cpu, Vector.TS, tss.selector, ext);
    }
    if (tr.limit < (old32 ? 0x5f : 0x29) || source == IRET && !TaskShadowStack.allowsReturn(cpu)) {
      throw DescriptorTables.fault(cpu, Vector.TS, tr.selector, ext);
    }
    GuestMode guest = cpu.guest;
    if (guest != null && guest.taskSwitch(tss.selector, source)) {
      return;
    }

    // Everything that can fault in the old task comes before anything changes.
    long to = tss.base();
    long oldDescriptor = DescriptorTables.linear(cpu, cpu.gdtBase + (tr.selector & 0xfff8));
    mmu.probeSystemWrite(
        DescriptorTables.linear(cpu, tr.base + (old32 ? 0x20 : 0x0e)), old32 ? 0x40 : 0x1c);
    mmu.probeSystemRead(to, new32 ? LIMIT32 + 1 : LIMIT16 + 1);
    if (nests) {
      mmu.probeSystemWrite(to, 2);
    } else {
      mmu.probeSystemWrite(oldDescriptor + 5, 1);
    }
    if (source != IRET) {
      mmu.probeSystemWrite(tss.address + 5, 1);
    }
    int cpl = privilege(cpu, to, new32);
    TaskShadowStack shadow = TaskShadowStack.leave(cpu, to, cpl, nests, source == IRET, returnRip);

    save(cpu, old32, returnRip, flags);
    int oldSelector = tr.selector;
    if (!nests && !DescriptorTables.isNull(oldSelector)) {
      DescriptorTables.clearBusy(cpu, oldDescriptor);
    }
    if (nests) {
      mmu.writeSystem(to, 2, oldSelector);
    }
    if (source != IRET) {
      DescriptorTables.setBusy(cpu, tss.address);
    }
    cpu.cr0 |= ControlBits.CR0_TS;
    tr.set(tss.selector, to, tss.limit(), tss.ar() | 2);

    if (source == GATE) {
      enter(cpu, to, new32, nests, shadow, ext, hasErrorCode, errorCode);
      return;
    }
    try {
      enter(cpu, to, new32, nests, shadow, ext, hasErrorCode, errorCode);
    } catch (CpuException e) {
      // The switch is made: this is a fault of the new task, before its first instruction.
      cpu.instructionRip = cpu.rip;
      EventDelivery.exception(cpu, e);
    }
  }

  /** The privilege level of a task that is not loaded. */
  private static int privilege(Cpu cpu, long tss, boolean is32) {
    boolean v86 = is32 && (read(cpu, tss + 0x24, 4) & Flags.VM) != 0;
    return v86 ? 3 : (int) read(cpu, tss + (is32 ? 0x4c : 0x24), 2) & 3;
  }

  private static void save(Cpu cpu, boolean is32, long rip, int flags) {
    long at = cpu.seg[Cpu.TR].base;
    int size = is32 ? 4 : 2;
    long p = at + (is32 ? 0x20 : 0x0e);
    write(cpu, p, size, rip);
    write(cpu, p + size, size, flags);
    p += 2L * size;
    for (int r = 0; r < 8; r++, p += size) {
      write(cpu, p, size, cpu.r[r]);
    }
    int segments = is32 ? Cpu.GS : Cpu.DS;
    for (int s = 0; s <= segments; s++, p += size) {
      write(cpu, p, 2, cpu.seg[s].selector);
    }
  }

  private static void write(Cpu cpu, long linear, int size, long value) {
    cpu.mmu.writeSystem(DescriptorTables.linear(cpu, linear), size, value);
  }

  private static long read(Cpu cpu, long linear, int size) {
    return cpu.mmu.readSystem(DescriptorTables.linear(cpu, linear), size);
  }

  /** Loads the new task. What it throws is a fault of that task. */
  private static void enter(
      Cpu cpu,
      long from,
      boolean is32,
      boolean nests,
      TaskShadowStack shadow,
      int ext,
      boolean hasErrorCode,
      int errorCode) {
    int size = is32 ? 4 : 2;
    long p = from + (is32 ? 0x20 : 0x0e);
    long cr3 = is32 ? read(cpu, from + 0x1c, 4) : 0;
    long rip = read(cpu, p, size);
    int flags = (int) read(cpu, p + size, size);
    p += 2L * size;
    long[] r = new long[8];
    for (int k = 0; k < 8; k++, p += size) {
      r[k] = read(cpu, p, size);
    }
    int[] selectors = new int[6];
    int segments = is32 ? Cpu.GS : Cpu.DS;
    for (int s = 0; s <= segments; s++, p += size) {
      selectors[s] = (int) read(cpu, p, 2);
    }
    int ldt = (int) read(cpu, from + (is32 ? 0x60 : 0x2a), 2);
    boolean trap = is32 && (read(cpu, from + TRAP_FLAG, 2) & 1) != 0;

    System.arraycopy(r, 0, cpu.r, 0, 8);
    cpu.rip = rip;
    cpu.instructionRip = rip;
    cpu.setRflags(nests ? flags | Flags.NT : flags);
    cpu.dr7 &= ~LOCAL_ENABLES;
    cpu.shadow = 0;
    if (trap) {
      cpu.pendingDebug |= DebugUnit.BT;
    }
    boolean v86 = (flags & Flags.VM) != 0;
    cpu.cpl = v86 ? 3 : selectors[Cpu.CS] & 3;
    for (int s = 0; s < 6; s++) {
      SegmentLoader.loadNull(cpu.seg[s], selectors[s]);
    }
    // Until its descriptor is loaded CS can execute nothing, and has the privilege level.
    cpu.seg[Cpu.CS].set(selectors[Cpu.CS], 0, 0, NO_CODE | cpu.cpl << 5);
    cpu.seg[Cpu.SS].ar |= cpu.cpl << 5;
    SegmentLoader.loadNull(cpu.seg[Cpu.LDTR], ldt);
    boolean paging = is32 && (cpu.cr0 & ControlBits.CR0_PG) != 0;
    if (paging) {
      cpu.cr3 = cr3;
    }
    cpu.updateMode();
    if (paging) {
      cpu.mmu.tlb.movToCr3(cpu.mmu.vpid, cr3, false);
      if (cpu.pagingMode() == PagingMode.PAE && !cpu.mmu.loadPdptes(cr3)) {
        throw cpu.gp(0);
      }
    }

    loadLdt(cpu, ldt, ext);
    if (v86) {
      for (int s = 0; s < 6; s++) {
        SegmentLoader.loadV86(cpu.seg[s], selectors[s]);
      }
    } else {
      loadSegments(cpu, selectors, ext);
    }
    cpu.updateMode();
    shadow.enter(cpu.seg[Cpu.TR].selector, ext);
    if (rip > cpu.seg[Cpu.CS].limit) {
      throw cpu.gp(ext);
    }
    if (hasErrorCode) {
      StackAccess stack = StackAccess.current(cpu);
      stack.reserve(1, size, ext);
      stack.push(size, errorCode);
      cpu.r[Cpu.RSP] = stack.sp;
    }
  }

  private static void loadLdt(Cpu cpu, int selector, int ext) {
    if (DescriptorTables.isNull(selector)) {
      return;
    }
    if ((selector & 4) != 0) {
      throw DescriptorTables.fault(cpu, Vector.TS, selector, ext);
    }
    Descriptor d = DescriptorTables.fetch(cpu, selector, Vector.TS, ext);
    if (!d.isSystem(Descriptor.LDT) || !d.isPresent()) {
      throw DescriptorTables.fault(cpu, Vector.TS, selector, ext);
    }
    cpu.seg[Cpu.LDTR].set(selector, d.base(), d.limit(), d.ar());
  }

  private static void loadSegments(Cpu cpu, int[] selectors, int ext) {
    int cs = selectors[Cpu.CS];
    if (DescriptorTables.isNull(cs)) {
      throw DescriptorTables.fault(cpu, Vector.TS, cs, ext);
    }
    Descriptor code = DescriptorTables.fetch(cpu, cs, Vector.TS, ext);
    int rpl = cs & 3;
    if (!code.isCode() || (code.isConforming() ? code.dpl() > rpl : code.dpl() != rpl)) {
      throw DescriptorTables.fault(cpu, Vector.TS, cs, ext);
    }
    int ss = selectors[Cpu.SS];
    if (DescriptorTables.isNull(ss)) {
      throw DescriptorTables.fault(cpu, Vector.TS, ss, ext);
    }
    Descriptor stack = SegmentLoader.stack(cpu, ss, cpu.cpl, Vector.TS, ext);
    if (!code.isPresent()) {
      throw DescriptorTables.fault(cpu, Vector.NP, cs, ext);
    }
    DescriptorTables.setAccessed(cpu, stack);
    stack.load(cpu.seg[Cpu.SS], ss);
    DescriptorTables.setAccessed(cpu, code);
    code.load(cpu.seg[Cpu.CS], cs);
    for (int s : new int[] {Cpu.DS, Cpu.ES, Cpu.FS, Cpu.GS}) {
      SegmentLoader.loadData(cpu, s, selectors[s], Vector.TS, ext);
    }
  }
}
