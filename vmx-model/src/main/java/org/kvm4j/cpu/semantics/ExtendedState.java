package org.kvm4j.cpu.semantics;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.msr.MsrTable;
import org.kvm4j.cpu.profile.Feature;
import org.kvm4j.cpu.profile.StateComponent;

/**
 * Movement of x87, MMX, SSE, AVX and PKRU state: FXSAVE, FXRSTOR, XSAVE, XSAVEOPT, XSAVEC, XSAVES,
 * XRSTOR, XRSTORS, XGETBV, XSETBV. SDM Vol. 1, "Managing State Using the XSAVE Feature Set"; Vol.
 * 2, each instruction's page.
 *
 * <p>The processor keeps the state in {@link Cpu#xsaveArea} in the standard format, PKRU apart.
 */
final class ExtendedState {
  private static final StateComponent[] COMPONENTS = StateComponent.values();

  // Places in the legacy region and the header.
  private static final int INSTRUCTION_POINTER = 8;
  private static final int DATA_POINTER = 16;
  private static final int MXCSR = 24;
  private static final int MXCSR_MASK = 28;
  private static final int STACK = 32;
  private static final int STACK_SIZE = 128;
  private static final int XSTATE_BV = 512;
  private static final int XCOMP_BV = 520;
  private static final int HEADER_END = 576;

  private static final long LOW32 = 0xffffffffL;
  private static final int XMM_SIZE = 256;
  private static final int DEFAULT_MXCSR = 0x1f80;
  private static final int DEFINED_MXCSR = 0xffff;
  private static final long COMPACTED = 1L << 63;
  private static final long SSE = StateComponent.SSE.bit();
  private static final long SSE_OR_AVX = SSE | StateComponent.AVX.bit();

  private static final VarHandle LONG =
      MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

  private ExtendedState() {}

  /** The forms of XSAVE. */
  private enum Form {
    /** All that is asked for, in the standard format. */
    XSAVE,
    /** What is not in its initial state, in the standard format. */
    XSAVEOPT,
    /** What is not in its initial state, compacted. */
    XSAVEC,
    /** As XSAVEC, supervisor components too. */
    XSAVES;

    boolean isCompact() {
      return this == XSAVEC || this == XSAVES;
    }
  }

  static void register() {
    Handlers.put(Opcode.FXSAVE, ExtendedState::fxsave);
    Handlers.put(Opcode.FXRSTOR, ExtendedState::fxrstor);
    Handlers.put(Opcode.XSAVE, (c, i) -> xsave(c, i, Form.XSAVE));
    Handlers.put(Opcode.XSAVEOPT, (c, i) -> xsave(c, i, Form.XSAVEOPT));
    Handlers.put(Opcode.XSAVEC, (c, i) -> xsave(c, i, Form.XSAVEC));
    Handlers.put(Opcode.XSAVES, (c, i) -> xsave(c, i, Form.XSAVES));
    Handlers.put(Opcode.XRSTOR, (c, i) -> xrstor(c, i, false));
    Handlers.put(Opcode.XRSTORS, (c, i) -> xrstor(c, i, true));
    Handlers.put(Opcode.XGETBV, ExtendedState::xgetbv);
    Handlers.put(Opcode.XSETBV, ExtendedState::xsetbv);
  }

  /** The components that are not in their initial state; MXCSR counts for none. */
  private static long inUse(Cpu cpu) {
    byte[] s = cpu.xsaveArea;
    long bitmap = 0;
    if (get(s, 0) != X87State.DEFAULT_CONTROL
        || (cpu.fpuCs | cpu.fpuDs) != 0
        || isSet(s, INSTRUCTION_POINTER, MXCSR)
        || isSet(s, STACK, STACK + STACK_SIZE)) {
      bitmap |= StateComponent.X87.bit();
    }
    for (StateComponent c : new StateComponent[] {StateComponent.SSE, StateComponent.AVX}) {
      if (isSet(s, c.offset, c.offset + c.size)) {
        bitmap |= c.bit();
      }
    }
    if (cpu.pkru != 0) {
      bitmap |= StateComponent.PKRU.bit();
    }
    long[] ssp = cpu.msr.plSsp;
    if ((cpu.msr.uCet | ssp[3]) != 0) {
      bitmap |= StateComponent.CET_U.bit();
    }
    return (ssp[0] | ssp[1] | ssp[2]) != 0 ? bitmap | StateComponent.CET_S.bit() : bitmap;
  }

