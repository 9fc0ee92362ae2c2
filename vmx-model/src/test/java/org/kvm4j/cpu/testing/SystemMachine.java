package org.kvm4j.cpu.testing;

import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.GuestMode;
import org.kvm4j.cpu.core.Platform;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.decode.Decoder;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.event.EventDelivery;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.cpu.segment.Descriptor;
import org.kvm4j.cpu.semantics.Handlers;
import org.kvm4j.ept.memory.PhysicalMemory;

/**
 * A processor with 4 MiB of memory, descriptor tables, task state and page tables, for single
 * instructions and events. Linear addresses are physical ones; with paging the pages from {@link
 * #PAGES} on can be taken away one by one.
 */
public final class SystemMachine {
  // Memory.
  public static final int GDT = 0x10000;
  public static final int IDT = 0x11000;
  public static final int TSS = 0x12000;
  public static final int LDT = 0x13000;

  /** A second TSS, available: a task to switch to. */
  public static final int TSS2 = 0x14000;

  public static final int HANDLERS = 0x18000;
  public static final int STACK0 = 0x30000;
  public static final int STACK1 = 0x32000;
  public static final int STACK3 = 0x34000;
  public static final int IST1 = 0x36000;
  public static final int CODE = 0x40000;
  public static final int DATA = 0x50000;
  public static final int PAGES = 0x200000;
  private static final int TABLES = 0x20000;

  // Selectors.
  public static final int CODE0 = 0x08;
  public static final int DATA0 = 0x10;
  public static final int CODE3 = 0x1b;
  public static final int DATA3 = 0x23;
  public static final int LONG0 = 0x28;
  public static final int LONG3 = 0x33;
  public static final int TASK = 0x38;
  public static final int LOCAL = 0x48;
  public static final int CONFORMING0 = 0x58;
  public static final int CODE1 = 0x61;
  public static final int DATA1 = 0x69;
  public static final int ABSENT_CODE = 0x70;
  public static final int ABSENT_DATA = 0x78;
  public static final int CODE16 = 0x80;
  public static final int DATA16 = 0x88;
  public static final int READ_ONLY = 0x93;
  public static final int EXECUTE_ONLY = 0x98;
  public static final int TASK2 = 0xa0;

  /** The first selector that tests may fill as they like, up to the end of the table. */
  public static final int FREE = 0xb0;

  public static final int GDT_LIMIT = 0x1ff;

  /** What an instruction or event threw. */
  public record Fault(int vector, boolean hasErrorCode, int errorCode, long payload) {
    public static Fault of(int vector) {
      return new Fault(vector, false, 0, 0);
    }

    public static Fault of(int vector, int errorCode) {
      return new Fault(vector, true, errorCode, 0);
    }

    @Override
    public String toString() {
      return "#%d%s".formatted(vector, hasErrorCode ? "(%#x)".formatted(errorCode) : "");
    }
  }

  public final PhysicalMemory memory;
  public final Cpu cpu;
  private final Decoder decoder;
  private long initialCr0;
  private long initialCr3;
  private long initialCr4;
  private long initialEfer;
  private long initialFlags;

  /** Port accesses: "in 60/1", "out 80/1=12". */
  public final List<String> ports = new ArrayList<>();

  public int portValue = 0x12345678;

  /** As {@link Platform#portsWantAlone}: "shared in 60/1" is an access that was not alone then. */
  public boolean portsWantAlone;

  /** As {@link Platform#portAnswers}. */
  public boolean portAnswers = true;

  public long tsc = 1000;

  /** The vector that an interrupt controller would give; -1 for none. */
  public int interrupt = -1;

  /** How often performance counters have asked for an interrupt. */
  public int performanceInterrupts;

  /** What comes of it. */
  public Runnable onPerformanceInterrupt = () -> {};

  private SystemMachine(CpuModel model) {
    this(model, new PhysicalMemory(40));
  }

