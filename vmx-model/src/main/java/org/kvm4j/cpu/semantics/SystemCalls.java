package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.cet.BranchTracking;
import org.kvm4j.cpu.cet.ShadowStack;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.event.DebugUnit;

/**
 * SYSCALL, SYSRET, SYSENTER, SYSEXIT. SDM Vol. 2 and APM Vol. 3, each instruction's page.
 *
 * <p>On AMD SYSCALL and SYSRET work in every protected mode, SYSENTER and SYSEXIT outside of long
 * mode alone, and SYSRET takes any address; on Intel the first two are 64-bit mode's.
 */
public final class SystemCalls {
  private static final long LIMIT = 0xffffffffL;
  private static final int CODE = 0x9b;
  private static final int DATA = 0x93;

  /** What SYSRET takes from R11. */
  public static final int SYSRET_FLAGS = 0x3c7fd7;

  private SystemCalls() {}

  static void register() {
    Handlers.put(Opcode.SYSCALL, SystemCalls::syscall);
    Handlers.put(Opcode.SYSRET, SystemCalls::sysret);
    Handlers.put(Opcode.SYSENTER, SystemCalls::sysenter);
    Handlers.put(Opcode.SYSEXIT, SystemCalls::sysexit);
  }

  /** Flat CS and SS without a look at the descriptor tables. */
  private static void setSegments(Cpu cpu, int cs, int ss, int cpl, boolean long64) {
    cpu.seg[Cpu.CS].set(cs | cpl, 0, LIMIT, codeRights(cpl, long64));
    cpu.seg[Cpu.SS].set(ss | cpl, 0, LIMIT, dataRights(cpl));
    cpu.cpl = cpl;
  }

  private static boolean hasSegments(Cpu cpu, int cs, int ss, int cpl) {
    return cpu.cpl == cpl
        && is(cpu.seg[Cpu.CS], cs | cpl, codeRights(cpl, true))
        && is(cpu.seg[Cpu.SS], ss | cpl, dataRights(cpl));
  }

  private static boolean is(Segment s, int selector, int rights) {
    return s.selector == selector && s.base == 0 && s.limit == LIMIT && s.ar == rights;
  }

  private static int codeRights(int cpl, boolean long64) {
    return CODE | cpl << 5 | Segment.G | (long64 ? Segment.L : Segment.DB);
  }

  private static int dataRights(int cpl) {
    return DATA | cpl << 5 | Segment.G | Segment.DB;
  }

  private static void syscall(Cpu cpu, Instruction i) {
    checkEnabled(cpu);
    ShadowStack.systemCall(cpu);
    BranchTracking.far(cpu, 0);
    long flags = cpu.rflags();
    cpu.r[Cpu.RCX] = cpu.rip;
    if (cpu.longMode) {
      cpu.r[11] = flags & ~Flags.RF;
      cpu.rip = cpu.codeSize == 8 ? cpu.msr.lstar : cpu.msr.cstar;
      cpu.setRflags(flags & ~cpu.msr.fmask & ~Flags.RF);
    } else {
      cpu.rip = cpu.msr.star & 0xffffffffL;
      cpu.setRflags(flags & ~(Flags.VM | Flags.IF | Flags.RF));
    }
    called(cpu);
  }

  /** What SYSCALL leaves beside general registers, RIP and RFLAGS. */
  public static void called(Cpu cpu) {
    int cs = (int) (cpu.msr.star >>> 32) & 0xfffc;
    setSegments(cpu, cs, cs + 8, 0, cpu.longMode);
    cpu.updateMode();
  }

  /** Whether CPL, CS and SS are as {@link #called} leaves them. */
  public static boolean isCalled(Cpu cpu) {
    int cs = (int) (cpu.msr.star >>> 32) & 0xfffc;
    return hasSegments(cpu, cs, cs + 8, 0);
  }

  /** Whether CPL, CS and SS are as {@link #returned} to 64-bit mode leaves them. */
  public static boolean isReturned(Cpu cpu) {
    int base = (int) (cpu.msr.star >>> 48) & 0xffff;
    return hasSegments(cpu, base + 16 & 0xffff, base + 8 & 0xffff, 3);
  }

  private static void checkEnabled(Cpu cpu) {
    boolean mode = cpu.model.isAmd() ? cpu.protectedMode : cpu.codeSize == 8;
    if (!mode || (cpu.efer & ControlBits.EFER_SCE) == 0) {
      throw cpu.ud();
    }
  }

  private static void sysret(Cpu cpu, Instruction i) {
    checkEnabled(cpu);
    if (cpu.cpl != 0) {
      throw cpu.gp(0);
    }
    boolean long64 = i.operandSize == 8;
    long rip = cpu.r[Cpu.RCX];
    if (long64) {
      if (!cpu.model.isAmd() && !cpu.isCanonical(rip)) {
        throw cpu.gp(0);
      }
    } else {
      rip &= 0xffffffffL;
    }
    cpu.rip = rip;
    cpu.setRflags(cpu.codeSize == 8 ? cpu.r[11] & SYSRET_FLAGS : cpu.rflags() | Flags.IF);
    returned(cpu, long64);
    DebugUnit.sysret(cpu);
  }

  /**
   * What SYSRET leaves beside general registers, RIP and RFLAGS.
   *
   * @param long64 whether it returns to 64-bit mode
   */
  public static void returned(Cpu cpu, boolean long64) {
    int base = (int) (cpu.msr.star >>> 48) & 0xffff;
    setSegments(cpu, (long64 ? base + 16 : base) & 0xffff, base + 8 & 0xffff, 3, long64);
    ShadowStack.systemReturn(cpu);
    cpu.updateMode();
  }

  private static int sysenterCs(Cpu cpu) {
    if (cpu.longMode && cpu.model.isAmd()) {
      throw cpu.ud();
    }
    int cs = (int) cpu.msr.sysenterCs & 0xfffc;
    if ((cpu.cr0 & ControlBits.CR0_PE) == 0 || cs == 0) {
      throw cpu.gp(0);
    }
    return cs;
  }

  private static void sysenter(Cpu cpu, Instruction i) {
    int cs = sysenterCs(cpu);
    long mask = cpu.longMode ? -1L : 0xffffffffL;
    ShadowStack.systemCall(cpu);
    BranchTracking.far(cpu, 0);
    cpu.flagsRest &= ~(Flags.VM | Flags.IF | Flags.RF);
    cpu.r[Cpu.RSP] = cpu.msr.sysenterEsp & mask;
    cpu.rip = cpu.msr.sysenterEip & mask;
    setSegments(cpu, cs, cs + 8, 0, cpu.longMode);
    cpu.updateMode();
  }

  private static void sysexit(Cpu cpu, Instruction i) {
    int cs = sysenterCs(cpu);
    if (cpu.cpl != 0) {
      throw cpu.gp(0);
    }
    boolean long64 = i.operandSize == 8;
    long rip = cpu.r[Cpu.RDX];
    long rsp = cpu.r[Cpu.RCX];
    if (!long64) {
      rip &= 0xffffffffL;
      rsp &= 0xffffffffL;
    } else if (!cpu.isCanonical(rip) || !cpu.isCanonical(rsp)) {
      throw cpu.gp(0);
    }
    int offset = long64 ? 32 : 16;
    cpu.r[Cpu.RSP] = rsp;
    cpu.rip = rip;
    setSegments(cpu, cs + offset & 0xffff, cs + offset + 8 & 0xffff, 3, long64);
    ShadowStack.systemReturn(cpu);
    cpu.updateMode();
  }
}
