package org.kvm4j.cpu.event;

import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Mmu;
import org.kvm4j.cpu.decode.Instruction;

/**
 * Debug exceptions around the execution of single instructions. SDM Vol. 3, "Debug Exceptions".
 *
 * <p>An engine that finds {@link #slow} true executes one instruction at a time, and between two of
 * them, in this order: {@link #pendingTraps}, NMI, interrupts, {@link #instructionBreakpoint},
 * fetch, execution, {@link #retired}. It need not call any of them otherwise.
 */
public final class DebugUnit {
  /** Bits of DR6 and of {@link Cpu#pendingDebug}: an enabled breakpoint was met (pending only). */
  public static final long ENABLED = 1 << 12;

  /** A debug register was accessed with DR7.GD. */
  public static final long BD = 1 << 13;

  /** Single step. */
  public static final long BS = 1 << 14;

  /** Task switch. */
  public static final long BT = 1 << 15;

  /** Conditions of a breakpoint in DR7, R/W0..R/W3. */
  private static final int EXECUTE = 0;

  private static final int WRITE = 1;
  private static final int IO = 2;

  private static final long ANY_ENABLED = 0xff;
  private static final long BTF = 2;

  private DebugUnit() {}

  /** Whether there is anything to look at around single instructions. */
  public static boolean slow(Cpu cpu) {
    if ((cpu.dr7 & ANY_ENABLED) != 0 || cpu.mmu.watch() != null) {
      arm(cpu);
      return (cpu.dr7 & ANY_ENABLED) != 0 || busy(cpu);
    }
    return busy(cpu);
  }

  /** Whether something is to be looked at around the next instruction, breakpoints aside. */
  public static boolean busy(Cpu cpu) {
    return (cpu.flagsRest & (Flags.TF | Flags.RF)) != 0 || cpu.shadow != 0 || cpu.pendingDebug != 0;
  }

  /**
   * Delivers traps that are pending after the instruction before.
   *
   * @return whether something was delivered, or a VM exit taken
   */
  public static boolean pendingTraps(Cpu cpu) {
    long bits = cpu.pendingDebug;
    if (bits == 0 || cpu.shadow == Cpu.SHADOW_MOV_SS) {
      return false;
    }
    cpu.pendingDebug = 0;
    if ((bits & (ENABLED | BS | BT)) == 0) {
      return false;
    }
    EventDelivery.debugTrap(cpu, bits & ~ENABLED);
    return true;
  }

  /** Tells of pending breakpoints in DR6, by a #DB that is about to be delivered. */
  static void takeBreakpoints(Cpu cpu) {
    cpu.dr6 |= cpu.pendingDebug & 0xf;
    cpu.pendingDebug = 0;
  }

  /**
   * Delivers the fault of a breakpoint on the instruction at rip.
   *
   * @return whether something was delivered, or a VM exit taken
   */
  public static boolean instructionBreakpoint(Cpu cpu) {
    if ((cpu.dr7 & ANY_ENABLED) == 0
        || (cpu.flagsRest & Flags.RF) != 0
        || cpu.shadow == Cpu.SHADOW_MOV_SS) {
      return false;
    }
    long linear = cpu.rip & cpu.ripMask;
    if (cpu.codeSize != 8) {
      linear = linear + cpu.seg[Cpu.CS].base & 0xffffffffL;
    }
    int hits = 0;
    boolean enabled = false;
    for (int n = 0; n < 4; n++) {
      if (condition(cpu, n) == EXECUTE && address(cpu, n) == linear) {
        hits |= 1 << n;
        enabled |= isEnabled(cpu, n);
      }
    }
    if (!enabled) {
      return false;
    }
    cpu.instructionRip = cpu.rip;
    EventDelivery.exception(cpu, cpu.db(hits));
    return true;
  }

  /**
   * An instruction has been executed without a fault, or an iteration of a repeated one.
   * Single-step and data breakpoints become pending; RF and the shadow of the instruction before
   * end.
   *
   * @param flagsBefore {@link Cpu#flagsRest} before the instruction
   * @param shadowBefore {@link Cpu#shadow} before the instruction
   */
  public static void retired(Cpu cpu, Instruction i, int flagsBefore, int shadowBefore) {
    boolean step = (flagsBefore & Flags.TF) != 0;
    boolean keepsRf = false;
    boolean taken = i.isBranch && cpu.rip != (cpu.instructionRip + i.length & cpu.ripMask);
    switch (i.opcode) {
      case INT, INT1, INT3, INTO -> {
        // Delivery cleared TF: the handler is not stepped. INTO that was not taken left it set.
        step &= (cpu.flagsRest & Flags.TF) != 0;
        keepsRf = true;
      }
      // TF as the instruction leaves it, so that a system can mask it at entry.
      case SYSCALL -> step = (cpu.flagsRest & Flags.TF) != 0;
      case SYSRET -> step = false; // see sysret
      case IRET -> keepsRf = true;
      default -> keepsRf = i.isString && cpu.rip == cpu.instructionRip;
    }
    if (!keepsRf) {
      cpu.flagsRest &= ~Flags.RF;
    }
    if (shadowBefore != 0 && cpu.shadow == shadowBefore) {
      cpu.shadow = 0;
    }
    if (step && cpu.shadow != Cpu.SHADOW_MOV_SS && ((cpu.msr.debugCtl & BTF) == 0 || taken)) {
      cpu.pendingDebug |= BS;
    }
  }

