package org.kvm4j.cpu.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.testing.SystemMachine;

/** SYSRET and single steps. */
final class SysretTrapTests {
  @Test
  void SYSRET_that_sets_TF_traps_before_the_next_instruction() {
    SystemMachine m = SystemMachine.long64(0);
    m.idt(SystemMachine.LONG0, 0x8e);
    m.cpu.msr.star = (long) (SystemMachine.LONG3 - 16 & ~3) << 48;
    m.cpu.r[Cpu.RCX] = SystemMachine.DATA;
    m.cpu.r[11] = 0x102; // TF
    Code.put(m, "48 0f 07"); // sysret
    Code.put(m, SystemMachine.DATA, "ff c0 ff c0"); // inc eax, twice
    Code.put(m, SystemMachine.handler(1), "f4"); // hlt
    assertEquals(Interpreter.Stop.INACTIVE, Code.engine(m).run(1000));
    assertEquals(SystemMachine.handler(1) + 1, m.cpu.rip);
    assertEquals(SystemMachine.DATA, m.stack(0, 8));
    assertEquals(0, m.cpu.r[Cpu.RAX]);
    assertEquals(0x4000, m.cpu.dr6 & 0x4000);
  }
}
