package org.kvm4j.cpu.semantics;

import static org.kvm4j.cpu.core.Cpu.RAX;
import static org.kvm4j.cpu.core.Cpu.RDX;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;

/** Multiplication and division. */
final class MultiplyDivide {
  private static final long LOW = 0xffffffffL;

  private MultiplyDivide() {}

  static void register() {
    Handlers.put(Opcode.MUL, MultiplyDivide::mul);
    Handlers.put(Opcode.IMUL, MultiplyDivide::imul);
    Handlers.put(Opcode.DIV, MultiplyDivide::div);
    Handlers.put(Opcode.IDIV, MultiplyDivide::idiv);
  }

  private static void mul(Cpu cpu, Instruction i) {
    long b = Operands.read0(cpu, i);
    long a = cpu.r[RAX];
    switch (i.size0) {
      case 1 -> Operands.setGpr(cpu, RAX, 2, Alu.mul8(cpu, (int) a, (int) b));
      case 2 -> setDxAx(cpu, Alu.mul16(cpu, (int) a, (int) b));
      case 4 -> setEdxEax(cpu, Alu.mul32(cpu, (int) a, (int) b));
      default -> {
        cpu.r[RDX] = Alu.mulHigh64(cpu, a, b);
        cpu.r[RAX] = a * b;
      }
    }
  }

  private static void imul(Cpu cpu, Instruction i) {
    if (i.kind1 == OperandKind.NONE) {
      imulAccumulator(cpu, i);
      return;
    }
    boolean three = i.kind2 != OperandKind.NONE;
    long a = three ? Operands.read2(cpu, i) : cpu.r[i.reg0];
    long b = Operands.read1(cpu, i);
    long product =
        switch (i.size0) {
          case 2 -> Alu.imul16(cpu, (int) a, (int) b);
          case 4 -> Alu.imul32(cpu, (int) a, (int) b);
          default -> Alu.imul64(cpu, a, b);
        };
    Operands.setGpr(cpu, i.reg0, i.size0, product);
  }

  private static void imulAccumulator(Cpu cpu, Instruction i) {
    long b = Operands.read0(cpu, i);
    long a = cpu.r[RAX];
    switch (i.size0) {
      case 1 -> Operands.setGpr(cpu, RAX, 2, Alu.imul8(cpu, (int) a, (int) b));
      case 2 -> setDxAx(cpu, Alu.imul16(cpu, (int) a, (int) b));
      case 4 -> setEdxEax(cpu, Alu.imul32(cpu, (int) a, (int) b));
      default -> {
        cpu.r[RDX] = Alu.imulHigh64(cpu, a, b);
        cpu.r[RAX] = a * b;
      }
    }
  }

  private static void div(Cpu cpu, Instruction i) {
    long divisor = Operands.read0(cpu, i);
    long low = cpu.r[RAX];
    switch (i.size0) {
      case 1 -> Operands.setGpr(cpu, RAX, 2, Alu.div8(cpu, (int) low, (int) divisor));
      case 2 -> {
        int both = Alu.div16(cpu, dxAx(cpu), (int) divisor);
        Operands.setGpr(cpu, RAX, 2, both);
        Operands.setGpr(cpu, RDX, 2, both >>> 16);
      }
      case 4 -> setEdxEax(cpu, Alu.div32(cpu, edxEax(cpu), (int) divisor));
      default -> {
        long quotient = Alu.div64(cpu, cpu.r[RDX], low, divisor);
        cpu.r[RAX] = quotient;
        cpu.r[RDX] = low - quotient * divisor;
      }
    }
  }

  private static void idiv(Cpu cpu, Instruction i) {
    long divisor = Operands.read0(cpu, i);
    long low = cpu.r[RAX];
    switch (i.size0) {
      case 1 -> Operands.setGpr(cpu, RAX, 2, Alu.idiv8(cpu, (int) low, (int) divisor));
      case 2 -> {
        int both = Alu.idiv16(cpu, dxAx(cpu), (int) divisor);
        Operands.setGpr(cpu, RAX, 2, both);
        Operands.setGpr(cpu, RDX, 2, both >>> 16);
      }
      case 4 -> setEdxEax(cpu, Alu.idiv32(cpu, edxEax(cpu), (int) divisor));
      default -> {
        long quotient = Alu.idiv64(cpu, cpu.r[RDX], low, divisor);
        cpu.r[RAX] = quotient;
        cpu.r[RDX] = low - quotient * divisor;
      }
    }
  }

  private static int dxAx(Cpu cpu) {
    return (int) cpu.r[RDX] << 16 | (int) cpu.r[RAX] & 0xffff;
  }

  private static long edxEax(Cpu cpu) {
    return cpu.r[RDX] << 32 | cpu.r[RAX] & LOW;
  }

  private static void setDxAx(Cpu cpu, int value) {
    Operands.setGpr(cpu, RAX, 2, value);
    Operands.setGpr(cpu, RDX, 2, value >>> 16);
  }

  private static void setEdxEax(Cpu cpu, long value) {
    cpu.r[RAX] = value & LOW;
    cpu.r[RDX] = value >>> 32;
  }
}
