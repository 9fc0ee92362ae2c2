package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;

/**
 * Where a block ends without a branch (too long, end of page, or code that is decoded elsewhere).
 */
final class EndOp extends Op {
  private final Interpreter engine;
  private @Nullable Block target;

  EndOp(Interpreter engine, int offset) {
    this.engine = engine;
    this.offset = (short) offset;
    this.remaining = -1;
  }

  @Override
  @Nullable Op exec(Cpu c) {
    Block t = target;
    if (t != null) {
      return t;
    }
    return engine.leave(this, c.r[Cpu.CODE_BASE] + (offset & 0xffff) & c.ripMask);
  }

  @Override
  void link(Block t) {
    if ((offset & 0xffff) < 4096) {
      target = t;
    }
  }

  @Override
  void unlink() {
    target = null;
  }
}
