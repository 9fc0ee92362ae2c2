package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.semantics.Alu;

/** Shifts, rotates, multiplication, division and operations on one register, for 32 and 64 bits. */
final class RegisterOps {
  private RegisterOps() {}

  /** On one register. */
  abstract static class Unary extends Op {
    byte reg;
  }

  /** A shift by a constant. */
  abstract static class ShiftImm extends Op {
    byte reg;
    byte count;
  }

  static final class ShlImm32 extends ShiftImm {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Alu.shl32(c, (int) c.r[reg], count) & 0xffffffffL;
      return next;
    }
  }

  static final class ShlCl32 extends Unary {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Alu.shl32(c, (int) c.r[reg], (int) c.r[Cpu.RCX]) & 0xffffffffL;
      return next;
    }
  }

  static final class ShlImm64 extends ShiftImm {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Alu.shl64(c, c.r[reg], count);
      return next;
    }
  }

  static final class ShlCl64 extends Unary {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Alu.shl64(c, c.r[reg], (int) c.r[Cpu.RCX]);
      return next;
    }
  }

  static final class ShrImm32 extends ShiftImm {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Alu.shr32(c, (int) c.r[reg], count) & 0xffffffffL;
      return next;
    }
  }

  static final class ShrCl32 extends Unary {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Alu.shr32(c, (int) c.r[reg], (int) c.r[Cpu.RCX]) & 0xffffffffL;
      return next;
    }
  }

  static final class ShrImm64 extends ShiftImm {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Alu.shr64(c, c.r[reg], count);
      return next;
    }
  }

  static final class ShrCl64 extends Unary {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Alu.shr64(c, c.r[reg], (int) c.r[Cpu.RCX]);
      return next;
    }
  }

  static final class SarImm32 extends ShiftImm {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Alu.sar32(c, (int) c.r[reg], count) & 0xffffffffL;
      return next;
    }
  }

  static final class SarCl32 extends Unary {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Alu.sar32(c, (int) c.r[reg], (int) c.r[Cpu.RCX]) & 0xffffffffL;
      return next;
    }
  }

  static final class SarImm64 extends ShiftImm {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Alu.sar64(c, c.r[reg], count);
      return next;
    }
  }

  static final class SarCl64 extends Unary {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Alu.sar64(c, c.r[reg], (int) c.r[Cpu.RCX]);
      return next;
    }
  }

  static final class RolImm32 extends ShiftImm {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Alu.rol32(c, (int) c.r[reg], count) & 0xffffffffL;
      return next;
    }
  }

  static final class RolCl32 extends Unary {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Alu.rol32(c, (int) c.r[reg], (int) c.r[Cpu.RCX]) & 0xffffffffL;
      return next;
    }
  }

  static final class RolImm64 extends ShiftImm {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Alu.rol64(c, c.r[reg], count);
      return next;
    }
  }

  static final class RolCl64 extends Unary {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Alu.rol64(c, c.r[reg], (int) c.r[Cpu.RCX]);
      return next;
    }
  }

  static final class RorImm32 extends ShiftImm {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Alu.ror32(c, (int) c.r[reg], count) & 0xffffffffL;
      return next;
    }
  }

  static final class RorCl32 extends Unary {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Alu.ror32(c, (int) c.r[reg], (int) c.r[Cpu.RCX]) & 0xffffffffL;
      return next;
    }
  }

  static final class RorImm64 extends ShiftImm {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Alu.ror64(c, c.r[reg], count);
      return next;
    }
  }

  static final class RorCl64 extends Unary {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Alu.ror64(c, c.r[reg], (int) c.r[Cpu.RCX]);
      return next;
    }
  }

  static final class Inc32 extends Unary {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Alu.inc32(c, (int) c.r[reg]) & 0xffffffffL;
      return next;
    }
  }

  static final class Inc64 extends Unary {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Alu.inc64(c, c.r[reg]);
      return next;
    }
  }

  static final class Dec32 extends Unary {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Alu.dec32(c, (int) c.r[reg]) & 0xffffffffL;
      return next;
    }
  }

  static final class Dec64 extends Unary {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Alu.dec64(c, c.r[reg]);
      return next;
    }
  }

  static final class Neg32 extends Unary {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Alu.neg32(c, (int) c.r[reg]) & 0xffffffffL;
      return next;
    }
  }

  static final class Neg64 extends Unary {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Alu.neg64(c, c.r[reg]);
      return next;
    }
  }

  static final class Not32 extends Unary {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = ~c.r[reg] & 0xffffffffL;
      return next;
    }
  }

  static final class Not64 extends Unary {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = ~c.r[reg];
      return next;
    }
  }

  static final class Bswap32 extends Unary {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Integer.reverseBytes((int) c.r[reg]) & 0xffffffffL;
      return next;
    }
  }

  static final class Bswap64 extends Unary {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Long.reverseBytes(c.r[reg]);
      return next;
    }
  }

  /** EDX:EAX = EAX * r32. */
  static final class MulWide32 extends Unary {
    @Override
    @Nullable Op exec(Cpu c) {
      long both = Alu.mul32(c, (int) c.r[Cpu.RAX], (int) c.r[reg]);
      c.r[Cpu.RAX] = both & 0xffffffffL;
      c.r[Cpu.RDX] = both >>> 32;
      return next;
    }
  }

  static final class MulWide64 extends Unary {
    @Override
    @Nullable Op exec(Cpu c) {
      long a = c.r[Cpu.RAX];
      long b = c.r[reg];
      c.r[Cpu.RDX] = Alu.mulHigh64(c, a, b);
      c.r[Cpu.RAX] = a * b;
      return next;
    }
  }

  /** EDX:EAX = EAX * r32. */
  static final class ImulWide32 extends Unary {
    @Override
    @Nullable Op exec(Cpu c) {
      long both = Alu.imul32(c, (int) c.r[Cpu.RAX], (int) c.r[reg]);
      c.r[Cpu.RAX] = both & 0xffffffffL;
      c.r[Cpu.RDX] = both >>> 32;
      return next;
    }
  }

  static final class ImulWide64 extends Unary {
    @Override
    @Nullable Op exec(Cpu c) {
      long a = c.r[Cpu.RAX];
      long b = c.r[reg];
      c.r[Cpu.RDX] = Alu.imulHigh64(c, a, b);
      c.r[Cpu.RAX] = a * b;
      return next;
    }
  }

  static final class Div32 extends Unary {
    @Override
    @Nullable Op exec(Cpu c) {
      long dividend = c.r[Cpu.RDX] << 32 | c.r[Cpu.RAX] & 0xffffffffL;
      long both = Alu.div32(c, dividend, (int) c.r[reg]);
      c.r[Cpu.RAX] = both & 0xffffffffL;
      c.r[Cpu.RDX] = both >>> 32;
      return next;
    }
  }

  static final class Div64 extends Unary {
    @Override
    @Nullable Op exec(Cpu c) {
      long low = c.r[Cpu.RAX];
      long divisor = c.r[reg];
      long quotient = Alu.div64(c, c.r[Cpu.RDX], low, divisor);
      c.r[Cpu.RAX] = quotient;
      c.r[Cpu.RDX] = low - quotient * divisor;
      return next;
    }
  }

  static final class Idiv32 extends Unary {
    @Override
    @Nullable Op exec(Cpu c) {
      long dividend = c.r[Cpu.RDX] << 32 | c.r[Cpu.RAX] & 0xffffffffL;
      long both = Alu.idiv32(c, dividend, (int) c.r[reg]);
      c.r[Cpu.RAX] = both & 0xffffffffL;
      c.r[Cpu.RDX] = both >>> 32;
      return next;
    }
  }

  static final class Idiv64 extends Unary {
    @Override
    @Nullable Op exec(Cpu c) {
      long low = c.r[Cpu.RAX];
      long divisor = c.r[reg];
      long quotient = Alu.idiv64(c, c.r[Cpu.RDX], low, divisor);
      c.r[Cpu.RAX] = quotient;
      c.r[Cpu.RDX] = low - quotient * divisor;
      return next;
    }
  }

  static final class ImulRegReg32 extends AluOps.RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[dst] = Alu.imul32(c, (int) c.r[dst], (int) c.r[src]) & 0xffffffffL;
      return next;
    }
  }

  static final class ImulRegReg64 extends AluOps.RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[dst] = Alu.imul64(c, c.r[dst], c.r[src]);
      return next;
    }
  }

  static final class ImulRegMem32 extends AluOps.RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      int b = c.mmu.read32(address(c));
      c.r[reg] = Alu.imul32(c, (int) c.r[reg], b) & 0xffffffffL;
      return next;
    }
  }

  static final class ImulRegMem64 extends AluOps.RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      long b = c.mmu.read64(address(c));
      c.r[reg] = Alu.imul64(c, c.r[reg], b);
      return next;
    }
  }

  /** Register from register and constant. */
  abstract static class RegRegImm extends Op {
    byte dst;
    byte src;
    int imm;
  }

  static final class ImulRegRegImm32 extends RegRegImm {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[dst] = Alu.imul32(c, (int) c.r[src], imm) & 0xffffffffL;
      return next;
    }
  }

  static final class ImulRegRegImm64 extends RegRegImm {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[dst] = Alu.imul64(c, c.r[src], imm);
      return next;
    }
  }

  static final class IncMem32 extends MemOp {
    @Override
    @Nullable Op exec(Cpu c) {
      long at = address(c);
      c.mmu.probeWrite(at, 4);
      int a = c.mmu.read32(at);
      c.mmu.write32(at, Alu.inc32(c, a));
      return next;
    }
  }

  static final class IncMem64 extends MemOp {
    @Override
    @Nullable Op exec(Cpu c) {
      long at = address(c);
      c.mmu.probeWrite(at, 8);
      long a = c.mmu.read64(at);
      c.mmu.write64(at, Alu.inc64(c, a));
      return next;
    }
  }

  static final class DecMem32 extends MemOp {
    @Override
    @Nullable Op exec(Cpu c) {
      long at = address(c);
      c.mmu.probeWrite(at, 4);
      int a = c.mmu.read32(at);
      c.mmu.write32(at, Alu.dec32(c, a));
      return next;
    }
  }

  static final class DecMem64 extends MemOp {
    @Override
    @Nullable Op exec(Cpu c) {
      long at = address(c);
      c.mmu.probeWrite(at, 8);
      long a = c.mmu.read64(at);
      c.mmu.write64(at, Alu.dec64(c, a));
      return next;
    }
  }

  static final class AdcRegReg32 extends AluOps.RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[dst] = Alu.adc32(c, (int) c.r[dst], (int) c.r[src]) & 0xffffffffL;
      return next;
    }
  }

  static final class AdcRegImm32 extends AluOps.RegImm {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[dst] = Alu.adc32(c, (int) c.r[dst], imm) & 0xffffffffL;
      return next;
    }
  }

  static final class AdcRegReg64 extends AluOps.RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[dst] = Alu.adc64(c, c.r[dst], c.r[src]);
      return next;
    }
  }

  static final class AdcRegImm64 extends AluOps.RegImm {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[dst] = Alu.adc64(c, c.r[dst], imm);
      return next;
    }
  }

  static final class SbbRegReg32 extends AluOps.RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[dst] = Alu.sbb32(c, (int) c.r[dst], (int) c.r[src]) & 0xffffffffL;
      return next;
    }
  }

  static final class SbbRegImm32 extends AluOps.RegImm {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[dst] = Alu.sbb32(c, (int) c.r[dst], imm) & 0xffffffffL;
      return next;
    }
  }

  static final class SbbRegReg64 extends AluOps.RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[dst] = Alu.sbb64(c, c.r[dst], c.r[src]);
      return next;
    }
  }

  static final class SbbRegImm64 extends AluOps.RegImm {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[dst] = Alu.sbb64(c, c.r[dst], imm);
      return next;
    }
  }

  static final class Xchg32 extends AluOps.RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      long a = c.r[dst];
      c.r[dst] = c.r[src] & 0xffffffffL;
      c.r[src] = a & 0xffffffffL;
      return next;
    }
  }

  static final class Xchg64 extends AluOps.RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      long a = c.r[dst];
      c.r[dst] = c.r[src];
      c.r[src] = a;
      return next;
    }
  }

  static final class Cdq extends Op {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[Cpu.RDX] = (int) c.r[Cpu.RAX] >> 31 & 0xffffffffL;
      return next;
    }
  }

  static final class Cqo extends Op {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[Cpu.RDX] = c.r[Cpu.RAX] >> 63;
      return next;
    }
  }

  static final class Cwde extends Op {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[Cpu.RAX] = (short) c.r[Cpu.RAX] & 0xffffffffL;
      return next;
    }
  }

  static final class Cdqe extends Op {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[Cpu.RAX] = (int) c.r[Cpu.RAX];
      return next;
    }
  }

  static final class Nop extends Op {
    @Override
    @Nullable Op exec(Cpu c) {
      return next;
    }
  }

  /** An operation on one register; null where there is none. */
  static @Nullable Unary unary(Opcode opcode, int size) {
    boolean wide = size == 8;
    if (!wide && size != 4) {
      return null;
    }
    return switch (opcode) {
      case INC -> wide ? new Inc64() : new Inc32();
      case DEC -> wide ? new Dec64() : new Dec32();
      case NEG -> wide ? new Neg64() : new Neg32();
      case NOT -> wide ? new Not64() : new Not32();
      case BSWAP -> wide ? new Bswap64() : new Bswap32();
      case MUL -> wide ? new MulWide64() : new MulWide32();
      case IMUL -> wide ? new ImulWide64() : new ImulWide32();
      case DIV -> wide ? new Div64() : new Div32();
      case IDIV -> wide ? new Idiv64() : new Idiv32();
      default -> null;
    };
  }

  /** A shift or rotation by a constant; null where there is none. */
  static @Nullable ShiftImm shiftImm(Opcode opcode, int size) {
    boolean wide = size == 8;
    if (!wide && size != 4) {
      return null;
    }
    return switch (opcode) {
      case SHL -> wide ? new ShlImm64() : new ShlImm32();
      case SHR -> wide ? new ShrImm64() : new ShrImm32();
      case SAR -> wide ? new SarImm64() : new SarImm32();
      case ROL -> wide ? new RolImm64() : new RolImm32();
      case ROR -> wide ? new RorImm64() : new RorImm32();
      default -> null;
    };
  }

  /** A shift or rotation by CL; null where there is none. */
  static @Nullable Unary shiftCl(Opcode opcode, int size) {
    boolean wide = size == 8;
    if (!wide && size != 4) {
      return null;
    }
    return switch (opcode) {
      case SHL -> wide ? new ShlCl64() : new ShlCl32();
      case SHR -> wide ? new ShrCl64() : new ShrCl32();
      case SAR -> wide ? new SarCl64() : new SarCl32();
      case ROL -> wide ? new RolCl64() : new RolCl32();
      case ROR -> wide ? new RorCl64() : new RorCl32();
      default -> null;
    };
  }
}
