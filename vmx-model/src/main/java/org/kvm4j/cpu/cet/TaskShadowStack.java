package org.kvm4j.cpu.cet;

import org.kvm4j.cpu.core.CetControl;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.Vector;

/**
 * What a task switch does to shadow stacks and to the tracker: what the old task leaves, and what
 * the new one finds. SDM Vol. 3, "Task Switching".
 */
public final class TaskShadowStack {
  /** The least limit of a TSS that has an SSP. */
  public static final int LIMIT = 0x6b;

  private static final int SSP = 0x68;
  private static final int FRAME = 24;

  private final Cpu cpu;
  private final boolean returns;

  /** The new task's SSP, as its TSS has it. */
  private final long newSsp;

  /** A frame of the old task's is pushed on the new one's shadow stack. */
  private boolean pushes;

  private long oldSsp;
  private int oldCs;
  private long oldLip;

  /** The frame that IRET goes back by is compared with where it leads. */
  private boolean compares;

  private long frameSsp;
  private long frameLip;
  private long frameCs;

  private TaskShadowStack(Cpu cpu, boolean returns, long newSsp) {
    this.cpu = cpu;
    this.returns = returns;
    this.newSsp = newSsp;
  }

  /** Whether a task can be switched to whose TSS is of that kind. */
  public static boolean allows(Cpu cpu, boolean is32, long limit) {
    return (cpu.cr4 & ControlBits.CR4_CET) == 0 || is32 && limit >= LIMIT;
  }

  /** Whether IRET can leave the current task. */
  public static boolean allowsReturn(Cpu cpu) {
    return !cpu.shadowStack || (cpu.ssp & 7) == 0;
  }

  /**
   * Leaves the old task, before anything has changed.
   *
   * @param newTss where the new task's TSS is, which can be read
   * @param cpl the new task's privilege level
   * @param nests whether the new task goes back by IRET: CALL, or an event
   * @param returns whether this is IRET
   * @param returnRip where the old task goes on
   */
  public static TaskShadowStack leave(
      Cpu cpu, long newTss, int cpl, boolean nests, boolean returns, long returnRip) {
    boolean on = (cpu.cr4 & ControlBits.CR4_CET) != 0 && !returns;
    long at = newTss + SSP & 0xffffffffL;
    TaskShadowStack s = new TaskShadowStack(cpu, returns, on ? cpu.mmu.readSystem(at, 4) : 0);
    if (cpu.shadowStack && nests) {
      if (cpl < 3 && cpu.cpl == 3) {
        cpu.msr.plSsp[3] = cpu.ssp;
      } else {
        s.pushes = true;
        s.oldSsp = cpu.ssp;
        s.oldCs = cpu.seg[Cpu.CS].selector;
        s.oldLip = ShadowStack.linear(cpu, returnRip);
      }
    } else if (cpu.shadowStack && returns) {
      s.unwind(cpl);
    }
    return s;
  }

  private void unwind(int newCpl) {
    long at = cpu.ssp;
    if (newCpl == cpu.cpl || newCpl < 3) {
      frameSsp = ShadowStack.load(cpu, cpu.cpl, at, 8);
      frameLip = ShadowStack.load(cpu, cpu.cpl, at + 8, 8);
      frameCs = ShadowStack.load(cpu, cpu.cpl, at + 16, 8);
      at += FRAME;
      compares = true;
    } else {
      frameSsp = cpu.msr.plSsp[3];
    }
    ShadowStack.probe(cpu, cpu.cpl, at, 8);
    ShadowStack.release(cpu, cpu.cpl, at);
    cpu.ssp = 0;
  }

  /**
   * Enters the new task, whose registers are loaded. What this throws is a fault of that task.
   *
   * @param tss the selector of its TSS
   * @throws CpuException #TS, #CP
   */
  public void enter(int tss, int ext) {
    boolean shadowStack = ShadowStack.enabled(cpu, cpu.cpl);
    if (cpu.v86 && (shadowStack || BranchTracking.enabled(cpu, cpu.cpl))) {
      throw ts(tss, ext);
    }
    if (returns) {
      comeBack(shadowStack);
      return;
    }
    if (shadowStack) {
      if ((newSsp & 7) != 0 || !ShadowStack.tryAcquire(cpu, cpu.cpl, newSsp)) {
        throw ts(tss, ext);
      }
      cpu.ssp =
          pushes ? ShadowStack.pushFrame(cpu, cpu.cpl, newSsp, oldCs, oldLip, oldSsp) : newSsp;
    }
    BranchTracking.far(cpu, cpu.cpl);
  }

  private void comeBack(boolean shadowStack) {
    long lip = cpu.seg[Cpu.CS].base + cpu.rip & 0xffffffffL;
    boolean wrong = compares && (cpu.seg[Cpu.CS].selector != frameCs || lip != frameLip);
    if (wrong || shadowStack && ((frameSsp & 3) != 0 || frameSsp >>> 32 != 0)) {
      throw cpu.exception(Vector.CP, CetControl.FAR_RET_IRET);
    }
    if (shadowStack) {
      cpu.ssp = frameSsp;
    }
  }

  private CpuException ts(int selector, int ext) {
    return cpu.ts(selector & 0xfffc | ext);
  }
}
