package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;

/** An instruction that has to run by itself ({@link Interpreter#runsAlone}). */
final class AloneOp extends Op {
  private final Interpreter engine;

  /** The instruction at RIP, as a step has it. */
  private final GenericOp plain;

  /**
   * @param i is copied
   */
  AloneOp(Interpreter engine, Instruction i) {
    this.engine = engine;
    this.plain = Interpreter.single(i);
  }

  @Override
  @Nullable Op exec(Cpu c) {
    c.rip = rip(c);
    // The step charges it anew.
    c.countdown += remaining + 1;
    engine.stepOne(plain);
    return null;
  }
}
