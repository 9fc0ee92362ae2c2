package org.kvm4j.cpu.semantics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.fail;
import static org.kvm4j.cpu.testing.SystemMachine.*;

import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.Set;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.decode.Decoder;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.event.EventDelivery;
import org.kvm4j.cpu.msr.Msr;
import org.kvm4j.cpu.msr.MsrTable;
import org.kvm4j.cpu.testing.SystemMachine;

/**
 * Random tables, selectors, registers and system instructions: nothing but architectural exceptions
 * comes out, a fault leaves the state as it was, and what is loaded is consistent.
 */
class SystemProperties {
  /** The opcodes of the groups, without those that only the other groups have. */
  private static final Opcode[] OPCODES = {
    Opcode.JMP_FAR,
    Opcode.CALL_FAR,
    Opcode.RET_FAR,
    Opcode.IRET,
    Opcode.INT,
    Opcode.INT3,
    Opcode.INT1,
    Opcode.INTO,
    Opcode.BOUND,
    Opcode.LES,
    Opcode.LDS,
    Opcode.LSS,
    Opcode.LFS,
    Opcode.LGS,
    Opcode.LAR,
    Opcode.LSL,
    Opcode.VERR,
    Opcode.VERW,
    Opcode.ARPL,
    Opcode.LLDT,
    Opcode.LTR,
    Opcode.SLDT,
    Opcode.STR,
    Opcode.LGDT,
    Opcode.LIDT,
    Opcode.SGDT,
    Opcode.SIDT,
    Opcode.LMSW,
    Opcode.SMSW,
    Opcode.CLTS,
    Opcode.SWAPGS,
    Opcode.SYSCALL,
    Opcode.SYSRET,
    Opcode.SYSENTER,
    Opcode.SYSEXIT,
    Opcode.PUSHF,
    Opcode.POPF,
    Opcode.CLI,
    Opcode.STI,
    Opcode.CPUID,
    Opcode.RDMSR,
    Opcode.WRMSR,
    Opcode.INVLPG,
    Opcode.INVPCID,
    Opcode.XSETBV,
    Opcode.XGETBV,
    Opcode.FXSAVE,
    Opcode.FXRSTOR,
    Opcode.XSAVE,
    Opcode.XRSTOR,
    Opcode.IN,
    Opcode.OUT,
    Opcode.INS,
    Opcode.OUTS,
    Opcode.MONITOR,
    Opcode.MWAIT,
    Opcode.RDPKRU,
    Opcode.WRPKRU,
    Opcode.RDTSCP,
    Opcode.RDPMC,
    Opcode.MOV,
    Opcode.PUSH,
    Opcode.POP
  };

  private static final Set<Opcode> WANTED = Set.of(OPCODES);

  /** How instructions of the groups begin. */
  private static final String[] ENCODINGS = {
    "ea",
    "9a",
    "ff",
    "cb",
    "ca",
    "cf",
    "cd",
    "cc",
    "f1",
    "ce",
    "62",
    "c4",
    "c5",
    "0fb2",
    "0fb4",
    "0fb5",
    "0f02",
    "0f03",
    "0f00",
    "63",
    "0f01",
    "0f06",
    "0f05",
    "0f07",
    "0f34",
    "0f35",
    "9c",
    "9d",
    "fa",
    "fb",
    "0fa2",
    "0f32",
    "0f30",
    "660f3882",
    "0fae",
    "ec",
    "ed",
    "6c",
    "6d",
    "6e",
    "6f",
    "e4",
    "e7",
    "0f20",
    "0f21",
    "0f22",
    "0f23",
    "8e",
    "8c",
    "0fa0",
    "0fa1",
    "07",
    "16",
    "17",
    "1f",
    "0f01d0",
    "0f01d1",
    "0f01ee",
    "0f01ef",
    "0f01c8",
    "0f01c9",
    "0f01f8",
    "0f01f9",
    "0f33"
  };

  private static final SystemMachine[] MACHINES = {
    SystemMachine.real(),
    SystemMachine.protected32(0),
    SystemMachine.paged32(0),
    SystemMachine.long64(0),
    SystemMachine.v86(3)
  };

  private static final Decoder DECODER = new Decoder(MACHINES[0].cpu.model.features());

