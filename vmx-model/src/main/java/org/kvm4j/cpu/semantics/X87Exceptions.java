package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.fpu.Float80;

/**
 * How an x87 instruction begins and ends: what it waits for, and what its exceptions do to the
 * status word and to its result. SDM Vol. 1, 8.4 "x87 FPU Floating-Point Exception Handling", 8.5
 * "Floating-Point Exception Conditions", 8.6 "Synchronization".
 */
final class X87Exceptions {
  /** An unmasked one of these leaves the operands as they are. */
  private static final int BEFORE_COMPUTATION =
      Float80.INVALID | Float80.DENORMAL | Float80.ZERO_DIVIDE;

  /** An unmasked one of these, too, leaves a destination in memory as it is. */
  private static final int BEFORE_STORE = BEFORE_COMPUTATION | Float80.OVERFLOW | Float80.UNDERFLOW;

  private X87Exceptions() {}

  /** Begins an instruction that is not a control instruction. */
  static Float80 begin(Cpu cpu) {
    X87Control.checkPending(cpu);
    return X87State.begin(cpu);
  }

  /**
   * Whether the result in a register is to be stored: no exception of the operation forbids it.
   * Enters the exceptions and C1 in the status word.
   */
  static boolean settle(Cpu cpu, Instruction i, Float80 f) {
    int unmasked = f.flags & ~f.masks;
    enter(cpu, i, f.flags, unmasked, f.roundedUp, BEFORE_COMPUTATION);
    return (unmasked & BEFORE_COMPUTATION) == 0;
  }

  /** Whether a result may be stored in memory, which can fault: nothing is changed yet. */
  static boolean isStorable(Float80 f) {
    return (f.flags & ~f.masks & BEFORE_STORE) == 0;
  }

  /** After {@link #isStorable} and the store: enters the exceptions and C1. */
  static void settleStore(Cpu cpu, Instruction i, Float80 f) {
    enter(cpu, i, f.flags, f.flags & ~f.masks, f.roundedUp, BEFORE_STORE);
  }

  private static void enter(
      Cpu cpu, Instruction i, int flags, int unmasked, boolean roundedUp, int stopping) {
    X87State.noteInstruction(cpu);
    int status = X87State.status(cpu);
    if (flags == 0) {
      if ((status & X87State.C1) != 0) {
        X87State.setStatus(cpu, status & ~X87State.C1);
      }
      return;
    }
    if ((unmasked & stopping) != 0) {
      // What would have been found later is not.
      int first = Integer.lowestOneBit(unmasked & stopping);
      if (first == Float80.DENORMAL && (flags & Float80.ZERO_DIVIDE) != 0) {
        first |= Float80.ZERO_DIVIDE;
      }
      flags &= first | first - 1;
      roundedUp = false;
    }
    status = status & ~X87State.C1 | flags;
    if (roundedUp && (flags & Float80.INEXACT) != 0) {
      status |= X87State.C1;
    }
    X87State.setStatus(cpu, status);
    if (unmasked != 0) {
      point(cpu, i);
    }
  }

  /** Notes opcode and operand for the handler of an unmasked exception. */
  private static void point(Cpu cpu, Instruction i) {
    X87State.setOpcode(cpu, (i.opcodeByte & 7) << 8 | i.modrm);
    if (i.kind0 == OperandKind.MEMORY || i.kind1 == OperandKind.MEMORY) {
      X87State.noteOperand(cpu, i);
    }
  }

  /** A register that is empty was read; whether the masked response is to be given. */
  static boolean underflow(Cpu cpu, Instruction i) {
    return fault(cpu, i, 0);
  }

  /**
   * A register that is not empty was to be pushed to; whether the masked response is to be given.
   */
  static boolean overflow(Cpu cpu, Instruction i) {
    return fault(cpu, i, X87State.C1);
  }

  /** Whether a stack fault would leave a destination in memory as it is. */
  static boolean isFaultMasked(Cpu cpu) {
    return (X87State.control(cpu) & Float80.INVALID) != 0;
  }

  private static boolean fault(Cpu cpu, Instruction i, int direction) {
    X87State.noteInstruction(cpu);
    X87State.setStatus(
        cpu,
        X87State.status(cpu) & ~X87State.C1 | X87State.STACK_FAULT | Float80.INVALID | direction);
    if (!isFaultMasked(cpu)) {
      point(cpu, i);
      return false;
    }
    return true;
  }

  /**
   * After {@link #settle}: whether what it found unmasked is a denormal operand alone, which
   * processors nevertheless load, and compare.
   */
  static boolean isDenormalOnly(Float80 f) {
    return (f.flags & ~f.masks & BEFORE_COMPUTATION) == Float80.DENORMAL;
  }

  /** Pushes a result, with the exceptions of its making; or answers a stack overflow. */
  static void push(Cpu cpu, Instruction i, Float80 f) {
    if (!X87State.isEmpty(cpu, 7)) {
      if (overflow(cpu, i)) {
        X87State.push(cpu, X87State.INDEFINITE_EXPONENT, X87State.INDEFINITE_SIGNIFICAND);
      }
    } else if (settle(cpu, i, f) || isDenormalOnly(f)) {
      X87State.push(cpu, f.exponent, f.significand);
    }
  }
}
