package org.kvm4j.cpu.event;

import static org.kvm4j.cpu.testing.SystemMachine.TSS2;

import org.kvm4j.cpu.testing.SystemMachine;

/** Fills the second task's state. */
final class TaskStates {
  private TaskStates() {}

  static void write32(SystemMachine m, int cs, int ss, int eip, int esp) {
    m.memory.writeInt(TSS2 + 0x20, eip);
    m.memory.writeInt(TSS2 + 0x24, 2);
    for (int r = 0; r < 8; r++) {
      m.memory.writeInt(TSS2 + 0x28 + 4 * r, 0x1000 + r);
    }
    m.memory.writeInt(TSS2 + 0x38, esp);
    int[] selectors = {ss, cs, ss, ss, ss, ss};
    for (int s = 0; s < 6; s++) {
      m.memory.writeInt(TSS2 + 0x48 + 4 * s, selectors[s]);
    }
    m.memory.writeInt(TSS2 + 0x60, 0);
    m.memory.writeInt(TSS2 + 0x64, 0x680000);
  }
}
