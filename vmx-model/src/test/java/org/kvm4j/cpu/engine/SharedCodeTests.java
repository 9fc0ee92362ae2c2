package org.kvm4j.cpu.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.engine.Interpreter.Stop;
import org.kvm4j.cpu.testing.SystemMachine;

/** Machine code that several processors run, one of which has made it. */
final class SharedCodeTests {
  private static final int CODE = SystemMachine.CODE;
  private static final int DATA = SystemMachine.DATA;

  private final SystemMachine first = SystemMachine.long64(0);
  private final SharedCode shared = new SharedCode(first.memory);
  private final List<SystemMachine> machines = new ArrayList<>(List.of(first));
  private final List<Interpreter> engines = new ArrayList<>();

  /** Makes processors that share their code. */
  private void processors(int count, int after) {
    while (machines.size() < count) {
      machines.add(first.beside(0));
    }
    for (SystemMachine m : machines) {
      Interpreter engine = Code.engine(m);
      assumeTrue(engine.makeMachineCode(after, shared), "no machine code on this host or JVM");
      m.cpu.r[Cpu.RSP] = SystemMachine.STACK0 - 0x200 * engines.size();
      engines.add(engine);
    }
  }

  @AfterEach
  void close() {
    engines.forEach(Interpreter::close);
    assertFalse(shared.isThere(), "who has left last has given all back");
    assertFalse(first.memory.holdsCode(CODE));
  }

  private Cpu cpu(int k) {
    return machines.get(k).cpu;
  }

  /** Runs a processor from an address until it halts. */
  private void run(int k, long rip) {
    cpu(k).activity = Cpu.ACTIVE;
    cpu(k).rip = rip;
    assertEquals(Stop.INACTIVE, engines.get(k).run(1_000_000), "processor " + k);
  }

  /** Runs all processors at the same time, each from its address until it halts. */
  private void runAll(long... rips) throws Exception {
    ExecutorService threads = Executors.newFixedThreadPool(rips.length);
    try {
      List<Callable<Stop>> runs = new ArrayList<>();
      for (int k = 0; k < rips.length; k++) {
        Interpreter engine = engines.get(k);
        cpu(k).activity = Cpu.ACTIVE;
        cpu(k).rip = rips[k];
        runs.add(
            () -> {
              Stop stop = Stop.BUDGET;
              while (stop == Stop.BUDGET) {
                stop = engine.run(5_000);
                // Others may be waited for.
                Thread.yield();
              }
              return stop;
            });
      }
      for (Future<Stop> run : threads.invokeAll(runs, 120, TimeUnit.SECONDS)) {
        assertEquals(Stop.INACTIVE, run.get());
      }
    } finally {
      threads.shutdownNow();
    }
  }

  @Test
  void what_one_processor_has_made_the_others_run() {
    processors(3, 0);
    // here: add rbx, rcx; jmp next; next: dec ecx; jnz here; hlt
    Code.put(first, CODE, "48 01 cb eb 00 ff c9 75 f7 f4");
    for (int k = 0; k < 3; k++) {
      cpu(k).r[Cpu.RCX] = 100;
      cpu(k).r[Cpu.RBX] = 0;
      run(k, CODE);
      assertEquals(5050, cpu(k).r[Cpu.RBX]);
    }
    assertTrue(engines.get(0).machineBlocks() >= 2);
    assertEquals(0, engines.get(1).machineBlocks());
    assertEquals(0, engines.get(2).machineBlocks());
  }

