package org.kvm4j.cpu.semantics;

import static org.kvm4j.cpu.core.Cpu.ES;
import static org.kvm4j.cpu.core.Cpu.RAX;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Mmu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;

/** Moves without arithmetic. */
final class DataTransfer {
  private DataTransfer() {}

  static void register() {
    Handlers.put(Opcode.MOV, DataTransfer::mov);
    Handlers.put(Opcode.MOVZX, (cpu, i) -> Operands.write0(cpu, i, Operands.read1(cpu, i)));
    Handlers.put(Opcode.MOVSX, DataTransfer::movsx);
    Handlers.put(Opcode.MOVSXD, DataTransfer::movsx);
    Handlers.put(Opcode.MOVBE, DataTransfer::movbe);
    Handlers.put(Opcode.MOVNTI, (cpu, i) -> Operands.write0(cpu, i, Operands.read1(cpu, i)));
    Handlers.put(Opcode.MOVDIRI, (cpu, i) -> Operands.write0(cpu, i, Operands.read1(cpu, i)));
    Handlers.put(Opcode.MOVDIR64B, DataTransfer::movdir64b);
    Handlers.put(
        Opcode.LEA, (cpu, i) -> Operands.write0(cpu, i, Operands.effectiveAddress(cpu, i)));
    Handlers.put(Opcode.CMOVCC, DataTransfer::cmovcc);
    Handlers.put(
        Opcode.SETCC, (cpu, i) -> Operands.write0(cpu, i, cpu.condition(i.condition) ? 1 : 0));
    Handlers.put(Opcode.XLAT, DataTransfer::xlat);
  }

  private static void mov(Cpu cpu, Instruction i) {
    if (isGeneral(i.kind0) && isGeneral(i.kind1)) {
      Operands.write0(cpu, i, Operands.read1(cpu, i));
    } else {
      SystemMoves.mov(cpu, i);
    }
  }

  private static boolean isGeneral(int kind) {
    return kind <= OperandKind.IMMEDIATE;
  }

  private static void movsx(Cpu cpu, Instruction i) {
    Operands.write0(cpu, i, Operands.signExtend(Operands.read1(cpu, i), i.size1));
  }

  private static void movbe(Cpu cpu, Instruction i) {
    long value = Long.reverseBytes(Operands.read1(cpu, i));
    Operands.write0(cpu, i, value >>> 64 - i.size0 * 8);
  }

  /** Moves 64 bytes to ES at the register operand, which must be aligned. */
  private static void movdir64b(Cpu cpu, Instruction i) {
    Mmu mmu = cpu.mmu;
    long from = Operands.linear(cpu, i, 64, false);
    long to = cpu.linear(ES, Operands.truncate(cpu.r[i.reg0], i.addressSize), 64, true);
    if ((to & 63) != 0) {
      throw cpu.gp(0);
    }
    long a = mmu.read64(from);
    long b = mmu.read64(from + 8);
    long c = mmu.read64(from + 16);
    long d = mmu.read64(from + 24);
    long e = mmu.read64(from + 32);
    long f = mmu.read64(from + 40);
    long g = mmu.read64(from + 48);
    long h = mmu.read64(from + 56);
    // Aligned: all in one page, so that only the first store can fault.
    mmu.write64(to, a);
    mmu.write64(to + 8, b);
    mmu.write64(to + 16, c);
    mmu.write64(to + 24, d);
    mmu.write64(to + 32, e);
    mmu.write64(to + 40, f);
    mmu.write64(to + 48, g);
    mmu.write64(to + 56, h);
  }

  /** The source is read, and a 32-bit destination zero-extended, whatever the condition. */
  private static void cmovcc(Cpu cpu, Instruction i) {
    long value = Operands.read1(cpu, i);
    Operands.write0(cpu, i, cpu.condition(i.condition) ? value : cpu.r[i.reg0]);
  }

  private static void xlat(Cpu cpu, Instruction i) {
    long address = Operands.effectiveAddress(cpu, i) + (cpu.r[RAX] & 0xff);
    long linear = cpu.linear(i.segment, Operands.truncate(address, i.addressSize), 1, false);
    Operands.setGpr(cpu, RAX, 1, cpu.mmu.read8(linear));
  }
}
