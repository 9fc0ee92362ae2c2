package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.semantics.Handler;
import org.kvm4j.cpu.semantics.Handlers;

/** Any instruction, by its {@link Handler}. */
final class GenericOp extends Op {
  final Instruction instruction;
  private final Handler handler;
  private final boolean ends;
  private final boolean looks;

  /**
   * @param i is copied
   */
  GenericOp(Instruction i) {
    this.instruction = i.copy();
    this.handler = Handlers.of(i.opcode);
    this.ends = InLine.endsBlock(i);
    this.looks = InLine.looks(i);
  }

  @Override
  @Nullable Op exec(Cpu c) {
    long start = rip(c);
    long after = start + length & c.ripMask;
    c.instructionRip = start;
    c.rip = after;
    if (looks) {
      return look(c);
    }
    handler.execute(c, instruction);
    if (ends || c.left) {
      return null;
    }
    if (c.rip != after) {
      // A string instruction that stopped between iterations: it and what follows did not retire.
      c.countdown += remaining + 1;
      return null;
    }
    return next;
  }

  /** Goes on in line if there is nothing to look at; the budget is exact while it executes. */
  private @Nullable Op look(Cpu c) {
    c.countdown += remaining;
    boolean done = false;
    try {
      handler.execute(c, instruction);
      done = true;
    } finally {
      if (!done) {
        c.countdown -= remaining;
      }
    }
    if (!InLine.isQuiet(c)) {
      return null;
    }
    c.countdown -= remaining;
    return next;
  }

  @Override
  boolean usesStackSegment() {
    return instruction.segment == Cpu.SS;
  }
}
