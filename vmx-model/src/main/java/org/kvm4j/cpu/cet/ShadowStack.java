package org.kvm4j.cpu.cet;

import org.kvm4j.cpu.core.CetControl;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.core.Vector;

/**
 * Shadow stacks: what transfers of control push there, and what returns compare. A supervisor's has
 * a token at its top, its own address, whose bit 0 says that it is in use. SDM Vol. 1, "Shadow
 * Stacks"; the order of checks is that of the operation sections of Vol. 2.
 *
 * <p>Methods that change SSP have made every check before: their callers call them last before they
 * change registers. What was stored before a fault stays.
 */
public final class ShadowStack {
  private static final long BUSY = 1;

  /** CS, linear instruction pointer and SSP, 8 bytes each. */
  private static final int FRAME = 24;

  /** The token and a frame below it lie in 32 bytes that are aligned so. */
  private static final long TOKEN_REGION = ~31L;

  private ShadowStack() {}

  /** Whether there are shadow stacks at a privilege level, outside of virtual-8086 mode. */
  public static boolean enabled(Cpu cpu, int cpl) {
    return (cpu.cr4 & ControlBits.CR4_CET) != 0
        && (cpu.cr0 & ControlBits.CR0_PE) != 0
        && ((cpl == 3 ? cpu.msr.uCet : cpu.msr.sCet) & CetControl.SH_STK_EN) != 0;
  }

  private static CpuException cp(Cpu cpu, int errorCode) {
    return cpu.exception(Vector.CP, errorCode);
  }

  // ---- accesses ----

  /** What SSP is used of in the current mode. */
  public static long mask(Cpu cpu) {
    return cpu.codeSize == 8 ? -1L : 0xffffffffL;
  }

  private static void checkCanonical(Cpu cpu, long linear, int size) {
    if (cpu.longMode && !(cpu.isCanonical(linear) && cpu.isCanonical(linear + size - 1))) {
      throw cpu.gp(0);
    }
  }

  /** A load from a shadow stack of a privilege level: 4 or 8 bytes, zero-extended. */
  public static long load(Cpu cpu, int cpl, long linear, int size) {
    checkCanonical(cpu, linear, size);
    return cpu.mmu.readShadowStack(cpl == 3, linear, size);
  }

  /** A store to a shadow stack of a privilege level: 4 or 8 bytes. */
  public static void store(Cpu cpu, int cpl, long linear, int size, long value) {
    checkCanonical(cpu, linear, size);
    cpu.mmu.writeShadowStack(cpl == 3, linear, size, value);
  }

  /** Makes sure that stores to these bytes cannot fault. */
  public static void probe(Cpu cpu, int cpl, long linear, int size) {
    checkCanonical(cpu, linear, size);
    cpu.mmu.probeShadowStack(cpl == 3, linear, size);
  }

  /**
   * A locked compare-and-exchange of 8 bytes.
   *
   * @return whether what was expected was there
   */
  public static boolean exchange(Cpu cpu, int cpl, long linear, long expected, long value) {
    checkCanonical(cpu, linear, 8);
    return cpu.mmu.exchangeShadowStack(cpl == 3, linear, expected, value) == expected;
  }

  // ---- near transfers ----

  /** What a near CALL of an operand size pushes: 4 or 8 bytes. */
  private static int nearSize(int operandSize) {
    return operandSize == 8 ? 8 : 4;
  }

  /** Makes sure that {@link #push} cannot fault. */
  public static void probePush(Cpu cpu, int operandSize) {
    int size = nearSize(operandSize);
    probe(cpu, cpu.cpl, cpu.ssp - size & mask(cpu), size);
  }

  /** Pushes the return address of a near CALL. */
  public static void push(Cpu cpu, int operandSize, long rip) {
    int size = nearSize(operandSize);
    long at = cpu.ssp - size & mask(cpu);
    store(cpu, cpu.cpl, at, size, rip);
    cpu.ssp = at;
  }

  /**
   * Compares the target of a near RET with what CALL has pushed.
   *
   * @return SSP after it, which the caller sets
   * @throws CpuException #CP
   */
  public static long checkReturn(Cpu cpu, int operandSize, long rip) {
    int size = nearSize(operandSize);
    long at = cpu.ssp & mask(cpu);
    if (load(cpu, cpu.cpl, at, size) != rip) {
      throw cp(cpu, CetControl.NEAR_RET);
    }
    return at + size & mask(cpu);
  }

  // ---- far transfers ----

  /** The linear address of an instruction pointer. */
  public static long linear(long base, long rip, boolean long64) {
    return long64 ? rip : base + rip & 0xffffffffL;
  }

