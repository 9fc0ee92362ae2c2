package org.kvm4j.cpu.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Collections;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Platform;
import org.kvm4j.cpu.engine.Interpreter.Stop;
import org.kvm4j.cpu.testing.SystemMachine;

/** {@link Platform#portsWantAlone}: what accesses a port runs by itself, and counts as ever. */
final class PortsAloneTests {
  private final SystemMachine m = SystemMachine.long64(0);

  private Interpreter engine(boolean translates) {
    m.portsWantAlone = true;
    Interpreter engine = Code.engine(m);
    if (translates) {
      engine.translate(0, null);
    }
    return engine;
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void a_read_that_nobody_answers_yet_changes_nothing_and_is_taken_up_again(boolean translates) {
    Code.put(m, "b0 01 e4 60 ff c3 eb fe"); // mov al, 1; in al, 0x60; inc ebx; jmp $
    Interpreter engine = engine(translates);
    m.portAnswers = false;
    for (int k = 0; k < 3; k++) {
      assertEquals(Stop.DEVICE, engine.run(10));
      assertEquals(SystemMachine.CODE + 2, m.cpu.rip);
      assertEquals(1, m.cpu.r[Cpu.RAX]);
      assertEquals(1, m.cpu.elapsed());
    }
    m.portAnswers = true;
    assertEquals(Stop.BUDGET, engine.run(2));
    assertEquals(0x78, m.cpu.r[Cpu.RAX]);
    assertEquals(1, m.cpu.r[Cpu.RBX]);
    assertEquals(3, m.cpu.elapsed());
    assertEquals(Collections.nCopies(1, "in 60/1"), m.ports);
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void a_hot_loop_accesses_the_port_alone_each_time_and_is_counted_exactly(boolean translates) {
    Code.put(
        m, "b0 05 e6 80 ff c9 75 f8 eb fe"); // next: mov al, 5; out 0x80, al; dec ecx; jnz next
    m.cpu.r[Cpu.RCX] = 1000;
    Interpreter engine = engine(translates);
    for (int k = 1; k <= 4; k++) {
      // Each ends behind another instruction of the loop.
      assertEquals(Stop.BUDGET, engine.run(801));
      assertEquals(801L * k, m.cpu.elapsed());
      assertEquals((801L * k + 2) / 4, m.ports.size());
    }
    assertEquals(Stop.BUDGET, engine.run(4000 - 4 * 801));
    assertEquals(0, m.cpu.r[Cpu.RCX]);
    assertEquals(Collections.nCopies(1000, "out 80/1=5"), m.ports);
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void a_repeated_access_goes_on_where_it_stopped(boolean translates) {
    Code.put(m, "90 f3 6e 90 eb fe"); // nop; rep outsb; nop; jmp $
    m.cpu.r[Cpu.RSI] = SystemMachine.DATA;
    m.cpu.r[Cpu.RDX] = 0x80;
    m.cpu.r[Cpu.RCX] = 100;
    Interpreter engine = engine(translates);
    assertEquals(Stop.BUDGET, engine.run(51));
    assertEquals(50, m.cpu.r[Cpu.RCX]);
    assertEquals(Stop.BUDGET, engine.run(51));
    assertEquals(0, m.cpu.r[Cpu.RCX]);
    assertEquals(SystemMachine.CODE + 4, m.cpu.rip);
    assertEquals(Collections.nCopies(100, "out 80/1=0"), m.ports);
  }
}