  /** Each exit of a block that the processor has come to by a link, and has never decoded. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "0f 31 90", // rdtsc
        "0f 31 0f 31 90", // rdtsc; rdtsc
        "48 8b 04 25 00 00 05 00", // mov rax, [50000]: the TLB does not have it
        "ff 34 25 00 00 05 00 58", // push [50000]; pop rax
        "0f 57 c0 0f 58 c0", // xorps xmm0, xmm0; addps xmm0, xmm0
        "0f a2 31 c0 31 db 31 d2", // cpuid
        "eb 00 90 eb 00", // jumps
        "74 00 75 00 90", // conditional jumps
        "48 8d 05 03 00 00 00 ff e0 90 90", // lea rax, [+3]; jmp rax; nop; nop
        "e8 00 00 00 00 58", // call +0; pop rax
        "f3 90 90", // pause
        "fa fb 90", // cli; sti
      })
  void blocks_that_a_link_has_led_to_are_left_as_others(String body) {
    processors(2, 0);
    cpu(0).cr4 |= 0x200; // OSFXSR
    cpu(1).cr4 |= 0x200;
    int length = body.split(" ").length;
    // here: jmp body; body: ...; jmp on; on: inc edi; dec esi; jnz here; hlt
    String back = "%02x".formatted(-(2 + length + 2 + 4 + 2) & 0xff);
    Code.put(first, CODE, "eb 00 " + body + " eb 00 ff c7 ff ce 75 " + back + " f4");
    for (int round = 0; round < 3; round++) {
      for (int k = 0; k < 2; k++) {
        cpu(k).r[Cpu.RSI] = 20 + round;
        cpu(k).r[Cpu.RDI] = 0;
        cpu(k).mmu.flushAll();
        cpu(k).rip = CODE;
        cpu(k).activity = Cpu.ACTIVE;
        // The first steps end anywhere in there.
        for (int budget = 1; budget < 30; budget += 3) {
          engines.get(k).run(budget);
        }
        if (cpu(k).activity == Cpu.ACTIVE) {
          run(k, cpu(k).rip);
        }
        assertEquals(20 + round, cpu(k).r[Cpu.RDI], "processor " + k);
        assertEquals(0, cpu(k).r[Cpu.RSI], "processor " + k);
      }
    }
    assertEquals(0, engines.get(1).machineBlocks());
  }

  @Test
  void the_same_bytes_in_another_mode_are_other_code() {
    processors(2, 0);
    SystemMachine compatible = SystemMachine.compatibility(0);
    // 64-bit: inc rax; hlt. 32-bit: dec eax; inc eax; hlt
    Code.put(first, CODE, "48 ff c0 eb 00 f4");
    Code.put(compatible, CODE, "48 ff c0 eb 00 f4");
    run(0, CODE);
    assertEquals(1, cpu(0).r[Cpu.RAX]);
    cpu(1).seg[Cpu.CS].ar = compatible.cpu.seg[Cpu.CS].ar;
    cpu(1).updateMode();
    run(1, CODE);
    assertEquals(0, cpu(1).r[Cpu.RAX]);
  }

  @Test
  void a_store_of_a_device_unlinks_what_it_overwrites() {
    processors(2, 0);
    // here: jmp there; there: mov eax, 1; hlt
    Code.put(first, CODE, "eb 0e");
    for (int value = 1; value < 50; value++) {
      Code.put(first, CODE + 0x10, "b8 %02x 00 00 00 f4".formatted(value));
      for (int k = 0; k < 2; k++) {
        run(k, CODE);
        assertEquals(value, cpu(k).r[Cpu.RAX], "processor " + k);
      }
    }
  }

  @Test
  void code_that_no_processor_has_decoded_any_more_is_overwritten_all_the_same() {
    processors(2, 0);
    // here: jmp there; there: mov eax, 1; jmp end; end: hlt
    Code.put(first, CODE, "eb 0e");
    Code.put(first, CODE + 0x10, "b8 01 00 00 00 eb 09");
    Code.put(first, CODE + 0x20, "f4");
    run(0, CODE);
    // The other one comes there by a link, and what it has decoded itself is overwritten.
    run(1, CODE);
    engines.get(0).close();
    Code.put(first, CODE, "66 90 eb 0c");
    Code.put(first, CODE + 0x20, "f4");
    cpu(1).activity = Cpu.ACTIVE;
    cpu(1).rip = CODE + 0x2000; // elsewhere
    engines.get(1).run(1);
    Code.put(first, CODE + 0x10, "b8 02 00 00 00 eb 09");
    run(1, CODE);
    assertEquals(2, cpu(1).r[Cpu.RAX]);
  }

  @Test
  void code_that_has_been_overwritten_is_not_used_before_that_is_told() {
    processors(2, 0);
    Code.put(first, CODE, "b8 01 00 00 00 f4"); // mov eax, 1; hlt
    run(0, CODE);
    first.memory.writeByte(CODE + 1, (byte) 2);
    run(1, CODE);
    assertEquals(2, cpu(1).r[Cpu.RAX]);
    first.memory.notifyCodeWrite(CODE + 1, 1);
    run(0, CODE);
    assertEquals(2, cpu(0).r[Cpu.RAX]);
  }

  /** The store was under way when the other one marked the page, so nobody is ever told. */
  @Test
  void nor_is_what_links_lead_to() {
    processors(2, 0);
    Code.put(first, CODE, "eb 00 b8 01 00 00 00 f4"); // jmp f; f: mov eax, 1; hlt
    run(0, CODE);
    first.memory.writeByte(CODE + 3, (byte) 2);
    run(1, CODE);
    assertEquals(2, cpu(1).r[Cpu.RAX]);
  }

  private MachineBlock code(int k, int offset) {
    Block block = Objects.requireNonNull(engines.get(k).block(CODE, offset, cpu(k).modeKey));
    return Objects.requireNonNull(block.machine).code;
  }

