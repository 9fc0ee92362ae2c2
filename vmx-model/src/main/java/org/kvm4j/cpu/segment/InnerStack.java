package org.kvm4j.cpu.segment;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.core.Vector;

/**
 * The stack pointer of a more privileged level, as the TSS has it. SDM Vol. 3, "Stack Switching".
 */
public final class InnerStack {
  public final int selector;
  public final long sp;

  private InnerStack(int selector, long sp) {
    this.selector = selector;
    this.sp = sp;
  }

  /**
   * Reads SS and (E)SP for a privilege level from a 16- or 32-bit TSS.
   *
   * @throws org.kvm4j.cpu.core.CpuException #TS if they are past the limit of the TSS
   */
  public static InnerStack read(Cpu cpu, int cpl, int ext) {
    Segment tr = cpu.seg[Cpu.TR];
    boolean is32 = (tr.type() & 8) != 0;
    int offset = is32 ? cpl * 8 + 4 : cpl * 4 + 2;
    int size = is32 ? 4 : 2;
    if (offset + size + 1 > tr.limit) {
      throw DescriptorTables.fault(cpu, Vector.TS, tr.selector, ext);
    }
    long at = tr.base + offset;
    long sp = cpu.mmu.readSystem(DescriptorTables.linear(cpu, at), size);
    int selector = (int) cpu.mmu.readSystem(DescriptorTables.linear(cpu, at + size), 2);
    return new InnerStack(selector, sp);
  }

  /**
   * Reads RSP0..RSP2 or an IST entry from a 64-bit TSS.
   *
   * @param offset in the TSS
   * @throws org.kvm4j.cpu.core.CpuException #TS if it is past the limit of the TSS, #SS if the
   *     value is not canonical
   */
  public static long read64(Cpu cpu, int offset, int ext) {
    Segment tr = cpu.seg[Cpu.TR];
    if (offset + 7 > tr.limit) {
      throw DescriptorTables.fault(cpu, Vector.TS, tr.selector, ext);
    }
    long rsp = cpu.mmu.readSystem(tr.base + offset, 8);
    if (!cpu.isCanonical(rsp)) {
      throw cpu.ss(ext);
    }
    return rsp;
  }
}
