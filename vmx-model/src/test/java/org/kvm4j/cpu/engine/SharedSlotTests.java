package org.kvm4j.cpu.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.ByteArrayOutputStream;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.testing.SystemMachine;

/**
 * Pages that share a slot of the TLB, as those 4 MBytes apart do: machine code finds what has had
 * to give way, and does the same as the interpreter.
 */
final class SharedSlotTests {
  private static final int PROGRAMS = Integer.getInteger("org.kvm4j.slots", 300);
  private static final long APART = 4 << 20;
  private static final int LARGE = 0x87;

  /** The pages; the last of each leads to the code. */
  private static final long[] PAGES = {
    SystemMachine.DATA, SystemMachine.DATA + 0x1000, SystemMachine.CODE
  };

  private final SystemMachine plain = SystemMachine.long64(0);
  private final SystemMachine machine = SystemMachine.long64(0);
  private final Interpreter interpreter = Code.engine(plain);
  private final Interpreter made = Code.engine(machine);

  @Test
  void random_programs_do_the_same_as_machine_code() {
    // Whatever -Dorg.kvm4j.cpu.machine asks for.
    interpreter.heat = -1;
    assumeTrue(made.makeMachineCode(0), "no machine code on this host or JVM");
    for (int seed = 0; seed < PROGRAMS; seed++) {
      run(new SplittableRandom(seed), "program " + seed);
    }
    assertTrue(made.machineBlocks() > PROGRAMS);
  }

  private void run(SplittableRandom random, String name) {
    byte[] code = program(random);
    long seed = random.nextLong();
    for (SystemMachine m : new SystemMachine[] {plain, machine}) {
      start(m, code, new SplittableRandom(seed));
    }
    for (int slice = 0; slice < 12; slice++) {
      String what = name + ", slice " + slice;
      long budget = 1 + random.nextInt(random.nextInt(3) == 0 ? 10 : 400);
      Interpreter.Stop stop = interpreter.run(budget);
      assertEquals(stop, made.run(budget), what);
      compare(what);
      if (stop != Interpreter.Stop.BUDGET) {
        return;
      }
      if (random.nextInt(6) == 0) {
        // What translates one of them is gone.
        long linear = place(random) & -0x1000L;
        for (SystemMachine m : new SystemMachine[] {plain, machine}) {
          m.cpu.mmu.tlb.invalidateLinear(0, 0, linear);
        }
      }
    }
  }

  private static void start(SystemMachine m, byte[] code, SplittableRandom r) {
    m.restart(0, false);
    Cpu c = m.cpu;
    long pointers = m.memory.readLong(c.cr3) & -0x1000L;
    long directory = m.memory.readLong(pointers) & -0x1000L;
    // Linear 0, 4, 8 and 12 MBytes: physical 0 and 2 MBytes in turns.
    for (int k = 1; k < 4; k++) {
      m.memory.writeLong(directory + 16L * k, (k & 1L) << 21 | LARGE);
    }
    for (int vector = 0; vector < 256; vector++) {
      m.idt(vector, SystemMachine.LONG0, SystemMachine.handler(vector), 0x8e, 0);
      Code.put(m, SystemMachine.handler(vector), "f4");
    }
    byte[] data = new byte[0x2000];
    for (int k = 0; k < data.length; k++) {
      data[k] = (byte) r.nextInt();
    }
    m.memory.deviceWrite(SystemMachine.DATA, data, 0, data.length);
    m.memory.deviceWrite((2 << 20) + SystemMachine.DATA, data, 1, data.length - 1);
    byte[] all = Arrays.copyOf(code, 0x1000);
    m.memory.deviceWrite(SystemMachine.CODE, all, 0, all.length);
    c.mmu.flushAll();
    for (int k = 0; k < 16; k++) {
      c.r[k] = place(r);
    }
    c.r[Cpu.RSP] = SystemMachine.STACK0;
    c.r[Cpu.RCX] = r.nextInt(40);
    c.rip = SystemMachine.CODE;
    c.setRflags(2);
    c.updateMode();
  }

  /** An address in one of the pages that share a slot, often where the next page is near. */
  private static long place(SplittableRandom r) {
    long page = PAGES[r.nextInt(8) == 0 ? 2 : r.nextInt(2)] + APART * r.nextInt(4);
    return page + (r.nextInt(3) == 0 ? 0xfff - r.nextInt(8) : 0x400 + 8 * r.nextInt(64));
  }

  private static byte[] program(SplittableRandom random) {
    ByteArrayOutputStream code = new ByteArrayOutputStream();
    for (int k = 4 + random.nextInt(20); k > 0; k--) {
      String hex =
          switch (random.nextInt(11)) {
            case 0 -> "48 8b 06"; // mov rax, [rsi]
            case 1 -> "48 01 07"; // add [rdi], rax
            case 2 -> "49 89 00"; // mov [r8], rax
            case 3 -> "45 8b 11"; // mov r10d, [r9]
            case 4 -> "48 33 03"; // xor rax, [rbx]
            case 5 -> "88 45 00"; // mov [rbp], al
            case 6 -> "f0 48 0f c1 17"; // lock xadd [rdi], rdx
            case 7 -> "ff 36 41 5b"; // push [rsi]; pop r11
            case 8 -> "48 87 fe"; // xchg rsi, rdi
            case 9 -> "4c 87 c3"; // xchg rbx, r8
            default -> "b1 14 f3 48 a5"; // mov cl, 20; rep movsq
          };
      code.writeBytes(HexFormat.of().parseHex(hex.replace(" ", "")));
    }
    int back = code.size();
    code.writeBytes(new byte[] {(byte) 0xe9, (byte) -(back + 5), -1, -1, -1});
    return code.toByteArray();
  }

  private void compare(String what) {
    SameState.check(plain.cpu, machine.cpu, what);
    assertArrayEquals(memory(plain), memory(machine), () -> what + ": memory");
  }

  private static byte[] memory(SystemMachine m) {
    byte[] bytes = new byte[0x300000];
    m.memory.read(0, bytes);
    return bytes;
  }
}