  private SystemMachine(CpuModel model, PhysicalMemory memory) {
    this.memory = memory;
    if (memory.bankOfPage(0) == null) {
      memory.mapAt(0, 0x400000);
    }
    Platform none = Platform.NONE;
    Platform platform =
        (Platform)
            Proxy.newProxyInstance(
                Platform.class.getClassLoader(),
                new Class<?>[] {Platform.class},
                (proxy, method, args) -> {
                  switch (method.getName()) {
                    case "portRead":
                      ports.add(shared() + "in %x/%d".formatted(args));
                      return portValue;
                    case "portWrite":
                      ports.add(shared() + "out %x/%d=%x".formatted(args));
                      return null;
                    case "portsWantAlone":
                      return portsWantAlone;
                    case "portAnswers":
                      return portAnswers;
                    case "endInstruction":
                      return !(Boolean) args[0];
                    case "tsc":
                      return tsc;
                    case "performanceInterrupt":
                      performanceInterrupts++;
                      onPerformanceInterrupt.run();
                      return null;
                    case "acknowledgeInterrupt":
                      return interrupt;
                    default:
                      return method.invoke(none, args);
                  }
                });
    cpu = new Cpu(model, memory, platform);
    decoder = new Decoder(model.features());
    descriptorTables();
  }

  private String shared() {
    return portsWantAlone && !cpu.alone ? "shared " : "";
  }

  // ---- modes ----

  /** Real-address mode, code at {@link #CODE}. */
  public static SystemMachine real() {
    SystemMachine m = new SystemMachine(CpuProfiles.named("kvm4j-v1,+xsave,+apic"));
    m.enterReal();
    return m.made();
  }

  private void enterReal() {
    cpu.idtBase = 0;
    cpu.idtLimit = 0x3ff;
    cpu.seg[Cpu.CS].set(CODE >> 4, CODE, 0xffff, Segment.REAL_CODE);
    cpu.seg[Cpu.SS].set(STACK0 >> 4, STACK0, 0xffff, Segment.REAL_DATA);
    for (int s : new int[] {Cpu.DS, Cpu.ES, Cpu.FS, Cpu.GS}) {
      cpu.seg[s].set(DATA >> 4, DATA, 0xffff, Segment.REAL_DATA);
    }
    cpu.r[Cpu.RSP] = 0x1000;
    cpu.rip = 0;
    cpu.instructionRip = 0;
    cpu.updateMode();
  }

  private SystemMachine made() {
    initialCr0 = cpu.cr0;
    initialCr3 = cpu.cr3;
    initialCr4 = cpu.cr4;
    initialEfer = cpu.efer;
    initialFlags = cpu.rflags();
    return this;
  }

  /** Flat 32-bit protected mode at a privilege level, without paging. */
  public static SystemMachine protected32(int cpl) {
    return protected32(cpl, "kvm4j-v1,+xsave,+apic");
  }

  /** As above, on a CPU model by its description. */
  public static SystemMachine protected32(int cpl, String model) {
    SystemMachine m = new SystemMachine(CpuProfiles.named(model));
    m.cpu.cr0 |= ControlBits.CR0_PE;
    m.taskState(false);
    m.flat(cpl, false);
    return m.made();
  }

  /** As above with 32-bit paging. */
  public static SystemMachine paged32(int cpl) {
    SystemMachine m = protected32(cpl);
    m.cpu.cr3 = TABLES;
    m.cpu.cr0 |= ControlBits.CR0_PG | ControlBits.CR0_WP;
    m.pageTables();
    m.cpu.updateMode();
    return m.made();
  }

  /** 64-bit mode at a privilege level. */
  public static SystemMachine long64(int cpl) {
    return long64(cpl, "kvm4j-v1,+xsave,+apic");
  }

  /** 64-bit mode at a privilege level, on a CPU model by its description. */
  public static SystemMachine long64(int cpl, String model) {
    return new SystemMachine(CpuProfiles.named(model)).enterLong64(cpl);
  }

  /** Another processor of the same model, in the same memory, in 64-bit mode. */
  public SystemMachine beside(int cpl) {
    return new SystemMachine(cpu.model, memory).enterLong64(cpl);
  }

  private SystemMachine enterLong64(int cpl) {
    SystemMachine m = this;
    m.cpu.cr0 |= ControlBits.CR0_PE | ControlBits.CR0_PG | ControlBits.CR0_WP;
    m.cpu.cr3 = TABLES;
    m.cpu.cr4 = ControlBits.CR4_PAE;
    m.cpu.efer =
        ControlBits.EFER_LME | ControlBits.EFER_LMA | ControlBits.EFER_SCE | ControlBits.EFER_NXE;
    m.pageTables();
    m.taskState(true);
    m.flat(cpl, true);
    return m.made();
  }

  /** Compatibility mode at a privilege level. */
  public static SystemMachine compatibility(int cpl) {
    return compatibility(cpl, "kvm4j-v1,+xsave,+apic");
  }

