package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;

/**
 * Shifts and rotates. A memory operand is written, and so must be writable, even when the count is
 * 0.
 */
final class Shifts {
  private Shifts() {}

  static void register() {
    Handlers.put(Opcode.ROL, Update.binary((cpu, size, a, n) -> Alu.rol(cpu, size, a, (int) n)));
    Handlers.put(Opcode.ROR, Update.binary((cpu, size, a, n) -> Alu.ror(cpu, size, a, (int) n)));
    Handlers.put(Opcode.RCL, Update.binary((cpu, size, a, n) -> Alu.rcl(cpu, size, a, (int) n)));
    Handlers.put(Opcode.RCR, Update.binary((cpu, size, a, n) -> Alu.rcr(cpu, size, a, (int) n)));
    Handlers.put(Opcode.SHL, Update.binary((cpu, size, a, n) -> Alu.shl(cpu, size, a, (int) n)));
    Handlers.put(Opcode.SHR, Update.binary((cpu, size, a, n) -> Alu.shr(cpu, size, a, (int) n)));
    Handlers.put(Opcode.SAR, Update.binary((cpu, size, a, n) -> Alu.sar(cpu, size, a, (int) n)));
    Handlers.put(Opcode.SHLD, Shifts::shld);
    Handlers.put(Opcode.SHRD, Shifts::shrd);
  }

  private static void shld(Cpu cpu, Instruction i) {
    int size = i.size0;
    long b = cpu.r[i.reg1];
    int count = (int) Operands.read2(cpu, i);
    if (i.kind0 != OperandKind.MEMORY) {
      Operands.setGpr(cpu, i.reg0, size, Alu.shld(cpu, size, cpu.r[i.reg0], b, count));
      return;
    }
    long linear = Operands.linear(cpu, i, size, true);
    cpu.mmu.probeWrite(linear, size);
    long flagResult = cpu.flagResult;
    long flagAux = cpu.flagAux;
    long a = cpu.mmu.read(linear, size);
    Update.store(cpu, linear, size, Alu.shld(cpu, size, a, b, count), flagResult, flagAux);
  }

  private static void shrd(Cpu cpu, Instruction i) {
    int size = i.size0;
    long b = cpu.r[i.reg1];
    int count = (int) Operands.read2(cpu, i);
    if (i.kind0 != OperandKind.MEMORY) {
      Operands.setGpr(cpu, i.reg0, size, Alu.shrd(cpu, size, cpu.r[i.reg0], b, count));
      return;
    }
    long linear = Operands.linear(cpu, i, size, true);
    cpu.mmu.probeWrite(linear, size);
    long flagResult = cpu.flagResult;
    long flagAux = cpu.flagAux;
    long a = cpu.mmu.read(linear, size);
    Update.store(cpu, linear, size, Alu.shrd(cpu, size, a, b, count), flagResult, flagAux);
  }
}
