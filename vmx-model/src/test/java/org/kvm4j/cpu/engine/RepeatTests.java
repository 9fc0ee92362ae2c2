package org.kvm4j.cpu.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.semantics.Alu;
import org.kvm4j.cpu.testing.SystemMachine;

/**
 * Each iteration of a repeated string instruction ends at an instruction boundary. SDM Vol. 3,
 * "Instruction-Breakpoint Exception Condition" says what RF is there.
 */
final class RepeatTests {
  /** 64-bit mode with three iterations of an instruction before it, and handlers of HLT. */
  private static SystemMachine repeated(String hex) {
    SystemMachine m = SystemMachine.long64(0);
    m.idt(SystemMachine.LONG0, 0x8e);
    for (int vector = 0; vector < 256; vector++) {
      Code.put(m, SystemMachine.handler(vector), "f4");
    }
    Code.put(m, hex);
    m.cpu.r[Cpu.RSI] = SystemMachine.DATA;
    m.cpu.r[Cpu.RDI] = SystemMachine.DATA + 0x1000;
    m.cpu.r[Cpu.RCX] = 3;
    m.cpu.r[Cpu.RDX] = 0x80;
    return m;
  }

  private static long pushedFlags(SystemMachine m) {
    return m.stack(2, 8);
  }

  private static long pushedRip(SystemMachine m) {
    return m.stack(0, 8);
  }

