package org.kvm4j.conformance.kvm;

import java.util.HexFormat;
import java.util.Random;
import org.kvm4j.kvm.DebugRegs;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.GuestMemory;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.Regs;
import org.kvm4j.kvm.Segment;
import org.kvm4j.kvm.Sregs;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.VcpuEvents;
import org.kvm4j.kvm.Vm;

/**
 * One system instruction in a random state: mode, tables, registers. All other memory is HLT, so
 * that the guest halts wherever the instruction, or what handles its fault, goes.
 */
final class SystemScenario {
  static final int MEMORY = 0x200000;

  /** What is filled anew for each scenario, and compared after it. */
  static final int IMAGE = 0x60000;

  private static final int GDT = 0x10000;
  private static final int GDT_LIMIT = 0x1ff;
  private static final int IDT = 0x11000;
  private static final int TSS = 0x12000;
  private static final int LDT = 0x13000;
  private static final int TSS2 = 0x14000;
  private static final int HANDLERS = 0x18000;
  private static final int TABLES = 0x20000;
  private static final int STACK0 = 0x30800;
  private static final int STACK1 = 0x32800;
  private static final int STACK3 = 0x34800;
  private static final int IST = 0x36800;
  private static final int CODE = 0x40000;
  private static final int DATA = 0x50000;
  private static final int HLT = 0xf4;

  private static final int CODE0 = 0x08;
  private static final int DATA0 = 0x10;
  private static final int CODE3 = 0x1b;
  private static final int DATA3 = 0x23;
  private static final int LONG0 = 0x28;
  private static final int LONG3 = 0x33;
  private static final int TASK = 0x38;
  private static final int TASK2 = 0xa0;
  private static final int CODE1 = 0x61;
  private static final int DATA1 = 0x69;

  enum Mode {
    REAL,
    V86,
    PROTECTED,
    PAGED,
    LONG,
    COMPATIBILITY
  }

  /** How the instructions begin; random bytes follow. */
  private static final String[] ENCODINGS = {
    "ea", "9a", "ff18", "ff28", "ff1b", "ff2b", "cb", "ca0000", "ca0800", "cf", "cf", "66cf",
    "48cf", "48cb", "cd80", "cd0d", "cc", "ce", "8ed8", "8ec3", "8ed1", "8ee2", "8ee8", "8cd8",
    "8cd1", "07", "16", "17", "1f", "0fa1", "0fa8", "c403", "c501", "0fb200", "0fb403", "0fb501",
    "0f02d8", "0f02cb", "0f03c3", "0f03d1", "0f00e0", "0f00eb", "0f00d0", "0f00d9", "0f00c0",
    "0f00c9", "63c8", "0f0b", "9c", "9d", "669d", "fa", "fb", "0f06", "0f01e0", "0f20c0", "62c0",
    "6203", "0f011b", "0f0103"
  };

  final long seed;
  final Mode mode;
  final int cpl;
  final byte[] image = new byte[IMAGE];
  final String instruction;
  private final Regs regs = new Regs();
  private final Random random;
  private int iopl;
  private int trLimit = 0xfff;
  private int idtLimit = 0xfff;

  SystemScenario(long seed) {
    this.seed = seed;
    random = new Random(seed);
    mode = Mode.values()[random.nextInt(Mode.values().length)];
    int[] levels = {0, 0, 1, 3};
    cpl = mode == Mode.REAL ? 0 : mode == Mode.V86 ? 3 : levels[random.nextInt(4)];
    java.util.Arrays.fill(image, (byte) HLT);
    tables();
    perturb();
    registers();
    instruction = instruction();
  }

  // ---- memory ----

  private void put16(int at, int value) {
    image[at] = (byte) value;
    image[at + 1] = (byte) (value >> 8);
  }

  private void put32(int at, int value) {
    put16(at, value);
    put16(at + 2, value >>> 16);
  }

  private void put64(int at, long value) {
    put32(at, (int) value);
    put32(at + 4, (int) (value >>> 32));
  }