  @Test
  void what_another_processor_has_dropped_is_run_no_more() {
    processors(2, 0);
    // here: call f; dec ecx; jnz here; hlt; f: jmp g; g: inc eax; ret
    Code.put(first, CODE, "e8 05 00 00 00 ff c9 75 f7 f4 eb 00 ff c0 c3");
    for (int k = 0; k < 2; k++) {
      cpu(k).r[Cpu.RCX] = 20;
      run(k, CODE);
    }
    MachineBlock before = code(0, 0xa);
    engines.get(1).machine.marked(CODE);
    assertFalse(before.dead);
    first.memory.writeByte(CODE + 0xd, (byte) 0xc8); // dec eax
    engines.get(1).machine.marked(CODE);
    assertTrue(code(0, 0xc).dead);
    cpu(0).r[Cpu.RCX] = 20;
    run(0, CODE);
    assertFalse(code(0, 0).dead);
    assertFalse(code(0, 0xa).dead);
    assertFalse(code(0, 0xc).dead);
  }

  @Test
  void an_instruction_that_touches_devices_on_one_processor_is_others_machine_code() {
    processors(2, 0);
    // here: mov eax, [rdi]; dec ecx; jnz here; hlt
    Code.put(first, CODE, "8b 07 ff c9 75 fa f4");
    for (int round = 0; round < 3; round++) {
      for (int k = 0; k < 2; k++) {
        cpu(k).r[Cpu.RDI] = DATA;
        cpu(k).r[Cpu.RCX] = 20;
        run(k, CODE);
        assertEquals(0, code(k, 0).devices);
        if (round == 0 && k == 0) {
          // So far it is alone.
          Objects.requireNonNull(engines.get(0).block(CODE, 0, cpu(0).modeKey)).page.setDevice(0);
          cpu(0).r[Cpu.RCX] = 20;
          run(0, CODE);
          assertEquals(1, code(0, 0).devices);
        }
      }
    }
  }

  @Test
  void processors_with_different_pages_behind_one_do_not_make_its_code_anew_without_end() {
    processors(2, 0);
    long page = SystemMachine.PAGES + 0x4000;
    long[] second = {page + 0x1000, page + 0x2000};
    // mov eax, imm32, of which the last two bytes are in the next page; hlt
    Code.put(first, page + 0xffd, "b8 01 00");
    Code.put(first, second[0], "05 00 f4");
    Code.put(first, second[1], "06 00 f4");
    for (int round = 0; round < 40; round++) {
      for (int k = 0; k < 2; k++) {
        first.map(second[0], second[k]);
        cpu(k).mmu.flushAll();
        run(k, page + 0xffd);
        assertEquals(0x50001 + 0x10000 * k, cpu(k).r[Cpu.RAX]);
      }
    }
    long made = engines.get(0).machineBlocks() + engines.get(1).machineBlocks();
    assertTrue(made < 20, () -> "made " + made);
    first.map(second[0], second[0]);
  }

  @Test
  void a_store_to_a_block_that_another_processor_has_made_ends_it_at_once() {
    processors(2, 0);
    // here: jmp there; there: mov [rdi], ecx; jmp on; on: mov eax, imm; hlt
    Code.put(first, CODE, "eb 00 89 0f eb 00 b8 00 00 00 00 f4");
    for (int round = 1; round < 100; round++) {
      for (int k = 0; k < 2; k++) {
        cpu(k).r[Cpu.RDI] = CODE + 7;
        cpu(k).r[Cpu.RCX] = 2 * round + k;
        run(k, CODE);
        assertEquals(2 * round + k, cpu(k).r[Cpu.RAX], "processor " + k);
      }
    }
  }

  /**
   * Has a processor be about to run a program that overwrites its function's constant each time.
   */
  private void patching(int k, long at, int rounds) {
    cpu(k).r[Cpu.RDI] = at + 5;
    cpu(k).r[Cpu.RCX] = rounds;
    cpu(k).r[Cpu.RBX] = 0;
    // here: mov [rdi+1], ecx; jmp f; f: mov eax, imm; add rbx, rax; dec ecx; jnz here; hlt
    Code.put(first, at, "89 4f 01 eb 00 b8 00 00 00 00 48 01 c3 ff c9 75 ef f4");
  }

