package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;

/**
 * Stands where an instruction of an overwritten block was: back to the dispatcher, at its address.
 */
final class Resume extends Op {

  /**
   * @param offset where execution goes on
   * @param uncounted instructions of the block that were charged and will not run
   */
  Resume(short offset, int uncounted) {
    this.offset = offset;
    this.remaining = (short) uncounted;
  }

  @Override
  @Nullable Op exec(Cpu c) {
    c.countdown += remaining;
    c.rip = rip(c);
    return null;
  }
}