  private static long segment(long base, int limit, int ar) {
    return limit & 0xffffL
        | (base & 0xffffff) << 16
        | (ar & 0xffL) << 40
        | (limit >> 16 & 15L) << 48
        | (ar >> 12 & 15L) << 52
        | (base >>> 24 & 0xff) << 56;
  }

  private static long gate(int selector, long offset, int ar, int count) {
    return offset & 0xffff
        | (long) selector << 16
        | (long) count << 32
        | (ar & 0xffL) << 40
        | (offset >>> 16 & 0xffff) << 48;
  }

  private boolean lma() {
    return mode == Mode.LONG || mode == Mode.COMPATIBILITY;
  }

  private void gdt(int selector, long value) {
    put64(GDT + (selector & ~7), value);
  }

  private void idt(int vector, int selector, long offset, int ar, int count) {
    if (lma()) {
      put64(IDT + vector * 16, gate(selector, offset, ar, count));
      put64(IDT + vector * 16 + 8, offset >>> 32);
    } else {
      put64(IDT + vector * 8, gate(selector, offset, ar, count));
    }
  }

  private void tables() {
    for (int at = GDT; at < HANDLERS; at++) {
      image[at] = 0;
    }
    gdt(CODE0, segment(0, 0xfffff, 0xc09b));
    gdt(DATA0, segment(0, 0xfffff, 0xc093));
    gdt(CODE3, segment(0, 0xfffff, 0xc0fb));
    gdt(DATA3, segment(0, 0xfffff, 0xc0f3));
    gdt(LONG0, segment(0, 0xfffff, 0xa09b));
    gdt(LONG3, segment(0, 0xfffff, 0xa0fb));
    gdt(TASK, segment(TSS, 0xfff, 0x008b));
    gdt(0x48, segment(LDT, 0xff, 0x0082));
    gdt(0x58, segment(0, 0xfffff, 0xc09f));
    gdt(CODE1, segment(0, 0xfffff, 0xc0bb));
    gdt(DATA1, segment(0, 0xfffff, 0xc0b3));
    gdt(0x70, segment(0, 0xfffff, 0xc01b));
    gdt(0x78, segment(0, 0xfffff, 0xc013));
    gdt(0x80, segment(0, 0xffff, 0x009b));
    gdt(0x88, segment(0x30000, 0xffff, 0x0093));
    gdt(0x90, segment(0, 0xfffff, 0xc0f1));
    gdt(0x98, segment(0, 0xfffff, 0xc099));
    gdt(TASK2, segment(TSS2, 0x67, 0x0089));
    for (int v = 0; v < 256; v++) {
      int dpl = random.nextInt(4) == 0 ? 0 : 0x60;
      idt(v, lma() ? LONG0 : CODE0, HANDLERS + v * 16L, 0x8e + random.nextInt(2) | dpl, 0);
    }
    if (lma()) {
      put64(TSS + 4, STACK0);
      put64(TSS + 12, STACK1);
      put64(TSS + 36, IST);
      put64(TABLES, TABLES + 0x1000 | 7);
      put64(TABLES + 0x1000, TABLES + 0x2000 | 7);
      put64(TABLES + 0x2000, TABLES + 0x3000 | 7);
      for (int k = 0; k < 512; k++) {
        put64(TABLES + 0x3000 + k * 8, (long) k << 12 | 0x67);
      }
    } else {
      put32(TSS + 4, STACK0);
      put32(TSS + 8, DATA0);
      put32(TSS + 12, STACK1);
      put32(TSS + 16, DATA1);
      put32(TABLES, TABLES + 0x1000 | 0x67);
      for (int k = 1; k < 1024; k++) {
        put32(TABLES + k * 4, 0);
      }
      for (int k = 0; k < 512; k++) {
        put32(TABLES + 0x1000 + k * 4, k << 12 | 0x67);
      }
      for (int k = 512; k < 1024; k++) {
        put32(TABLES + 0x1000 + k * 4, 0);
      }
    }
    put16(TSS + 0x66, 0x100);
    put32(TSS2 + 0x1c, TABLES);
    put32(TSS2 + 0x20, CODE + 0x800);
    put32(TSS2 + 0x24, 2);
    put32(TSS2 + 0x38, STACK1);
    int[] selectors = {DATA0, CODE0, DATA0, DATA0, DATA0, DATA0};
    for (int s = 0; s < 6; s++) {
      put32(TSS2 + 0x48 + 4 * s, selectors[s]);
    }
    put32(TSS2 + 0x60, 0);
    put32(TSS2 + 0x64, 0x680000);
    if (mode == Mode.REAL || mode == Mode.V86) {
      for (int v = 0; v < 256; v++) {
        put32(v * 4, HANDLERS >> 4 << 16 | v * 16);
      }
    }
  }

