package org.kvm4j.cpu.semantics;

import java.util.Arrays;
import java.util.HexFormat;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Platform;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.decode.Decoder;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.cpu.profile.Feature;
import org.kvm4j.cpu.profile.FeatureSet;
import org.kvm4j.ept.memory.CodeMark;
import org.kvm4j.ept.memory.PhysicalMemory;

/**
 * A processor with a little memory, for one instruction at a time. Linear addresses are physical
 * ones. From {@link #data} on there are two writable pages; with paging a read-only page follows,
 * and after it nothing is mapped.
 */
final class TestMachine {
  /** What the processor is in. */
  enum Mode {
    /** Real-address mode. */
    REAL(2),
    /** Protected mode with 16-bit segments of limit FFFF, paging off. */
    PROTECTED16(2),
    /** Protected mode with flat 32-bit segments, CPL 3, 32-bit paging. */
    PROTECTED32(4),
    /** 64-bit mode, CPL 3. */
    LONG(8);

    final int codeSize;

    Mode(int codeSize) {
      this.codeSize = codeSize;
    }

    boolean paged() {
      return this == PROTECTED32 || this == LONG;
    }
  }

  static final CpuModel MODEL =
      new CpuModel() {
        @Override
        public int signature() {
          return 0;
        }

        @Override
        public boolean has(Feature feature) {
          return true;
        }

        @Override
        public int physicalAddressBits() {
          return 40;
        }

        @Override
        public void cpuid(int leaf, int subleaf, int[] out) {
          Arrays.fill(out, 0);
        }
      };

  private static final Decoder DECODER = new Decoder(FeatureSet.all());

  private static final long TABLES = 0x100000;
  private static final long REGION = 0x20000000;

  /** Two writable pages, a read-only one, and then nothing. */
  final long data;

  final long readOnly;
  final long unmapped;

  /** Where the instruction is. */
  final long code;

  final Mode mode;
  final PhysicalMemory memory;
  final Cpu cpu;

  TestMachine(Mode mode) {
    this(mode, Platform.NONE);
  }

  TestMachine(Mode mode, Platform platform) {
    this(mode, platform, new PhysicalMemory(40), false);
  }

  /** Another processor on the memory of the first. */
  TestMachine(TestMachine first) {
    this(first.mode, Platform.NONE, first.memory, true);
  }

  private TestMachine(Mode mode, Platform platform, PhysicalMemory memory, boolean isMapped) {
    this.mode = mode;
    this.memory = memory;
    cpu = new Cpu(MODEL, memory, platform);
    data = mode.paged() ? REGION + 0x20000 : 0x4000;
    code = mode.paged() ? REGION + 0x10000 : 0x1000;
    if (!isMapped && mode.paged()) {
      memory.mapAt(TABLES, 0x10000);
      memory.mapAt(data, 0x3000);
    } else if (!isMapped) {
      memory.mapAt(0, 0x110000);
    }
    readOnly = data + 0x2000;
    unmapped = data + 0x3000;
    cpu.instructionRip = code;
    cpu.rip = code;
    switch (mode) {
      case REAL -> {
        for (int s = 0; s < 6; s++) {
          segment(s, 0, 0xffff, Segment.REAL_DATA);
        }
        segment(Cpu.CS, 0, 0xffff, Segment.REAL_CODE);
      }
      case PROTECTED16 -> {
        cpu.cr0 |= ControlBits.CR0_PE;
        for (int s = 0; s < 6; s++) {
          segment(s, 0, 0xffff, Segment.REAL_DATA);
        }
        segment(Cpu.CS, 0, 0xffff, Segment.REAL_CODE);
      }
      case PROTECTED32 -> {
        user(0xcffb, 0xcff3);
        memory.writeInt(TABLES + (REGION >>> 22) * 4, (int) TABLES + 0x1000 | 7);
        for (long at = data; at < unmapped; at += 0x1000) {
          int rights = at == readOnly ? 5 : 7;
          memory.writeInt(TABLES + 0x1000 + (at >>> 12 & 0x3ff) * 4, (int) at | rights);
        }
        cpu.cr3 = TABLES;
        cpu.cr0 = 0x80050033L;
      }
      case LONG -> {
        user(0xaffb, 0xcff3);
        memory.writeLong(TABLES, TABLES + 0x1000 | 7);
        memory.writeLong(TABLES + 0x1000, TABLES + 0x2000 | 7);
        memory.writeLong(TABLES + 0x2000 + (REGION >>> 21) * 8, TABLES + 0x3000 | 7);
        for (long at = data; at < unmapped; at += 0x1000) {
          int rights = at == readOnly ? 5 : 7;
          memory.writeLong(TABLES + 0x3000 + (at >>> 12 & 0x1ff) * 8, at | rights);
        }
        cpu.cr3 = TABLES;
        cpu.cr4 = ControlBits.CR4_PAE;
        cpu.efer = ControlBits.EFER_LME | ControlBits.EFER_LMA;
        cpu.cr0 = 0x80050033L;
      }
      default -> throw new AssertionError(mode);
    }
    cpu.updateMode();
  }