  private static boolean isSet(byte[] bytes, int from, int to) {
    for (int k = from; k < to; k += 8) {
      if (get(bytes, k) != 0) {
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

  private static long get(byte[] from, int offset) {
    return (long) LONG.get(from, offset);
  }

  private static void store(Cpu cpu, long at, int offset, int length) {
    for (int k = 0; k < length; k += 8) {
      cpu.mmu.write64(at + k, get(cpu.xsaveArea, offset + k));
    }
  }

  private static void fetch(Cpu cpu, long at, int offset, int length) {
    for (int k = 0; k < length; k += 8) {
      LONG.set(cpu.xsaveArea, offset + k, cpu.mmu.read64(at + k));
    }
  }

  /**
   * Stores the x87 state. With REX.W pointers have 64 bits, otherwise 32 and a selector. SDM Vol.
   * 1, 10.5.1.1 "x87 State".
   */
  private static void storeX87(Cpu cpu, Instruction i, long at) {
    boolean wide = i.operandSize == 8;
    long ip = X87State.instructionPointer(cpu);
    long dp = X87State.dataPointer(cpu);
    store(cpu, at, 0, INSTRUCTION_POINTER);
    cpu.mmu.write64(at + INSTRUCTION_POINTER, wide ? ip : ip & LOW32 | (long) cpu.fpuCs << 32);
    cpu.mmu.write64(at + DATA_POINTER, wide ? dp : dp & LOW32 | (long) cpu.fpuDs << 32);
    store(cpu, at + STACK, STACK, STACK_SIZE);
  }

  /** Loads what {@link #storeX87} stores. */
  private static void fetchX87(Cpu cpu, Instruction i, long at) {
    boolean wide = i.operandSize == 8;
    long ip = cpu.mmu.read64(at + INSTRUCTION_POINTER);
    long dp = cpu.mmu.read64(at + DATA_POINTER);
    fetch(cpu, at, 0, INSTRUCTION_POINTER);
    X87State.setInstructionPointer(cpu, wide ? ip : ip & LOW32);
    X87State.setDataPointer(cpu, wide ? dp : dp & LOW32);
    X87State.setSelectors(
        cpu, wide ? 0 : (int) (ip >>> 32) & 0xffff, wide ? 0 : (int) (dp >>> 32) & 0xffff);
    fetch(cpu, at + STACK, STACK, STACK_SIZE);
  }

  private static void storeMxcsr(Cpu cpu, long at) {
    cpu.mmu.write32(at + MXCSR, VectorState.mxcsr(cpu));
    cpu.mmu.write32(at + MXCSR_MASK, DEFINED_MXCSR);
  }

  /** The MXCSR of an area, which has no reserved bit. */
  private static int readMxcsr(Cpu cpu, long at) {
    int mxcsr = cpu.mmu.read32(at + MXCSR);
    if ((mxcsr & ~DEFINED_MXCSR) != 0) {
      throw cpu.gp(0);
    }
    return mxcsr;
  }

  /** Bytes of registers that the mode reaches, of 16 that there are. */
  private static int reached(Cpu cpu, int all) {
    return all / 16 * VectorState.registers(cpu);
  }

  // ---- FXSAVE ----

  private static void fxsave(Cpu cpu, Instruction i) {
    checkAvailable(cpu, ControlBits.CR0_EM | ControlBits.CR0_TS);
    long at = area(cpu, i, 512, 16, true);
    storeX87(cpu, i, at);
    storeMxcsr(cpu, at);
    int xmm = StateComponent.SSE.offset;
    store(cpu, at + xmm, xmm, reached(cpu, XMM_SIZE));
  }

  private static void fxrstor(Cpu cpu, Instruction i) {
    checkAvailable(cpu, ControlBits.CR0_EM | ControlBits.CR0_TS);
    long at = area(cpu, i, 512, 16, false);
    int mxcsr = readMxcsr(cpu, at);
    fetchX87(cpu, i, at);
    VectorState.setMxcsr(cpu, mxcsr);
    int xmm = StateComponent.SSE.offset;
    fetch(cpu, at + xmm, xmm, reached(cpu, XMM_SIZE));
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

  private static long enabled(Cpu cpu, boolean supervisor) {
    return supervisor ? cpu.xcr0 | cpu.xss : cpu.xcr0;
  }

  private static long requested(Cpu cpu, boolean supervisor) {
    long mask = cpu.r[Cpu.RDX] << 32 | cpu.r[Cpu.RAX] & 0xffffffffL;
    return mask & enabled(cpu, supervisor);
  }

  private static void xsave(Cpu cpu, Instruction i, Form form) {
    boolean supervisor = form == Form.XSAVES;
    check(cpu, i, supervisor);
    if (supervisor && cpu.guest != null && cpu.guest.instruction(i)) {
      return;
    }
    long rfbm = requested(cpu, supervisor);
    boolean compact = form.isCompact();
    int size = compact ? StateComponent.compactedSize(rfbm) : StateComponent.standardSize(rfbm);
    long at = area(cpu, i, size, 64, true);
    long used = inUse(cpu) & rfbm;
    if (compact && (rfbm & SSE) != 0 && VectorState.mxcsr(cpu) != DEFAULT_MXCSR) {
      used |= SSE;
    }
    long written = form == Form.XSAVE ? rfbm : used;
    if ((compact ? used & SSE : rfbm & SSE_OR_AVX) != 0) {
      storeMxcsr(cpu, at);
    }
    for (StateComponent c : COMPONENTS) {
      if (c.in(written)) {
        long to = at + (compact ? c.compactedOffset(rfbm) : c.offset);
        switch (c) {
          case X87 -> storeX87(cpu, i, at);
          case PKRU -> cpu.mmu.write64(to, cpu.pkru & 0xffffffffL);
          case CET_U -> {
            cpu.mmu.write64(to, cpu.msr.uCet);
            cpu.mmu.write64(to + 8, cpu.msr.plSsp[3]);
          }
          case CET_S -> {
            for (int level = 0; level < 3; level++) {
              cpu.mmu.write64(to + 8 * level, cpu.msr.plSsp[level]);
            }
          }
          default -> store(cpu, to, c.offset, reached(cpu, c.size));
        }
      }
    }
    if (compact) {
      cpu.mmu.write64(at + XSTATE_BV, used);
      cpu.mmu.write64(at + XCOMP_BV, COMPACTED | rfbm);
    } else {
      long old = cpu.mmu.read64(at + XSTATE_BV);
      cpu.mmu.write64(at + XSTATE_BV, old & ~rfbm | used);
    }
  }

  private static void xrstor(Cpu cpu, Instruction i, boolean supervisor) {
    check(cpu, i, supervisor);
    if (supervisor && cpu.guest != null && cpu.guest.instruction(i)) {
      return;
    }
    long rfbm = requested(cpu, supervisor);
    long at = area(cpu, i, HEADER_END, 64, false);
    long valid = cpu.mmu.read64(at + XSTATE_BV);
    long format = cpu.mmu.read64(at + XCOMP_BV);
    boolean compact = (format & COMPACTED) != 0;
    if (!isHeader(cpu, at, valid, format, supervisor)) {
      throw cpu.gp(0);
    }
    int size =
        compact ? StateComponent.compactedSize(format) : StateComponent.standardSize(rfbm & valid);
    cpu.mmu.probeRead(Operands.linear(cpu, i, size, false), size);
    if (supervisor) {
      checkCet(cpu, at, rfbm & valid, format);
    }
    // The standard form loads MXCSR with SSE or AVX, whatever XSTATE_BV says.
    boolean loads = (compact ? rfbm & valid & SSE : rfbm & SSE_OR_AVX) != 0;
    int mxcsr = loads ? readMxcsr(cpu, at) : DEFAULT_MXCSR;
    if (loads || compact && (rfbm & SSE) != 0) {
      VectorState.setMxcsr(cpu, mxcsr);
    }
    for (StateComponent c : COMPONENTS) {
      if (c.in(rfbm)) {
        long from = at + (compact ? c.compactedOffset(format) : c.offset);
        if (c.in(valid)) {
          fetch(cpu, i, c, from);
        } else {
          initialize(cpu, c);
        }
      }
    }
    cpu.updateMode();
  }

  /** #GP(0) for what the registers of CET cannot be loaded with. */
  private static void checkCet(Cpu cpu, long at, long loaded, long format) {
    boolean good = true;
    if (StateComponent.CET_U.in(loaded)) {
      long from = at + StateComponent.CET_U.compactedOffset(format);
      good =
          MsrTable.isCetControl(cpu, cpu.mmu.read64(from))
              && MsrTable.isSsp(cpu, cpu.mmu.read64(from + 8));
    }
    if (StateComponent.CET_S.in(loaded)) {
      long from = at + StateComponent.CET_S.compactedOffset(format);
      for (int level = 0; level < 3; level++) {
        good &= MsrTable.isSsp(cpu, cpu.mmu.read64(from + 8 * level));
      }
    }
    if (!good) {
      throw cpu.gp(0);
    }
  }

  /** Whether the header of an area is one that XRSTOR or XRSTORS takes. */
  private static boolean isHeader(Cpu cpu, long at, long valid, long format, boolean supervisor) {
    long enabled = enabled(cpu, supervisor);
    boolean compact = (format & COMPACTED) != 0;
    boolean good =
        compact
            ? cpu.model.has(Feature.XSAVEC)
                && (format & ~COMPACTED & ~enabled) == 0
                && (valid & ~(format & ~COMPACTED)) == 0
            : !supervisor && (valid & ~enabled) == 0 && format == 0;
    int reservedEnd = compact ? HEADER_END : XCOMP_BV + 16;
    for (int k = XCOMP_BV + 8; k < reservedEnd; k += 8) {
      good &= cpu.mmu.read64(at + k) == 0;
    }
    return good;
  }

  private static void fetch(Cpu cpu, Instruction i, StateComponent c, long from) {
    switch (c) {
      case X87 -> fetchX87(cpu, i, from);
      case PKRU -> cpu.pkru = cpu.mmu.read32(from);
      case CET_U -> {
        cpu.msr.uCet = cpu.mmu.read64(from);
        cpu.msr.plSsp[3] = cpu.mmu.read64(from + 8);
      }
      case CET_S -> {
        for (int level = 0; level < 3; level++) {
          cpu.msr.plSsp[level] = cpu.mmu.read64(from + 8 * level);
        }
      }
      default -> fetch(cpu, from, c.offset, reached(cpu, c.size));
    }
  }

  private static void initialize(Cpu cpu, StateComponent c) {
    byte[] s = cpu.xsaveArea;
    switch (c) {
      case X87 -> {
        Arrays.fill(s, 0, MXCSR, (byte) 0);
        Arrays.fill(s, STACK, STACK + STACK_SIZE, (byte) 0);
        LONG.set(s, 0, (long) X87State.DEFAULT_CONTROL);
        X87State.setSelectors(cpu, 0, 0);
      }
      case PKRU -> cpu.pkru = 0;
      case CET_U -> {
        cpu.msr.uCet = 0;
        cpu.msr.plSsp[3] = 0;
      }
      case CET_S -> Arrays.fill(cpu.msr.plSsp, 0, 3, 0);
      default -> Arrays.fill(s, c.offset, c.offset + reached(cpu, c.size), (byte) 0);
    }
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
    if ((int) cpu.r[Cpu.RCX] != 0
        || !StateComponent.isXcr0(StateComponent.supported(cpu.model), value)) {
      throw cpu.gp(0);
    }
    cpu.xcr0 = value;
  }
}
