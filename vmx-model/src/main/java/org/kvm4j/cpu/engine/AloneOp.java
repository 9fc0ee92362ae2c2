package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;

/** An instruction that has to run by itself ({@link Interpreter#runsAlone}). */
final class AloneOp extends Op {
  private final Interpreter engine;

  AloneOp(Interpreter engine) {
    this.engine = engine;
  }

  @Override
  @Nullable Op exec(Cpu c) {
    c.rip = rip(c);
    // The step charges it anew.
    c.countdown += remaining + 1;
    engine.stepOne();
    return null;
  }
}
