package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.OperandKind;

/** Access to the operands of a decoded instruction, with every check of segmentation and paging. */
public final class Operands {
  private Operands() {}

  /** The effective address (offset in the segment), truncated to the address size. */
  public static long effectiveAddress(Cpu cpu, Instruction i) {
    long ea = i.displacement + (cpu.r[i.index == 16 ? Cpu.ZERO : i.index] << i.scale);
    ea += i.base == 17 ? cpu.rip : cpu.r[i.base];
    return truncate(ea, i.addressSize);
  }

  /** Truncates to an address or operand size in bytes. */
  public static long truncate(long value, int size) {
    return switch (size) {
      case 1 -> value & 0xff;
      case 2 -> value & 0xffff;
      case 4 -> value & 0xffffffffL;
      default -> value;
    };
  }

  /** Sign-extends a value of {@code size} bytes to 64 bits. */
  public static long signExtend(long value, int size) {
    return switch (size) {
      case 1 -> (byte) value;
      case 2 -> (short) value;
      case 4 -> (int) value;
      default -> value;
    };
  }

  /** The linear address of the memory operand, checked for an access of {@code size} bytes. */
  public static long linear(Cpu cpu, Instruction i, int size, boolean write) {
    return cpu.linear(i.segment, effectiveAddress(cpu, i), size, write);
  }

  /** A general register, zero-extended from {@code size} bytes. */
  public static long gpr(Cpu cpu, int reg, int size) {
    return truncate(cpu.r[reg], size);
  }

  /** Sets a general register: 4 bytes zero-extend to 8, 1 and 2 bytes leave the rest as it is. */
  public static void setGpr(Cpu cpu, int reg, int size, long value) {
    switch (size) {
      case 1 -> cpu.r[reg] = cpu.r[reg] & ~0xffL | value & 0xff;
      case 2 -> cpu.r[reg] = cpu.r[reg] & ~0xffffL | value & 0xffff;
      case 4 -> cpu.r[reg] = value & 0xffffffffL;
      default -> cpu.r[reg] = value;
    }
  }

  private static long read(Cpu cpu, Instruction i, int kind, int reg, int size) {
    switch (kind) {
      case OperandKind.GPR:
        return truncate(cpu.r[reg], size);
      case OperandKind.GPR_HIGH:
        return cpu.r[reg] >>> 8 & 0xff;
      case OperandKind.IMMEDIATE:
        return i.immediate;
      case OperandKind.MEMORY:
        return cpu.mmu.read(linear(cpu, i, size, false), size);
      default:
        throw cpu.ud();
    }
  }

  private static void write(Cpu cpu, Instruction i, int kind, int reg, int size, long value) {
    switch (kind) {
      case OperandKind.GPR:
        setGpr(cpu, reg, size, value);
        return;
      case OperandKind.GPR_HIGH:
        cpu.r[reg] = cpu.r[reg] & ~0xff00L | (value & 0xff) << 8;
        return;
      case OperandKind.MEMORY:
        cpu.mmu.write(linear(cpu, i, size, true), size, value);
        return;
      default:
        throw cpu.ud();
    }
  }

  /** Operand 0, zero-extended. */
  public static long read0(Cpu cpu, Instruction i) {
    return read(cpu, i, i.kind0, i.reg0, i.size0);
  }

  /** Operand 1, zero-extended; an immediate as the instruction extends it, to 64 bits. */
  public static long read1(Cpu cpu, Instruction i) {
    return read(cpu, i, i.kind1, i.reg1, i.size1);
  }

  /** Operand 2, zero-extended; an immediate as the instruction extends it, to 64 bits. */
  public static long read2(Cpu cpu, Instruction i) {
    return read(cpu, i, i.kind2, i.reg2, i.size2);
  }

  public static void write0(Cpu cpu, Instruction i, long value) {
    write(cpu, i, i.kind0, i.reg0, i.size0, value);
  }

  public static void write1(Cpu cpu, Instruction i, long value) {
    write(cpu, i, i.kind1, i.reg1, i.size1, value);
  }

  public static void write2(Cpu cpu, Instruction i, long value) {
    write(cpu, i, i.kind2, i.reg2, i.size2, value);
  }
}