  /** The linear address of an instruction pointer in the current code segment. */
  public static long linear(Cpu cpu, long rip) {
    return linear(cpu.seg[Cpu.CS].base, rip, cpu.codeSize == 8);
  }

  /** #GP(0) unless an SSP is one of the target's mode: canonical, or below 4 GBytes. */
  private static void checkTarget(Cpu cpu, long ssp, boolean long64) {
    if (long64 ? !cpu.isCanonical(ssp) : ssp >>> 32 != 0) {
      throw cpu.gp(0);
    }
  }

  /** #GP(0) for an SSP that code outside of 64-bit mode cannot have, at a far CALL or JMP. */
  public static void checkFar(Cpu cpu, boolean long64) {
    if (cpu.shadowStack && !long64 && cpu.ssp >>> 32 != 0) {
      throw cpu.gp(0);
    }
  }

  /**
   * Pushes CS, the linear instruction pointer and an SSP, at 8 bytes' alignment.
   *
   * @param top where to push
   * @param previous the SSP
   * @return SSP after it
   */
  public static long pushFrame(Cpu cpu, int cpl, long top, int cs, long lip, long previous) {
    long at = (top & ~7L) - FRAME;
    long below = top - 4;
    probe(cpu, cpl, at, FRAME + (int) (top & 7));
    if ((top & 7) != 0) {
      store(cpu, cpl, below, 4, 0);
    }
    store(cpu, cpl, at + 16, 8, cs);
    store(cpu, cpl, at + 8, 8, lip);
    store(cpu, cpl, at, 8, previous);
    return at;
  }

  /**
   * A far CALL, or an event, that stays at its privilege level.
   *
   * @param rip where it returns to
   */
  public static void enterSame(Cpu cpu, long rip) {
    if (cpu.shadowStack) {
      int cs = cpu.seg[Cpu.CS].selector;
      cpu.ssp = pushFrame(cpu, cpu.cpl, cpu.ssp, cs, linear(cpu, rip), cpu.ssp);
    }
  }

  /**
   * An event that stays at its privilege level and has an entry of the interrupt stack table.
   *
   * @param ist 1 to 7
   * @param rip where it returns to
   */
  public static void enterSame(Cpu cpu, int ist, long rip) {
    if (cpu.shadowStack) {
      long top = acquire(cpu, cpu.cpl, tableEntry(cpu, ist), true);
      int cs = cpu.seg[Cpu.CS].selector;
      cpu.ssp = pushFrame(cpu, cpu.cpl, top, cs, linear(cpu, rip), cpu.ssp);
    }
  }

  /**
   * A CALL through a gate, or an event, to a more privileged level.
   *
   * @param ist entry of the interrupt stack table, 1 to 7; 0 for the shadow stack of the level
   * @param rip where it returns to
   * @param long64 whether the target is 64-bit code
   */
  public static void enterInner(Cpu cpu, int cpl, int ist, long rip, boolean long64) {
    long ssp = cpu.ssp;
    if (enabled(cpu, cpl)) {
      long top = ist != 0 ? tableEntry(cpu, ist) : cpu.msr.plSsp[cpl];
      ssp = acquire(cpu, cpl, top, long64);
      Segment ss = cpu.seg[Cpu.SS];
      if (ss.dpl() != 3) {
        int cs = cpu.seg[Cpu.CS].selector;
        ssp = pushFrame(cpu, cpl, ssp, cs, linear(cpu, rip), cpu.ssp);
      }
    }
    saveUser(cpu);
    cpu.ssp = ssp;
  }

  /** An entry of the table that IA32_INTERRUPT_SSP_TABLE_ADDR has the address of. */
  private static long tableEntry(Cpu cpu, int ist) {
    return cpu.mmu.readSystem(cpu.msr.interruptSspTable + 8L * ist, 8);
  }

  /** The user's SSP goes to IA32_PL3_SSP where the user's code is left. */
  private static void saveUser(Cpu cpu) {
    if (cpu.shadowStack && cpu.cpl == 3) {
      cpu.msr.plSsp[3] = adjusted(cpu);
    }
  }

  /** SSP as it goes to IA32_PL3_SSP: in IA-32e mode canonical for the processor's widest paging. */
  private static long adjusted(Cpu cpu) {
    int unused = 64 - cpu.model.linearAddressBits();
    return cpu.longMode ? cpu.ssp << unused >> unused : cpu.ssp;
  }

  /**
   * Marks a supervisor's shadow stack busy.
   *
   * @param top where its token is
   * @return {@code top}
   * @throws CpuException #GP(0) if there is no token that is not busy, or it cannot lie there
   */
  static long acquire(Cpu cpu, int cpl, long top, boolean long64) {
    if ((top & 7) != 0
        || (top & TOKEN_REGION) != (top - FRAME & TOKEN_REGION)
        || !long64 && top >>> 32 != 0) {
      throw cpu.gp(0);
    }
    if (!tryAcquire(cpu, cpl, top)) {
      throw cpu.gp(0);
    }
    return top;
  }

