package org.kvm4j.cpu.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.decode.Decoder;
import org.kvm4j.cpu.testing.SystemMachine;

/**
 * All forms of instructions with all prefixes as machine code against the interpreter: the same
 * state after each slice, alone and beside another processor that has run some of the program
 * before, in the same machine code. {@code -Dorg.kvm4j.forms=N} runs N programs, and {@code
 * -Dorg.kvm4j.forms.first=N} begins with another.
 */
final class MachineFormsTests {
  private static final int PROGRAMS = Integer.getInteger("org.kvm4j.forms", 800);
  private static final long FIRST = Long.getLong("org.kvm4j.forms.first", 0);
  private static final String MODEL = "kvm4j-v1,+xsave,+apic,+aes,+pclmulqdq,+sha,+gfni";

  /** MXCSR: mostly with all exceptions masked, as machine code wants them. */
  private static final int[] CONTROLS = {
    0x1f80, 0x1f80, 0x1fbf, 0x9fc0, 0x7f80, 0x3f80, 0x5fc0, 0xffc0, 0x1f00, 0x1e80, 0x0f80
  };

  /** What programs store to, and the stacks. */
  private static final int[][] AREAS = {
    {0x20000, 0x38000}, {0x40000, 0x52000}, {0x200000, 0x206000}
  };

  private static final int MXCSR_AT = 24;
  private static final int XMM_AT = 160;

  /** What programs run as. */
  private enum Way {
    KERNEL,
    SMAP,
    USER,
    ALIGNED
  }

  @ParameterizedTest
  @CsvSource({"KERNEL, 4", "SMAP, 1", "USER, 2", "ALIGNED, 1"})
  void all_forms_do_the_same_as_machine_code(Way way, int share) {
    new Both(way, false).programs(PROGRAMS * share / 8);
  }

  @ParameterizedTest
  @CsvSource({"KERNEL, 4", "SMAP, 1", "USER, 2", "ALIGNED, 1"})
  void all_forms_do_the_same_as_machine_code_of_another_processor(Way way, int share) {
    new Both(way, true).programs(PROGRAMS * share / 8);
  }

  /** Two processors, one of which makes machine code. */
  private static final class Both {
    private final Way way;
    private final int cpl;
    private final SystemMachine plain;
    private final SystemMachine machine;
    private final Interpreter interpreter;
    private final Interpreter made;

    /** Another processor that shares the machine code, if there is one. */
    private final @Nullable SystemMachine beside;

    private final @Nullable Interpreter other;

    Both(Way way, boolean shared) {
      this.way = way;
      this.cpl = way == Way.KERNEL || way == Way.SMAP ? 0 : 3;
      this.plain = SystemMachine.long64(cpl, MODEL);
      this.machine = SystemMachine.long64(cpl, MODEL);
      this.interpreter = Code.engine(plain);
      this.made = Code.engine(machine);
      // Whatever -Dorg.kvm4j.cpu.machine asks for.
      interpreter.heat = -1;
      SharedCode code = new SharedCode(machine.memory);
      assumeTrue(made.makeMachineCode(0, code), "no machine code on this host or JVM");
      this.beside = shared ? machine.beside(cpl) : null;
      this.other = beside == null ? null : Code.engine(beside);
      if (other != null) {
        other.makeMachineCode(0, code);
      }
    }

    void programs(int programs) {
      Decoder decoder = new Decoder(plain.cpu.model.features());
      RandomForms.Ways ways = new RandomForms.Ways(decoder);
      for (long seed = FIRST; seed < FIRST + programs; seed++) {
        if (seed % 500 == 0) {
          // Not one of them alone, as it runs full: REP counts otherwise on pages with code.
          interpreter.dropAll();
          made.dropAll();
        }
        SplittableRandom random = new SplittableRandom(seed);
        int instructions = 1 + random.nextInt(random.nextBoolean() ? 8 : 60);
        RandomForms program = new RandomForms(random, decoder, ways, instructions);
        made.heat = random.nextInt(3) == 0 ? 1 + random.nextInt(3) : 0;
        run(random, program, way + " program " + seed);
      }
      assertTrue(made.machineBlocks() > programs);
      assertEquals(0, interpreter.machineBlocks());
    }

    private void run(SplittableRandom random, RandomForms program, String name) {
      // Some programs go on in the next page.
      long from = SystemMachine.CODE;
      if (random.nextInt(6) == 0) {
        from += Math.max(0, 4096 - program.bytes.length + random.nextInt(12));
      }
      put(SystemMachine.CODE, new byte[0x2000]);
      put(from, program.bytes);
      byte[] data = new byte[0x2000];
      for (int k = 0; k < data.length; k++) {
        data[k] = (byte) (random.nextInt(4) == 0 ? random.nextInt(256) : random.nextInt(3) - 1);
      }
      put(SystemMachine.DATA - 0x400, data);
      put(SystemMachine.PAGES, data);
      put(SystemMachine.PAGES + 0x2000, data);
      start(random, from + program.start(), true);
      runBeside(random, from + program.start());
      int slices = 4 + random.nextInt(14);
      for (int slice = 0; slice < slices; slice++) {
        String what = name + ", slice " + slice;
        long budget = 1 + random.nextInt(random.nextInt(4) == 0 ? 10 : 400);
        Interpreter.Stop stop = interpreter.run(budget);
        assertEquals(stop, made.run(budget), what);
        compare(what);
        if (stop != Interpreter.Stop.BUDGET) {
          compareMemory(what);
          start(random, from + program.start(), plain.cpu.cpl != cpl || random.nextInt(20) == 0);
        }
        if (random.nextInt(4) == 0) {
          runBeside(random, from + program.start());
        }
      }
      compareMemory(name);
    }

