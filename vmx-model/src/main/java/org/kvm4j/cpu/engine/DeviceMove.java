package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.semantics.Handler;
import org.kvm4j.cpu.semantics.Handlers;
import org.kvm4j.cpu.semantics.Operands;

/**
 * A move that has touched, again and again, what EPT does not map: a device of a guest's. It asks
 * whether it will before it does, so that nothing has to be thrown.
 */
final class DeviceMove extends Op {
  /** Executions in a row that touch memory until it is a move like others again. */
  private static final int CALM = 100;

  private final CodePage page;
  private final Instruction instruction;
  private final Handler handler;
  private final boolean store;
  private final int size;
  private int calm;

  /**
   * @param page the page of its first byte
   * @param i is copied
   */
  DeviceMove(CodePage page, Instruction i) {
    this.page = page;
    this.instruction = i.copy();
    this.handler = Handlers.of(i.opcode);
    this.store = i.kind0 == OperandKind.MEMORY;
    this.size = store ? i.size0 : i.size1;
  }

  /** Whether an instruction is a move between memory and a general register or an immediate. */
  static boolean canBe(Instruction i) {
    return switch (i.opcode) {
      case MOV, MOVZX, MOVSX, MOVSXD ->
          i.kind0 == OperandKind.MEMORY && i.kind1 <= OperandKind.IMMEDIATE
              || i.kind1 == OperandKind.MEMORY && i.kind0 <= OperandKind.GPR_HIGH;
      default -> false;
    };
  }

  @Override
  @Nullable Op exec(Cpu c) {
    long start = rip(c);
    c.instructionRip = start;
    c.rip = start + length & c.ripMask;
    long linear = Operands.linear(c, instruction, size, store);
    if (c.mmu.violates(linear, size, store)) {
      calm = 0;
      page.engine.violated(this, instruction);
      return null;
    }
    handler.execute(c, instruction);
    if (++calm == CALM) {
      page.clearDevice(offset & 0xffff);
    }
    return c.left ? null : next;
  }

  @Override
  boolean usesStackSegment() {
    return instruction.segment == Cpu.SS;
  }
}