  /**
   * Marks a supervisor's shadow stack busy.
   *
   * @return whether there is a token that was not
   */
  static boolean tryAcquire(Cpu cpu, int cpl, long top) {
    return exchange(cpu, cpl, top, top, top | BUSY);
  }

  /** Marks a supervisor's shadow stack not busy, if its token is at the address; it was probed. */
  static void release(Cpu cpu, int cpl, long top) {
    exchange(cpu, cpl, top, top | BUSY, top);
  }

  /**
   * Compares the target of a far RET or an IRET with the frame at SSP.
   *
   * @return the SSP of the frame
   * @throws CpuException #CP
   */
  private static long checkFrame(Cpu cpu, int cs, long lip) {
    long at = cpu.ssp & mask(cpu);
    checkAligned(cpu, at);
    long previous = load(cpu, cpu.cpl, at, 8);
    long wasLip = load(cpu, cpu.cpl, at + 8, 8);
    long wasCs = load(cpu, cpu.cpl, at + 16, 8);
    if (cs != wasCs || lip != wasLip || (previous & 3) != 0) {
      throw cp(cpu, CetControl.FAR_RET_IRET);
    }
    return previous;
  }

  private static void checkAligned(Cpu cpu, long ssp) {
    if ((ssp & 7) != 0) {
      throw cp(cpu, CetControl.FAR_RET_IRET);
    }
  }

  /**
   * A far RET, or an IRET, that stays at its privilege level.
   *
   * @param cs the selector that it returns to
   * @param lip the linear address
   * @param long64 whether that is 64-bit code
   * @param iret whether it may leave a shadow stack of the interrupt stack table, which is free
   *     then
   */
  public static void leaveSame(Cpu cpu, int cs, long lip, boolean long64, boolean iret) {
    if (!cpu.shadowStack) {
      return;
    }
    long previous = checkFrame(cpu, cs, lip);
    checkTarget(cpu, previous, long64);
    long after = (cpu.ssp & mask(cpu)) + FRAME;
    if (iret && cpu.longMode && previous != after) {
      probe(cpu, cpu.cpl, after, 8);
      release(cpu, cpu.cpl, after);
    }
    cpu.ssp = previous;
  }

  /**
   * A far RET, or an IRET, to a less privileged level. The shadow stack that is left is free then.
   *
   * @param cpl the level
   * @param cs the selector that it returns to
   * @param lip the linear address
   * @param long64 whether that is 64-bit code
   */
  public static void leaveOuter(Cpu cpu, int cpl, int cs, long lip, boolean long64) {
    boolean was = cpu.shadowStack;
    long old = cpu.ssp & mask(cpu);
    long next = cpu.msr.plSsp[3];
    if (was) {
      checkAligned(cpu, old);
      if (cpl != 3) {
        next = checkFrame(cpu, cs, lip);
        old += FRAME;
      }
    }
    boolean is = enabled(cpu, cpl);
    if (is) {
      checkTarget(cpu, next, long64);
    }
    if (was) {
      probe(cpu, cpu.cpl, old, 8);
      release(cpu, cpu.cpl, old);
      cpu.ssp = old;
    }
    if (is) {
      cpu.ssp = next;
    }
  }

  /**
   * IRET to virtual-8086 mode, which has no CET.
   *
   * @throws CpuException #GP(0) if the user's code has any
   */
  public static void leaveToV86(Cpu cpu) {
    if ((cpu.cr4 & ControlBits.CR4_CET) != 0
        && (cpu.msr.uCet & (CetControl.ENDBR_EN | CetControl.SH_STK_EN)) != 0) {
      throw cpu.gp(0);
    }
    if (cpu.shadowStack) {
      checkAligned(cpu, cpu.ssp);
      probe(cpu, cpu.cpl, cpu.ssp & mask(cpu), 8);
      release(cpu, cpu.cpl, cpu.ssp & mask(cpu));
    }
  }

  /** SYSCALL and SYSENTER: the supervisor's code has to find its shadow stack by SETSSBSY. */
  public static void systemCall(Cpu cpu) {
    if (cpu.shadowStack) {
      cpu.msr.plSsp[3] = adjusted(cpu);
    }
    if (enabled(cpu, 0)) {
      cpu.ssp = 0;
    }
  }

  /** SYSRET and SYSEXIT. */
  public static void systemReturn(Cpu cpu) {
    if (enabled(cpu, 3)) {
      cpu.ssp = cpu.msr.plSsp[3];
    }
  }
}