  private @Nullable CodeMark mark;

  /** Has stores to a page told of as if it held code, until the machine is reset. */
  void markCode(long page) {
    mark = memory.markCode(page);
  }

  /** Registers 0, RIP at {@link #code}, zeroes in memory, nothing in the TLB. */
  TestMachine reset() {
    Arrays.fill(cpu.r, 0);
    cpu.instructionRip = code;
    cpu.rip = code;
    cpu.attention = 0;
    cpu.pendingDebug = 0;
    flags(0);
    if (mark != null) {
      mark.clear();
      mark = null;
    }
    cpu.mmu.codeWrites = (hpa, length) -> {};
    cpu.mmu.flushAll();
    memory.fill(data, unmapped - data, (byte) 0);
    return this;
  }

  private void user(int codeRights, int dataRights) {
    for (int s = 0; s < 6; s++) {
      segment(s, 0, 0xffffffffL, dataRights & ~0xf00);
    }
    segment(Cpu.CS, 0, 0xffffffffL, codeRights & ~0xf00);
    cpu.cpl = 3;
  }

  /** Sets a segment register. */
  void segment(int s, long base, long limit, int rights) {
    cpu.seg[s].set(0x33, base, limit, rights);
    cpu.updateMode();
  }

  /** Sets all of RFLAGS. */
  void flags(long value) {
    cpu.setRflags(value);
    cpu.updateMode();
  }

  /** The six arithmetic flags. */
  int flags() {
    return cpu.lazyFlags();
  }

  /** Decodes bytes given in hexadecimal. */
  Instruction decode(String bytes) {
    byte[] b = HexFormat.of().parseHex(bytes.replace(" ", ""));
    return DECODER.decode(b, 0, b.length, mode.codeSize);
  }

  /** Executes one instruction; returns its fault, or null. */
  @Nullable CpuException execute(String bytes) {
    return execute(decode(bytes));
  }

  /** Executes one instruction at {@link Cpu#rip}; returns its fault, or null. */
  @Nullable CpuException execute(Instruction i) {
    cpu.instructionRip = cpu.rip;
    cpu.rip = cpu.rip + i.length & cpu.ripMask;
    try {
      Handlers.of(i.opcode).execute(cpu, i);
      return null;
    } catch (CpuException e) {
      cpu.rip = cpu.instructionRip;
      return e;
    }
  }

  /** Executes one instruction that must not fault. */
  void run(String bytes) {
    CpuException e = execute(bytes);
    if (e != null) {
      throw new AssertionError(decode(bytes) + ": " + e.getMessage());
    }
  }

  /** Registers, flags, RIP and the memory at {@link #data}, to compare states. */
  String state() {
    StringBuilder s = new StringBuilder();
    for (int k = 0; k < 16; k++) {
      s.append("%x ".formatted(cpu.r[k]));
    }
    s.append("flags %x rip %x ".formatted(cpu.rflags() & ~(long) Flags.RF, cpu.rip));
    s.append(Arrays.hashCode(bytes()));
    return s.toString();
  }

  /** The pages at {@link #data}. */
  byte[] bytes() {
    byte[] bytes = new byte[0x3000];
    memory.read(data, bytes);
    return bytes;
  }
}