  /**
   * SYSRET has loaded EFLAGS. Unlike POPF and IRET, which trap after the next instruction, one that
   * leaves TF set traps itself, being a branch, whatever TF was before.
   */
  public static void sysret(Cpu cpu) {
    if ((cpu.flagsRest & Flags.TF) != 0) {
      cpu.pendingDebug |= BS;
    }
  }

  /** Whether repeated string instructions have to stop after each iteration. */
  public static boolean stopsIterations(Cpu cpu) {
    return (cpu.flagsRest & Flags.TF) != 0 || (cpu.pendingDebug & ENABLED) != 0;
  }

  /** An I/O port has been accessed: breakpoints on it become pending. */
  public static void portAccessed(Cpu cpu, int port, int size) {
    if ((cpu.dr7 & ANY_ENABLED) == 0 || (cpu.cr4 & ControlBits.CR4_DE) == 0) {
      return;
    }
    for (int n = 0; n < 4; n++) {
      if (condition(cpu, n) == IO && overlaps(cpu, n, port, size)) {
        hit(cpu, n);
      }
    }
  }

  private static void hit(Cpu cpu, int n) {
    if (isEnabled(cpu, n)) {
      cpu.pendingDebug |= 1L << n | ENABLED;
    }
  }

  private static boolean isEnabled(Cpu cpu, int n) {
    return (cpu.dr7 >> 2 * n & 3) != 0;
  }

  private static int condition(Cpu cpu, int n) {
    return (int) (cpu.dr7 >> 16 + 4 * n) & 3;
  }

  private static int length(Cpu cpu, int n) {
    return switch ((int) (cpu.dr7 >> 18 + 4 * n) & 3) {
      case 0 -> 1;
      case 1 -> 2;
      case 2 -> 8;
      default -> 4;
    };
  }

  private static long address(Cpu cpu, int n) {
    return cpu.longMode ? cpu.dr[n] : cpu.dr[n] & 0xffffffffL;
  }

  private static boolean overlaps(Cpu cpu, int n, long at, int size) {
    int length = length(cpu, n);
    long from = address(cpu, n) & -length;
    return at < from + length && from < at + size;
  }

  // ---- data breakpoints ----

  /** Makes the watch on memory follow the debug registers. */
  private static void arm(Cpu cpu) {
    Mmu.Watch armed = cpu.mmu.watch();
    boolean data = false;
    for (int n = 0; n < 4; n++) {
      data |= isEnabled(cpu, n) && (condition(cpu, n) & 1) != 0;
    }
    if (!data) {
      if (armed != null) {
        cpu.mmu.watch(null);
      }
    } else if (!(armed instanceof DataBreakpoints b) || !b.isCurrent()) {
      cpu.mmu.watch(new DataBreakpoints(cpu));
    }
  }

  /** The data breakpoints of the debug registers as they were when it was made. */
  private static final class DataBreakpoints implements Mmu.Watch {
    private final Cpu cpu;
    private final long dr7;
    private final long[] dr;

    DataBreakpoints(Cpu cpu) {
      this.cpu = cpu;
      this.dr7 = cpu.dr7;
      this.dr = cpu.dr.clone();
    }

    boolean isCurrent() {
      return dr7 == cpu.dr7 && java.util.Arrays.equals(dr, cpu.dr);
    }

    @Override
    public boolean accessed(long linear, int size, boolean write) {
      boolean page = false;
      for (int n = 0; n < 4; n++) {
        int condition = condition(cpu, n);
        if (isEnabled(cpu, n) && (condition & 1) != 0) {
          page |= address(cpu, n) >>> 12 == linear >>> 12;
          if ((write || condition != WRITE) && overlaps(cpu, n, linear, size)) {
            hit(cpu, n);
          }
        }
      }
      return page;
    }
  }
}
