package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Mmu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.semantics.Handler;
import org.kvm4j.cpu.semantics.Handlers;
import org.kvm4j.cpu.semantics.Operands;
import org.kvm4j.ept.walk.KnownViolation;

/**
 * A move that has touched, again and again, what EPT does not map: a device of a guest's. It asks
 * whether it will before it does, so that nothing has to be thrown.
 */
final class DeviceMove extends Op {
  /** Executions in a row that touch memory until it is a move like others again. */
  private static final int CALM = 100;

  /** How often it learns to no use until it leaves that. */
  private static final int MOST_LEARNED = 16;

  private final CodePage page;
  private final Instruction instruction;
  private final Handler handler;
  private final boolean store;
  private final int size;
  private int calm;

  /** What its last violation depends on; null if that is not known. */
  private @Nullable KnownViolation known;

  private long lastPage = -1;

  /** How often it has learned that since it was of use. */
  private int learned;

  /**
   * @param page the page of its first byte
   * @param i a plain move; is copied
   */
  DeviceMove(CodePage page, Instruction i) {
    this.page = page;
    this.instruction = i.copy();
    this.handler = Handlers.of(i.opcode);
    this.store = i.kind0 == OperandKind.MEMORY;
    this.size = store ? i.size0 : i.size1;
  }

  @Override
  @Nullable Op exec(Cpu c) {
    long start = rip(c);
    c.instructionRip = start;
    c.rip = start + length & c.ripMask;
    long linear = Operands.linear(c, instruction, size, store);
    if (c.mmu.violates(linear, size, store, known)) {
      calm = 0;
      learn(c.mmu, linear & -0x1000L);
      page.engine.violated(this, instruction);
      return null;
    }
    handler.execute(c, instruction);
    if (++calm == CALM) {
      page.clearDevice(offset & 0xffff);
    }
    return c.left ? null : next;
  }

  /** Learns what its violations depend on, where it touches the same page again. */
  private void learn(Mmu mmu, long page) {
    if (known != null && mmu.isKnownViolation()) {
      learned = 0;
    } else if (page == lastPage && learned < MOST_LEARNED) {
      learned++;
      known = mmu.knownViolation();
    }
    lastPage = page;
  }

  @Override
  boolean usesStackSegment() {
    return instruction.segment == Cpu.SS;
  }
}
