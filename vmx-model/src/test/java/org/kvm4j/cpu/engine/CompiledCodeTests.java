package org.kvm4j.cpu.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.testing.SystemMachine;

/** Compiled code against the interpreter: the same state after each slice of the same program. */
abstract class CompiledCodeTests {
  private static final int PROGRAMS = 60;
  private static final int SLICES = 24;

  /**
   * Has an engine compile code.
   *
   * @param after how many executions of a block
   */
  abstract void compile(Interpreter engine, int after);

  /** How often an engine has compiled something. */
  abstract long compiled(Interpreter engine);

  private final SystemMachine plain = SystemMachine.long64(0);
  private final SystemMachine translated = SystemMachine.long64(0);
  private final Interpreter interpreter = Code.engine(plain);
  private final Interpreter translator = Code.engine(translated);

  CompiledCodeTests() {
    // Whatever -Dorg.kvm4j.cpu.machine asks for.
    interpreter.heat = -1;
  }

  private void put(int address, byte[] bytes) {
    for (SystemMachine m : new SystemMachine[] {plain, translated}) {
      m.memory.deviceWrite(address, bytes, 0, bytes.length);
    }
  }

  /** Puts both processors at an offset of the program, with the same random registers. */
  private void start(SplittableRandom random, int offset) {
    long seed = random.nextLong();
    for (SystemMachine m : new SystemMachine[] {plain, translated}) {
      SplittableRandom r = new SplittableRandom(seed);
      m.restart(0, false);
      Cpu c = m.cpu;
      for (int k = 0; k < 16; k++) {
        c.r[k] = r.nextInt(3) == 0 ? r.nextLong() : r.nextInt(3) - 1;
      }
      c.r[Cpu.RSP] = SystemMachine.STACK0;
      c.r[Cpu.RBP] = SystemMachine.STACK0 - 0x100;
      c.r[Cpu.RBX] = r.nextInt(12) == 0 ? SystemMachine.CODE + 64 : SystemMachine.DATA + 0x800;
      c.r[Cpu.RSI] = SystemMachine.DATA + 0x1000 - r.nextInt(16);
      c.r[Cpu.RDI] = SystemMachine.DATA + 0x100 + r.nextInt(256);
      c.r[11] = SystemMachine.DATA + 0x400;
      c.r[14] = SystemMachine.PAGES + 0x1000 - r.nextInt(8);
      c.rip = SystemMachine.CODE + offset;
      c.setRflags(r.nextInt() & 0x8d5 | 2);
      c.cr4 |= ControlBits.CR4_OSFXSR | ControlBits.CR4_OSXMMEXCPT;
      int[] controls = {0x1fa0, 0x1fa0, 0x1fa0, 0x1f80, 0x9fc0, 0x7fa0, 0x1f00, 0x1e80};
      int mxcsr = controls[r.nextInt(controls.length)];
      c.xsaveArea[24] = (byte) mxcsr;
      c.xsaveArea[25] = (byte) (mxcsr >> 8);
      ByteBuffer registers = ByteBuffer.wrap(c.xsaveArea).order(ByteOrder.LITTLE_ENDIAN);
      for (int at = 160; at < 416; at += 8) {
        switch (r.nextInt(4)) {
          case 0 -> registers.putLong(at, r.nextLong());
          case 1 -> registers.putLong(at, r.nextInt(3) - 1);
          case 2 -> registers.putFloat(at, r.nextInt(2000) / 16f).putFloat(at + 4, -r.nextInt(9));
          default -> registers.putDouble(at, r.nextInt(100_000) / 64.0 - 500);
        }
      }
      c.updateMode();
    }
  }

  private void compare(String what) {
    SameState.check(plain.cpu, translated.cpu, what);
  }

