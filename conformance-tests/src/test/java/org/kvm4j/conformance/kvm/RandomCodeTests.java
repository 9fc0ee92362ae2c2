package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.GuestMemory;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.Segment;
import org.kvm4j.kvm.Sregs;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.Xcrs;
import org.kvm4j.kvm.module.EmulatedKernel;
import org.kvm4j.kvm.module.Engine;
import org.kvm4j.kvm.module.HostMachine;
import org.kvm4j.kvm.module.MachineClock;

/**
 * Random bytes as code, in every mode, over random registers, memory and tables: whatever a guest
 * does, KVM_RUN of the emulated kernel ends by an exit or a kick, never by a Java exception.
 */
@SuppressWarnings("NullAway.Init") // Set before all tests.
class RandomCodeTests {
  private static final int GUESTS = Integer.getInteger("kvm4j.randomGuests", 12);
  private static final int MEMORY = 1 << 20;
  private static final int TABLES = 0x80000;
  private static final int CODE = 0x10000;

  /** The modes of the processor that code can be in. */
  enum Mode {
    REAL,
    BIG_REAL,
    VIRTUAL_8086,
    PROTECTED_16,
    PROTECTED_32,
    PAGING_32,
    PAE,
    COMPATIBILITY,
    LONG,
    LONG_USER
  }

  private static ScheduledExecutorService kicker;

  @BeforeAll
  static void start() {
    kicker = Executors.newSingleThreadScheduledExecutor();
  }

  @AfterAll
  static void stop() {
    kicker.shutdownNow();
  }

  @ParameterizedTest
  @EnumSource
  void randomCodeNeverBreaksOut(Mode mode) {
    run(mode, false);
  }

  @ParameterizedTest
  @EnumSource
  void randomCodeNeverBreaksOutOfBareMetal(Mode mode) {
    run(mode, true);
  }

  private static void run(Mode mode, boolean bare) {
    int exits = 0;
    HostMachine machine =
        new HostMachine(
            CpuProfiles.named("sierra-forest"), MachineClock.HOST, Engine.DEFAULT, bare);
    try (EmulatedKernel kernel = new EmulatedKernel(machine);
        Kvm kvm = Kvm.open(kernel)) {
      for (int seed = 0; seed < GUESTS; seed++) {
        try (Vm vm = kvm.createVm()) {
          exits += guest(kvm, vm, mode, new SplittableRandom(seed * 31L + mode.ordinal()));
        } catch (RuntimeException | Error e) {
          throw new AssertionError("mode " + mode + ", seed " + seed, e);
        }
      }
    }
    assertTrue(exits > 0);
  }

  private static int guest(Kvm kvm, Vm vm, Mode mode, SplittableRandom random) {
    GuestMemory memory = new GuestMemory(vm);
    memory.add(0, 0, MEMORY, 0);
    byte[] bytes = new byte[MEMORY / 4];
    random.nextBytes(bytes);
    vectors(bytes, random);
    memory.write(CODE, bytes);
    tables(memory);
    int exits = 0;
    try (Vcpu vcpu = vm.createVcpu(0)) {
      vcpu.setCpuid2(kvm.getSupportedCpuid());
      sregs(vcpu, mode);
      for (int attempt = 0; attempt < 8; attempt++) {
        registers(vcpu, mode, random);
        ScheduledFuture<?> kick = kicker.schedule(vcpu::kick, 5, TimeUnit.MILLISECONDS);
        for (int i = 0; i < 40; i++) {
          Exit exit = vcpu.run();
          exits++;
          assertFalse(exit instanceof Exit.Unknown, () -> "an exit of no known kind: " + exit);
          if (exit instanceof Exit.Shutdown || exit instanceof Exit.FailEntry) {
            sregs(vcpu, mode);
            break;
          }
          if (exit instanceof Exit.InternalError || exit instanceof Exit.Interrupted) {
            break;
          }
        }
        kick.cancel(false);
      }
    }
    return exits;
  }

  /** How vector instructions begin: in the maps 0F, 0F 38 and 0F 3A, without and with VEX. */
  private static final int[][] VECTORS = {
    {0x0f},
    {0x66, 0x0f},
    {0xf2, 0x0f},
    {0xf3, 0x0f},
    {0x66, 0x0f, 0x38},
    {0x66, 0x0f, 0x3a},
    {0xc5},
    {0xc4, 0xe1},
    {0xc4, 0xe2},
    {0xc4, 0xe3}
  };

  /** Makes vector instructions as frequent as others. */
  private static void vectors(byte[] code, SplittableRandom random) {
    for (int at = 0; at < code.length - 8; at += 1 + random.nextInt(16)) {
      for (int b : VECTORS[random.nextInt(VECTORS.length)]) {
        code[at++] = (byte) b;
      }
    }
  }

