package org.kvm4j.cpu.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.testing.SystemMachine;

/** Translated code against the interpreter: the same state after each slice of the same program. */
final class TranslatorTests {
  private static final int PROGRAMS = 60;
  private static final int SLICES = 24;

  private final SystemMachine plain = SystemMachine.long64(0);
  private final SystemMachine translated = SystemMachine.long64(0);
  private final Interpreter interpreter = Code.engine(plain);
  private final Interpreter translator = Code.engine(translated);

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
      c.updateMode();
    }
  }

  private void compare(String what) {
    Cpu a = plain.cpu;
    Cpu b = translated.cpu;
    assertEquals(Long.toHexString(a.rip), Long.toHexString(b.rip), () -> what + ": RIP");
    for (int k = 0; k < 16; k++) {
      int register = k;
      assertEquals(
          Long.toHexString(a.r[k]),
          Long.toHexString(b.r[k]),
          () -> what + ": register " + register);
    }
    assertEquals(a.rflags(), b.rflags(), () -> what + ": RFLAGS");
    assertEquals(a.activity, b.activity, () -> what + ": activity");
    assertEquals(a.elapsed(), b.elapsed(), () -> what + ": budget");
    assertEquals(a.retired(), b.retired(), () -> what + ": instructions");
    assertEquals(a.cr2, b.cr2, () -> what + ": CR2");
  }

  private void compareMemory(String what) {
    byte[] a = new byte[0x60000];
    byte[] b = new byte[a.length];
    plain.memory.read(0, a);
    translated.memory.read(0, b);
    assertArrayEquals(
        a, b, () -> what + ": memory at " + Integer.toHexString(Arrays.mismatch(a, b)));
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 3})
  void random_programs_do_the_same_translated(int after) {
    translator.translate(after, 0);
    for (int seed = 0; seed < PROGRAMS; seed++) {
      SplittableRandom random = new SplittableRandom(seed * 3L + after);
      RandomProgram program = new RandomProgram(random, 20 + random.nextInt(150));
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
      compareMemory("program " + seed);
    }
    assertTrue(translator.regions() > PROGRAMS);
  }
}
