package org.kvm4j.cpu.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.ByteArrayOutputStream;
import java.util.HexFormat;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.testing.SystemMachine;

/**
 * System calls in machine code against the interpreter: random programs of both privilege levels,
 * with all that SYSCALL and SYSRET depend on changing between them.
 */
final class RandomSystemCallsTests {
  private static final int PROGRAMS = Integer.getInteger("org.kvm4j.calls", 400);
  private static final int KERNEL = SystemMachine.CODE + 0x800;

  // The user's, in pages of 4 KBytes; the kernel's large one is the supervisor's alone.
  private static final int USER = SystemMachine.PAGES + 0x8000;
  private static final int USER_DATA = SystemMachine.PAGES + 0xa000;
  private static final int USER_STACK = SystemMachine.PAGES + 0xf000;

  // The user's segments, others than SYSRET loads.
  private static final int OTHER_CS = 0xb0;
  private static final int OTHER_SS = 0xb8;
  private static final String MODEL = "kvm4j-v1";

  /** What the kernel flips in R11; the first ones mostly. */
  private static final int[] FLIPS = {
    Flags.CF,
    Flags.OF,
    Flags.ZF,
    Flags.DF,
    Flags.IF,
    Flags.ID,
    Flags.AC,
    Flags.NT,
    Flags.IOPL,
    Flags.TF,
    Flags.RF,
    Flags.VIP,
    2
  };

  private static final int[] MASKS = {
    Flags.IF | Flags.DF | Flags.AC | Flags.TF, 0x257fd5, 0, Flags.IF, Flags.ARITHMETIC, Flags.AC
  };

  private final SystemMachine plain = SystemMachine.long64(3, MODEL);
  private final SystemMachine machine = SystemMachine.long64(3, MODEL);
  private final Interpreter interpreter = Code.engine(plain);
  private final Interpreter made = Code.engine(machine);

  @ParameterizedTest
  @ValueSource(ints = {0, 2})
  void random_system_calls_do_the_same_as_machine_code(int after) {
    // Whatever -Dorg.kvm4j.cpu.machine asks for.
    interpreter.heat = -1;
    assumeTrue(made.makeMachineCode(after), "no machine code on this host or JVM");
    for (int seed = 0; seed < PROGRAMS; seed++) {
      run(new SplittableRandom(seed * 3L + after), "program " + seed);
    }
    assertTrue(made.machineBlocks() > PROGRAMS / 2);
  }

  @Test
  void what_STAC_allows_ends_with_SYSRET_for_the_next_call() {
    interpreter.heat = -1;
    assumeTrue(made.makeMachineCode(0), "no machine code on this host or JVM");
    for (SystemMachine m : new SystemMachine[] {plain, machine}) {
      start(m, new SplittableRandom(0));
      // loop: syscall; jmp loop
      Code.put(m, USER, "0f 05 eb fc");
      // inc eax; cmp eax, 65; jb over; mov rdx, [rdi]; over: stac; sysret
      Code.put(m, KERNEL, "ff c0 83 f8 41 72 03 48 8b 17 0f 01 cb 48 0f 07");
      Cpu c = m.cpu;
      c.cr4 |= ControlBits.CR4_SMAP;
      c.msr.fmask = Flags.AC | Flags.IF;
      c.r[Cpu.RAX] = 0;
      c.r[Cpu.RDI] = USER_DATA;
      c.r[Cpu.RSP] = SystemMachine.STACK0;
      c.setRflags(Flags.IF | 2);
      c.updateMode();
    }
    assertEquals(Interpreter.Stop.INACTIVE, interpreter.run(2000));
    assertEquals(Interpreter.Stop.INACTIVE, made.run(2000));
    compare("after the load");
    assertEquals(65, machine.cpu.r[Cpu.RAX]);
    assertEquals(USER_DATA, machine.cpu.cr2);
  }

  private void run(SplittableRandom random, String name) {
    byte[] user = user(random);
    byte[] kernel = kernel(random);
    long seed = random.nextLong();
    for (SystemMachine m : new SystemMachine[] {plain, machine}) {
      m.memory.deviceWrite(USER, user, 0, user.length);
      m.memory.deviceWrite(KERNEL, kernel, 0, kernel.length);
      start(m, new SplittableRandom(seed));
    }
    for (int slice = 0; slice < 20; slice++) {
      String what = name + ", slice " + slice;
      boolean interrupted = random.nextInt(12) == 0;
      if (interrupted) {
        for (SystemMachine m : new SystemMachine[] {plain, machine}) {
          m.interrupt = 0x40;
          m.cpu.request(Cpu.REQUEST_INTERRUPT);
        }
      }
      long budget = 1 + random.nextInt(random.nextInt(3) == 0 ? 12 : 600);
      Interpreter.Stop stop = interpreter.run(budget);
      assertEquals(stop, made.run(budget), what);
      compare(what);
      if (stop != Interpreter.Stop.BUDGET) {
        // What a fault has pushed, too.
        assertArrayEquals(memory(plain), memory(machine), what);
        long again = random.nextLong();
        start(plain, new SplittableRandom(again));
        start(machine, new SplittableRandom(again));
      }
    }
  }

