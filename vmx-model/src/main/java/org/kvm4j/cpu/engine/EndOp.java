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
    Block t = follow(c);
    return t == null ? null : t.exec(c);
  }

  /** What follows; null to ask the dispatcher. */
  @Nullable Block follow(Cpu c) {
    Block t = target;
    if (t != null) {
      return t;
    }
    long rip = c.r[Cpu.CODE_BASE] + (offset & 0xffff) & c.ripMask;
    if (!isInPage()) {
      t = engine.jump(rip);
      if (t != null) {
        return t;
      }
    }
    engine.leave(this, rip);
    return null;
  }

  @Override
  void link(Block t) {
    if (isInPage()) {
      target = t;
    }
  }

  private boolean isInPage() {
    return (offset & 0xffff) < CodePage.SIZE;
  }

  @Override
  void unlink() {
    target = null;
  }
}
