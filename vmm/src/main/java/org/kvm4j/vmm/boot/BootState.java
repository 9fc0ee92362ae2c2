package org.kvm4j.vmm.boot;

import org.kvm4j.kvm.Regs;
import org.kvm4j.kvm.Segment;
import org.kvm4j.kvm.Sregs;

/**
 * The state that a guest's first processor starts in, as a boot protocol wants it. Interrupts are
 * off.
 *
 * @param mode which mode
 * @param codeSegment in real mode the selector of CS; otherwise it follows from the mode
 * @param dataSegment in real mode the selector of the other segments
 * @param rip where it starts; in real mode the offset in CS
 * @param rsp the stack pointer
 * @param rax EAX
 * @param rbx EBX
 * @param rsi ESI, RSI
 * @param sse whether SSE is switched on, where the processor has it
 */
public record BootState(
    CpuMode mode,
    int codeSegment,
    int dataSegment,
    long rip,
    long rsp,
    long rax,
    long rbx,
    long rsi,
    boolean sse) {

  private static final long CR0_PE = 1;
  private static final long CR0_MP = 1 << 1;
  private static final long CR0_ET = 1 << 4;
  private static final long CR0_NE = 1 << 5;
  private static final long CR0_WP = 1 << 16;
  private static final long CR0_PG = 1L << 31;
  private static final long CR4_PAE = 1 << 5;
  private static final long CR4_OSFXSR = 1 << 9;
  private static final long CR4_OSXMMEXCPT = 1 << 10;
  private static final long EFER_LME = 1 << 8;
  private static final long EFER_LMA = 1 << 10;

  private static final int RFLAGS_RESERVED = 0x2;

  private static final int TYPE_CODE = 0xb; // execute, read, accessed
  private static final int TYPE_DATA = 0x3; // read, write, accessed

  /** A start in protected or long mode. */
  static BootState flat(CpuMode mode, long rip, long rsp) {
    return new BootState(
        mode, BootLayout.CODE_SELECTOR, BootLayout.DATA_SELECTOR, rip, rsp, 0, 0, 0, false);
  }

  /** A start in real mode. */
  static BootState real(int codeSegment, int ip, int dataSegment, int sp) {
    return new BootState(CpuMode.REAL, codeSegment, dataSegment, ip, sp, 0, 0, 0, false);
  }

  BootState withRsi(long value) {
    return new BootState(mode, codeSegment, dataSegment, rip, rsp, rax, rbx, value, sse);
  }

  BootState withSse() {
    return new BootState(mode, codeSegment, dataSegment, rip, rsp, rax, rbx, rsi, true);
  }

  BootState withRaxRbx(long newRax, long newRbx) {
    return new BootState(mode, codeSegment, dataSegment, rip, rsp, newRax, newRbx, rsi, sse);
  }

  /** The general registers. */
  public Regs regs() {
    Regs regs = new Regs();
    regs.rip = rip;
    regs.rsp = rsp;
    regs.rax = rax;
    regs.rbx = rbx;
    regs.rsi = rsi;
    regs.rflags = RFLAGS_RESERVED;
    return regs;
  }

  /**
   * Changes what a reset left to what the mode needs.
   *
   * @param hasSse whether the processor has FXSAVE and SSE
   */
  public void applyTo(Sregs sregs, boolean hasSse) {
    Segment[] data = {sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss};
    if (mode == CpuMode.REAL) {
      sregs.cs.setRealMode(codeSegment);
      for (Segment segment : data) {
        segment.setRealMode(dataSegment);
      }
      return;
    }
    boolean longMode = mode == CpuMode.LONG;
    flat(sregs.cs, codeSegment, TYPE_CODE);
    sregs.cs.db = longMode ? 0 : 1;
    sregs.cs.l = longMode ? 1 : 0;
    for (Segment segment : data) {
      flat(segment, dataSegment, TYPE_DATA);
    }
    sregs.gdt.base = BootLayout.GDT;
    sregs.gdt.limit = BootLayout.GDT_ENTRIES * 8 - 1;
    sregs.idt.base = 0;
    sregs.idt.limit = 0;
    sregs.cr0 = CR0_PE | CR0_ET | CR0_NE;
    if (longMode) {
      sregs.cr3 = BootLayout.PAGE_TABLES;
      sregs.cr4 |= CR4_PAE;
      sregs.cr0 |= CR0_PG | CR0_WP;
      sregs.efer |= EFER_LME | EFER_LMA;
    }
    if (sse && hasSse) {
      sregs.cr0 |= CR0_MP;
      sregs.cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
    }
  }

  private static void flat(Segment segment, int selector, int type) {
    segment.base = 0;
    segment.limit = -1;
    segment.selector = selector;
    segment.type = type;
    segment.present = 1;
    segment.dpl = 0;
    segment.db = 1;
    segment.s = 1;
    segment.l = 0;
    segment.g = 1;
    segment.unusable = 0;
  }
}