  private static void registers(Vcpu vcpu, Mode mode, SplittableRandom random) {
    var regs = vcpu.getRegs();
    regs.rax = random.nextLong();
    regs.rbx = random.nextInt(MEMORY);
    regs.rcx = random.nextInt(64);
    regs.rdx = random.nextInt(0x10000);
    regs.rsi = random.nextInt(MEMORY);
    regs.rdi = random.nextInt(MEMORY);
    regs.rbp = random.nextInt(MEMORY);
    regs.rsp = 0x7000;
    regs.r8 = random.nextLong();
    regs.rip =
        mode == Mode.REAL || mode == Mode.VIRTUAL_8086
            ? random.nextInt(0xf000)
            : CODE + random.nextInt(MEMORY / 4);
    if (mode == Mode.BIG_REAL || mode == Mode.PROTECTED_16) {
      regs.rip = random.nextInt(0xf000);
    }
    regs.rflags = 2 | random.nextInt() & 0xcd5;
    if (mode == Mode.VIRTUAL_8086) {
      regs.rflags |= 0x23000;
    }
    vcpu.setRegs(regs);
  }

  /** A 32-bit directory, PAE and long-mode tables that map the first 2 MB to themselves. */
  private static void tables(GuestMemory memory) {
    memory.putInt(TABLES, 0x87);
    memory.putLong(TABLES + 0x1000, TABLES + 0x2000 | 1);
    memory.putLong(TABLES + 0x2000, 0x87);
    memory.putLong(TABLES + 0x3000, TABLES + 0x4000 | 7);
    memory.putLong(TABLES + 0x4000, TABLES + 0x5000 | 7);
    memory.putLong(TABLES + 0x5000, 0x87);
    for (int i = 0; i < 256; i++) {
      // Gates of every kind that lead into the random bytes.
      memory.putLong(
          TABLES + 0x6000 + i * 16,
          (long) CODE >>> 16 << 48
              | (i * 64L & 0xffff)
              | 8L << 16
              | (0x8000L | (i % 16) << 8 | i % 4 << 13) << 32);
      memory.putLong(TABLES + 0x6000 + i * 16 + 8, 0);
    }
  }

  private static void segment(
      Segment s, int selector, int type, int dpl, int db, int l, long limit) {
    s.base = 0;
    s.limit = (int) limit;
    s.selector = selector;
    s.type = type;
    s.present = 1;
    s.dpl = dpl;
    s.db = db;
    s.s = 1;
    s.l = l;
    s.g = limit > 0xfffff ? 1 : 0;
    s.unusable = 0;
  }

  private static void sregs(Vcpu vcpu, Mode mode) {
    Sregs s = vcpu.getSregs();
    Segment[] data = {s.ds, s.es, s.fs, s.gs, s.ss};
    s.cr0 = 0x60000010L;
    s.cr3 = 0;
    s.cr4 = 0;
    s.efer = 0;
    s.idt.base = TABLES + 0x6000;
    s.idt.limit = 0xfff;
    switch (mode) {
      case REAL, BIG_REAL -> {
        s.idt.base = 0;
        s.idt.limit = 0x3ff;
        s.cs.setRealMode(CODE >> 4);
        for (Segment d : data) {
          d.setRealMode(CODE >> 4);
          if (mode == Mode.BIG_REAL) {
            segment(d, 0, 3, 0, 0, 0, 0xffffffffL);
          }
        }
      }
      case VIRTUAL_8086 -> {
        for (Segment d : new Segment[] {s.cs, s.ds, s.es, s.fs, s.gs, s.ss}) {
          segment(d, CODE >> 4, 3, 3, 0, 0, 0xffff);
          d.base = CODE;
        }
        s.cr0 |= 1;
      }
      default -> {
        boolean user = mode == Mode.LONG_USER;
        boolean wide = mode == Mode.LONG || user;
        int big = mode == Mode.PROTECTED_16 || wide ? 0 : 1;
        segment(
            s.cs,
            user ? 11 : 8,
            11,
            user ? 3 : 0,
            big,
            wide ? 1 : 0,
            mode == Mode.PROTECTED_16 ? 0xffff : 0xffffffffL);
        for (Segment d : data) {
          segment(d, user ? 19 : 16, 3, user ? 3 : 0, 1, 0, 0xffffffffL);
        }
        if (mode == Mode.PROTECTED_16) {
          s.cs.base = CODE;
        }
        s.cr0 |= 1;
      }
    }
    switch (mode) {
      case PAGING_32 -> {
        s.cr3 = TABLES;
        s.cr4 = 0x10;
        s.cr0 |= 1L << 31;
      }
      case PAE -> {
        s.cr3 = TABLES + 0x1000;
        s.cr4 = 0x20;
        s.cr0 |= 1L << 31;
      }
      case COMPATIBILITY, LONG, LONG_USER -> {
        s.cr3 = TABLES + 0x3000;
        s.cr4 = 0x20;
        s.efer = 0xd01;
        s.efer &= ~0x800L;
        s.cr0 |= 1L << 31;
      }
      default -> {}
    }
    if (mode == Mode.VIRTUAL_8086) {
      var regs = vcpu.getRegs();
      regs.rflags |= 0x23002;
      vcpu.setRegs(regs);
    }
    s.cr4 |= 0x40600; // OSFXSR, OSXMMEXCPT, OSXSAVE
    vcpu.setSregs(s);
    vcpu.setXcrs(Xcrs.ofXcr0(7));
  }
}
