package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.segment.SegmentLoader;
import org.kvm4j.cpu.segment.StackAccess;

/**
 * The forms of MOV, PUSH and POP with a segment, control or debug register: the handlers of these
 * opcodes pass them on to here.
 */
public final class SystemMoves {
  private SystemMoves() {}

  /** Whether an operand of MOV, PUSH or POP is a segment, control or debug register. */
  public static boolean isOne(Instruction i) {
    return i.kind0 >= OperandKind.SEGMENT && i.kind0 <= OperandKind.DEBUG
        || i.kind1 >= OperandKind.SEGMENT && i.kind1 <= OperandKind.DEBUG;
  }

  /** MOV with an operand of kind SEGMENT, CONTROL or DEBUG. */
  public static void mov(Cpu cpu, Instruction i) {
    if (i.kind0 == OperandKind.SEGMENT) {
      if (i.reg0 == Cpu.CS) {
        throw cpu.ud();
      }
      loadSegment(cpu, i.reg0, (int) Operands.read1(cpu, i));
    } else if (i.kind1 == OperandKind.SEGMENT) {
      Operands.write0(cpu, i, cpu.seg[i.reg1].selector);
    } else if (i.kind0 == OperandKind.CONTROL) {
      ControlRegisters.write(cpu, i);
    } else if (i.kind1 == OperandKind.CONTROL) {
      ControlRegisters.read(cpu, i);
    } else if (i.kind0 == OperandKind.DEBUG) {
      DebugRegisters.write(cpu, i);
    } else if (i.kind1 == OperandKind.DEBUG) {
      DebugRegisters.read(cpu, i);
    } else {
      throw cpu.ud();
    }
  }

  /** Loads a segment register and what depends on it; MOV SS and POP SS hold off events. */
  private static void loadSegment(Cpu cpu, int s, int selector) {
    SegmentLoader.load(cpu, s, selector);
    if (s == Cpu.SS) {
      cpu.shadow = Cpu.SHADOW_MOV_SS;
    }
    cpu.updateMode();
  }

  /**
   * PUSH of a segment register. With a 32-bit operand only 16 bits are written, as recent
   * processors do (SDM Vol. 2, "PUSH").
   */
  public static void push(Cpu cpu, Instruction i) {
    StackAccess stack = StackAccess.current(cpu);
    int size = i.operandSize;
    if (size == 4) {
      stack.skip(-2);
      size = 2;
    }
    stack.reserve(1, size, 0);
    stack.push(size, cpu.seg[i.reg0].selector);
    cpu.r[Cpu.RSP] = stack.sp;
  }

  /** POP of a segment register. */
  public static void pop(Cpu cpu, Instruction i) {
    StackAccess stack = StackAccess.current(cpu);
    int selector = (int) stack.peek(0, 2);
    stack.skip(i.operandSize);
    loadSegment(cpu, i.reg0, selector);
    cpu.r[Cpu.RSP] = stack.sp;
  }
}
