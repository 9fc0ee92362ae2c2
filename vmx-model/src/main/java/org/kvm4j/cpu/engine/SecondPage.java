package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;

/**
 * The start of a block of one instruction that goes on in the next page: whether that page is still
 * the one that the instruction was decoded from is looked at each time, and the fetch faults here
 * if it is not to be executed.
 */
final class SecondPage extends Op {
  private final Interpreter engine;
  private final Block block;
  final CodePage second;

  SecondPage(Interpreter engine, Block block, CodePage second) {
    this.engine = engine;
    this.block = block;
    this.second = second;
    this.offset = block.offset;
    second.addTail(block);
  }

  @Override
  @Nullable Op exec(Cpu c) {
    if (engine.isFetchedFrom(second, c.r[Cpu.CODE_BASE] + 4096 & c.ripMask)) {
      return next;
    }
    c.countdown += block.count;
    c.rip = rip(c);
    block.page.remove(block);
    return null;
  }

  @Override
  void unlink() {
    second.removeTail(block);
  }
}
