package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.machine.CodeSpace;

/**
 * The machine code that the processors of one machine share, which are of one model and have the
 * same memory: what one of them has made, the others run.
 */
public final class SharedCode {
  private final PhysicalMemory memory;
  private @Nullable MachineStore store;

  /**
   * @param memory the processors'
   */
  public SharedCode(PhysicalMemory memory) {
    this.memory = memory;
  }

  /** Whether some processor has made code. */
  synchronized boolean isThere() {
    return store != null;
  }

  /** The code for one more processor, until it leaves it ({@link MachineStore#leave}). */
  synchronized MachineStore join(Interpreter engine, CodeSpace space) {
    MachineStore there = store;
    if (there == null || !there.join(engine)) {
      there = new MachineStore(this, memory, space);
      there.join(engine);
      store = there;
    }
    return there;
  }

  /** Who joins from now on gets another store. */
  synchronized void forget(MachineStore gone) {
    if (store == gone) {
      store = null;
    }
  }
}