  /** As above, on a CPU model by its description. */
  public static SystemMachine compatibility(int cpl, String model) {
    SystemMachine m = long64(cpl, model);
    m.flat(cpl, false);
    return m;
  }

  /** Virtual-8086 mode, code at {@link #CODE}, with paging off. */
  public static SystemMachine v86(int iopl) {
    SystemMachine m = protected32(3);
    m.enterV86(iopl);
    return m.made();
  }

  private void enterV86(int iopl) {
    Cpu c = cpu;
    c.cpl = 3;
    c.flagsRest |= Flags.VM | iopl << 12;
    int[] bases = {DATA, CODE, STACK3 - 0x1000, DATA, DATA, DATA};
    for (int s = 0; s < 6; s++) {
      c.seg[s].set(bases[s] >> 4, bases[s], 0xffff, 0xf3);
    }
    c.rip = 0;
    c.instructionRip = 0;
    c.r[Cpu.RSP] = 0x1000;
    c.updateMode();
  }

  private void pageTables() {
    if ((cpu.efer & ControlBits.EFER_LMA) != 0) {
      memory.writeLong(TABLES, TABLES + 0x1000 | 7);
      memory.writeLong(TABLES + 0x1000, TABLES + 0x2000 | 7);
      memory.writeLong(TABLES + 0x2000, 0x80 | 7);
      memory.writeLong(TABLES + 0x2008, TABLES + 0x3000 | 7);
      for (int k = 0; k < 512; k++) {
        memory.writeLong(TABLES + 0x3000 + k * 8, PAGES + (k << 12) | 7);
      }
    } else {
      for (int k = 0; k < 1024; k++) {
        memory.writeInt(TABLES + k * 4, 0);
        memory.writeInt(TABLES + 0x1000 + k * 4, k << 12 | 7);
      }
      memory.writeInt(TABLES, TABLES + 0x1000 | 7);
    }
  }

  /**
   * Puts tables and registers back to what they were when the machine was made.
   *
   * @param cpl privilege level, in the modes that have more than one
   * @param compatibility compatibility mode instead of 64-bit mode
   */
  public void restart(int cpl, boolean compatibility) {
    Arrays.fill(cpu.r, 0);
    cpu.cr0 = initialCr0;
    cpu.cr3 = initialCr3;
    cpu.cr4 = initialCr4;
    cpu.efer = initialEfer;
    cpu.setRflags(initialFlags);
    cpu.dr7 = 0x400;
    cpu.shadow = 0;
    cpu.pendingDebug = 0;
    cpu.activity = Cpu.ACTIVE;
    cpu.left = false;
    cpu.xcr0 = 1;
    cpu.pkru = 0;
    cpu.pkrs = 0;
    cpu.msr.reset();
    ports.clear();
    byte[] none = new byte[0x1000];
    memory.write(TSS2, none);
    pageTables();
    cpu.seg[Cpu.LDTR].set(0, 0, 0xffff, 0x82);
    descriptorTables();
    if ((initialFlags & Flags.VM) != 0) {
      taskState(false);
      enterV86((int) initialFlags >> 12 & 3);
    } else if ((initialCr0 & ControlBits.CR0_PE) == 0) {
      cpu.cpl = 0;
      enterReal();
    } else {
      boolean lma = (initialEfer & ControlBits.EFER_LMA) != 0;
      taskState(lma);
      flat(cpl, lma && !compatibility);
    }
    cpu.mmu.flushAll();
  }

  private void flat(int cpl, boolean long64) {
    int cs = cpl == 0 ? long64 ? LONG0 : CODE0 : cpl == 1 ? CODE1 : long64 ? LONG3 : CODE3;
    int ss = cpl == 0 ? DATA0 : cpl == 1 ? DATA1 : DATA3;
    load(Cpu.CS, cs);
    for (int s : new int[] {Cpu.ES, Cpu.SS, Cpu.DS, Cpu.FS, Cpu.GS}) {
      load(s, ss);
    }
    cpu.cpl = cpl;
    cpu.rip = CODE;
    cpu.instructionRip = CODE;
    cpu.r[Cpu.RSP] = cpl == 0 ? STACK0 : cpl == 1 ? STACK1 : STACK3;
    cpu.updateMode();
  }

  /** Loads the hidden part of a segment register from the GDT, without checks. */
  public void load(int s, int selector) {
    long raw = memory.readLong(GDT + (selector & ~7));
    new Descriptor(selector, 0, raw, 0).load(cpu.seg[s], selector);
  }

  // ---- tables ----