  private int selector() {
    return switch (random.nextInt(8)) {
      case 0 -> random.nextInt(4);
      case 1 -> random.nextInt(0x10000);
      default -> random.nextInt(GDT_LIMIT + 1) & ~4;
    };
  }

  private long codeAddress() {
    return CODE + 0x100 + random.nextInt(0xe00);
  }

  private long descriptor() {
    int ar = random.nextInt(256) | (random.nextInt(4) != 0 ? 0x80 : 0) | random.nextInt(16) << 12;
    if (random.nextInt(3) == 0) {
      int[] types = {4, 12, 5, 12, 1, 9, 2, 11};
      int type = types[random.nextInt(8)];
      if (type == 9 || type == 1 || type == 11) {
        return segment(
            TSS2, random.nextInt(4) == 0 ? random.nextInt(0x80) : 0x67, ar & 0xe0 | type);
      }
      return gate(selector(), codeAddress(), ar & 0xe0 | type, random.nextInt(4));
    }
    return segment(
        random.nextInt(4) == 0 ? random.nextInt(0x1000) : 0,
        random.nextInt(4) != 0 ? 0xfffff : random.nextInt(0x100000),
        ar);
  }

  private void perturb() {
    for (int at = 0x08; at <= GDT_LIMIT; at += 8) {
      if (at >= 0xb0 || random.nextInt(8) == 0) {
        gdt(at, random.nextInt(3) == 0 ? 0 : descriptor());
      }
    }
    if (random.nextBoolean()) {
      for (int k = random.nextInt(40); k > 0; k--) {
        int v = random.nextInt(20);
        idt(v, selector(), codeAddress(), random.nextInt(256) | 0x86, random.nextInt(4));
      }
    }
    if (random.nextInt(3) == 0) {
      for (int k = random.nextInt(6); k > 0; k--) {
        put16(TSS + 4 + 2 * random.nextInt(12), selector());
        put16(TSS2 + 0x20 + 2 * random.nextInt(0x22), selector());
      }
    }
    for (int k = 0; k < 0x1000; k += 2) {
      put16(DATA + k, selector());
    }
    for (int k = 0; k < 0x1000; k += 4) {
      if (random.nextInt(3) == 0) {
        put32(DATA + k, (int) codeAddress());
      }
    }
    if (random.nextInt(6) == 0) {
      trLimit = random.nextInt(0x80);
    }
    if (random.nextInt(10) == 0) {
      idtLimit = random.nextInt(0x200);
    }
  }

  // ---- registers ----

  private long value() {
    return switch (random.nextInt(4)) {
      case 0 -> DATA + (random.nextInt(0x800) & ~3);
      case 1 -> random.nextInt() & 0xffffffffL;
      default -> selector();
    };
  }

