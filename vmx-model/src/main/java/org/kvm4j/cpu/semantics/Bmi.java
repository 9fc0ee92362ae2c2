package org.kvm4j.cpu.semantics;

import static org.kvm4j.cpu.core.Cpu.RDX;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;

/** BMI1 and BMI2 with a VEX prefix: operands of 4 or 8 bytes, the destination a register. */
final class Bmi {
  private Bmi() {}

  static void register() {
    Handlers.put(Opcode.ANDN, Bmi::andn);
    Handlers.put(Opcode.BEXTR, Bmi::bextr);
    Handlers.put(Opcode.BLSI, Bmi::blsi);
    Handlers.put(Opcode.BLSR, Bmi::blsr);
    Handlers.put(Opcode.BLSMSK, Bmi::blsmsk);
    Handlers.put(Opcode.BZHI, Bmi::bzhi);
    Handlers.put(Opcode.PDEP, Bmi::pdep);
    Handlers.put(Opcode.PEXT, Bmi::pext);
    Handlers.put(Opcode.MULX, Bmi::mulx);
    Handlers.put(Opcode.RORX, Bmi::rorx);
    Handlers.put(Opcode.SARX, Bmi::sarx);
    Handlers.put(Opcode.SHLX, Bmi::shlx);
    Handlers.put(Opcode.SHRX, Bmi::shrx);
  }

  private static void andn(Cpu cpu, Instruction i) {
    long b = Operands.read2(cpu, i);
    long a = Operands.read1(cpu, i);
    Operands.write0(cpu, i, Alu.logic(cpu, i.size0, ~a & b));
  }

  private static void bextr(Cpu cpu, Instruction i) {
    long value = Operands.read1(cpu, i);
    Operands.write0(cpu, i, Alu.bextr(cpu, value, Operands.read2(cpu, i)));
  }

  private static void blsi(Cpu cpu, Instruction i) {
    long a = Operands.read1(cpu, i);
    Operands.write0(cpu, i, i.size0 == 8 ? Alu.blsi64(cpu, a) : Alu.blsi32(cpu, (int) a));
  }

  private static void blsr(Cpu cpu, Instruction i) {
    long a = Operands.read1(cpu, i);
    Operands.write0(cpu, i, i.size0 == 8 ? Alu.blsr64(cpu, a) : Alu.blsr32(cpu, (int) a));
  }

  private static void blsmsk(Cpu cpu, Instruction i) {
    long a = Operands.read1(cpu, i);
    Operands.write0(cpu, i, i.size0 == 8 ? Alu.blsmsk64(cpu, a) : Alu.blsmsk32(cpu, (int) a));
  }

  private static void bzhi(Cpu cpu, Instruction i) {
    long a = Operands.read1(cpu, i);
    long index = Operands.read2(cpu, i);
    Operands.write0(
        cpu, i, i.size0 == 8 ? Alu.bzhi64(cpu, a, index) : Alu.bzhi32(cpu, (int) a, (int) index));
  }

  private static void pdep(Cpu cpu, Instruction i) {
    long mask = Operands.read2(cpu, i);
    Operands.write0(cpu, i, WideMath.deposit(Operands.read1(cpu, i), mask));
  }

  private static void pext(Cpu cpu, Instruction i) {
    long mask = Operands.read2(cpu, i);
    Operands.write0(cpu, i, WideMath.extract(Operands.read1(cpu, i), mask));
  }

  /** If both destinations are one register, it gets the upper half. */
  private static void mulx(Cpu cpu, Instruction i) {
    long b = Operands.read2(cpu, i);
    long a = Operands.gpr(cpu, RDX, i.size0);
    long low = a * b;
    long high = i.size0 == 8 ? WideMath.multiplyHighUnsigned(a, b) : low >>> 32;
    Operands.write1(cpu, i, low);
    Operands.write0(cpu, i, high);
  }

  private static void rorx(Cpu cpu, Instruction i) {
    long a = Operands.read1(cpu, i);
    int n = (int) i.immediate;
    Operands.write0(
        cpu, i, i.size0 == 8 ? Long.rotateRight(a, n) : Integer.rotateRight((int) a, n));
  }

  private static void sarx(Cpu cpu, Instruction i) {
    long a = Operands.read1(cpu, i);
    int n = (int) Operands.read2(cpu, i);
    Operands.write0(cpu, i, i.size0 == 8 ? a >> n : (int) a >> n);
  }

  private static void shlx(Cpu cpu, Instruction i) {
    long a = Operands.read1(cpu, i);
    int n = (int) Operands.read2(cpu, i);
    Operands.write0(cpu, i, i.size0 == 8 ? a << n : (int) a << n);
  }

  private static void shrx(Cpu cpu, Instruction i) {
    long a = Operands.read1(cpu, i);
    int n = (int) Operands.read2(cpu, i);
    Operands.write0(cpu, i, i.size0 == 8 ? a >>> n : (int) a >>> n);
  }
}
