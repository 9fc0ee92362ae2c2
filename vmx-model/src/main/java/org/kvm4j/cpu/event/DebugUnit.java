package org.kvm4j.cpu.event;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;

/**
 * Debug exceptions around the execution of single instructions. SDM Vol. 3, "Debug Exceptions".
 *
 * <p>An engine that finds {@link #slow} true executes one instruction at a time, and between two of
 * them, in this order: {@link #pendingTraps}, NMI, interrupts, {@link #instructionBreakpoint},
 * fetch, execution, {@link #retired}. It need not call any of them otherwise.
 */
public final class DebugUnit {
  private DebugUnit() {}

  /** Whether there is anything to look at around single instructions. */
  public static boolean slow(Cpu cpu) {
    throw new UnsupportedOperationException("not built yet");
  }

  /**
   * Delivers traps that are pending after the instruction before.
   *
   * @return whether something was delivered, or a VM exit taken
   */
  public static boolean pendingTraps(Cpu cpu) {
    throw new UnsupportedOperationException("not built yet");
  }

  /**
   * Delivers the fault of a breakpoint on the instruction at rip.
   *
   * @return whether something was delivered, or a VM exit taken
   */
  public static boolean instructionBreakpoint(Cpu cpu) {
    throw new UnsupportedOperationException("not built yet");
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
    throw new UnsupportedOperationException("not built yet");
  }
}
