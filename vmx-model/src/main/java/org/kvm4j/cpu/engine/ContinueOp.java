package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;

/** After an instruction that the interpreter has done: machine code goes on from here. */
final class ContinueOp extends Op {
  private final MachineEngine engine;
  private final MachineUse use;

  /** From the beginning of the block's code. */
  private final int entry;

  /**
   * @param before the instruction before; its next operation follows this one
   */
  ContinueOp(MachineEngine engine, MachineUse use, int entry, Op before) {
    this.engine = engine;
    this.use = use;
    this.entry = entry;
    Op after = before.next;
    this.next = after;
    this.offset = (short) ((before.offset & 0xffff) + before.length);
    this.length = 0;
    this.remaining = before.remaining;
  }

  @Override
  @Nullable Op exec(Cpu c) {
    if (engine.isAlive(use) && engine.mayEnter(c)) {
      return engine.enter(c, use.code.code + entry);
    }
    return next;
  }
}
