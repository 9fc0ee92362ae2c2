package org.kvm4j.cpu.semantics;

import java.util.Arrays;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.profile.Feature;

/**
 * Movement of x87, MMX, SSE, AVX and PKRU state: FXSAVE, FXRSTOR, XSAVE, XSAVEOPT, XSAVEC, XSAVES,
 * XRSTOR, XRSTORS, XGETBV, XSETBV. SDM Vol. 1, "Managing State Using the XSAVE Feature Set"; Vol.
 * 2, each instruction's page.
 *
 * <p>The processor keeps the state in {@link Cpu#xsaveArea} in the standard format, PKRU apart.
 */
final class ExtendedState {
  private static final int X87 = 0;
  private static final int SSE = 1;
  private static final int PKRU = 9;

  /** Offset and size of each component in the standard format; size 0: not built. */
  private static final int[] OFFSET = {0, 160, 576, 0, 0, 0, 0, 0, 0, 2688};

  private static final int[] SIZE = {160, 256, 256, 0, 0, 0, 0, 0, 0, 8};

  private static final long LOW32 = 0xffffffffL;
  private static final int FIP = 8;
  private static final int FDP = 16;
  private static final int MXCSR = 24;
  private static final int MXCSR_MASK = 28;
  private static final int HEADER = 512;
  private static final int LEGACY = 576;
  private static final int DEFAULT_MXCSR = 0x1f80;
  private static final int DEFINED_MXCSR = 0xffff;
  private static final long COMPACTED = 1L << 63;
  private static final long LEGACY_COMPONENTS = 3;

  private ExtendedState() {}

  static void register() {
    Handlers.put(Opcode.FXSAVE, ExtendedState::fxsave);
    Handlers.put(Opcode.FXRSTOR, ExtendedState::fxrstor);
    Handlers.put(Opcode.XSAVE, (c, i) -> xsave(c, i, false, false));
    Handlers.put(Opcode.XSAVEOPT, (c, i) -> xsave(c, i, false, false));
    Handlers.put(Opcode.XSAVEC, (c, i) -> xsave(c, i, true, false));
    Handlers.put(Opcode.XSAVES, (c, i) -> xsave(c, i, true, true));
    Handlers.put(Opcode.XRSTOR, (c, i) -> xrstor(c, i, false));
    Handlers.put(Opcode.XRSTORS, (c, i) -> xrstor(c, i, true));
    Handlers.put(Opcode.XGETBV, ExtendedState::xgetbv);
    Handlers.put(Opcode.XSETBV, ExtendedState::xsetbv);
  }

  // ---- layout ----

  /** The components that a processor can have in XCR0. */
  static long supported(Cpu cpu) {
    long mask = 1;
    if (cpu.model.has(Feature.SSE)) {
      mask |= 1 << SSE;
    }
    if (cpu.model.has(Feature.AVX)) {
      mask |= 1 << 2;
    }
    if (cpu.model.has(Feature.PKU)) {
      mask |= 1 << PKRU;
    }
    return mask;
  }

  /** Bytes of a save area in the standard format for these components. */
  static int standardSize(long components) {
    int size = LEGACY;
    for (int n = 2; n < SIZE.length; n++) {
      if ((components >> n & 1) != 0) {
        size = Math.max(size, OFFSET[n] + SIZE[n]);
      }
    }
    return size;
  }

  /** Bytes of a save area in the compacted format for these components. */
  static int compactedSize(long components) {
    int size = LEGACY;
    for (int n = 2; n < SIZE.length; n++) {
      if ((components >> n & 1) != 0) {
        size += SIZE[n];
      }
    }
    return size;
  }

  private static int offset(int component, long compaction) {
    if (component < 2 || (compaction & COMPACTED) == 0) {
      return OFFSET[component];
    }
    return compactedSize(compaction & (1L << component) - 1);
  }

  /** The components that are not in their initial state. */
  private static long inUse(Cpu cpu) {
    long mask = 0;
    byte[] s = cpu.xsaveArea;
    for (int k = 0; k < 160; k++) {
      // FCW 037FH, the rest 0; MXCSR is not x87 state.
      int initial = k == 0 ? 0x7f : k == 1 ? 3 : 0;
      if ((k < MXCSR || k >= 32) && (s[k] & 0xff) != initial) {
        mask |= 1 << X87;
        break;
      }
    }
    if ((cpu.fpuCs | cpu.fpuDs) != 0) {
      mask |= 1 << X87;
    }
    if (isSet(s, 160, 256)) {
      mask |= 1 << SSE;
    }
    if (isSet(s, OFFSET[2], SIZE[2])) {
      mask |= 1 << 2;
    }
    if (cpu.pkru != 0) {
      mask |= 1 << PKRU;
    }
    return mask;
  }

