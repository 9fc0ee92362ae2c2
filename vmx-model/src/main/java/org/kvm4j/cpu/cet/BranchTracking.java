package org.kvm4j.cpu.cet;

import org.kvm4j.cpu.core.CetControl;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;

/**
 * Indirect branch tracking: a near indirect CALL or JMP, a far one, a system call and the delivery
 * of an event have the tracker wait; the next instruction has to be ENDBRANCH then. The tracker of
 * the user's code is in IA32_U_CET, the supervisors' in IA32_S_CET. SDM Vol. 1, "Indirect Branch
 * Tracking".
 */
public final class BranchTracking {
  private static final int PAGE_SHIFT = 12;

  private BranchTracking() {}

  /** Whether branches are tracked at a privilege level, outside of virtual-8086 mode. */
  public static boolean enabled(Cpu cpu, int cpl) {
    return (cpu.cr4 & ControlBits.CR4_CET) != 0
        && (cpu.cr0 & ControlBits.CR0_PE) != 0
        && (control(cpu, cpl) & CetControl.ENDBR_EN) != 0;
  }

  private static long control(Cpu cpu, int cpl) {
    return cpl == 3 ? cpu.msr.uCet : cpu.msr.sCet;
  }

  /** Changes the tracker's state at a privilege level. */
  private static void set(Cpu cpu, int cpl, long state) {
    long control = control(cpu, cpl) & ~(CetControl.TRACKER | CetControl.SUPPRESS) | state;
    if (cpl == 3) {
      cpu.msr.uCet = control;
    } else {
      cpu.msr.sCet = control;
    }
  }

  /** Whether the instruction that comes next has to be ENDBRANCH. */
  public static boolean isWaiting(Cpu cpu) {
    return cpu.branchTracking && (control(cpu, cpu.cpl) & CetControl.TRACKER) != 0;
  }

  /** A far transfer, a system call or an event goes on at a privilege level: that is tracked. */
  public static void far(Cpu cpu, int cpl) {
    if (enabled(cpu, cpl)) {
      set(cpu, cpl, CetControl.TRACKER);
    }
  }

  /**
   * A near indirect CALL or JMP is tracked, unless that is suppressed or the branch has the prefix.
   *
   * @param noTrack whether it has the prefix 3EH
   */
  public static void near(Cpu cpu, boolean noTrack) {
    if (!cpu.branchTracking) {
      return;
    }
    long control = control(cpu, cpu.cpl);
    if ((control & CetControl.SUPPRESS) == 0
        && !(noTrack && (control & CetControl.NO_TRACK_EN) != 0)) {
      set(cpu, cpu.cpl, CetControl.TRACKER);
    }
  }

  /** ENDBR64 in 64-bit mode and ENDBR32 in others, whether or not one is waited for. */
  public static void endbranch(Cpu cpu) {
    if (cpu.branchTracking) {
      set(cpu, cpu.cpl, 0);
    }
  }

  /** Whether an instruction is ENDBRANCH in its mode. */
  public static boolean isEndbranch(Instruction i) {
    return i.opcode == (i.codeSize == 8 ? Opcode.ENDBR64 : Opcode.ENDBR32);
  }

  /**
   * Looks at the instruction that an indirect branch has led to, before it is executed. INT3 is let
   * pass: a debugger may have put it in the place of ENDBRANCH.
   *
   * @throws CpuException #CP if it had to be ENDBRANCH and is not; #PF of the legacy bitmap
   */
  public static void check(Cpu cpu, Instruction i) {
    if (!isWaiting(cpu) || isEndbranch(i) || i.opcode == Opcode.INT3) {
      return;
    }
    long control = control(cpu, cpu.cpl);
    if ((control & CetControl.LEG_IW_EN) == 0 || !isLegacy(cpu, control)) {
      throw cpu.exception(Vector.CP, CetControl.ENDBRANCH);
    }
    set(cpu, cpu.cpl, (control & CetControl.SUPPRESS_DIS) != 0 ? 0 : CetControl.SUPPRESS);
  }

  /** Whether the legacy code page bitmap has the page of RIP. */
  private static boolean isLegacy(Cpu cpu, long control) {
    long linear = cpu.instructionRip;
    if (cpu.codeSize != 8) {
      linear = linear + cpu.seg[Cpu.CS].base & 0xffffffffL;
    }
    int bits = (cpu.cr4 & ControlBits.CR4_LA57) != 0 ? 57 : 48;
    long page = (linear & (1L << bits) - 1) >>> PAGE_SHIFT;
    long at = (control & CetControl.EB_LEG_BITMAP_BASE) + (page >>> 3);
    if (cpu.codeSize != 8) {
      at &= 0xffffffffL;
    } else if (!cpu.isCanonical(at)) {
      throw cpu.gp(0);
    }
    return (cpu.mmu.readAs(cpu.cpl, at, 1) >> (page & 7) & 1) != 0;
  }
}