  @Test
  void own_stores_are_seen_at_once_while_others_run_the_same_code() throws Exception {
    int rounds = 20_000;
    processors(4, 1);
    for (int k = 0; k < 2; k++) {
      // All in one page, and in lines that they share.
      patching(k, CODE + 0x20 * k, rounds);
    }
    // Those store elsewhere, and run the loop of the first one.
    for (int k = 2; k < 4; k++) {
      cpu(k).r[Cpu.RDI] = DATA + 0x100 * k;
      cpu(k).r[Cpu.RCX] = rounds;
      cpu(k).r[Cpu.RBX] = 0;
    }
    runAll(CODE, CODE + 0x20, CODE, CODE);
    long sum = (long) rounds * (rounds + 1) / 2;
    assertEquals(sum, cpu(0).r[Cpu.RBX]);
    assertEquals(sum, cpu(1).r[Cpu.RBX]);
    for (int k = 2; k < 4; k++) {
      assertEquals(0, cpu(k).r[Cpu.RCX] & 0xffff_ffffL);
      long most = (long) rounds * rounds;
      assertTrue(cpu(k).r[Cpu.RBX] >= 0 && cpu(k).r[Cpu.RBX] <= most, "only what was stored");
    }
  }

  /** SDM Vol. 3, "Handling Self- and Cross-Modifying Code": with a flag, and CPUID after it. */
  @Test
  void what_another_processor_has_stored_before_it_has_told_is_executed() throws Exception {
    int rounds = 5_000;
    processors(2, 1);
    int flag = DATA;
    int answer = DATA + 0x400;
    int writer = CODE;
    int reader = CODE + 0x800;
    // here: mov [f+1], ecx; mov [flag], ecx; wait: pause; cmp [answer], ecx; jne wait;
    // dec ecx; jnz here; hlt
    Code.put(
        first,
        writer,
        "89 0c 25 21 0c 04 00 89 0c 25 00 00 05 00 f3 90 39 0c 25 00 04 05 00 75 f5"
            + " ff c9 75 e3 f4");
    // here: pause; cmp [flag], esi; jne here; xor eax, eax; cpuid; call f; cmp eax, esi; jne bad;
    // mov [answer], esi; dec esi; jnz here; hlt; bad: inc edi; hlt
    Code.put(
        first,
        reader,
        "f3 90 39 34 25 00 00 05 00 75 f5 31 c0 0f a2 e8 0c 04 00 00 39 f0 75 0c"
            + " 89 34 25 00 04 05 00 ff ce 75 dd f4 ff c7 f4");
    Code.put(first, CODE + 0xc20, "b8 00 00 00 00 eb 00 c3");
    assertEquals(CODE + 0xc20, reader + 0x14 + 0x40c);
    cpu(0).r[Cpu.RCX] = rounds;
    cpu(1).r[Cpu.RSI] = rounds;
    cpu(1).r[Cpu.RDI] = 0;
    runAll(writer, reader);
    assertEquals(0, cpu(1).r[Cpu.RDI], "old code was executed");
    assertEquals(0, cpu(1).r[Cpu.RSI]);
    assertEquals(flag + 0x400, answer);
  }

  @Test
  void code_without_end_of_several_processors_is_made_in_the_room_there_is() throws Exception {
    int rounds = 6_000;
    processors(3, 0);
    for (int k = 0; k < 3; k++) {
      patching(k, CODE + 0x1000 * k, rounds);
      cpu(k).rip = CODE + 0x1000 * k;
      engines.get(k).run(1);
    }
    engines.get(0).setMachineChunks(1);
    runAll(CODE, CODE + 0x1000, CODE + 0x2000);
    for (int k = 0; k < 3; k++) {
      assertEquals((long) rounds * (rounds + 1) / 2, cpu(k).r[Cpu.RBX], "processor " + k);
    }
  }

  @Test
  void who_drops_all_code_has_others_find_theirs_again() throws Exception {
    int rounds = 3_000_000;
    processors(2, 1);
    // here: add rbx, rcx; jmp next; next: dec ecx; jnz here; hlt
    Code.put(first, CODE, "48 01 cb eb 00 ff c9 75 f7 f4");
    AtomicBoolean done = new AtomicBoolean();
    Interpreter dropping = engines.get(1);
    Thread other =
        new Thread(
            () -> {
              while (!done.get()) {
                cpu(1).activity = Cpu.ACTIVE;
                cpu(1).rip = CODE;
                cpu(1).r[Cpu.RCX] = 10;
                dropping.run(1_000);
                dropping.dropAll();
              }
            });
    other.start();
    try {
      cpu(0).r[Cpu.RCX] = rounds;
      cpu(0).r[Cpu.RBX] = 0;
      cpu(0).rip = CODE;
      cpu(0).activity = Cpu.ACTIVE;
      assertEquals(Stop.INACTIVE, engines.get(0).run(Long.MAX_VALUE / 4));
      assertEquals((long) rounds * (rounds + 1) / 2, cpu(0).r[Cpu.RBX]);
    } finally {
      done.set(true);
      other.join();
    }
  }
}