  private static boolean isSet(byte[] bytes, int from, int length) {
    for (int k = from; k < from + length; k++) {
      if (bytes[k] != 0) {
        return true;
      }
    }
    return false;
  }

  // ---- access ----

  private static void checkAvailable(Cpu cpu, long bits) {
    if ((cpu.cr0 & bits) != 0) {
      throw cpu.nm();
    }
  }

  /** The linear address of an area, aligned and probed. */
  private static long area(Cpu cpu, Instruction i, int size, int alignment, boolean write) {
    long at = Operands.linear(cpu, i, size, write);
    if ((at & alignment - 1) != 0) {
      throw cpu.gp(0);
    }
    if (write) {
      cpu.mmu.probeWrite(at, size);
    } else {
      cpu.mmu.probeRead(at, size);
    }
    return at;
  }

  private static void store(Cpu cpu, long at, byte[] from, int offset, int length) {
    for (int k = 0; k < length; k += 8) {
      cpu.mmu.write64(at + k, load(from, offset + k));
    }
  }

  private static void fetch(Cpu cpu, long at, byte[] to, int offset, int length) {
    for (int k = 0; k < length; k += 8) {
      set(to, offset + k, cpu.mmu.read64(at + k));
    }
  }

  private static long load(byte[] from, int offset) {
    long value = 0;
    for (int k = 7; k >= 0; k--) {
      value = value << 8 | from[offset + k] & 0xff;
    }
    return value;
  }

  private static void set(byte[] to, int offset, long value) {
    for (int k = 0; k < 8; k++) {
      to[offset + k] = (byte) (value >>> 8 * k);
    }
  }

  private static int mxcsr(Cpu cpu) {
    return (int) load(cpu.xsaveArea, MXCSR);
  }

  private static void setMxcsr(Cpu cpu, int value) {
    for (int k = 0; k < 4; k++) {
      cpu.xsaveArea[MXCSR + k] = (byte) (value >>> 8 * k);
    }
  }

  /** Bytes of XMM registers that the mode reaches: 16 registers in 64-bit mode, otherwise 8. */
  private static int xmmBytes(Cpu cpu) {
    return cpu.codeSize == 8 ? 256 : 128;
  }

  // ---- FXSAVE ----

  /**
   * Stores the x87 state up to MXCSR. With REX.W pointers have 64 bits, otherwise 32 and a
   * selector. SDM Vol. 1, 10.5.1.1 "x87 State".
   */
  private static void storeX87(Cpu cpu, Instruction i, long at) {
    store(cpu, at, cpu.xsaveArea, 0, FIP);
    long ip = X87State.instructionPointer(cpu);
    long dp = X87State.dataPointer(cpu);
    if (i.operandSize != 8) {
      ip = ip & LOW32 | (long) cpu.fpuCs << 32;
      dp = dp & LOW32 | (long) cpu.fpuDs << 32;
    }
    cpu.mmu.write64(at + FIP, ip);
    cpu.mmu.write64(at + FDP, dp);
  }

  /** Loads what {@link #storeX87} stores. */
  private static void fetchX87(Cpu cpu, Instruction i, long at) {
    fetch(cpu, at, cpu.xsaveArea, 0, FIP);
    long ip = cpu.mmu.read64(at + FIP);
    long dp = cpu.mmu.read64(at + FDP);
    boolean wide = i.operandSize == 8;
    X87State.setInstructionPointer(cpu, wide ? ip : ip & LOW32);
    X87State.setDataPointer(cpu, wide ? dp : dp & LOW32);
    X87State.setSelectors(
        cpu, wide ? 0 : (int) (ip >>> 32) & 0xffff, wide ? 0 : (int) (dp >>> 32) & 0xffff);
  }

  private static void fxsave(Cpu cpu, Instruction i) {
    checkAvailable(cpu, ControlBits.CR0_EM | ControlBits.CR0_TS);
    long at = area(cpu, i, 512, 16, true);
    storeX87(cpu, i, at);
    cpu.mmu.write32(at + MXCSR, mxcsr(cpu));
    cpu.mmu.write32(at + MXCSR_MASK, DEFINED_MXCSR);
    store(cpu, at + 32, cpu.xsaveArea, 32, 128 + xmmBytes(cpu));
  }