  @ParameterizedTest
  @ValueSource(strings = {"f3 a4", "f3 ab", "f3 ad", "f3 a6", "f3 ae", "f3 6c", "f3 6e"})
  void single_step_traps_after_each_iteration(String hex) {
    SystemMachine m = repeated(hex + "90 90");
    if (hex.equals("f3 ae")) {
      m.memory.writeInt(SystemMachine.DATA + 0x1000, 0);
    }
    Interpreter engine = Code.engine(m);
    for (int left = 2; left >= 0; left--) {
      m.cpu.flagsRest |= Flags.TF;
      engine.run(100);
      assertEquals(left, m.cpu.r[Cpu.RCX]);
      assertEquals(Vector.DB, (m.cpu.rip - 1 - SystemMachine.HANDLERS) / 16);
      assertEquals(1 << 14, m.cpu.dr6 & 1 << 14);
      assertEquals(SystemMachine.CODE + (left == 0 ? 2 : 0), pushedRip(m));
      assertEquals(left == 0 ? 0 : Flags.RF, pushedFlags(m) & Flags.RF);
      Code.put(m, SystemMachine.handler(Vector.DB), "48 cf f4"); // the handler returns
      m.cpu.rip--;
      m.cpu.activity = Cpu.ACTIVE;
      long flags = pushedFlags(m) & ~Flags.TF;
      m.memory.writeLong(m.cpu.r[Cpu.RSP] + 16, flags);
      engine.run(1);
      assertEquals(flags, m.cpu.rflags());
      Code.put(m, SystemMachine.handler(Vector.DB), "f4");
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {Cpu.REQUEST_INTERRUPT, Cpu.REQUEST_NMI})
  void an_interrupt_between_iterations_pushes_rf(int request) {
    SystemMachine m = repeated("f3 ac 90"); // rep lodsb
    m.cpu.flagsRest |= Flags.IF;
    m.cpu.r[Cpu.RCX] = 100;
    Interpreter engine = Code.engine(m);
    engine.run(10);
    assertEquals(90, m.cpu.r[Cpu.RCX], 2);
    long left = m.cpu.r[Cpu.RCX];
    m.interrupt = 0x40;
    m.cpu.request(request);
    engine.run(10);
    assertEquals(left, m.cpu.r[Cpu.RCX]);
    assertEquals(SystemMachine.CODE, pushedRip(m));
    assertEquals(Flags.RF, pushedFlags(m) & Flags.RF);
    assertEquals(0, m.cpu.flagsRest & Flags.RF);
  }

  @Test
  void an_interrupt_before_the_first_iteration_or_after_the_last_pushes_no_rf() {
    for (boolean last : new boolean[] {false, true}) {
      SystemMachine m = repeated("f3 aa 90 90 90");
      m.cpu.flagsRest |= Flags.IF;
      Interpreter engine = Code.engine(m);
      if (last) {
        engine.run(3);
        assertEquals(0, m.cpu.r[Cpu.RCX]);
      }
      m.interrupt = 0x40;
      m.cpu.request(Cpu.REQUEST_INTERRUPT);
      engine.run(10);
      assertEquals(last ? 0 : 3, m.cpu.r[Cpu.RCX]);
      assertEquals(0, pushedFlags(m) & Flags.RF);
    }
  }

  @Test
  void attention_stops_between_iterations_and_nothing_is_lost() {
    SystemMachine m = repeated("f3 ac 90 f4");
    m.cpu.r[Cpu.RCX] = 1000;
    Interpreter engine = Code.engine(m);
    engine.run(50);
    assertNotEquals(0, m.cpu.r[Cpu.RCX]);
    m.cpu.request(Cpu.REQUEST_KICK);
    assertEquals(Interpreter.Stop.KICKED, engine.run(10_000));
    assertEquals(Interpreter.Stop.INACTIVE, engine.run(10_000));
    assertEquals(0, m.cpu.r[Cpu.RCX]);
    assertEquals(SystemMachine.DATA + 1000, m.cpu.r[Cpu.RSI]);
    assertEquals(3, m.cpu.retired());
  }

  /** Comparisons and scans of ranges that are mostly alike, against the SDM's loop. */
  @ParameterizedTest
  @ValueSource(
      strings = {"f3 a6", "f2 a6", "f3 a7", "f3 48 a7", "f3 ae", "f2 ae", "f3 af", "f2 af"})
  void comparisons_stop_where_a_loop_does(String hex) {
    boolean repe = hex.startsWith("f3");
    boolean scan = hex.endsWith("ae") || hex.endsWith("af");
    int size = hex.contains("48") ? 8 : hex.endsWith("6") || hex.endsWith("e") ? 1 : 4;
    SplittableRandom random = new SplittableRandom(hex.hashCode());
    SystemMachine m = repeated(hex + "90 f4");
    Interpreter engine = Code.engine(m);
    for (int round = 0; round < 200; round++) {
      byte same = (byte) random.nextInt(3);
      m.memory.fill(SystemMachine.DATA, 0x8000, same);
      for (int k = random.nextInt(6); k > 0; k--) {
        m.memory.writeByte(SystemMachine.DATA + random.nextInt(0x8000), (byte) (same + 1));
      }
      long si = SystemMachine.DATA + random.nextInt(0x1800);
      long di = SystemMachine.DATA + 0x4000 + random.nextInt(0x1800);
      long rax = (repe ? same : same + 1) * 0x0101010101010101L;
      long count = random.nextInt(round % 2 == 0 ? 20 : 1500);
      m.restart(0, false);
      Cpu c = m.cpu;
      c.rip = SystemMachine.CODE;
      c.r[Cpu.RSI] = si;
      c.r[Cpu.RDI] = di;
      c.r[Cpu.RAX] = rax;
      c.r[Cpu.RCX] = count;
      long flags = c.rflags();
      while (count > 0) {
        long mask = size == 8 ? -1 : (1L << 8 * size) - 1;
        long b = m.memory.readLong(di) & mask;
        long a = (scan ? rax : m.memory.readLong(si)) & mask;
        Alu.sub(c, size, a, b);
        flags = c.rflags();
        si += scan ? 0 : size;
        di += size;
        count--;
        if ((a == b) != repe) {
          break;
        }
      }
      c.setRflags(2);
      while (c.activity == Cpu.ACTIVE) {
        engine.run(1 + random.nextInt(100));
      }
      String what = "round " + round;
      assertEquals(count, c.r[Cpu.RCX], what);
      assertEquals(si, c.r[Cpu.RSI], what);
      assertEquals(di, c.r[Cpu.RDI], what);
      assertEquals(flags | 2, c.rflags() | 2, what);
    }
  }
}