  private void compareMemory(String what, int length) {
    byte[] a = new byte[length];
    byte[] b = new byte[a.length];
    plain.memory.read(0, a);
    translated.memory.read(0, b);
    assertArrayEquals(
        a, b, () -> what + ": memory at " + Integer.toHexString(Arrays.mismatch(a, b)));
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 3})
  void random_programs_do_the_same_translated(int after) {
    programsDoTheSame(after, 0);
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 2})
  void random_vector_programs_do_the_same_translated(int after) {
    programsDoTheSame(after, 70);
  }

  private void programsDoTheSame(int after, int vectors) {
    compile(translator, after);
    for (int seed = 0; seed < PROGRAMS; seed++) {
      SplittableRandom random = new SplittableRandom(seed * 3L + after);
      RandomProgram program = new RandomProgram(random, 20 + random.nextInt(150), vectors);
      put(SystemMachine.CODE, program.bytes);
      start(random, 0);
      for (int slice = 0; slice < SLICES; slice++) {
        String what = "program " + seed + ", slice " + slice;
        long budget = 1 + random.nextInt(random.nextInt(4) == 0 ? 10 : 1500);
        assertEquals(interpreter.run(budget), translator.run(budget), what);
        compare(what);
        if (plain.cpu.activity != Cpu.ACTIVE) {
          start(random, program.start());
        }
      }
      compareMemory("program " + seed, 0x60000);
    }
    assertTrue(compiled(translator) > PROGRAMS);
    assertEquals(0, compiled(interpreter));
  }

  /** Puts both processors at an offset of functions, with what they expect. */
  private void startCalls(SplittableRandom random, int offset) {
    start(random, offset);
    for (SystemMachine m : new SystemMachine[] {plain, translated}) {
      m.idt(SystemMachine.LONG0, 0x8e);
      for (int vector = 0; vector < 256; vector++) {
        m.idt(vector, SystemMachine.LONG0, SystemMachine.handler(vector), 0x8e, 1);
        Code.put(m, SystemMachine.handler(vector), "f4");
      }
      m.page(SystemMachine.PAGES + 0x1000, 0);
      Cpu c = m.cpu;
      c.cr4 |= ControlBits.CR4_FSGSBASE;
      c.r[Cpu.RSP] = 0x3f0000;
      c.r[12] = 0x380000;
      c.r[13] = SystemMachine.CODE + offset;
      c.r[Cpu.RBX] = SystemMachine.DATA + 0x800;
      for (int k = 0; k < 64; k++) {
        m.memory.writeLong(0x3f0000 + 8 * k, SystemMachine.CODE + 0x100 * (k % 48));
        m.memory.writeLong(0x380000 + 8 * k, SystemMachine.CODE + 0x100 * (47 - k % 48));
      }
      c.updateMode();
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 5})
  void random_calls_do_the_same_translated(int after) {
    compile(translator, after);
    for (int seed = 0; seed < PROGRAMS; seed++) {
      SplittableRandom random = new SplittableRandom(seed * 5L + after);
      RandomCalls program = new RandomCalls(random);
      put(SystemMachine.CODE, program.bytes);
      startCalls(random, program.start());
      for (int slice = 0; slice < SLICES; slice++) {
        String what = "calls " + seed + ", slice " + slice;
        long budget = 1 + random.nextInt(random.nextInt(4) == 0 ? 10 : 1500);
        assertEquals(interpreter.run(budget), translator.run(budget), what);
        compare(what);
        if (plain.cpu.activity != Cpu.ACTIVE) {
          compareMemory(what, 0x60000);
          startCalls(random, program.start());
        }
      }
      compareMemory("calls " + seed, 0x400000);
    }
    assertTrue(compiled(translator) > PROGRAMS);
    assertEquals(0, compiled(interpreter));
  }

  @Test
  void the_budget_ends_exactly_after_a_repeated_instruction() {
    // mov ecx, 100; mov rsi, rbx; rep lodsb; jmp next; next: four of inc eax; jmp to the first
    String code = "b9 64 00 00 00 48 89 de f3 ac eb 00 ff c0 ff c0 ff c0 ff c0 eb ea";
    Code.put(plain, code);
    Code.put(translated, code);
    compile(translator, 3);
    for (int budget = 1000; budget > 0; budget--) {
      start(new SplittableRandom(1), 0);
      for (SystemMachine m : new SystemMachine[] {plain, translated}) {
        m.cpu.r[Cpu.RBX] = SystemMachine.DATA;
        m.cpu.r[Cpu.RAX] = 1;
      }
      assertEquals(interpreter.run(budget), translator.run(budget));
      assertEquals(0, translated.cpu.countdown, "left of " + budget);
      compare("a budget of " + budget);
    }
    assertTrue(compiled(translator) > 0);
  }

  @Test
  void code_is_translated_again_after_a_part_of_it_was_overwritten() {
    // loop: dec ecx; jnz loop; mov edx, 1; hlt
    Code.put(translated, "ff c9 75 fc ba 01 00 00 00 f4");
    compile(translator, 3);
    for (int rcx : new int[] {1, 1, 100}) {
      runLoop(rcx);
      assertEquals(1, translated.cpu.r[Cpu.RDX]);
    }
    long before = compiled(translator);
    assertTrue(before > 0);
    Code.put(translated, SystemMachine.CODE + 5, "02");
    for (int rcx : new int[] {100, 1, 1, 1, 100}) {
      runLoop(rcx);
      assertEquals(2, translated.cpu.r[Cpu.RDX]);
    }
    assertTrue(compiled(translator) > before);
  }

  private void runLoop(int rcx) {
    start(new SplittableRandom(1), 0);
    translated.cpu.r[Cpu.RCX] = rcx;
    translator.run(1000);
    assertEquals(0, translated.cpu.r[Cpu.RCX]);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        // here: call there; dec ecx; jnz here; hlt; there: add eax, 1 or 2; ret
        "e8 fb 0f 00 00 ff c9 75 f7 f4/83 c0 01 c3/83 c0 02 c3",
        // The same with jumps: to there, and back.
        "e9 fb 0f 00 00 ff c9 75 f7 f4/83 c0 01 e9 fd ef ff ff/83 c0 02 e9 fd ef ff ff",
        // With a conditional one (add ecx, 0 sets CF to 0).
        "83 c1 00 0f 83 f7 0f 00 00 ff c9 75 f3 f4/83 c0 01 e9 01 f0 ff ff/83 c0 02 e9 01 f0 ff ff",
      })
  void a_page_that_leads_elsewhere_is_followed_once_that_is_told(String code) {
    String[] parts = code.split("/");
    long here = SystemMachine.PAGES + 0x4000;
    long there = here + 0x1000;
    long other = here + 0x2000;
    compile(translator, 3);
    for (SystemMachine m : new SystemMachine[] {plain, translated}) {
      Code.put(m, here, parts[0]);
      Code.put(m, there, parts[1]);
      Code.put(m, other, parts[2]);
    }
    for (int round = 0; round < 12; round++) {
      int step = round % 6;
      if (round == 0) {
        start(new SplittableRandom(1), 0);
      }
      for (SystemMachine m : new SystemMachine[] {plain, translated}) {
        Cpu c = m.cpu;
        c.rip = here;
        c.activity = Cpu.ACTIVE;
        c.r[Cpu.RAX] = 0;
        c.r[Cpu.RCX] = 100;
        m.map(there, step == 1 || step == 2 || step == 4 ? other : there);
        if (step == 2 || step == 3) {
          c.mmu.tlb.invalidateLinear(0, 0, there + 0x123);
        } else if (step == 5) {
          c.mmu.tlb.movToCr3(0, c.cr3, false);
        }
      }
      assertEquals(interpreter.run(5000), translator.run(5000));
      compare(code + ", round " + round);
      assertEquals(step == 2 ? 200 : 100, translated.cpu.r[Cpu.RAX], "round " + round);
    }
    assertTrue(compiled(translator) > 0);
  }

  @Test
  void interrupts_are_taken_where_translated_code_turns_them_on() {
    // loop: cli; add eax, ecx; swapgs; sti; nop; swapgs; dec ecx; jnz loop; hlt
    String code = "fa 01 c8 0f 01 f8 fb 90 0f 01 f8 ff c9 75 f1 f4";
    compile(translator, 3);
    for (int first = 40; first < 60; first++) {
      for (SystemMachine m : new SystemMachine[] {plain, translated}) {
        m.idt(SystemMachine.LONG0, 0x8e);
        Code.put(m, SystemMachine.handler(0x40), "f4");
        Code.put(m, code);
      }
      start(new SplittableRandom(1), 0);
      for (SystemMachine m : new SystemMachine[] {plain, translated}) {
        m.cpu.r[Cpu.RCX] = 1000;
      }
      interpreter.run(first);
      translator.run(first);
      for (SystemMachine m : new SystemMachine[] {plain, translated}) {
        m.interrupt = 0x40;
        m.cpu.request(Cpu.REQUEST_INTERRUPT);
      }
      assertEquals(interpreter.run(1000), translator.run(1000));
      compare("after " + first);
      compareMemory("after " + first, 0x60000);
      assertEquals(SystemMachine.handler(0x40) + 1, translated.cpu.rip);
      for (SystemMachine m : new SystemMachine[] {plain, translated}) {
        m.interrupt = -1;
      }
    }
    assertTrue(compiled(translator) > 0);
  }

  @ParameterizedTest
  @ValueSource(strings = {"fa", "fb", "0f 01 f8", "0f 01 ca"})
  void what_only_the_kernel_may_do_faults_in_translated_code(String instruction) {
    SystemMachine[] both = {SystemMachine.long64(3), SystemMachine.long64(3)};
    for (SystemMachine m : both) {
      m.idt(SystemMachine.LONG0, 0x8e);
      for (int vector = 0; vector < 32; vector++) {
        Code.put(m, SystemMachine.handler(vector), "f4");
      }
      // add eax, ebx, which sets flags that nobody has asked for; the instruction
      Code.put(m, "01 d8 " + instruction);
      m.cpu.r[Cpu.RAX] = 0x7fff_ffff;
      m.cpu.r[Cpu.RBX] = 1;
    }
    Interpreter first = Code.engine(both[0]);
    first.heat = -1;
    Interpreter second = Code.engine(both[1]);
    compile(second, 0);
    assertEquals(first.run(100), second.run(100));
    assertTrue(compiled(second) > 0);
    for (int slot = 0; slot < 6; slot++) {
      assertEquals(both[0].stack(slot, 8), both[1].stack(slot, 8), "slot " + slot);
    }
    assertEquals(0x8000_0000L, both[1].cpu.r[Cpu.RAX]);
    assertEquals(both[0].cpu.rip, both[1].cpu.rip);
    assertEquals(both[0].cpu.elapsed(), both[1].cpu.elapsed());
  }
}