  private static void fxrstor(Cpu cpu, Instruction i) {
    checkAvailable(cpu, ControlBits.CR0_EM | ControlBits.CR0_TS);
    long at = area(cpu, i, 512, 16, false);
    int mxcsr = cpu.mmu.read32(at + MXCSR);
    if ((mxcsr & ~DEFINED_MXCSR) != 0) {
      throw cpu.gp(0);
    }
    fetchX87(cpu, i, at);
    setMxcsr(cpu, mxcsr);
    fetch(cpu, at + 32, cpu.xsaveArea, 32, 128 + xmmBytes(cpu));
  }

  // ---- XSAVE ----

  private static void check(Cpu cpu, Instruction i, boolean supervisor) {
    if (supervisor) {
      ProcessorInstructions.checkDefined(cpu, i);
    }
    if ((cpu.cr4 & ControlBits.CR4_OSXSAVE) == 0) {
      throw cpu.ud();
    }
    if (supervisor && cpu.cpl != 0) {
      throw cpu.gp(0);
    }
    checkAvailable(cpu, ControlBits.CR0_TS);
  }

  private static long requested(Cpu cpu, boolean supervisor) {
    long mask = cpu.r[Cpu.RDX] << 32 | cpu.r[Cpu.RAX] & 0xffffffffL;
    return mask & (supervisor ? cpu.xcr0 | cpu.xss : cpu.xcr0);
  }

  private static void xsave(Cpu cpu, Instruction i, boolean compact, boolean supervisor) {
    check(cpu, i, supervisor);
    if (supervisor && cpu.guest != null && cpu.guest.instruction(i)) {
      return;
    }
    long rfbm = requested(cpu, supervisor);
    long compaction = compact ? COMPACTED | rfbm : 0;
    int size = compact ? compactedSize(rfbm) : standardSize(rfbm);
    long at = area(cpu, i, size, 64, true);
    long used = inUse(cpu) & rfbm;
    boolean mxcsr = compact ? (used >> SSE & 1) != 0 : (rfbm & 6) != 0;
    if (compact && (rfbm >> SSE & 1) != 0 && mxcsr(cpu) != DEFAULT_MXCSR) {
      used |= 1 << SSE;
      mxcsr = true;
    }
    // The standard form writes all components asked for, the compacted one those in use.
    long written = compact ? used : rfbm;
    if ((written & 1) != 0) {
      storeX87(cpu, i, at);
      store(cpu, at + 32, cpu.xsaveArea, 32, 128);
    }
    if (mxcsr) {
      cpu.mmu.write32(at + MXCSR, mxcsr(cpu));
      cpu.mmu.write32(at + MXCSR_MASK, DEFINED_MXCSR);
    }
    if ((written >> SSE & 1) != 0) {
      store(cpu, at + 160, cpu.xsaveArea, 160, xmmBytes(cpu));
    }
    for (int n = 2; n < SIZE.length; n++) {
      if ((written >> n & 1) != 0) {
        long to = at + offset(n, compaction);
        if (n == PKRU) {
          cpu.mmu.write64(to, cpu.pkru & 0xffffffffL);
        } else {
          store(cpu, to, cpu.xsaveArea, OFFSET[n], SIZE[n]);
        }
      }
    }
    if (compact) {
      cpu.mmu.write64(at + HEADER, used);
      cpu.mmu.write64(at + HEADER + 8, compaction);
    } else {
      long old = cpu.mmu.read64(at + HEADER);
      cpu.mmu.write64(at + HEADER, old & ~rfbm | used);
    }
  }

