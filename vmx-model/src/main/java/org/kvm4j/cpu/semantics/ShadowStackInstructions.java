package org.kvm4j.cpu.semantics;

import static org.kvm4j.cpu.cet.ShadowStack.*;

import org.kvm4j.cpu.cet.BranchTracking;
import org.kvm4j.cpu.core.CetControl;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;

/**
 * The instructions of CET: those that manage shadow stacks, and ENDBRANCH. SDM Vol. 2, each
 * instruction's page.
 */
final class ShadowStackInstructions {
  private static final long BUSY = 1;

  /** Of a restore token: it is of 64-bit mode. */
  private static final long MODE64 = 1;

  /** Of a previous-SSP token. */
  private static final long PREVIOUS = 2;

  private ShadowStackInstructions() {}

  static void register() {
    Handlers.put(Opcode.INCSSP, ShadowStackInstructions::incssp);
    Handlers.put(Opcode.RDSSP, ShadowStackInstructions::rdssp);
    Handlers.put(Opcode.SAVEPREVSSP, ShadowStackInstructions::saveprevssp);
    Handlers.put(Opcode.RSTORSSP, ShadowStackInstructions::rstorssp);
    Handlers.put(Opcode.WRSS, ShadowStackInstructions::wrss);
    Handlers.put(Opcode.WRUSS, ShadowStackInstructions::wruss);
    Handlers.put(Opcode.SETSSBSY, ShadowStackInstructions::setssbsy);
    Handlers.put(Opcode.CLRSSBSY, ShadowStackInstructions::clrssbsy);
    Handlers.put(Opcode.ENDBR32, ShadowStackInstructions::endbranch);
    Handlers.put(Opcode.ENDBR64, ShadowStackInstructions::endbranch);
  }

  private static void endbranch(Cpu cpu, Instruction i) {
    if (BranchTracking.isEndbranch(i)) {
      BranchTracking.endbranch(cpu);
    }
  }

  private static void checkEnabled(Cpu cpu) {
    if (!cpu.shadowStack) {
      throw cpu.ud();
    }
  }

  /**
   * Of a supervisor's instruction: #UD without supervisor shadow stacks, #GP(0) outside of CPL 0.
   */
  private static void checkSupervisor(Cpu cpu) {
    if (!cpu.protectedMode || !enabled(cpu, 0)) {
      throw cpu.ud();
    }
    if (cpu.cpl != 0) {
      throw cpu.gp(0);
    }
  }

  private static boolean is64(Cpu cpu) {
    return cpu.codeSize == 8;
  }

  /** The linear address of a memory operand, which has to be aligned. */
  private static long aligned(Cpu cpu, Instruction i, int size, boolean write) {
    long linear = Operands.linear(cpu, i, size, write);
    if ((linear & size - 1) != 0) {
      throw cpu.gp(0);
    }
    return linear;
  }

  /** Both ends of what is popped are touched, or the first element if nothing is. */
  private static void incssp(Cpu cpu, Instruction i) {
    checkEnabled(cpu);
    int size = i.size0;
    int count = (int) Operands.gpr(cpu, i.reg0, size) & 0xff;
    long mask = mask(cpu);
    long at = cpu.ssp & mask;
    load(cpu, cpu.cpl, at, size);
    load(cpu, cpu.cpl, at + (long) (Math.max(count, 1) - 1) * size & mask, size);
    cpu.ssp = at + (long) count * size & mask;
  }

  private static void rdssp(Cpu cpu, Instruction i) {
    if (cpu.shadowStack) {
      Operands.write0(cpu, i, i.size0 == 8 ? cpu.ssp : cpu.ssp & 0xffffffffL);
    }
  }

  /**
   * The previous-SSP token that RSTORSSP has left is popped, and a restore token pushed on the
   * shadow stack that it is of.
   */
  private static void saveprevssp(Cpu cpu, Instruction i) {
    checkEnabled(cpu);
    long mask = mask(cpu);
    long at = cpu.ssp & mask;
    if ((at & 7) != 0) {
      throw cpu.gp(0);
    }
    long token = load(cpu, cpu.cpl, at, 8);
    at = at + 8 & mask;
    if (cpu.cf()) {
      // There is a hole for alignment, of 4 bytes, as code outside of 64-bit mode makes it.
      if (is64(cpu) || load(cpu, cpu.cpl, at, 4) != 0) {
        throw cpu.gp(0);
      }
      at = at + 4 & mask;
    }
    if ((token & PREVIOUS) == 0 || !is64(cpu) && token >>> 32 != 0) {
      throw cpu.gp(0);
    }
    long old = token & ~3L;
    long top = old & ~7L;
    int hole = (int) (old & 7);
    probe(cpu, cpu.cpl, top - 8, 8 + hole);
    if (hole != 0) {
      store(cpu, cpu.cpl, old - 4, 4, 0);
    }
    store(cpu, cpu.cpl, top - 8, 8, old | (is64(cpu) ? MODE64 : 0));
    cpu.ssp = at;
  }

  private static void rstorssp(Cpu cpu, Instruction i) {
    checkEnabled(cpu);
    long at = aligned(cpu, i, 8, false);
    long mode = is64(cpu) ? MODE64 : 0;
    probe(cpu, cpu.cpl, at, 8);
    long token = load(cpu, cpu.cpl, at, 8);
    long expected = (token & ~1L) - 8 & ~7L;
    if ((token & 3) != mode || !is64(cpu) && token >>> 32 != 0 || expected != at) {
      throw cpu.exception(Vector.CP, CetControl.RSTORSSP);
    }
    long previous = cpu.ssp & mask(cpu) | mode | PREVIOUS;
    if (!exchange(cpu, cpu.cpl, at, token, previous)) {
      // Another processor has taken it in between.
      throw cpu.exception(Vector.CP, CetControl.RSTORSSP);
    }
    cpu.ssp = at;
    cpu.setLazyFlags((token & 4) != 0 ? Flags.CF : 0);
  }

  private static void wrss(Cpu cpu, Instruction i) {
    long control = cpu.cpl == 3 ? cpu.msr.uCet : cpu.msr.sCet;
    if (!cpu.shadowStack || (control & CetControl.WR_SHSTK_EN) == 0) {
      throw cpu.ud();
    }
    int size = i.size0;
    store(cpu, cpu.cpl, aligned(cpu, i, size, true), size, Operands.gpr(cpu, i.reg1, size));
  }

  /** WRUSS: a write as the user's. */
  private static void wruss(Cpu cpu, Instruction i) {
    if ((cpu.cr4 & ControlBits.CR4_CET) == 0 || !cpu.protectedMode) {
      throw cpu.ud();
    }
    if (cpu.cpl != 0) {
      throw cpu.gp(0);
    }
    int size = i.size0;
    store(cpu, 3, aligned(cpu, i, size, true), size, Operands.gpr(cpu, i.reg1, size));
  }

  private static void setssbsy(Cpu cpu, Instruction i) {
    checkSupervisor(cpu);
    long at = cpu.msr.plSsp[0];
    if ((at & 7) != 0) {
      throw cpu.gp(0);
    }
    if (!exchange(cpu, 0, at, at, at | BUSY)) {
      throw cpu.exception(Vector.CP, CetControl.SETSSBSY);
    }
    cpu.ssp = at;
  }

  private static void clrssbsy(Cpu cpu, Instruction i) {
    checkSupervisor(cpu);
    long at = aligned(cpu, i, 8, true);
    boolean valid = exchange(cpu, 0, at, at | BUSY, at);
    cpu.setLazyFlags(valid ? 0 : Flags.CF);
    cpu.ssp = 0;
  }
}
