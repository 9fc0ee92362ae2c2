package org.kvm4j.cpu.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.engine.Interpreter.Stop;
import org.kvm4j.cpu.testing.SystemMachine;

/** Whatever a guest does, it uses up its budget, and requests are looked at. */
final class BudgetTests {
  /** In real mode UD2, whose handler it is itself: no instruction ever retires. */
  private static SystemMachine faulting() {
    SystemMachine m = SystemMachine.real();
    m.memory.writeInt(6 * 4, SystemMachine.CODE >> 4 << 16);
    Code.put(m, "0f 0b");
    return m;
  }

  @Test
  void a_guest_that_faults_without_end_uses_up_its_budget() {
    SystemMachine m = faulting();
    assertEquals(Stop.BUDGET, Code.engine(m).run(1000));
    assertEquals(0, m.cpu.retired());
    assertEquals(1000, m.cpu.elapsed());
  }

  @Test
  void a_guest_that_faults_without_end_can_be_kicked() {
    SystemMachine m = faulting();
    Interpreter engine = Code.engine(m);
    engine.run(10);
    m.cpu.request(Cpu.REQUEST_KICK);
    assertEquals(Stop.KICKED, engine.run(Long.MAX_VALUE / 4));
  }

  @Test
  void a_fetch_that_faults_without_end_uses_up_its_budget() {
    SystemMachine m = SystemMachine.real();
    m.cpu.rip = 0x10000; // beyond the limit: #GP, whose handler is there, too
    m.cpu.seg[Cpu.CS].limit = 0x7fff;
    m.memory.writeInt(13 * 4, SystemMachine.CODE >> 4 << 16 | 0x9000);
    assertEquals(Stop.BUDGET, Code.engine(m).run(1000));
    assertEquals(0, m.cpu.retired());
  }

  @Test
  void a_breakpoint_whose_handler_is_at_it_uses_up_the_budget() {
    SystemMachine m = SystemMachine.real();
    m.memory.writeInt(4, SystemMachine.CODE >> 4 << 16);
    Code.put(m, "90 eb fd");
    m.cpu.dr[0] = SystemMachine.CODE;
    m.cpu.dr7 = 0x402;
    assertEquals(Stop.BUDGET, Code.engine(m).run(1000));
    assertEquals(0, m.cpu.retired());
  }

  @Test
  void instructions_are_counted_apart_from_deliveries() {
    SystemMachine m = SystemMachine.real();
    // UD2; its handler skips it: pop ax; add ax, 2; push ax; iret
    m.memory.writeInt(6 * 4, SystemMachine.CODE >> 4 << 16 | 0x100);
    Code.put(m, "0f 0b 0f 0b eb fa");
    Code.put(m, SystemMachine.CODE + 0x100, "58 83 c0 02 50 cf");
    assertEquals(Stop.BUDGET, Code.engine(m).run(11));
    assertEquals(11, m.cpu.elapsed());
    assertEquals(9, m.cpu.retired());
    assertEquals(0, m.cpu.rip);
  }

  @Test
  void a_repeated_instruction_stops_at_the_end_of_the_budget_and_goes_on() {
    SystemMachine m = SystemMachine.long64(0);
    Code.put(m, "90 f3 ac 90 eb fe"); // rep lodsb
    m.cpu.r[Cpu.RSI] = SystemMachine.DATA;
    m.cpu.r[Cpu.RCX] = 500;
    m.cpu.r[Cpu.RAX] = 1;
    Interpreter engine = Code.engine(m);
    int runs = 0;
    while (m.cpu.r[Cpu.RCX] != 0) {
      assertEquals(Stop.BUDGET, engine.run(100));
      assertTrue(++runs < 10);
    }
    assertEquals(SystemMachine.DATA + 500, m.cpu.r[Cpu.RSI]);
    assertEquals(6, runs);
  }

  /** Units that a repeated instruction takes, of 5,000 bytes that end on the second page. */
  private static long units(SystemMachine m, Interpreter engine) {
    m.cpu.rip = SystemMachine.CODE;
    m.cpu.r[Cpu.RSI] = SystemMachine.DATA + 0x123;
    m.cpu.r[Cpu.RDI] = SystemMachine.DATA + 0x10000;
    m.cpu.r[Cpu.RCX] = 5000;
    m.cpu.r[Cpu.RAX] = 0;
    m.cpu.activity = Cpu.ACTIVE;
    long before = m.cpu.elapsed();
    assertEquals(Stop.INACTIVE, engine.run(10_000));
    return m.cpu.elapsed() - before;
  }

  @ParameterizedTest
  @ValueSource(strings = {"f3 a4", "f3 aa", "f3 a6", "f3 ae", "f3 ac"})
  void what_a_repeated_instruction_takes_is_the_same_whatever_the_tlb_knows(String hex) {
    SystemMachine m = SystemMachine.long64(0);
    Code.put(m, hex + " f4");
    Interpreter engine = Code.engine(m);
    long cold = units(m, engine);
    assertEquals(cold, units(m, engine), "warm");
    m.cpu.mmu.flushAll();
    assertEquals(cold, units(m, engine), "flushed");
    // Code on the page is looked after at each store.
    m.memory.markCode(SystemMachine.DATA + 0x10000);
    m.cpu.mmu.tlb.dropWriteTags(SystemMachine.DATA + 0x10000);
    assertEquals(cold, units(m, engine), "a page with code");
  }

  @Test
  void a_copy_of_pages_is_charged_by_its_length() {
    SystemMachine m = SystemMachine.long64(0);
    Code.put(m, "f3 a4 eb fe");
    m.cpu.r[Cpu.RSI] = SystemMachine.DATA;
    m.cpu.r[Cpu.RDI] = SystemMachine.DATA + 0x10000;
    m.cpu.r[Cpu.RCX] = 0x10000;
    Interpreter engine = Code.engine(m);
    assertEquals(Stop.BUDGET, engine.run(200));
    assertTrue(m.cpu.r[Cpu.RCX] != 0 && m.cpu.r[Cpu.RCX] < 0x10000);
    assertEquals(SystemMachine.CODE, m.cpu.rip);
    assertEquals(0, m.cpu.retired());
    engine.run(2000);
    assertEquals(0, m.cpu.r[Cpu.RCX]);
    assertEquals(SystemMachine.CODE + 2, m.cpu.rip);
  }

  @Test
  void an_interrupt_that_cannot_be_taken_does_not_stop_the_guest() {
    SystemMachine m = SystemMachine.long64(0);
    Code.put(m, "f3 aa eb fe");
    m.cpu.flagsRest &= ~Flags.IF;
    m.cpu.r[Cpu.RDI] = SystemMachine.DATA;
    m.cpu.r[Cpu.RCX] = 0x3000;
    m.cpu.request(Cpu.REQUEST_INTERRUPT);
    assertEquals(Stop.BUDGET, Code.engine(m).run(1000));
    assertEquals(0, m.cpu.r[Cpu.RCX]);
  }
}