  private static byte[] memory(SystemMachine m) {
    byte[] bytes = new byte[0x60000];
    m.memory.read(0, bytes);
    return bytes;
  }

  private static void start(SystemMachine m, SplittableRandom r) {
    m.restart(3, false);
    m.interrupt = -1;
    m.cpu.clearRequest(Cpu.REQUEST_INTERRUPT);
    Cpu c = m.cpu;
    for (int vector = 0; vector < 256; vector++) {
      m.idt(vector, SystemMachine.LONG0, SystemMachine.handler(vector), 0x8e, 0);
      Code.put(m, SystemMachine.handler(vector), vector == 0x40 ? "48 cf" : "f4");
    }
    long pointers = m.memory.readLong(c.cr3) & -0x1000L;
    m.memory.writeLong(m.memory.readLong(pointers) & -0x1000L, 0x83);
    for (int at = 0; at < 0x1000; at += 8) {
      m.memory.writeLong(USER_DATA + at, at * 0x9e3779b97f4a7c15L);
    }
    c.mmu.flushAll();
    m.gdt(OTHER_CS, SystemMachine.segment(0, 0xfffff, 0xa0fb));
    m.gdt(OTHER_SS, SystemMachine.segment(0, 0xffff, 0x40f3));
    if (r.nextInt(3) == 0) {
      m.load(Cpu.CS, OTHER_CS | 3);
      m.load(Cpu.SS, OTHER_SS | 3);
    }
    c.efer |= ControlBits.EFER_SCE;
    c.msr.star = (long) (SystemMachine.LONG3 - 16 & ~3) << 48 | (long) SystemMachine.LONG0 << 32;
    c.msr.lstar = KERNEL;
    c.msr.fmask = MASKS[r.nextInt(MASKS.length)];
    c.msr.kernelGsBase = 0x40;
    c.cr0 |= r.nextInt(4) == 0 ? ControlBits.CR0_AM : 0;
    c.cr4 |= r.nextInt(2) == 0 ? ControlBits.CR4_SMAP : 0;
    for (int k = 0; k < 16; k++) {
      c.r[k] = r.nextInt(3) == 0 ? r.nextLong() : r.nextInt(3) - 1;
    }
    c.r[Cpu.RSP] = USER_STACK;
    c.r[Cpu.RDI] = USER_DATA + (r.nextInt(3) == 0 ? 0xff9 : 0x100);
    c.rip = USER;
    int flags = Flags.ARITHMETIC | Flags.DF | Flags.ID;
    flags |= r.nextInt(2) == 0 ? Flags.AC : 0;
    flags |= r.nextInt(4) == 0 ? Flags.IOPL : 0;
    c.setRflags(r.nextInt() & flags | Flags.IF | 2);
    c.updateMode();
  }

  // ---- programs ----

  private static void put(ByteArrayOutputStream code, String hex) {
    code.writeBytes(HexFormat.of().parseHex(hex.replace(" ", "")));
  }

  private static void put32(ByteArrayOutputStream code, int value) {
    for (int k = 0; k < 4; k++) {
      code.write(value >> 8 * k);
    }
  }

  /** What both may do. */
  private static void plain(ByteArrayOutputStream code, SplittableRandom random) {
    switch (random.nextInt(7)) {
      case 0 -> put(code, "ff c0"); // inc eax
      case 1 -> put(code, "48 01 d8"); // add rax, rbx
      case 2 -> put(code, "9c 5a"); // pushf; pop rdx
      case 3 -> put(code, "48 89 07"); // mov [rdi], rax
      case 4 -> put(code, "48 8b 77 08"); // mov rsi, [rdi + 8]
      case 5 -> put(code, random.nextBoolean() ? "fc" : "fd"); // cld, std
      default -> put(code, "4c 31 d8"); // xor rax, r11
    }
  }

  private static final String FLIP_AC = "9c 81 34 24 00 00 04 00 9d"; // pushf; xor ...; popf

  // Of SS and CS.
  private static final String READ_SS = "41 8c d0"; // mov r8d, ss
  private static final String READ_CS = "41 8c c9"; // mov r9d, cs
  private static final String READ_UNALIGNED = "48 8b 77 05"; // mov rsi, [rdi + 5]

