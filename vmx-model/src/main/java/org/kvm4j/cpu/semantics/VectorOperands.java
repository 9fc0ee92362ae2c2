package org.kvm4j.cpu.semantics;

import java.util.EnumSet;
import java.util.Set;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.fpu.VectorUnit;

/**
 * How a vector instruction begins (whether its state is enabled), and access to its operands as
 * 64-bit words. SDM Vol. 2, 2.4 "AVX and SSE Instruction Exception Classification" and tables
 * "Exception Conditions for Legacy SIMD/MMX Instructions": the class of an instruction follows from
 * its encoding and its operands; what is its own is which memory operands must be aligned.
 *
 * <p>The order is that of SDM Vol. 3, 6.9 "Prioritization of Concurrent Events": {@link #begin}
 * (#UD, #NM, #MF), then the fetch of operands (#GP, #SS, #PF, #AC), then the computation.
 */
final class VectorOperands {
  /**
   * Legacy SSE instructions whose 16-byte memory operand may be unaligned (types 3, 4 with note,
   * and the moves by name); all others are #GP(0). (Zen 4 lets SHA's be unaligned, too.)
   */
  private static final Set<Opcode> UNALIGNED =
      EnumSet.of(
          Opcode.MOVUPS,
          Opcode.MOVUPD,
          Opcode.MOVDQU,
          Opcode.LDDQU,
          Opcode.PCMPESTRI,
          Opcode.PCMPESTRM,
          Opcode.PCMPISTRI,
          Opcode.PCMPISTRM);

  /** VEX-encoded instructions whose memory operand must be aligned to its size (type 1). */
  private static final Set<Opcode> ALIGNED =
      EnumSet.of(
          Opcode.VMOVAPS,
          Opcode.VMOVAPD,
          Opcode.VMOVDQA,
          Opcode.VMOVNTPS,
          Opcode.VMOVNTPD,
          Opcode.VMOVNTDQ,
          Opcode.VMOVNTDQA);

  /** By opcode: what a memory operand of 16 or 32 bytes must be aligned to, less one. */
  private static final byte[] MISALIGNMENT = new byte[Opcode.values().length];

  static {
    for (Opcode opcode : Opcode.values()) {
      boolean vex = opcode.name().charAt(0) == 'V';
      if (ALIGNED.contains(opcode) || !vex && !UNALIGNED.contains(opcode)) {
        MISALIGNMENT[opcode.ordinal()] = 31;
      }
    }
  }

  private static final long SSE_AND_AVX = 6;

  private VectorOperands() {}

  // ---- availability ----

  /** Begins an instruction with vector operands: #UD, #NM or #MF if its state is not usable. */
  static void begin(Cpu cpu, Instruction i) {
    if (i.vex) {
      beginAvx(cpu);
    } else if (uses(i, OperandKind.MMX)) {
      if (uses(i, OperandKind.XMM)) {
        beginSse(cpu);
      }
      beginMmx(cpu);
    } else {
      beginSse(cpu);
    }
  }

  private static boolean uses(Instruction i, int kind) {
    return i.kind0 == kind || i.kind1 == kind;
  }

  /** Whether {@link #beginSse} lets an instruction through. */
  static boolean isSseUsable(Cpu cpu) {
    return (cpu.cr0 & (ControlBits.CR0_EM | ControlBits.CR0_TS)) == 0
        && (cpu.cr4 & ControlBits.CR4_OSFXSR) != 0;
  }

  /** An instruction on XMM registers or MXCSR without VEX. */
  static void beginSse(Cpu cpu) {
    if (!isSseUsable(cpu)) {
      throw (cpu.cr0 & ControlBits.CR0_EM) != 0 || (cpu.cr4 & ControlBits.CR4_OSFXSR) == 0
          ? cpu.ud()
          : cpu.nm();
    }
  }

  /** An instruction on MMX registers. */
  static void beginMmx(Cpu cpu) {
    if ((cpu.cr0 & ControlBits.CR0_EM) != 0) {
      throw cpu.ud();
    }
    if ((cpu.cr0 & ControlBits.CR0_TS) != 0) {
      throw cpu.nm();
    }
    if (X87State.isPending(cpu) && (cpu.cr0 & ControlBits.CR0_NE) != 0) {
      throw cpu.exception(Vector.MF);
    }
  }

  /** An instruction on vector registers with VEX; CR0.EM and CR4.OSFXSR are no matter. */
  static void beginAvx(Cpu cpu) {
    if ((cpu.cr4 & ControlBits.CR4_OSXSAVE) == 0 || (cpu.xcr0 & SSE_AND_AVX) != SSE_AND_AVX) {
      throw cpu.ud();
    }
    if ((cpu.cr0 & ControlBits.CR0_TS) != 0) {
      throw cpu.nm();
    }
  }

  // ---- operands ----