  private void descriptorTables() {
    cpu.gdtBase = GDT;
    cpu.gdtLimit = GDT_LIMIT;
    cpu.idtBase = IDT;
    cpu.idtLimit = 0xfff;
    gdt(CODE0, segment(0, 0xfffff, 0xc09b));
    gdt(DATA0, segment(0, 0xfffff, 0xc093));
    gdt(CODE3, segment(0, 0xfffff, 0xc0fb));
    gdt(DATA3, segment(0, 0xfffff, 0xc0f3));
    gdt(LONG0, segment(0, 0xfffff, 0xa09b));
    gdt(LONG3, segment(0, 0xfffff, 0xa0fb));
    gdt(LOCAL, segment(LDT, 0xff, 0x0082));
    gdt(CONFORMING0, segment(0, 0xfffff, 0xc09f));
    gdt(CODE1, segment(0, 0xfffff, 0xc0bb));
    gdt(DATA1, segment(0, 0xfffff, 0xc0b3));
    gdt(ABSENT_CODE, segment(0, 0xfffff, 0xc01b));
    gdt(ABSENT_DATA, segment(0, 0xfffff, 0xc013));
    gdt(CODE16, segment(0, 0xffff, 0x009b));
    gdt(DATA16, segment(STACK0, 0xffff, 0x0093));
    gdt(READ_ONLY, segment(0, 0xfffff, 0xc0f1));
    gdt(EXECUTE_ONLY, segment(0, 0xfffff, 0xc099));
    gdt(TASK2, segment(TSS2, 0x67, 0x0089));
  }

  /** A descriptor from its base, its limit field and its access rights as {@link Segment#ar}. */
  public static long segment(long base, int limit, int ar) {
    return limit & 0xffffL
        | (base & 0xffffff) << 16
        | (ar & 0xffL) << 40
        | (limit >> 16 & 15L) << 48
        | (ar >> 12 & 15L) << 52
        | (base >>> 24 & 0xff) << 56;
  }

  /** A gate: type and DPL in {@code ar} (0x8e: present 32-bit interrupt gate of DPL 0). */
  public static long gate(int selector, long offset, int ar, int count) {
    return offset & 0xffff
        | (long) selector << 16
        | (long) count << 32
        | (ar & 0xffL) << 40
        | (offset >>> 16 & 0xffff) << 48;
  }

  /** Sets an entry of the GDT. */
  public void gdt(int selector, long descriptor) {
    memory.writeLong(GDT + (selector & ~7), descriptor);
  }

  /** The type and DPL byte of an entry of the GDT. */
  public int gdtAccess(int selector) {
    return memory.readByte(GDT + (selector & ~7) + 5) & 0xff;
  }

  /** Where the handler of a vector is. */
  public static int handler(int vector) {
    return HANDLERS + vector * 16;
  }

  /** Gates for all vectors, to {@link #handler}; 16 bytes each in IA-32e mode. */
  public void idt(int selector, int ar) {
    for (int v = 0; v < 256; v++) {
      idt(v, selector, handler(v), ar, 0);
    }
  }

  /** One gate of the IDT; {@code count} is the IST index in IA-32e mode. */
  public void idt(int vector, int selector, long offset, int ar, int count) {
    if (cpu.longMode) {
      memory.writeLong(IDT + vector * 16, gate(selector, offset, ar, count));
      memory.writeLong(IDT + vector * 16 + 8, offset >>> 32);
    } else {
      memory.writeLong(IDT + vector * 8, gate(selector, offset, ar, count));
    }
  }

  private void taskState(boolean long64) {
    gdt(TASK, segment(TSS, 0xfff, 0x008b));
    cpu.seg[Cpu.TR].set(TASK, TSS, 0xfff, 0x8b);
    if (long64) {
      memory.writeLong(TSS + 4, STACK0);
      memory.writeLong(TSS + 12, STACK1);
      memory.writeLong(TSS + 36, IST1);
    } else {
      memory.writeInt(TSS + 4, STACK0);
      memory.writeInt(TSS + 8, DATA0);
      memory.writeInt(TSS + 12, STACK1);
      memory.writeInt(TSS + 16, DATA1);
    }
    memory.writeShort(TSS + 0x66, (short) 0x100);
    for (int k = 0; k < 0x200; k++) {
      memory.writeByte(TSS + 0x200 + k, (byte) 0);
    }
  }