  /** The state that a fault must leave alone, as text. */
  private static String state(Cpu c) {
    StringBuilder segments = new StringBuilder();
    for (Segment s : c.seg) {
      segments.append("%x:%x/%x/%x ".formatted(s.selector, s.base, s.limit, s.ar));
    }
    long[] control = {
      c.cr0,
      c.cr3,
      c.cr4,
      c.cr8,
      c.efer,
      c.gdtBase,
      c.gdtLimit,
      c.idtBase,
      c.idtLimit,
      c.dr6,
      c.dr7,
      c.xcr0,
      c.pkru,
      c.modeKey,
      c.codeSize,
      c.cpl
    };
    return "r %s rip %x flags %x seg %s control %s"
        .formatted(Arrays.toString(c.r), c.rip, c.rflags(), segments, Arrays.toString(control));
  }

  // ---- random state ----

  private static int selector(Random random) {
    return switch (random.nextInt(8)) {
      case 0 -> random.nextInt(4);
      case 1 -> random.nextInt(0x10000);
      default -> random.nextInt(GDT_LIMIT + 1) & ~4;
    };
  }

  private static long address(Random random) {
    return switch (random.nextInt(6)) {
      case 0 -> PAGES + random.nextInt(0x4000);
      case 1 -> random.nextLong();
      case 2 -> random.nextInt() & 0xffffffffL;
      default -> DATA + random.nextInt(0x1000);
    };
  }

  private static long descriptor(Random random) {
    int ar = random.nextInt(256) | (random.nextInt(4) != 0 ? 0x80 : 0) | random.nextInt(16) << 12;
    if (random.nextInt(3) == 0) {
      int types = 0x5edc_3291;
      return gate(
          selector(random),
          address(random),
          ar & 0xe0 | types >> random.nextInt(8) * 4 & 15,
          random.nextInt(32));
    }
    return segment(
        random.nextInt(4) == 0 ? random.nextInt() : TSS2,
        random.nextBoolean() ? 0xfffff : random.nextInt(0x100000),
        ar);
  }

  private static void randomize(SystemMachine m, Random random) {
    Cpu c = m.cpu;
    for (int at = 0; at <= GDT_LIMIT; at += 8) {
      if (random.nextInt(3) == 0) {
        m.gdt(at, descriptor(random));
      }
    }
    for (int k = 0; k < 64; k++) {
      int v = random.nextInt(256);
      m.idt(v, selector(random), address(random), random.nextInt(256) | 0x86, random.nextInt(8));
    }
    for (int k = 0; k < 0x68; k += 2) {
      if (random.nextInt(4) == 0) {
        m.memory.writeShort(TSS + k, (short) selector(random));
        m.memory.writeShort(TSS2 + k, (short) selector(random));
      }
    }
    for (int k = 0; k < 0x1000; k += 8) {
      m.memory.writeLong(DATA + k, random.nextBoolean() ? selector(random) : address(random));
    }
    for (int k = 0; k < 16; k++) {
      c.r[k] =
          random.nextInt(3) == 0
              ? selector(random)
              : random.nextInt(3) == 0 ? random.nextLong() : address(random);
    }
    c.r[Cpu.RSP] = address(random);
    c.setRflags(c.rflags() & Flags.VM | random.nextInt() & Flags.REST & ~Flags.VM | 2);
    for (int k = random.nextInt(3); k > 0; k--) {
      c.cr4 ^= 1L << random.nextInt(25) & cr4Free(c);
    }
    c.msr.sysenterCs = selector(random);
    c.msr.sysenterEip = DATA;
    c.msr.star = (long) selector(random) << 48 | (long) selector(random) << 32;
    c.msr.lstar = DATA;
    if (random.nextInt(4) == 0) {
      List<Msr> all = List.copyOf(MsrTable.all());
      c.r[Cpu.RCX] = all.get(random.nextInt(all.size())).index & 0xffffffffL;
    } else if (random.nextInt(4) == 0) {
      c.r[Cpu.RCX] = 0;
      c.r[Cpu.RDX] = 0;
    }
    c.seg[Cpu.TR].limit = random.nextInt(4) == 0 ? random.nextInt(0x100) : 0xfff;
    c.idtLimit = random.nextInt(8) == 0 ? random.nextInt(0x1000) : 0xfff;
    c.nmiBlocked = random.nextBoolean();
    c.updateMode();
  }

  private static long cr4Free(Cpu c) {
    return ControlRegisters.cr4Defined(c.model)
        & ~(ControlBits.CR4_PAE | ControlBits.CR4_LA57 | ControlBits.CR4_PCIDE);
  }