    /** Has the other processor run some of the program, which leaves no trace in memory. */
    private void runBeside(SplittableRandom random, long rip) {
      if (beside == null || other == null) {
        return;
      }
      other.heat = made.heat;
      for (int k = random.nextInt(4); k > 0; k--) {
        start(beside, random.nextLong(), rip, k == 1);
        other.run(1 + random.nextInt(400));
      }
      byte[] a = new byte[0x400000];
      byte[] b = new byte[a.length];
      plain.memory.read(0, a);
      machine.memory.read(0, b);
      for (int at = 0; at < a.length; at += 4096) {
        if (!Arrays.equals(a, at, at + 4096, b, at, at + 4096)) {
          machine.memory.deviceWrite(at, a, at, 4096);
        }
      }
    }

    private void put(long address, byte[] bytes) {
      for (SystemMachine m : new SystemMachine[] {plain, machine}) {
        m.memory.deviceWrite(address, bytes, 0, bytes.length);
      }
    }

    /**
     * Puts both processors at an address, with the same random registers.
     *
     * @param anew tables and control registers, too
     */
    private void start(SplittableRandom random, long rip, boolean anew) {
      long seed = random.nextLong();
      start(plain, seed, rip, anew);
      start(machine, seed, rip, anew);
    }

    private void start(SystemMachine m, long seed, long rip, boolean anew) {
      if (anew) {
        prepare(m);
      }
      SplittableRandom r = new SplittableRandom(seed);
      Cpu c = m.cpu;
      for (int k = 0; k < 16; k++) {
        c.r[k] =
            switch (r.nextInt(4)) {
              case 0 -> r.nextLong();
              case 1 -> r.nextInt(3) - 1;
              default -> SystemMachine.DATA + r.nextInt(0x1000);
            };
      }
      int stack = cpl == 0 ? SystemMachine.STACK0 : SystemMachine.STACK3;
      c.r[Cpu.RSP] = stack - r.nextInt(2) * r.nextInt(16);
      base(c, Cpu.FS, Cpu.FS_BASE, r.nextInt(64));
      base(c, Cpu.GS, Cpu.GS_BASE, r.nextInt(64));
      c.activity = Cpu.ACTIVE;
      c.rip = rip;
      c.shadow = 0;
      c.pendingDebug = 0;
      int ac = (way == Way.SMAP || way == Way.ALIGNED) && r.nextInt(8) != 0 ? Flags.AC : 0;
      c.setRflags(r.nextInt() & 0x8d5 | 2 | ac | (cpl == 3 ? 0x3000 : 0));
      vectors(c, r);
      c.updateMode();
    }

    private static void base(Cpu c, int segment, int register, long base) {
      c.seg[segment].base = base;
      c.r[register] = base;
    }

    private void prepare(SystemMachine m) {
      Cpu c = m.cpu;
      m.restart(cpl, false);
      for (int v = 0; v < 256; v++) {
        m.idt(v, SystemMachine.LONG0, SystemMachine.handler(v), 0xee, 1);
        Code.put(m, SystemMachine.handler(v), "f4");
      }
      m.page(SystemMachine.PAGES + 0x1000, 0);
      m.page(SystemMachine.PAGES + 0x3000, 5);
      c.cr4 |=
          ControlBits.CR4_OSFXSR
              | ControlBits.CR4_OSXMMEXCPT
              | ControlBits.CR4_FSGSBASE
              | ControlBits.CR4_OSXSAVE
              | (way == Way.SMAP ? ControlBits.CR4_SMAP : 0);
      c.cr0 |= way == Way.ALIGNED ? ControlBits.CR0_AM : 0;
      c.xcr0 = 3;
      c.dr6 = 0xffff0ff0L;
      c.msr.kernelGsBase = 16;
      c.mmu.flushAll();
    }

    /** Vector registers: integers, numbers, denormals, infinities and NaNs. */
    private static void vectors(Cpu c, SplittableRandom r) {
      Arrays.fill(c.xsaveArea, (byte) 0);
      ByteBuffer x = ByteBuffer.wrap(c.xsaveArea).order(ByteOrder.LITTLE_ENDIAN);
      x.putShort(0, (short) 0x37f);
      x.putInt(MXCSR_AT, CONTROLS[r.nextInt(CONTROLS.length)]);
      for (int at = XMM_AT; at < XMM_AT + 256; at += 8) {
        switch (r.nextInt(9)) {
          case 0 -> x.putLong(at, r.nextLong());
          case 1 -> x.putLong(at, r.nextInt(3) - 1);
          case 2 -> x.putFloat(at, r.nextInt(2000) / 16f).putFloat(at + 4, -r.nextInt(9));
          case 3 -> x.putLong(at, r.nextLong() & 0x807f_ffff_007f_ffffL);
          case 4 -> x.putLong(at, r.nextLong() & 0x800f_ffff_ffff_ffffL);
          case 5 -> x.putLong(at, 0x7ff0L << 48 | (long) r.nextInt(3) << 50);
          case 6 -> x.putLong(at, 0xff80_0000_7f80_0000L | (long) r.nextInt(4) << 21);
          case 7 -> x.putDouble(at, r.nextLong());
          default -> x.putDouble(at, r.nextInt(100_000) / 64.0 - 500);
        }
      }
    }

    private void compare(String what) {
      SameState.check(plain.cpu, machine.cpu, what);
    }

    private void compareMemory(String what) {
      for (int[] area : AREAS) {
        byte[] a = new byte[area[1] - area[0]];
        byte[] b = new byte[a.length];
        plain.memory.read(area[0], a);
        machine.memory.read(area[0], b);
        int at = Arrays.mismatch(a, b);
        assertEquals(-1, at, () -> what + ": memory at " + Integer.toHexString(area[0] + at));
      }
    }
  }
}
