package org.kvm4j.cpu.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.cpu.msr.MsrTable.*;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.engine.Interpreter.Stop;
import org.kvm4j.cpu.testing.SystemMachine;

/** What performance counters count of code that runs, and where they overflow. */
final class PerformanceCounterTests {
  private static final long ENABLE = 1 << 22;
  private static final long INTERRUPT = 1 << 20;
  private static final long SYSTEM = 1 << 17;
  private static final long USER = 1 << 16;
  private static final int INSTRUCTIONS = 0xc0;
  private static final int CYCLES = 0x3c;
  private static final int REFERENCE_CYCLES = 0x13c;
  private static final long FULL = 1L << 48;

  private static Interpreter engine(SystemMachine m, boolean translated) {
    Interpreter engine = Code.engine(m);
    if (translated) {
      engine.translate(0, null);
    }
    return engine;
  }

  private static void set(SystemMachine m, int index, long value) {
    assertTrue(write(m.cpu, index, value), name(index));
  }

  private static long get(SystemMachine m, int index) {
    long[] value = new long[1];
    assertTrue(read(m.cpu, index, value), name(index));
    return value[0];
  }

  /** Has the fixed counter of instructions interrupt after so many of them, at every level. */
  private static void overflowAfter(SystemMachine m, long instructions) {
    set(m, IA32_FIXED_CTR0, FULL - instructions);
    set(m, IA32_FIXED_CTR_CTRL, 0xb);
    set(m, IA32_PERF_GLOBAL_CTRL, 1L << 32);
  }

  // ---- what is counted

