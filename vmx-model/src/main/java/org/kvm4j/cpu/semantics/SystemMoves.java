package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;

/**
 * The forms of MOV, PUSH and POP with a segment, control or debug register: the handlers of these
 * opcodes pass them on to here.
 */
public final class SystemMoves {
  private SystemMoves() {}

  /** MOV with an operand of kind SEGMENT, CONTROL or DEBUG. */
  public static void mov(Cpu cpu, Instruction i) {
    throw cpu.ud();
  }

  /** PUSH of a segment register. */
  public static void push(Cpu cpu, Instruction i) {
    throw cpu.ud();
  }

  /** POP of a segment register. */
  public static void pop(Cpu cpu, Instruction i) {
    throw cpu.ud();
  }
}
