package org.kvm4j.cpu.semantics;

import static org.kvm4j.cpu.core.Cpu.RAX;
import static org.kvm4j.cpu.core.Cpu.RBP;
import static org.kvm4j.cpu.core.Cpu.RDI;
import static org.kvm4j.cpu.core.Cpu.RSP;
import static org.kvm4j.cpu.core.Cpu.SS;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;

/** The stack: PUSH, POP, PUSHA, POPA, ENTER and LEAVE, and what other groups push and pop. */
final class Stack {
  private Stack() {}

  static void register() {
    Handlers.put(Opcode.PUSH, Stack::push);
    Handlers.put(Opcode.POP, Stack::pop);
    Handlers.put(Opcode.PUSHA, Stack::pusha);
    Handlers.put(Opcode.POPA, Stack::popa);
    Handlers.put(Opcode.ENTER, Stack::enter);
    Handlers.put(Opcode.LEAVE, Stack::leave);
  }

  // ---- primitives ----

  /** The offset in SS at a distance from the stack pointer. */
  static long offset(Cpu cpu, long distance) {
    return cpu.r[RSP] + distance & cpu.stackMask;
  }

  /** The linear address of stack memory; #SS(0) if SS does not allow the access. */
  static long linear(Cpu cpu, long offset, int size, boolean write) {
    return cpu.linear(SS, offset & cpu.stackMask, size, write);
  }

  /** Sets RSP, ESP or SP, as the stack's size has it. */
  static void setPointer(Cpu cpu, long offset) {
    long mask = cpu.stackMask;
    cpu.r[RSP] = mask == 0xffff ? cpu.r[RSP] & ~0xffffL | offset & 0xffff : offset & mask;
  }

  /** Pushes {@code size} bytes. */
  static void push(Cpu cpu, int size, long value) {
    long offset = offset(cpu, -size);
    cpu.mmu.write(linear(cpu, offset, size, true), size, value);
    setPointer(cpu, offset);
  }

  /** What is on top of the stack, zero-extended; nothing changes. */
  static long top(Cpu cpu, int size) {
    return cpu.mmu.read(linear(cpu, cpu.r[RSP], size, false), size);
  }

  /** Takes bytes off the stack. */
  static void drop(Cpu cpu, long bytes) {
    setPointer(cpu, offset(cpu, bytes));
  }

  // ---- instructions ----

  private static void push(Cpu cpu, Instruction i) {
    if (i.kind0 == OperandKind.SEGMENT) {
      SystemMoves.push(cpu, i);
      return;
    }
    push(cpu, i.operandSize, Operands.read0(cpu, i));
  }

  private static void pop(Cpu cpu, Instruction i) {
    if (i.kind0 == OperandKind.SEGMENT) {
      SystemMoves.pop(cpu, i);
      return;
    }
    int size = i.operandSize;
    long value = top(cpu, size);
    if (i.kind0 != OperandKind.MEMORY) {
      drop(cpu, size);
      Operands.write0(cpu, i, value);
      return;
    }
    // The address of the destination is computed with the stack pointer as it will be.
    long before = cpu.r[RSP];
    drop(cpu, size);
    long after = cpu.r[RSP];
    long address = Operands.effectiveAddress(cpu, i);
    cpu.r[RSP] = before;
    cpu.mmu.write(cpu.linear(i.segment, address, size, true), size, value);
    cpu.r[RSP] = after;
  }

  private static void pusha(Cpu cpu, Instruction i) {
    int size = i.operandSize;
    for (int k = 1; k <= 8; k++) {
      cpu.mmu.probeWrite(linear(cpu, offset(cpu, -size * k), size, true), size);
    }
    for (int k = 1; k <= 8; k++) {
      long linear = linear(cpu, offset(cpu, -size * k), size, true);
      cpu.mmu.write(linear, size, cpu.r[RAX + k - 1]);
    }
    drop(cpu, -size * 8);
  }

  private static void popa(Cpu cpu, Instruction i) {
    int size = i.operandSize;
    for (int k = 0; k < 8; k++) {
      cpu.mmu.probeRead(linear(cpu, offset(cpu, size * k), size, false), size);
    }
    for (int k = 0; k < 8; k++) {
      int reg = RDI - k;
      if (reg != RSP) {
        long linear = linear(cpu, offset(cpu, size * k), size, false);
        Operands.setGpr(cpu, reg, size, cpu.mmu.read(linear, size));
      }
    }
    drop(cpu, size * 8);
  }

  /**
   * ENTER: saves rBP, copies the frame pointers of the enclosing levels, pushes the new frame
   * pointer and makes room. The room's last bytes must be writable. Registers have the operand's
   * size, addresses the stack's.
   */
  private static void enter(Cpu cpu, Instruction i) {
    int size = i.operandSize;
    int level = (int) i.immediate2 & 31;
    long room = i.immediate & 0xffff;
    long frame = offset(cpu, -size);
    long last = frame - (long) size * level - room;
    // First all that could fault, in order.
    cpu.mmu.probeWrite(linear(cpu, frame, size, true), size);
    for (int k = 1; k < level; k++) {
      cpu.mmu.probeRead(linear(cpu, cpu.r[RBP] - (long) size * k, size, false), size);
      cpu.mmu.probeWrite(linear(cpu, frame - (long) size * k, size, true), size);
    }
    if (level > 0) {
      cpu.mmu.probeWrite(linear(cpu, frame - (long) size * level, size, true), size);
    }
    cpu.mmu.probeWrite(linear(cpu, last, size, true), size);
    cpu.mmu.write(linear(cpu, frame, size, true), size, cpu.r[RBP]);
    for (int k = 1; k < level; k++) {
      long from = linear(cpu, cpu.r[RBP] - (long) size * k, size, false);
      long to = linear(cpu, frame - (long) size * k, size, true);
      cpu.mmu.write(to, size, cpu.mmu.read(from, size));
    }
    // With a 16-bit stack and 32-bit operands, the upper half of ESP is part of the pointer.
    long pointer = cpu.stackMask == 0xffff ? cpu.r[RSP] & ~0xffffL | frame : frame;
    if (level > 0) {
      cpu.mmu.write(linear(cpu, frame - (long) size * level, size, true), size, pointer);
    }
    Operands.setGpr(cpu, RBP, size, pointer);
    setPointer(cpu, last);
  }

  private static void leave(Cpu cpu, Instruction i) {
    int size = i.operandSize;
    long base = cpu.r[RBP];
    long value = cpu.mmu.read(linear(cpu, base, size, false), size);
    setPointer(cpu, base + size);
    Operands.setGpr(cpu, RBP, size, value);
  }
}