  private void registers() {
    regs.rax = value();
    regs.rbx = DATA + (random.nextInt(0x800) & ~3);
    regs.rcx = random.nextBoolean() ? DATA + (random.nextInt(0x800) & ~3) : selector();
    regs.rdx = value();
    regs.rsi = value();
    regs.rdi = value();
    regs.rbp = value();
    regs.rsp = DATA + 0x400 + (random.nextInt(0x800) & ~3);
    iopl = random.nextBoolean() ? 3 : random.nextInt(4);
    regs.rflags = 2 | iopl << 12 | random.nextInt() & 0x8d5 | (random.nextInt(8) == 0 ? 0x4000 : 0);
    if (random.nextBoolean()) {
      // A frame to return to that has good chances.
      int cs = new int[] {CODE0, CODE3, CODE1, LONG0, LONG3}[random.nextInt(5)];
      int ss = new int[] {DATA0, DATA3, DATA1, DATA0, DATA3}[random.nextInt(5)];
      int size = random.nextBoolean() ? 4 : 8;
      int at = (int) regs.rsp;
      boolean flags = random.nextBoolean();
      long image = random.nextInt() & 0x257fd5 & ~0x100 | (random.nextInt(4) == 0 ? 0x20000 : 0);
      long[] frame =
          flags
              ? new long[] {codeAddress(), cs, image, STACK3, ss, DATA3, DATA3, DATA3, DATA3}
              : new long[] {codeAddress(), cs, STACK3, ss};
      for (int k = 0; k < frame.length; k++) {
        if (size == 8) {
          put64(at + k * 8, frame[k]);
        } else {
          put32(at + k * 4, (int) frame[k]);
        }
      }
    }
    if (mode == Mode.REAL || mode == Mode.V86) {
      regs.rsp -= DATA;
      regs.rbx -= DATA;
      regs.rip = 0;
      regs.rflags |= mode == Mode.V86 ? 0x20000 : 0;
    } else {
      regs.rip = CODE;
    }
  }

  private String instruction() {
    String hex = ENCODINGS[random.nextInt(ENCODINGS.length)];
    byte[] bytes = HexFormat.of().parseHex(hex);
    int at = CODE;
    System.arraycopy(bytes, 0, image, at, bytes.length);
    at += bytes.length;
    if (hex.equals("ea") || hex.equals("9a")) {
      if (mode == Mode.REAL || mode == Mode.V86) {
        put16(at, random.nextInt(0x1000));
        put16(at + 2, CODE + 0x1000 >> 4);
      } else {
        put32(at, (int) codeAddress());
        put16(at + 4, selector());
      }
    }
    return hex;
  }

  private static void set(Segment s, int selector, long base, int limit, int ar) {
    s.selector = selector;
    s.base = base;
    s.limit = limit;
    s.type = ar & 15;
    s.s = ar >> 4 & 1;
    s.dpl = ar >> 5 & 3;
    s.present = ar >> 7 & 1;
    s.avl = ar >> 12 & 1;
    s.l = ar >> 13 & 1;
    s.db = ar >> 14 & 1;
    s.g = ar >> 15 & 1;
    s.unusable = 0;
  }

  private void sregs(Sregs r) {
    int code = 0xc09b | cpl << 5;
    int data = 0xc093 | cpl << 5;
    int cs = cpl == 0 ? CODE0 : cpl == 1 ? CODE1 : CODE3;
    int ss = cpl == 0 ? DATA0 : cpl == 1 ? DATA1 : DATA3;
    if (mode == Mode.LONG) {
      cs = cpl == 0 ? LONG0 : cpl == 1 ? CODE1 : LONG3;
      code = code & ~0x4000 | 0x2000;
    }
    if (mode == Mode.REAL || mode == Mode.V86) {
      int ar = mode == Mode.V86 ? 0xf3 : 0x93;
      set(r.cs, CODE >> 4, CODE, 0xffff, mode == Mode.V86 ? 0xf3 : 0x9b);
      for (Segment s : new Segment[] {r.ds, r.es, r.fs, r.gs, r.ss}) {
        set(s, DATA >> 4, DATA, 0xffff, ar);
      }
    } else {
      set(r.cs, cs, 0, -1, code);
      for (Segment s : new Segment[] {r.ds, r.es, r.fs, r.gs, r.ss}) {
        set(s, ss, 0, -1, data);
      }
    }
    set(r.tr, TASK, TSS, trLimit, 0x8b);
    set(r.ldt, 0x48, LDT, 0xff, 0x82);
    r.gdt.base = GDT;
    r.gdt.limit = GDT_LIMIT;
    r.idt.base = mode == Mode.REAL ? 0 : IDT;
    r.idt.limit = idtLimit;
    boolean paging = lma() || mode == Mode.PAGED;
    r.cr0 = (mode == Mode.REAL ? 0x10 : 0x11) | (paging ? 0x80010000L : 0) | 0x20;
    r.cr2 = 0;
    r.cr3 = TABLES;
    r.cr4 = lma() ? 0x20 : 0;
    r.efer = lma() ? 0x500 : 0;
    r.cr8 = 0;
  }

