package org.kvm4j.cpu.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.testing.SystemMachine;

/** Code made machine code of the host's. */
final class MachineCodeTests extends CompiledCodeTests {
  @Override
  void compile(Interpreter engine, int after) {
    assumeTrue(engine.makeMachineCode(after), "no machine code on this host or JVM");
  }

  @Override
  long compiled(Interpreter engine) {
    return engine.machineBlocks();
  }

  private final SystemMachine machine = SystemMachine.long64(0);
  private final Interpreter engine = Code.engine(machine);

  @ParameterizedTest
  @CsvSource({
    // here: jmp here
    "eb fe, , 0",
    // here: or al, 1; jnz here
    "0c 01 75 fc, , 0",
    // here: jmp next; next: jmp here
    "eb 00 eb fc, , 0 2",
    // here: or al, 1; jnz next; next: jmp here
    "0c 01 75 00 eb fa, , 0 4",
    // here: call f; jmp here; f: ret
    "e8 02 00 00 00 eb f9 c3, , 0 5 7",
    // here: lea rax, [here]; jmp rax
    "48 8d 05 f9 ff ff ff ff e0, , 0",
    // here: lea rax, [here]; push rax; ret
    "48 8d 05 f9 ff ff ff 50 c3, , 0",
    // here: jmp there; there, in another page: jmp here
    "e9 fb 0f 00 00, e9 fb ef ff ff, 0 1000",
    // here: or al, 1; jnz there; there: jnz here
    "0c 01 0f 85 f8 0f 00 00, 0f 85 fa ef ff ff, 0 1000",
  })
  void a_request_of_another_thread_ends_a_loop_without_exits(
      String here, @Nullable String there, String blocks) throws InterruptedException {
    compile(engine, 0);
    Code.put(machine, here);
    if (there != null) {
      Code.put(machine, SystemMachine.CODE + 0x1000, there);
    }
    List<String> begins = List.of(blocks.split(" "));
    AtomicBoolean done = new AtomicBoolean();
    Thread other =
        new Thread(
            () -> {
              while (!done.get()) {
                machine.cpu.request(Cpu.REQUEST_KICK);
                LockSupport.parkNanos(100_000);
              }
            });
    other.start();
    try {
      for (int k = 0; k < 200; k++) {
        assertEquals(Interpreter.Stop.KICKED, engine.run(Long.MAX_VALUE / 4));
        String at = Long.toHexString(machine.cpu.rip - SystemMachine.CODE);
        assertTrue(begins.contains(at), at);
      }
    } finally {
      done.set(true);
      other.join();
    }
    assertTrue(compiled(engine) > 0);
  }

  @Test
  void code_without_end_is_made_in_the_room_there_is() {
    compile(engine, 0);
    // here: inc dword [there + 1]; there: mov eax, ...; add ebx, eax; dec ecx; jnz here; hlt
    Code.put(machine, "ff 05 01 00 00 00 b8 00 00 00 00 01 c3 ff c9 75 ef f4");
    machine.cpu.r[Cpu.RCX] = 3000;
    machine.cpu.r[Cpu.RBX] = 0;
    engine.run(1);
    engine.setMachineChunks(1);
    assertEquals(Interpreter.Stop.INACTIVE, engine.run(100_000));
    assertEquals(3000 * 3001 / 2, machine.cpu.r[Cpu.RBX]);
    assertTrue(compiled(engine) > 3000, () -> "made " + compiled(engine));
  }

  @Test
  void jumps_to_many_places_are_found_again() {
    compile(engine, 0);
    int functions = 3000;
    long code = SystemMachine.PAGES;
    // Each: add eax, 1; ret
    byte[] function = {(byte) 0x83, (byte) 0xc0, 1, (byte) 0xc3};
    for (int k = 0; k < functions; k++) {
      machine.memory.deviceWrite(code + 0x1000 + 16L * k, function, 0, function.length);
    }
    // again: lea rdx, [rbx + 16 * rcx]; call rdx; dec ecx; jns again; hlt
    Code.put(machine, "48 89 ca 48 c1 e2 04 48 01 da ff d2 ff c9 79 f0 f4");
    for (int round = 1; round <= 4; round++) {
      machine.cpu.rip = SystemMachine.CODE;
      machine.cpu.activity = Cpu.ACTIVE;
      machine.cpu.r[Cpu.RBX] = code + 0x1000;
      machine.cpu.r[Cpu.RCX] = functions - 1;
      assertEquals(Interpreter.Stop.INACTIVE, engine.run(1_000_000));
      assertEquals((long) round * functions, machine.cpu.r[Cpu.RAX]);
    }
    assertTrue(compiled(engine) > functions);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        // add ecx, -1; ret 0, or jmp.
        "83 c1 ff c2 00 00/83 c1 ff 66 eb fa",
        // The same with jnz.
        "83 c1 ff c2 00 00/83 c1 ff 66 75 fa",
        // A branch that leads elsewhere.
        "83 c1 ff eb fb/83 c1 ff eb fc",
        // A branch in the middle: two NOPs, or a jump and a NOP.
        "66 90 66 90 eb fa/eb fe 66 90 eb fa",
        // Instructions of other lengths.
        "0f 1f 00 90 eb fa/90 0f 1f 00 eb fa",
      })
  void code_that_another_processor_overwrites_without_having_told_yet(String code) {
    String[] parts = code.split("/");
    compile(engine, 4);
    long code0 = SystemMachine.CODE;
    Code.put(machine, parts[0]);
    for (int round = 0; round < 12; round++) {
      if (round == 2) {
        byte[] after = HexFormat.of().parseHex(parts[1].replace(" ", ""));
        machine.memory.write(code0, after);
      }
      machine.cpu.rip = code0;
      machine.cpu.r[Cpu.RSP] = SystemMachine.STACK0 - 8;
      machine.memory.writeLong(SystemMachine.STACK0 - 8, code0);
      // What was decoded is gone on with until that is told.
      assertEquals(Interpreter.Stop.BUDGET, engine.run(3));
      assertEquals(0, machine.cpu.countdown);
    }
    machine.memory.notifyCodeWrite(code0, parts[1].length() / 3 + 1);
    machine.cpu.rip = code0;
    assertEquals(Interpreter.Stop.BUDGET, engine.run(100));
  }
}