  /** Puts the machine of a mode back to where it began, at a random privilege level. */
  private static SystemMachine machine(Random random) {
    SystemMachine fresh = MACHINES[random.nextInt(MACHINES.length)];
    int cpl = new int[] {0, 0, 1, 3}[random.nextInt(4)];
    fresh.restart(cpl, random.nextInt(3) == 0);
    return fresh;
  }

  private static @Nullable Instruction instruction(SystemMachine m, Random random) {
    byte[] bytes = new byte[24];
    int mode = m.cpu.protectedMode ? m.cpu.codeSize : m.cpu.codeSize + Decoder.REAL_MODE;
    for (int k = 0; k < 50; k++) {
      random.nextBytes(bytes);
      int at = 0;
      if (random.nextInt(3) == 0) {
        bytes[at++] = new byte[] {0x66, 0x67, (byte) 0xf3, 0x48}[random.nextInt(4)];
      }
      byte[] opcode = HexFormat.of().parseHex(ENCODINGS[random.nextInt(ENCODINGS.length)]);
      System.arraycopy(opcode, 0, bytes, at, opcode.length);
      Instruction i = DECODER.decode(bytes, 0, 16, mode);
      if (WANTED.contains(i.opcode)
          && (i.opcode != Opcode.MOV && i.opcode != Opcode.PUSH && i.opcode != Opcode.POP
              || SystemMoves.isOne(i))) {
        return i;
      }
    }
    return null;
  }

  // ---- properties ----

  @Property(tries = 20000)
  void instructions_fault_architecturally_and_leave_no_trace(@ForAll long seed) {
    Random random = new Random(seed);
    SystemMachine m = machine(random);
    randomize(m, random);
    Instruction i = instruction(m, random);
    if (i == null) {
      return;
    }
    Cpu c = m.cpu;
    String before = state(c);
    boolean repeated = (i.opcode == Opcode.INS || i.opcode == Opcode.OUTS) && (i.rep || i.repne);
    if (repeated) {
      c.r[Cpu.RCX] = random.nextInt(5);
      before = state(c);
    }
    try {
      m.execute(i);
    } catch (CpuException e) {
      c.rip = c.instructionRip;
      if (!repeated) {
        assertEquals(before, state(c), i.opcode + " " + e.getMessage());
      }
      EventDelivery.exception(c, e);
    }
    check(c, i.opcode.name());
  }

  @Property(tries = 10000)
  void events_are_delivered_or_shut_the_processor_down(@ForAll long seed) {
    Random random = new Random(seed);
    SystemMachine m = machine(random);
    randomize(m, random);
    Cpu c = m.cpu;
    int vector = random.nextInt(256);
    String what;
    switch (random.nextInt(5)) {
      case 0 -> {
        EventDelivery.interrupt(c, vector);
        what = "interrupt";
      }
      case 1 -> {
        EventDelivery.nmi(c);
        what = "NMI";
      }
      case 2 -> {
        EventDelivery.exception(
            c, random.nextBoolean() ? c.exception(vector & 31) : c.exception(vector & 31, 0));
        what = "exception";
      }
      case 3 -> {
        int[] types = {0, 2, 3, 4, 5, 6};
        EventDelivery.inject(
            c, types[random.nextInt(6)], vector, random.nextBoolean(), 0, random.nextInt(16));
        what = "injection";
      }
      default -> {
        EventDelivery.debugTrap(c, 1 << 14);
        what = "trap";
      }
    }
    check(c, what + " " + vector);
  }

  private static void check(Cpu c, String what) {
    if (c.activity == Cpu.SHUTDOWN) {
      return;
    }
    if (!c.v86 && c.protectedMode && (c.seg[Cpu.CS].selector & 3) != c.cpl) {
      fail(what + ": CS " + Integer.toHexString(c.seg[Cpu.CS].selector) + " at CPL " + c.cpl);
    }
    if (c.v86 && c.cpl != 3) {
      fail(what + ": virtual-8086 mode at CPL " + c.cpl);
    }
    Segment ss = c.seg[Cpu.SS];
    if (c.protectedMode && !ss.unusable() && ss.dpl() != c.cpl) {
      fail(what + ": SS of DPL " + ss.dpl() + " at CPL " + c.cpl);
    }
    if (c.longMode && c.codeSize == 8 && !c.isCanonical(c.rip)) {
      fail(what + ": RIP " + Long.toHexString(c.rip));
    }
    long flags = c.flagsRest;
    Cpu copy = c;
    copy.updateMode();
    assertEquals(flags, copy.flagsRest);
  }
}
