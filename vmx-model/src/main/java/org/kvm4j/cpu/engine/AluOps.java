package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.semantics.Alu;

/**
 * The hot forms of two-operand arithmetic and logic, for 32 and 64 bits. What they compute is
 * {@link Alu}'s; here is only where operands come from and go to.
 */
final class AluOps {
  private AluOps() {}

  /** Register and register. */
  abstract static class RegReg extends Op {
    byte dst;
    byte src;
  }

  /** Register and immediate. */
  abstract static class RegImm extends Op {
    byte dst;
    int imm;
  }

  /** Register and memory: the register is the destination, or the source of a store. */
  abstract static class RegMem extends MemOp {
    byte reg;
  }

  /** Memory and immediate. */
  abstract static class MemImm extends MemOp {
    int imm;
  }

  static final class AddRegReg32 extends RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      int a = (int) c.r[dst];
      int b = (int) c.r[src];
      c.r[dst] = Alu.add32(c, a, b) & 0xffffffffL;
      return next;
    }
  }

  static final class AddRegImm32 extends RegImm {
    @Override
    @Nullable Op exec(Cpu c) {
      int a = (int) c.r[dst];
      int b = imm;
      c.r[dst] = Alu.add32(c, a, b) & 0xffffffffL;
      return next;
    }
  }

  static final class AddRegMem32 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      int b = c.mmu.read32(address(c));
      int a = (int) c.r[reg];
      c.r[reg] = Alu.add32(c, a, b) & 0xffffffffL;
      return next;
    }
  }

  static final class AddMemReg32 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      long at = address(c);
      c.mmu.probeWrite(at, 4);
      int a = c.mmu.read32(at);
      int b = (int) c.r[reg];
      c.mmu.write32(at, Alu.add32(c, a, b));
      return next;
    }
  }

  static final class AddMemImm32 extends MemImm {
    @Override
    @Nullable Op exec(Cpu c) {
      long at = address(c);
      c.mmu.probeWrite(at, 4);
      int a = c.mmu.read32(at);
      int b = imm;
      c.mmu.write32(at, Alu.add32(c, a, b));
      return next;
    }
  }

  static final class AddRegReg64 extends RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      long a = c.r[dst];
      long b = c.r[src];
      c.r[dst] = Alu.add64(c, a, b);
      return next;
    }
  }

  static final class AddRegImm64 extends RegImm {
    @Override
    @Nullable Op exec(Cpu c) {
      long a = c.r[dst];
      long b = imm;
      c.r[dst] = Alu.add64(c, a, b);
      return next;
    }
  }

  static final class AddRegMem64 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      long b = c.mmu.read64(address(c));
      long a = c.r[reg];
      c.r[reg] = Alu.add64(c, a, b);
      return next;
    }
  }

  static final class AddMemReg64 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      long at = address(c);
      c.mmu.probeWrite(at, 8);
      long a = c.mmu.read64(at);
      long b = c.r[reg];
      c.mmu.write64(at, Alu.add64(c, a, b));
      return next;
    }
  }

  static final class AddMemImm64 extends MemImm {
    @Override
    @Nullable Op exec(Cpu c) {
      long at = address(c);
      c.mmu.probeWrite(at, 8);
      long a = c.mmu.read64(at);
      long b = imm;
      c.mmu.write64(at, Alu.add64(c, a, b));
      return next;
    }
  }

  static final class SubRegReg32 extends RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      int a = (int) c.r[dst];
      int b = (int) c.r[src];
      c.r[dst] = Alu.sub32(c, a, b) & 0xffffffffL;
      return next;
    }
  }

  static final class SubRegImm32 extends RegImm {
    @Override
    @Nullable Op exec(Cpu c) {
      int a = (int) c.r[dst];
      int b = imm;
      c.r[dst] = Alu.sub32(c, a, b) & 0xffffffffL;
      return next;
    }
  }

  static final class SubRegMem32 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      int b = c.mmu.read32(address(c));
      int a = (int) c.r[reg];
      c.r[reg] = Alu.sub32(c, a, b) & 0xffffffffL;
      return next;
    }
  }

  static final class SubMemReg32 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      long at = address(c);
      c.mmu.probeWrite(at, 4);
      int a = c.mmu.read32(at);
      int b = (int) c.r[reg];
      c.mmu.write32(at, Alu.sub32(c, a, b));
      return next;
    }
  }

  static final class SubMemImm32 extends MemImm {
    @Override
    @Nullable Op exec(Cpu c) {
      long at = address(c);
      c.mmu.probeWrite(at, 4);
      int a = c.mmu.read32(at);
      int b = imm;
      c.mmu.write32(at, Alu.sub32(c, a, b));
      return next;
    }
  }

  static final class SubRegReg64 extends RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      long a = c.r[dst];
      long b = c.r[src];
      c.r[dst] = Alu.sub64(c, a, b);
      return next;
    }
  }

  static final class SubRegImm64 extends RegImm {
    @Override
    @Nullable Op exec(Cpu c) {
      long a = c.r[dst];
      long b = imm;
      c.r[dst] = Alu.sub64(c, a, b);
      return next;
    }
  }

  static final class SubRegMem64 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      long b = c.mmu.read64(address(c));
      long a = c.r[reg];
      c.r[reg] = Alu.sub64(c, a, b);
      return next;
    }
  }

  static final class SubMemReg64 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      long at = address(c);
      c.mmu.probeWrite(at, 8);
      long a = c.mmu.read64(at);
      long b = c.r[reg];
      c.mmu.write64(at, Alu.sub64(c, a, b));
      return next;
    }
  }

  static final class SubMemImm64 extends MemImm {
    @Override
    @Nullable Op exec(Cpu c) {
      long at = address(c);
      c.mmu.probeWrite(at, 8);
      long a = c.mmu.read64(at);
      long b = imm;
      c.mmu.write64(at, Alu.sub64(c, a, b));
      return next;
    }
  }

  static final class AndRegReg32 extends RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      int a = (int) c.r[dst];
      int b = (int) c.r[src];
      c.r[dst] = Alu.logic32(c, a & b) & 0xffffffffL;
      return next;
    }
  }

  static final class AndRegImm32 extends RegImm {
    @Override
    @Nullable Op exec(Cpu c) {
      int a = (int) c.r[dst];
      int b = imm;
      c.r[dst] = Alu.logic32(c, a & b) & 0xffffffffL;
      return next;
    }
  }

  static final class AndRegMem32 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      int b = c.mmu.read32(address(c));
      int a = (int) c.r[reg];
      c.r[reg] = Alu.logic32(c, a & b) & 0xffffffffL;
      return next;
    }
  }

  static final class AndMemReg32 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      long at = address(c);
      c.mmu.probeWrite(at, 4);
      int a = c.mmu.read32(at);
      int b = (int) c.r[reg];
      c.mmu.write32(at, Alu.logic32(c, a & b));
      return next;
    }
  }

  static final class AndMemImm32 extends MemImm {
    @Override
    @Nullable Op exec(Cpu c) {
      long at = address(c);
      c.mmu.probeWrite(at, 4);
      int a = c.mmu.read32(at);
      int b = imm;
      c.mmu.write32(at, Alu.logic32(c, a & b));
      return next;
    }
  }

  static final class AndRegReg64 extends RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      long a = c.r[dst];
      long b = c.r[src];
      c.r[dst] = Alu.logic64(c, a & b);
      return next;
    }
  }

  static final class AndRegImm64 extends RegImm {
    @Override
    @Nullable Op exec(Cpu c) {
      long a = c.r[dst];
      long b = imm;
      c.r[dst] = Alu.logic64(c, a & b);
      return next;
    }
  }

  static final class AndRegMem64 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      long b = c.mmu.read64(address(c));
      long a = c.r[reg];
      c.r[reg] = Alu.logic64(c, a & b);
      return next;
    }
  }

  static final class AndMemReg64 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      long at = address(c);
      c.mmu.probeWrite(at, 8);
      long a = c.mmu.read64(at);
      long b = c.r[reg];
      c.mmu.write64(at, Alu.logic64(c, a & b));
      return next;
    }
  }

  static final class AndMemImm64 extends MemImm {
    @Override
    @Nullable Op exec(Cpu c) {
      long at = address(c);
      c.mmu.probeWrite(at, 8);
      long a = c.mmu.read64(at);
      long b = imm;
      c.mmu.write64(at, Alu.logic64(c, a & b));
      return next;
    }
  }

  static final class OrRegReg32 extends RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      int a = (int) c.r[dst];
      int b = (int) c.r[src];
      c.r[dst] = Alu.logic32(c, a | b) & 0xffffffffL;
      return next;
    }
  }

  static final class OrRegImm32 extends RegImm {
    @Override
    @Nullable Op exec(Cpu c) {
      int a = (int) c.r[dst];
      int b = imm;
      c.r[dst] = Alu.logic32(c, a | b) & 0xffffffffL;
      return next;
    }
  }

  static final class OrRegMem32 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      int b = c.mmu.read32(address(c));
      int a = (int) c.r[reg];
      c.r[reg] = Alu.logic32(c, a | b) & 0xffffffffL;
      return next;
    }
  }

  static final class OrMemReg32 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      long at = address(c);
      c.mmu.probeWrite(at, 4);
      int a = c.mmu.read32(at);
      int b = (int) c.r[reg];
      c.mmu.write32(at, Alu.logic32(c, a | b));
      return next;
    }
  }

  static final class OrMemImm32 extends MemImm {
    @Override
    @Nullable Op exec(Cpu c) {
      long at = address(c);
      c.mmu.probeWrite(at, 4);
      int a = c.mmu.read32(at);
      int b = imm;
      c.mmu.write32(at, Alu.logic32(c, a | b));
      return next;
    }
  }

  static final class OrRegReg64 extends RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      long a = c.r[dst];
      long b = c.r[src];
      c.r[dst] = Alu.logic64(c, a | b);
      return next;
    }
  }

  static final class OrRegImm64 extends RegImm {
    @Override
    @Nullable Op exec(Cpu c) {
      long a = c.r[dst];
      long b = imm;
      c.r[dst] = Alu.logic64(c, a | b);
      return next;
    }
  }

  static final class OrRegMem64 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      long b = c.mmu.read64(address(c));
      long a = c.r[reg];
      c.r[reg] = Alu.logic64(c, a | b);
      return next;
    }
  }

  static final class OrMemReg64 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      long at = address(c);
      c.mmu.probeWrite(at, 8);
      long a = c.mmu.read64(at);
      long b = c.r[reg];
      c.mmu.write64(at, Alu.logic64(c, a | b));
      return next;
    }
  }

  static final class OrMemImm64 extends MemImm {
    @Override
    @Nullable Op exec(Cpu c) {
      long at = address(c);
      c.mmu.probeWrite(at, 8);
      long a = c.mmu.read64(at);
      long b = imm;
      c.mmu.write64(at, Alu.logic64(c, a | b));
      return next;
    }
  }

  static final class XorRegReg32 extends RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      int a = (int) c.r[dst];
      int b = (int) c.r[src];
      c.r[dst] = Alu.logic32(c, a ^ b) & 0xffffffffL;
      return next;
    }
  }

  static final class XorRegImm32 extends RegImm {
    @Override
    @Nullable Op exec(Cpu c) {
      int a = (int) c.r[dst];
      int b = imm;
      c.r[dst] = Alu.logic32(c, a ^ b) & 0xffffffffL;
      return next;
    }
  }

  static final class XorRegMem32 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      int b = c.mmu.read32(address(c));
      int a = (int) c.r[reg];
      c.r[reg] = Alu.logic32(c, a ^ b) & 0xffffffffL;
      return next;
    }
  }

  static final class XorMemReg32 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      long at = address(c);
      c.mmu.probeWrite(at, 4);
      int a = c.mmu.read32(at);
      int b = (int) c.r[reg];
      c.mmu.write32(at, Alu.logic32(c, a ^ b));
      return next;
    }
  }

  static final class XorMemImm32 extends MemImm {
    @Override
    @Nullable Op exec(Cpu c) {
      long at = address(c);
      c.mmu.probeWrite(at, 4);
      int a = c.mmu.read32(at);
      int b = imm;
      c.mmu.write32(at, Alu.logic32(c, a ^ b));
      return next;
    }
  }

  static final class XorRegReg64 extends RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      long a = c.r[dst];
      long b = c.r[src];
      c.r[dst] = Alu.logic64(c, a ^ b);
      return next;
    }
  }

  static final class XorRegImm64 extends RegImm {
    @Override
    @Nullable Op exec(Cpu c) {
      long a = c.r[dst];
      long b = imm;
      c.r[dst] = Alu.logic64(c, a ^ b);
      return next;
    }
  }

  static final class XorRegMem64 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      long b = c.mmu.read64(address(c));
      long a = c.r[reg];
      c.r[reg] = Alu.logic64(c, a ^ b);
      return next;
    }
  }

  static final class XorMemReg64 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      long at = address(c);
      c.mmu.probeWrite(at, 8);
      long a = c.mmu.read64(at);
      long b = c.r[reg];
      c.mmu.write64(at, Alu.logic64(c, a ^ b));
      return next;
    }
  }

  static final class XorMemImm64 extends MemImm {
    @Override
    @Nullable Op exec(Cpu c) {
      long at = address(c);
      c.mmu.probeWrite(at, 8);
      long a = c.mmu.read64(at);
      long b = imm;
      c.mmu.write64(at, Alu.logic64(c, a ^ b));
      return next;
    }
  }

  static final class CmpRegReg32 extends RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      int a = (int) c.r[dst];
      int b = (int) c.r[src];
      Alu.sub32(c, a, b);
      return next;
    }
  }

  static final class CmpRegImm32 extends RegImm {
    @Override
    @Nullable Op exec(Cpu c) {
      int a = (int) c.r[dst];
      int b = imm;
      Alu.sub32(c, a, b);
      return next;
    }
  }

  static final class CmpRegMem32 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      int b = c.mmu.read32(address(c));
      int a = (int) c.r[reg];
      Alu.sub32(c, a, b);
      return next;
    }
  }

  static final class CmpMemReg32 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      int a = c.mmu.read32(address(c));
      int b = (int) c.r[reg];
      Alu.sub32(c, a, b);
      return next;
    }
  }

  static final class CmpMemImm32 extends MemImm {
    @Override
    @Nullable Op exec(Cpu c) {
      int a = c.mmu.read32(address(c));
      int b = imm;
      Alu.sub32(c, a, b);
      return next;
    }
  }

  static final class CmpRegReg64 extends RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      long a = c.r[dst];
      long b = c.r[src];
      Alu.sub64(c, a, b);
      return next;
    }
  }

  static final class CmpRegImm64 extends RegImm {
    @Override
    @Nullable Op exec(Cpu c) {
      long a = c.r[dst];
      long b = imm;
      Alu.sub64(c, a, b);
      return next;
    }
  }

  static final class CmpRegMem64 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      long b = c.mmu.read64(address(c));
      long a = c.r[reg];
      Alu.sub64(c, a, b);
      return next;
    }
  }

  static final class CmpMemReg64 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      long a = c.mmu.read64(address(c));
      long b = c.r[reg];
      Alu.sub64(c, a, b);
      return next;
    }
  }

  static final class CmpMemImm64 extends MemImm {
    @Override
    @Nullable Op exec(Cpu c) {
      long a = c.mmu.read64(address(c));
      long b = imm;
      Alu.sub64(c, a, b);
      return next;
    }
  }

  static final class TestRegReg32 extends RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      int a = (int) c.r[dst];
      int b = (int) c.r[src];
      Alu.logic32(c, a & b);
      return next;
    }
  }

  static final class TestRegImm32 extends RegImm {
    @Override
    @Nullable Op exec(Cpu c) {
      int a = (int) c.r[dst];
      int b = imm;
      Alu.logic32(c, a & b);
      return next;
    }
  }

  static final class TestMemReg32 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      int a = c.mmu.read32(address(c));
      int b = (int) c.r[reg];
      Alu.logic32(c, a & b);
      return next;
    }
  }

  static final class TestMemImm32 extends MemImm {
    @Override
    @Nullable Op exec(Cpu c) {
      int a = c.mmu.read32(address(c));
      int b = imm;
      Alu.logic32(c, a & b);
      return next;
    }
  }

  static final class TestRegReg64 extends RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      long a = c.r[dst];
      long b = c.r[src];
      Alu.logic64(c, a & b);
      return next;
    }
  }

  static final class TestRegImm64 extends RegImm {
    @Override
    @Nullable Op exec(Cpu c) {
      long a = c.r[dst];
      long b = imm;
      Alu.logic64(c, a & b);
      return next;
    }
  }

  static final class TestMemReg64 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      long a = c.mmu.read64(address(c));
      long b = c.r[reg];
      Alu.logic64(c, a & b);
      return next;
    }
  }

  static final class TestMemImm64 extends MemImm {
    @Override
    @Nullable Op exec(Cpu c) {
      long a = c.mmu.read64(address(c));
      long b = imm;
      Alu.logic64(c, a & b);
      return next;
    }
  }

  static final class CmpMemImm8 extends MemImm {
    @Override
    @Nullable Op exec(Cpu c) {
      int a = c.mmu.read8(address(c));
      int b = imm;
      Alu.sub8(c, a, b);
      return next;
    }
  }

  static final class CmpRegImm8 extends RegImm {
    @Override
    @Nullable Op exec(Cpu c) {
      int a = (int) c.r[dst];
      int b = imm;
      Alu.sub8(c, a, b);
      return next;
    }
  }

  static final class CmpRegReg8 extends RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      int a = (int) c.r[dst];
      int b = (int) c.r[src];
      Alu.sub8(c, a, b);
      return next;
    }
  }

  static final class TestMemImm8 extends MemImm {
    @Override
    @Nullable Op exec(Cpu c) {
      int a = c.mmu.read8(address(c));
      int b = imm;
      Alu.logic8(c, a & b);
      return next;
    }
  }

  static final class TestRegImm8 extends RegImm {
    @Override
    @Nullable Op exec(Cpu c) {
      int a = (int) c.r[dst];
      int b = imm;
      Alu.logic8(c, a & b);
      return next;
    }
  }

  static final class TestRegReg8 extends RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      int a = (int) c.r[dst];
      int b = (int) c.r[src];
      Alu.logic8(c, a & b);
      return next;
    }
  }

  /** The operation for an opcode and form, or null where there is none. */
  static @Nullable RegReg regReg(Opcode opcode, int size) {
    if (size < 4 && !(size == 1 && (opcode == Opcode.CMP || opcode == Opcode.TEST))) {
      return NarrowOps.regReg(opcode, size);
    }
    return switch (opcode) {
      case ADD -> size == 8 ? new AddRegReg64() : size == 4 ? new AddRegReg32() : null;
      case SUB -> size == 8 ? new SubRegReg64() : size == 4 ? new SubRegReg32() : null;
      case AND -> size == 8 ? new AndRegReg64() : size == 4 ? new AndRegReg32() : null;
      case OR -> size == 8 ? new OrRegReg64() : size == 4 ? new OrRegReg32() : null;
      case XOR -> size == 8 ? new XorRegReg64() : size == 4 ? new XorRegReg32() : null;
      case CMP ->
          size == 8
              ? new CmpRegReg64()
              : size == 4 ? new CmpRegReg32() : size == 1 ? new CmpRegReg8() : null;
      case TEST ->
          size == 8
              ? new TestRegReg64()
              : size == 4 ? new TestRegReg32() : size == 1 ? new TestRegReg8() : null;
      case ADC -> size == 8 ? new RegisterOps.AdcRegReg64() : new RegisterOps.AdcRegReg32();
      case SBB -> size == 8 ? new RegisterOps.SbbRegReg64() : new RegisterOps.SbbRegReg32();
      case XCHG -> size == 8 ? new RegisterOps.Xchg64() : new RegisterOps.Xchg32();
      default -> null;
    };
  }

  static @Nullable RegImm regImm(Opcode opcode, int size) {
    if (size < 4 && !(size == 1 && (opcode == Opcode.CMP || opcode == Opcode.TEST))) {
      return NarrowOps.regImm(opcode, size);
    }
    return switch (opcode) {
      case ADD -> size == 8 ? new AddRegImm64() : size == 4 ? new AddRegImm32() : null;
      case SUB -> size == 8 ? new SubRegImm64() : size == 4 ? new SubRegImm32() : null;
      case AND -> size == 8 ? new AndRegImm64() : size == 4 ? new AndRegImm32() : null;
      case OR -> size == 8 ? new OrRegImm64() : size == 4 ? new OrRegImm32() : null;
      case XOR -> size == 8 ? new XorRegImm64() : size == 4 ? new XorRegImm32() : null;
      case CMP ->
          size == 8
              ? new CmpRegImm64()
              : size == 4 ? new CmpRegImm32() : size == 1 ? new CmpRegImm8() : null;
      case TEST ->
          size == 8
              ? new TestRegImm64()
              : size == 4 ? new TestRegImm32() : size == 1 ? new TestRegImm8() : null;
      case ADC -> size == 8 ? new RegisterOps.AdcRegImm64() : new RegisterOps.AdcRegImm32();
      case SBB -> size == 8 ? new RegisterOps.SbbRegImm64() : new RegisterOps.SbbRegImm32();
      default -> null;
    };
  }

  static @Nullable RegMem regMem(Opcode opcode, int size) {
    if (size < 4) {
      return NarrowOps.regMem(opcode, size);
    }
    return switch (opcode) {
      case ADD -> size == 8 ? new AddRegMem64() : size == 4 ? new AddRegMem32() : null;
      case SUB -> size == 8 ? new SubRegMem64() : size == 4 ? new SubRegMem32() : null;
      case AND -> size == 8 ? new AndRegMem64() : size == 4 ? new AndRegMem32() : null;
      case OR -> size == 8 ? new OrRegMem64() : size == 4 ? new OrRegMem32() : null;
      case XOR -> size == 8 ? new XorRegMem64() : size == 4 ? new XorRegMem32() : null;
      case CMP -> size == 8 ? new CmpRegMem64() : size == 4 ? new CmpRegMem32() : null;
      case IMUL -> size == 8 ? new RegisterOps.ImulRegMem64() : new RegisterOps.ImulRegMem32();
      default -> null;
    };
  }

  static @Nullable RegMem memReg(Opcode opcode, int size) {
    if (size < 4) {
      return NarrowOps.memReg(opcode, size);
    }
    return switch (opcode) {
      case ADD -> size == 8 ? new AddMemReg64() : size == 4 ? new AddMemReg32() : null;
      case SUB -> size == 8 ? new SubMemReg64() : size == 4 ? new SubMemReg32() : null;
      case AND -> size == 8 ? new AndMemReg64() : size == 4 ? new AndMemReg32() : null;
      case OR -> size == 8 ? new OrMemReg64() : size == 4 ? new OrMemReg32() : null;
      case XOR -> size == 8 ? new XorMemReg64() : size == 4 ? new XorMemReg32() : null;
      case CMP -> size == 8 ? new CmpMemReg64() : size == 4 ? new CmpMemReg32() : null;
      case TEST -> size == 8 ? new TestMemReg64() : size == 4 ? new TestMemReg32() : null;
      default -> null;
    };
  }

  static @Nullable MemImm memImm(Opcode opcode, int size) {
    if (size < 4 && !(size == 1 && (opcode == Opcode.CMP || opcode == Opcode.TEST))) {
      return NarrowOps.memImm(opcode, size);
    }
    return switch (opcode) {
      case ADD -> size == 8 ? new AddMemImm64() : size == 4 ? new AddMemImm32() : null;
      case SUB -> size == 8 ? new SubMemImm64() : size == 4 ? new SubMemImm32() : null;
      case AND -> size == 8 ? new AndMemImm64() : size == 4 ? new AndMemImm32() : null;
      case OR -> size == 8 ? new OrMemImm64() : size == 4 ? new OrMemImm32() : null;
      case XOR -> size == 8 ? new XorMemImm64() : size == 4 ? new XorMemImm32() : null;
      case CMP ->
          size == 8
              ? new CmpMemImm64()
              : size == 4 ? new CmpMemImm32() : size == 1 ? new CmpMemImm8() : null;
      case TEST ->
          size == 8
              ? new TestMemImm64()
              : size == 4 ? new TestMemImm32() : size == 1 ? new TestMemImm8() : null;
      default -> null;
    };
  }
}