  /** Takes the page at an address from {@link #PAGES} on away, or makes it read-only. */
  public void page(long address, int rights) {
    if (cpu.longMode) {
      memory.writeLong(TABLES + 0x3000 + (address - PAGES >> 12) * 8, address & ~0xfffL | rights);
    } else {
      memory.writeInt(
          (int) (TABLES + 0x1000 + (address >> 12) * 4), (int) (address & ~0xfffL) | rights);
    }
    cpu.mmu.flushAll();
  }

  /** Has the page at an address from {@link #PAGES} on lead elsewhere; invalidates nothing. */
  public void map(long address, long to) {
    memory.writeLong(TABLES + 0x3000 + (address - PAGES >> 12) * 8, to & ~0xfffL | 7);
  }

  // ---- execution ----

  /** Executes one instruction given in hexadecimal; what it throws passes through. */
  public Instruction execute(String hex) {
    byte[] bytes = HexFormat.of().parseHex(hex.replace(" ", ""));
    long at = cpu.codeSize == 8 ? cpu.rip : cpu.seg[Cpu.CS].base + cpu.rip & 0xffffffffL;
    memory.write(at, bytes);
    int mode = cpu.protectedMode ? cpu.codeSize : cpu.codeSize + Decoder.REAL_MODE;
    Instruction i = decoder.decode(bytes, 0, bytes.length, mode);
    if (i.length != bytes.length) {
      throw new AssertionError(hex + " is " + i + " of " + i.length + " bytes");
    }
    return execute(i);
  }

  /** Executes one decoded instruction at rip. */
  public Instruction execute(Instruction i) {
    cpu.instructionRip = cpu.rip;
    cpu.rip = cpu.rip + i.length & cpu.ripMask;
    Handlers.of(i.opcode).execute(cpu, i);
    return i;
  }

  /** What an instruction faults with, or null; rip is put back. */
  public @Nullable Fault fault(String hex) {
    try {
      execute(hex);
      return null;
    } catch (CpuException e) {
      cpu.rip = cpu.instructionRip;
      return new Fault(e.vector, e.hasErrorCode, e.errorCode, e.payload);
    }
  }

  /** The vector of what an instruction faults with, or -1. */
  public int faultVector(String hex) {
    Fault fault = fault(hex);
    return fault == null ? -1 : fault.vector();
  }

  /** Executes an instruction and delivers what it faults with. */
  public void run(String hex) {
    try {
      execute(hex);
    } catch (CpuException e) {
      EventDelivery.exception(cpu, e);
    }
  }

  /** The vector whose handler rip is at, or -1. */
  public int handled() {
    long at = cpu.rip - HANDLERS;
    return at >= 0 && at < 256 * 16 && at % 16 == 0 ? (int) (at / 16) : -1;
  }

  /** The value at a distance from the stack pointer. */
  public long stack(int slot, int size) {
    long at =
        (cpu.codeSize == 8 ? 0 : cpu.seg[Cpu.SS].base)
            + (cpu.r[Cpu.RSP] & cpu.stackMask)
            + (long) slot * size;
    return read(at, size);
  }

  public long read(long at, int size) {
    return switch (size) {
      case 1 -> memory.readByte(at) & 0xffL;
      case 2 -> memory.readShort(at) & 0xffffL;
      case 4 -> memory.readInt(at) & 0xffffffffL;
      default -> memory.readLong(at);
    };
  }

  // ---- guests ----

  /**
   * Puts the processor into non-root operation: the named methods of {@link GuestMode} say true,
   * all calls are recorded.
   */
  public List<String> guest(String... exits) {
    List<String> calls = new ArrayList<>();
    Set<String> all = Set.of(exits);
    cpu.guest =
        (GuestMode)
            Proxy.newProxyInstance(
                GuestMode.class.getClassLoader(),
                new Class<?>[] {GuestMode.class},
                (proxy, method, args) -> {
                  String name = method.getName();
                  StringBuilder call = new StringBuilder(name);
                  if (args != null) {
                    for (Object a : args) {
                      if (!(a instanceof Instruction)) {
                        call.append(' ').append(a);
                      }
                    }
                  }
                  calls.add(call.toString());
                  return switch (name) {
                    case "readCr0" -> cpu.cr0;
                    case "readCr4" -> cpu.cr4;
                    case "writeCr0", "writeCr4", "guestTsc" -> args[0];
                    case "iretUnblocksNmi" -> !all.contains(name);
                    default -> method.getReturnType() == boolean.class ? all.contains(name) : null;
                  };
                });
    return calls;
  }
}