  // ---- running ----

  /** A virtual machine for one scenario after the other. */
  static final class Machine implements AutoCloseable {
    final Vm vm;
    final GuestMemory memory;
    final Vcpu vcpu;
    private final Sregs sregs;
    private final VcpuEvents events;
    private final DebugRegs debug;

    Machine(Kvm kvm) {
      vm = kvm.createVm();
      memory = new GuestMemory(vm);
      memory.add(0, 0, MEMORY, 0);
      byte[] halts = new byte[MEMORY];
      java.util.Arrays.fill(halts, (byte) HLT);
      memory.write(0, halts);
      vcpu = vm.createVcpu(0);
      vcpu.setCpuid2(kvm.getSupportedCpuid());
      sregs = vcpu.getSregs();
      events = vcpu.getVcpuEvents();
      debug = vcpu.getDebugRegs();
    }

    /** Runs a scenario and returns what can be seen afterwards. */
    String run(SystemScenario s) {
      memory.write(0, s.image);
      Sregs before = vcpu.getSregs();
      before.efer = 0;
      s.sregs(before);
      before.apicBase = sregs.apicBase;
      vcpu.setSregs(before);
      vcpu.setRegs(s.regs);
      vcpu.setVcpuEvents(events);
      vcpu.setDebugRegs(debug);
      Exit exit = vcpu.run();
      if (!(exit instanceof Exit.Hlt)) {
        return exit.toString();
      }
      return s.describe(vcpu, memory);
    }

    @Override
    public void close() {
      vcpu.close();
      vm.close();
    }
  }

  private static String describe(String name, Segment s) {
    if (s.unusable != 0 || s.present == 0) {
      return "%s %04x null%n".formatted(name, s.selector);
    }
    return "%s %04x %x/%x type %x s %d dpl %d p %d db %d l %d g %d%n"
        .formatted(
            name, s.selector, s.base, s.limit, s.type, s.s, s.dpl, s.present, s.db, s.l, s.g);
  }

  private String describe(Vcpu vcpu, GuestMemory memory) {
    Regs r = vcpu.getRegs();
    Sregs s = vcpu.getSregs();
    StringBuilder text = new StringBuilder();
    text.append(
        "rip %x flags %x%nrax %x rcx %x rdx %x rbx %x%nrsp %x rbp %x rsi %x rdi %x%n"
            .formatted(r.rip, r.rflags, r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi));
    Segment[] segments = {s.cs, s.ss, s.ds, s.es, s.fs, s.gs, s.ldt, s.tr};
    String[] names = {"cs", "ss", "ds", "es", "fs", "gs", "ldt", "tr"};
    for (int k = 0; k < 8; k++) {
      text.append(describe(names[k], segments[k]));
    }
    text.append(
        "cr0 %x cr2 %x cr3 %x cr4 %x efer %x gdt %x/%x idt %x/%x%n"
            .formatted(
                s.cr0,
                s.cr2,
                s.cr3,
                s.cr4,
                s.efer,
                s.gdt.base,
                s.gdt.limit,
                s.idt.base,
                s.idt.limit));
    byte[] after = new byte[IMAGE];
    memory.read(0, after, 0, IMAGE);
    for (int at = 0; at < IMAGE; at += 4) {
      if (at >= TABLES && at < TABLES + 0x4000) {
        continue;
      }
      for (int k = 0; k < 4; k++) {
        if (after[at + k] != image[at + k]) {
          text.append(
              "%x: %02x%02x%02x%02x%n"
                  .formatted(at, after[at + 3], after[at + 2], after[at + 1], after[at]));
          break;
        }
      }
    }
    return text.toString();
  }

  @Override
  public String toString() {
    return "seed %d: %s CPL %d, %s".formatted(seed, mode, cpl, instruction);
  }
}