  private static void xrstor(Cpu cpu, Instruction i, boolean supervisor) {
    check(cpu, i, supervisor);
    if (supervisor && cpu.guest != null && cpu.guest.instruction(i)) {
      return;
    }
    long rfbm = requested(cpu, supervisor);
    long at = area(cpu, i, LEGACY, 64, false);
    long valid = cpu.mmu.read64(at + HEADER);
    long compaction = cpu.mmu.read64(at + HEADER + 8);
    boolean compact = (compaction & COMPACTED) != 0;
    long enabled = supervisor ? cpu.xcr0 | cpu.xss : cpu.xcr0;
    boolean bad;
    if (compact) {
      bad =
          !cpu.model.has(Feature.XSAVEC)
              || (compaction & ~COMPACTED & ~enabled) != 0
              || (valid & ~compaction) != 0
              || (valid & COMPACTED) != 0;
    } else {
      bad = supervisor || (valid & ~enabled) != 0 || compaction != 0;
    }
    for (int k = 16; k < (compact ? 64 : 24); k += 8) {
      bad |= cpu.mmu.read64(at + HEADER + k) != 0;
    }
    if (bad) {
      throw cpu.gp(0);
    }
    int size = compact ? compactedSize(compaction & ~COMPACTED) : standardSize(rfbm & valid);
    cpu.mmu.probeRead(Operands.linear(cpu, i, size, false), size);
    // The standard form loads MXCSR with SSE or AVX, whatever XSTATE_BV says.
    boolean loadsMxcsr = compact ? (rfbm & valid & 2) != 0 : (rfbm & 6) != 0;
    int mxcsr = loadsMxcsr ? cpu.mmu.read32(at + MXCSR) : DEFAULT_MXCSR;
    if ((mxcsr & ~DEFINED_MXCSR) != 0) {
      throw cpu.gp(0);
    }
    byte[] s = cpu.xsaveArea;
    if ((rfbm & 1) != 0) {
      if ((valid & 1) != 0) {
        fetchX87(cpu, i, at);
        fetch(cpu, at + 32, s, 32, 128);
      } else {
        Arrays.fill(s, 0, MXCSR, (byte) 0);
        Arrays.fill(s, 32, 160, (byte) 0);
        X87State.setSelectors(cpu, 0, 0);
        s[0] = 0x7f;
        s[1] = 3;
      }
    }
    if (loadsMxcsr || compact && (rfbm & 2) != 0) {
      setMxcsr(cpu, mxcsr);
    }
    if ((rfbm & 2) != 0) {
      if ((valid & 2) != 0) {
        fetch(cpu, at + 160, s, 160, xmmBytes(cpu));
      } else {
        Arrays.fill(s, 160, 160 + xmmBytes(cpu), (byte) 0);
      }
    }
    for (int n = 2; n < SIZE.length; n++) {
      if ((rfbm >> n & 1) == 0) {
        continue;
      }
      boolean initial = (valid >> n & 1) == 0;
      long from = at + offset(n, compaction);
      if (n == PKRU) {
        cpu.pkru = initial ? 0 : cpu.mmu.read32(from);
      } else if (initial) {
        Arrays.fill(s, OFFSET[n], OFFSET[n] + SIZE[n], (byte) 0);
      } else {
        fetch(cpu, from, s, OFFSET[n], SIZE[n]);
      }
    }
    cpu.updateMode();
  }

  // ---- XCR0 ----

  private static void xgetbv(Cpu cpu, Instruction i) {
    if ((cpu.cr4 & ControlBits.CR4_OSXSAVE) == 0) {
      throw cpu.ud();
    }
    long value;
    int index = (int) cpu.r[Cpu.RCX];
    if (index == 0) {
      value = cpu.xcr0;
    } else if (index == 1 && cpu.model.has(Feature.XGETBV_ECX1)) {
      value = cpu.xcr0 & inUse(cpu);
    } else {
      throw cpu.gp(0);
    }
    cpu.r[Cpu.RAX] = value & 0xffffffffL;
    cpu.r[Cpu.RDX] = value >>> 32;
  }

  private static void xsetbv(Cpu cpu, Instruction i) {
    if ((cpu.cr4 & ControlBits.CR4_OSXSAVE) == 0) {
      throw cpu.ud();
    }
    if (cpu.cpl != 0) {
      throw cpu.gp(0);
    }
    if (cpu.guest != null && cpu.guest.instruction(i)) {
      return;
    }
    long value = cpu.r[Cpu.RDX] << 32 | cpu.r[Cpu.RAX] & 0xffffffffL;
    if ((int) cpu.r[Cpu.RCX] != 0 || !isXcr0(cpu, value)) {
      throw cpu.gp(0);
    }
    cpu.xcr0 = value;
  }

  /** Whether XCR0 may have this value. */
  private static boolean isXcr0(Cpu cpu, long value) {
    return (value & ~supported(cpu)) == 0
        && (value & 1) != 0
        && ((value & 4) == 0 || (value & LEGACY_COMPONENTS) == LEGACY_COMPONENTS);
  }
}