  // Around an access to an MSR.
  private static final String SAVE = "49 89 c8 49 89 c1"; // mov r8, rcx; mov r9, rax
  private static final String RESTORE = "4c 89 c1 4c 89 c8"; // mov rcx, r8; mov rax, r9

  private static byte[] user(SplittableRandom random) {
    ByteArrayOutputStream code = new ByteArrayOutputStream();
    int calls = 1 + random.nextInt(4);
    for (int call = 0; call < calls; call++) {
      for (int k = random.nextInt(5); k > 0; k--) {
        switch (random.nextInt(14)) {
          case 0 -> put(code, FLIP_AC);
          case 1 -> put(code, READ_UNALIGNED);
          case 2 -> put(code, READ_SS);
          case 3 -> put(code, READ_CS);
          case 4 -> put(code, random.nextInt(3) == 0 ? "fa" : "fb 90"); // cli; sti, nop
          case 5 -> put(code, "48 89 47 01"); // mov [rdi + 1], rax
          case 6 -> put(code, random.nextInt(4) == 0 ? "cd 40" : "90"); // int 40
          default -> plain(code, random);
        }
      }
      put(code, "0f 05"); // syscall
    }
    code.write(0xe9); // jmp to the begin
    put32(code, -(code.size() + 4));
    return code.toByteArray();
  }

  private static byte[] kernel(SplittableRandom random) {
    ByteArrayOutputStream code = new ByteArrayOutputStream();
    for (int k = random.nextInt(6); k > 0; k--) {
      switch (random.nextInt(30)) {
        case 0 -> put(code, "0f 01 f8"); // swapgs
        case 1 -> put(code, "fa"); // cli
        case 2 -> put(code, random.nextBoolean() ? "fb 90" : "fb eb 00"); // sti; nop, or jmp
        case 3 -> put(code, "0f 20 da 0f 22 da"); // cr3 to itself
        case 4 -> put(code, "0f 01 3f"); // invlpg [rdi]
        case 5, 6, 7 -> {
          put(code, "49 81 f3"); // xor r11, ...
          int few = random.nextInt(2) == 0 ? FLIPS.length : 6;
          put32(code, FLIPS[random.nextInt(few)]);
        }
        case 8 -> {
          put(code, SAVE + "b9 84 00 00 c0 31 d2 b8"); // IA32_FMASK
          put32(code, MASKS[random.nextInt(MASKS.length)]);
          put(code, "0f 30" + RESTORE); // wrmsr
        }
        case 9 -> put(code, random.nextBoolean() ? "48 c1 e1 20" : "90"); // shl rcx, 32
        case 10 -> put(code, "0f 01 cb"); // stac
        case 11 -> put(code, "0f 01 ca"); // clac
        case 12 -> put(code, "31 d2 8e d2"); // xor edx, edx; mov ss, edx
        case 13 -> put(code, READ_SS);
        case 14 -> put(code, READ_CS);
        case 15 -> put(code, FLIP_AC);
        case 16 -> put(code, READ_UNALIGNED);
        case 17 -> {
          // IA32_STAR: other selectors.
          put(code, SAVE + "b9 81 00 00 c0 0f 32 81 f2"); // rdmsr; xor edx, ...
          put32(code, random.nextBoolean() ? 0x80 << 16 : 0x80);
          put(code, "0f 30" + RESTORE);
        }
        case 18 -> put(code, SAVE + "b9 82 00 00 c0 0f 32 83 f0 01 0f 30" + RESTORE); // IA32_LSTAR
        case 19 -> put(code, "cd 40"); // int 40
        case 20 -> put(code, "0f 20 e2 0f 22 e2"); // cr4 to itself
        case 21 -> put(code, "0f 20 e2 81 f2 80 00 00 00 0f 22 e2"); // PGE
        default -> plain(code, random);
      }
    }
    if (random.nextInt(4) == 0) {
      put(code, "fb"); // sti
    }
    if (random.nextInt(3) == 0) {
      // test al, 1; jz; mov r8, rsp; push ss, rsp, rflags, cs, rip; iretq
      boolean others = random.nextBoolean();
      put(code, "a8 01 74 14 49 89 e0 68");
      put32(code, (others ? OTHER_SS : SystemMachine.LONG3 - 8) | 3);
      put(code, "41 50 41 53 68");
      put32(code, (others ? OTHER_CS : SystemMachine.LONG3) | 3);
      put(code, "51 48 cf");
    }
    put(code, random.nextInt(12) == 0 ? "0f 07" : "48 0f 07"); // sysret
    return code.toByteArray();
  }

  private void compare(String what) {
    SameState.check(plain.cpu, machine.cpu, what);
  }
}
