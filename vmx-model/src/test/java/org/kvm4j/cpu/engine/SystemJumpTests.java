package org.kvm4j.cpu.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.engine.Interpreter.Stop;
import org.kvm4j.cpu.testing.SystemMachine;

/** SYSCALL and SYSRET, again and again: what they lead to is known then. */
final class SystemJumpTests {
  private static final int KERNEL = SystemMachine.CODE + 0x800;
  private static final int ROUNDS = 200;

  /** A program of many system calls, each of which counts in EAX; HLT, which faults, ends it. */
  private static SystemMachine calling() {
    SystemMachine m = SystemMachine.long64(3);
    Cpu c = m.cpu;
    m.idt(SystemMachine.LONG0, 0x8e);
    for (int vector = 0; vector < 256; vector++) {
      Code.put(m, SystemMachine.handler(vector), "f4");
    }
    c.efer |= ControlBits.EFER_SCE;
    c.msr.star = (long) (SystemMachine.LONG3 - 16 & ~3) << 48 | (long) SystemMachine.LONG0 << 32;
    c.msr.lstar = KERNEL;
    c.msr.fmask = Flags.IF;
    c.updateMode();
    c.flagsRest |= Flags.IF;
    // loop: syscall; dec ebx; jnz loop; hlt
    Code.put(m, "0f 05 ff cb 75 fa f4");
    // inc eax; sysret
    Code.put(m, KERNEL, "ff c0 48 0f 07");
    c.r[Cpu.RBX] = ROUNDS;
    return m;
  }

  /** What runs the code. */
  private enum Engine {
    INTERPRETER,
    TRANSLATOR,
    MACHINE_CODE
  }

  private static Interpreter engine(SystemMachine m, Engine which) {
    Interpreter engine = Code.engine(m);
    // Whatever -Dorg.kvm4j.cpu.machine asks for.
    engine.heat = -1;
    switch (which) {
      case INTERPRETER -> {}
      case TRANSLATOR -> engine.translate(2, null);
      case MACHINE_CODE ->
          assumeTrue(engine.makeMachineCode(0), "no machine code on this host or JVM");
    }
    return engine;
  }

  @ParameterizedTest
  @EnumSource
  void each_instruction_is_counted_whatever_the_slices(Engine which) {
    for (int slice = 1; slice < 40; slice++) {
      SystemMachine m = calling();
      Interpreter engine = engine(m, which);
      Stop stop = Stop.BUDGET;
      for (int left = 10 * ROUNDS; stop == Stop.BUDGET && left > 0; left--) {
        long before = m.cpu.elapsed();
        stop = engine.run(slice);
        assertTrue(m.cpu.elapsed() - before <= slice, "slices of " + slice);
      }
      assertEquals(Stop.INACTIVE, stop);
      assertEquals(SystemMachine.handler(Vector.GP) + 1, m.cpu.rip);
      assertEquals(ROUNDS, m.cpu.r[Cpu.RAX]);
      // The fault counts as one, and so does the handler's HLT.
      assertEquals(5L * ROUNDS + 2, m.cpu.elapsed(), "slices of " + slice);
    }
  }

  @ParameterizedTest
  @EnumSource
  void an_interrupt_that_SYSRET_lets_in_comes_before_the_next_instruction(Engine which) {
    SystemMachine m = calling();
    Interpreter engine = engine(m, which);
    // Within the kernel, where interrupts are off.
    engine.run(5 * 100 + 2);
    assertEquals(KERNEL + 2, m.cpu.rip);
    m.interrupt = 0x40;
    m.cpu.request(Cpu.REQUEST_INTERRUPT);
    assertEquals(Stop.INACTIVE, engine.run(1000));
    assertEquals(SystemMachine.handler(0x40) + 1, m.cpu.rip);
    assertEquals(SystemMachine.CODE + 2, m.stack(0, 8));
    assertEquals(101, m.cpu.r[Cpu.RAX]);
  }

  @Test
  void a_breakpoint_where_SYSCALL_leads_is_hit() {
    SystemMachine m = calling();
    Interpreter engine = engine(m, Engine.INTERPRETER);
    engine.run(5 * 50);
    m.cpu.dr[0] = KERNEL;
    m.cpu.dr7 = 0x402;
    assertEquals(Stop.INACTIVE, engine.run(1000));
    assertEquals(SystemMachine.handler(Vector.DB) + 1, m.cpu.rip);
    assertEquals(KERNEL, m.stack(0, 8));
    assertEquals(50, m.cpu.r[Cpu.RAX]);
  }
}
