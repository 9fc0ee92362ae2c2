package org.kvm4j.cpu.engine;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.CodeSource;
import org.kvm4j.ept.tlb.TlbEntry;

/**
 * Fetches the bytes of one instruction one by one, each with its own checks: limit or canonical
 * address, translation. For where instructions are decoded one at a time, and not by the page.
 */
public class InstructionFetch implements CodeSource {
  private final Cpu cpu;
  private final long rip;
  private int position;

  /**
   * @param rip the offset of the instruction in the code segment
   */
  public InstructionFetch(Cpu cpu, long rip) {
    this.cpu = cpu;
    this.rip = rip;
  }

  /**
   * The linear address of code. SDM Vol. 3, "Limit Checking", "Canonical Addressing".
   *
   * @param rip offset in the code segment
   * @param length bytes that have to be within the limit
   * @throws org.kvm4j.cpu.core.CpuException #GP(0)
   */
  static long linear(Cpu cpu, long rip, int length) {
    if (cpu.codeSize == 8) {
      if (!cpu.isCanonical(rip)) {
        throw cpu.gp(0);
      }
      return rip;
    }
    if (rip + length - 1 > cpu.seg[Cpu.CS].limit) {
      throw cpu.gp(0);
    }
    return cpu.seg[Cpu.CS].base + rip & 0xffffffffL;
  }

  @Override
  public int nextByte() {
    long linear = linear(cpu, rip + position & cpu.ripMask, 1);
    TlbEntry e = cpu.mmu.fetchEntry(linear);
    position++;
    if (e == null) {
      return (int) cpu.platform.deviceRead(cpu.mmu.lastHpa(), 1) & 0xff;
    }
    return e.bank.get(e.offset + ((int) linear & 0xfff)) & 0xff;
  }

  @Override
  public int position() {
    return position;
  }
}