  /**
   * The linear address of the memory operand, checked by segmentation and for the alignment that
   * the instruction asks for.
   */
  static long linear(Cpu cpu, Instruction i, int size, boolean write) {
    long linear = Operands.linear(cpu, i, size, write);
    if (size >= 16 && (linear & size - 1 & MISALIGNMENT[i.opcode.ordinal()]) != 0) {
      throw cpu.gp(0);
    }
    return linear;
  }

  /** Operand 0: see {@link #read}. */
  static void read0(Cpu cpu, Instruction i, long[] to) {
    read(cpu, i, i.kind0, i.reg0, i.size0, to);
  }

  /** Operand 1: see {@link #read}. */
  static void read1(Cpu cpu, Instruction i, long[] to) {
    read(cpu, i, i.kind1, i.reg1, i.size1, to);
  }

  /** Operand 2: see {@link #read}. */
  static void read2(Cpu cpu, Instruction i, long[] to) {
    read(cpu, i, i.kind2, i.reg2, i.size2, to);
  }

  /** Operand 3: see {@link #read}. */
  static void read3(Cpu cpu, Instruction i, long[] to) {
    read(cpu, i, i.kind3, i.reg3, i.size3, to);
  }

  /**
   * Reads an operand: a vector register whole (one, two or four words), whatever the size that the
   * instruction uses of it; memory and general registers in the operand's size, zero-extended to
   * whole words. Words beyond are not touched.
   */
  private static void read(Cpu cpu, Instruction i, int kind, int reg, int size, long[] to) {
    switch (kind) {
      case OperandKind.YMM:
        to[2] = VectorState.get(cpu, reg, 2);
        to[3] = VectorState.get(cpu, reg, 3);
        to[0] = VectorState.get(cpu, reg, 0);
        to[1] = VectorState.get(cpu, reg, 1);
        return;
      case OperandKind.XMM:
        to[0] = VectorState.get(cpu, reg, 0);
        to[1] = VectorState.get(cpu, reg, 1);
        return;
      case OperandKind.MMX:
        to[0] = VectorState.mmx(cpu, reg);
        return;
      case OperandKind.GPR:
        to[0] = Operands.truncate(cpu.r[reg], size);
        return;
      case OperandKind.MEMORY:
        long linear = linear(cpu, i, size, false);
        if (size >= 16) {
          cpu.mmu.readWords(linear, size, to);
        } else {
          to[0] = cpu.mmu.read(linear, size);
        }
        return;
      default:
        throw cpu.ud();
    }
  }

  /**
   * Writes operand 0: an XMM register's 128 bits, with VEX the rest of YMM becoming zero; a YMM
   * register; an MMX register after the transition to MMX; a general register or memory in the
   * operand's size. After it nothing can fault.
   */
  static void write0(Cpu cpu, Instruction i, long[] from) {
    int reg = i.reg0;
    switch (i.kind0) {
      case OperandKind.YMM:
        VectorState.set(cpu, reg, 2, from[2]);
        VectorState.set(cpu, reg, 3, from[3]);
        VectorState.setXmm(cpu, reg, from[0], from[1]);
        break;
      case OperandKind.XMM:
        VectorState.setXmm(cpu, reg, from[0], from[1]);
        if (i.vex) {
          VectorState.zeroUpper(cpu, reg);
        }
        break;
      case OperandKind.MMX:
        VectorState.enterMmx(cpu);
        VectorState.setMmx(cpu, reg, from[0]);
        return;
      case OperandKind.GPR:
        Operands.setGpr(cpu, reg, i.size0, from[0]);
        break;
      case OperandKind.MEMORY:
        long linear = linear(cpu, i, i.size0, true);
        if (i.size0 >= 16) {
          cpu.mmu.writeWords(linear, i.size0, from);
        } else {
          cpu.mmu.write(linear, i.size0, from[0]);
        }
        break;
      default:
        throw cpu.ud();
    }
    if (i.kind1 == OperandKind.MMX) {
      VectorState.enterMmx(cpu);
    }
  }

  /**
   * Reads the two sources of an operation into {@link VectorUnit#a} and {@link VectorUnit#b}: the
   * destination and operand 1, or with VEX operands 1 and 2.
   */
  static VectorUnit sources(Cpu cpu, Instruction i) {
    VectorUnit v = cpu.vector;
    if (i.vex) {
      read2(cpu, i, v.b);
      read1(cpu, i, v.a);
    } else {
      read1(cpu, i, v.b);
      read0(cpu, i, v.a);
    }
    return v;
  }

  /** The words of operand 0, a vector register: 1 for MMX, 2 for XMM, 4 for YMM. */
  static int words(Instruction i) {
    return i.kind0 == OperandKind.XMM ? 2 : i.kind0 == OperandKind.YMM ? 4 : 1;
  }
}