  /**
   * At CPL 3 NOP, INT 40H, DEC ECX, JNZ back to the first; the handler is NOP and IRET: four
   * instructions of the one and two of the other level.
   */
  private static SystemMachine levels() {
    SystemMachine m = SystemMachine.long64(3);
    m.idt(SystemMachine.LONG0, 0xee);
    Code.put(m, "90 cd 40 ff c9 75 f9 eb fe");
    Code.put(m, SystemMachine.handler(0x40), "90 48 cf");
    m.cpu.r[Cpu.RCX] = 1 << 20;
    return m;
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void instructions_count_at_the_privilege_level_they_begin_at(boolean translated) {
    SystemMachine m = levels();
    set(m, IA32_PERFEVTSEL0, ENABLE | SYSTEM | INSTRUCTIONS);
    set(m, IA32_PERFEVTSEL0 + 1, ENABLE | USER | INSTRUCTIONS);
    set(m, IA32_PERFEVTSEL0 + 2, ENABLE | USER | SYSTEM | CYCLES);
    set(m, IA32_PERFEVTSEL0 + 3, ENABLE | USER | REFERENCE_CYCLES);
    set(m, IA32_FIXED_CTR_CTRL, 0x123);
    set(m, IA32_PERF_GLOBAL_CTRL, 0x7_0000_000fL);
    Interpreter engine = engine(m, translated);
    // A budget that ends everywhere in a round.
    int units = 0;
    for (int budget = 1; units < 6000; budget = budget % 97 + 1) {
      int part = Math.min(budget, 6000 - units);
      assertEquals(Stop.BUDGET, engine.run(part));
      units += part;
    }
    assertEquals(2000, get(m, IA32_PMC0));
    assertEquals(4000, get(m, IA32_PMC0 + 1));
    assertEquals(6000, get(m, IA32_PMC0 + 2));
    assertEquals(4000, get(m, IA32_PMC0 + 3));
    assertEquals(6000, get(m, IA32_FIXED_CTR0));
    assertEquals(4000, get(m, IA32_FIXED_CTR0 + 1));
    assertEquals(2000, get(m, IA32_FIXED_CTR0 + 2));
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void code_counts_what_is_after_the_WRMSR_that_begins_up_to_the_one_that_ends(boolean translated) {
    SystemMachine m = SystemMachine.long64(0);
    set(m, IA32_FIXED_CTR_CTRL, 1);
    // wrmsr; L: nop; nop; dec ebx; jnz L; xor edx, edx; wrmsr; hlt
    Code.put(m, "0f 30 90 90 ff cb 75 fa 31 d2 0f 30 f4");
    m.cpu.r[Cpu.RCX] = IA32_PERF_GLOBAL_CTRL;
    m.cpu.r[Cpu.RDX] = 1;
    m.cpu.r[Cpu.RBX] = 1000;
    assertEquals(Stop.INACTIVE, engine(m, translated).run(10_000));
    assertEquals(4002, get(m, IA32_FIXED_CTR0));
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void two_RDPMCs_differ_by_what_is_between_them(boolean translated) {
    SystemMachine m = SystemMachine.long64(0);
    overflowAfter(m, FULL);
    // L: nop; rdpmc; mov ebx, eax; nop; nop; rdpmc; sub eax, ebx; dec esi; jnz L; hlt
    Code.put(m, "90 0f 33 89 c3 90 90 0f 33 29 d8 ff ce 75 f1 f4");
    m.cpu.r[Cpu.RCX] = 1 << 30;
    m.cpu.r[Cpu.RSI] = 50;
    assertEquals(Stop.INACTIVE, engine(m, translated).run(10_000));
    assertEquals(4, m.cpu.r[Cpu.RAX]);
    assertEquals(451, get(m, IA32_FIXED_CTR0));
  }

  @Test
  void what_faults_does_not_count_and_its_delivery_is_a_cycle() {
    SystemMachine m = SystemMachine.long64(0);
    m.idt(SystemMachine.LONG0, 0x8e);
    // UD2, whose handler goes on behind it; INT 50H without a gate: #NP, likewise.
    m.idt(0x50, SystemMachine.LONG0, 0, 0x0e, 0);
    Code.put(m, "0f 0b cd 50 f4");
    Code.put(m, SystemMachine.handler(Vector.UD), "48 83 04 24 02 48 cf");
    Code.put(m, SystemMachine.handler(Vector.NP), "59 48 83 04 24 02 48 cf");
    overflowAfter(m, FULL);
    set(m, IA32_PERFEVTSEL0, ENABLE | SYSTEM | CYCLES);
    set(m, IA32_PERF_GLOBAL_CTRL, 0x1_0000_0001L);
    assertEquals(Stop.INACTIVE, Code.engine(m).run(100));
    assertEquals(6, get(m, IA32_FIXED_CTR0), "two of the one handler, three of the other, HLT");
    assertEquals(8, get(m, IA32_PMC0));
  }

  @Test
  void a_repeated_instruction_is_one_and_its_iterations_are_cycles() {
    SystemMachine m = SystemMachine.long64(0);
    Code.put(m, "f3 ac f4"); // rep lodsb
    m.cpu.r[Cpu.RSI] = SystemMachine.DATA;
    m.cpu.r[Cpu.RCX] = 500;
    set(m, IA32_FIXED_CTR_CTRL, 0x11);
    set(m, IA32_PERF_GLOBAL_CTRL, 3L << 32);
    Interpreter engine = Code.engine(m);
    while (m.cpu.activity == Cpu.ACTIVE) {
      engine.run(70);
    }
    assertEquals(2, get(m, IA32_FIXED_CTR0));
    assertEquals(m.cpu.elapsed(), get(m, IA32_FIXED_CTR0 + 1));
    assertTrue(m.cpu.elapsed() > 400);
  }

  @ParameterizedTest
  @ValueSource(
      longs = {
        INSTRUCTIONS | SYSTEM,
        ENABLE | INSTRUCTIONS,
        ENABLE | SYSTEM | 0xc4,
        ENABLE | SYSTEM | 0x1c0,
        ENABLE | SYSTEM | INSTRUCTIONS | 1 << 18,
        ENABLE | SYSTEM | INSTRUCTIONS | 1 << 24
      })
  void what_no_event_matches_counts_nothing(long select) {
    SystemMachine m = SystemMachine.long64(0);
    Code.put(m, "90 eb fd");
    set(m, IA32_PERFEVTSEL0, select);
    assertEquals(Stop.BUDGET, Code.engine(m).run(100));
    assertEquals(0, get(m, IA32_PMC0));
  }

  // ---- overflow

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void an_overflow_interrupts_right_after_the_instruction(boolean translated) {
    for (int after = 1; after <= 40; after++) {
      SystemMachine m = SystemMachine.long64(0);
      Code.put(m, "90 90 90 90 90 eb f9");
      overflowAfter(m, after);
      m.onPerformanceInterrupt = () -> m.cpu.request(Cpu.REQUEST_KICK);
      assertEquals(Stop.KICKED, engine(m, translated).run(1000));
      assertEquals(after, m.cpu.retired());
      assertEquals(SystemMachine.CODE + after % 6, m.cpu.rip);
      assertEquals(1, m.performanceInterrupts);
      assertEquals(0, get(m, IA32_FIXED_CTR0));
      assertEquals(1L << 32, get(m, IA32_PERF_GLOBAL_STATUS));
      set(m, IA32_PERF_GLOBAL_OVF_CTRL, 1L << 32);
      assertEquals(0, get(m, IA32_PERF_GLOBAL_STATUS));
    }
  }

  @Test
  void a_counter_goes_on_after_its_overflow_and_others_with_it() {
    SystemMachine m = SystemMachine.long64(0);
    Code.put(m, "90 eb fd");
    overflowAfter(m, 10);
    set(m, IA32_A_PMC0, FULL - 30);
    set(m, IA32_PERFEVTSEL0, ENABLE | SYSTEM | INTERRUPT | CYCLES);
    set(m, IA32_A_PMC0 + 1, FULL - 20);
    set(m, IA32_PERFEVTSEL0 + 1, ENABLE | SYSTEM | CYCLES);
    set(m, IA32_PERF_GLOBAL_CTRL, 0x1_0000_0003L);
    assertEquals(Stop.BUDGET, Code.engine(m).run(100));
    assertEquals(100, m.cpu.elapsed());
    assertEquals(90, get(m, IA32_FIXED_CTR0));
    assertEquals(70, get(m, IA32_PMC0));
    assertEquals(80, get(m, IA32_PMC0 + 1));
    assertEquals(0x1_0000_0003L, get(m, IA32_PERF_GLOBAL_STATUS));
    assertEquals(2, m.performanceInterrupts, "counter 1 asks for none");
  }

  @Test
  void an_overflow_at_another_level_waits_for_that_level() {
    SystemMachine m = levels();
    set(m, IA32_A_PMC0, FULL - 5);
    set(m, IA32_PERFEVTSEL0, ENABLE | SYSTEM | INTERRUPT | INSTRUCTIONS);
    m.onPerformanceInterrupt = () -> m.cpu.request(Cpu.REQUEST_KICK);
    assertEquals(Stop.KICKED, Code.engine(m).run(1000));
    // Of the third round NOP, INT and the handler's NOP.
    assertEquals(15, m.cpu.retired());
    assertEquals(SystemMachine.handler(0x40) + 1, m.cpu.rip);
  }

  @Test
  void the_end_of_the_budget_is_not_taken_for_an_overflow() {
    SystemMachine m = SystemMachine.long64(0);
    Code.put(m, "90 eb fd");
    overflowAfter(m, 100);
    Interpreter engine = Code.engine(m);
    for (int k = 0; k < 33; k++) {
      assertEquals(Stop.BUDGET, engine.run(3));
    }
    assertEquals(FULL - 1, get(m, IA32_FIXED_CTR0));
    assertEquals(Stop.BUDGET, engine.run(1), "both at once");
    assertEquals(1, m.performanceInterrupts);
    assertEquals(100, m.cpu.elapsed());
  }

  @Test
  void a_processor_that_halts_with_the_overflow_is_woken_by_it() {
    SystemMachine m = SystemMachine.long64(0);
    Code.put(m, "90 f4");
    overflowAfter(m, 2);
    assertEquals(Stop.INACTIVE, Code.engine(m).run(1000));
    assertEquals(1, m.performanceInterrupts);
  }

  @Test
  void counters_freeze_on_the_interrupt_where_that_is_asked_for() {
    SystemMachine m = SystemMachine.long64(0);
    Code.put(m, "90 eb fd");
    overflowAfter(m, 10);
    set(m, IA32_DEBUGCTL, 1 << 12);
    assertEquals(Stop.BUDGET, Code.engine(m).run(100));
    assertEquals(0, get(m, IA32_FIXED_CTR0));
    assertEquals(0, get(m, IA32_PERF_GLOBAL_CTRL));
    assertEquals(1L << 32, get(m, IA32_PERF_GLOBAL_STATUS));
  }

  @Test
  void the_interrupt_ends_the_recording_of_branches_where_that_is_asked_for() {
    SystemMachine m = SystemMachine.long64(0);
    Code.put(m, "90 eb fd");
    overflowAfter(m, 10);
    set(m, IA32_DEBUGCTL, 1 << 11 | 1);
    assertEquals(Stop.BUDGET, Code.engine(m).run(9));
    assertEquals(1 << 11 | 1, get(m, IA32_DEBUGCTL));
    Code.engine(m).run(100);
    assertEquals(1 << 11, get(m, IA32_DEBUGCTL));
    assertNotEquals(0, get(m, IA32_PERF_GLOBAL_CTRL));
  }

  @Test
  void a_repeated_instruction_goes_on_over_an_overflow() {
    SystemMachine m = SystemMachine.long64(0);
    Code.put(m, "f3 aa f4");
    m.cpu.r[Cpu.RDI] = SystemMachine.DATA;
    m.cpu.r[Cpu.RCX] = 0x3001;
    set(m, IA32_FIXED_CTR0 + 1, FULL - 20);
    set(m, IA32_FIXED_CTR_CTRL, 0xb0);
    set(m, IA32_PERF_GLOBAL_CTRL, 2L << 32);
    assertEquals(Stop.INACTIVE, Code.engine(m).run(10_000));
    assertEquals(0, m.cpu.r[Cpu.RCX]);
    assertEquals(1, m.performanceInterrupts);
    assertEquals(m.cpu.elapsed() - 20, get(m, IA32_FIXED_CTR0 + 1));
  }

  // ---- reset

  @Test
  void reset_clears_counters_and_INIT_keeps_them() {
    SystemMachine m = SystemMachine.long64(0);
    overflowAfter(m, 7);
    m.cpu.init();
    assertEquals(FULL - 7, get(m, IA32_FIXED_CTR0));
    assertEquals(0xb, get(m, IA32_FIXED_CTR_CTRL));
    m.cpu.reset();
    assertEquals(0, get(m, IA32_FIXED_CTR0));
    assertEquals(0, get(m, IA32_FIXED_CTR_CTRL));
    assertEquals(0xf, get(m, IA32_PERF_GLOBAL_CTRL));
    assertFalse(m.cpu.isAtBound());
  }
}
