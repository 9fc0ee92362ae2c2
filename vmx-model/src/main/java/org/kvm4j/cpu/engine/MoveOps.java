package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;

/** The hot forms of data movement, in flat modes. */
final class MoveOps {
  private MoveOps() {}

  /** Register and memory. */
  abstract static class RegMem extends MemOp {
    byte reg;
  }

  /** Register from register. */
  abstract static class RegReg extends Op {
    byte dst;
    byte src;
  }

  static final class Mov64 extends RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[dst] = c.r[src];
      return next;
    }
  }

  static final class Mov32 extends RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[dst] = c.r[src] & 0xffffffffL;
      return next;
    }
  }

  /** MOV r, imm with the register's final 64-bit value. */
  static final class MovImm extends Op {
    byte dst;
    long imm;

    @Override
    @Nullable Op exec(Cpu c) {
      c.r[dst] = imm;
      return next;
    }
  }

  static final class Load64 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = c.mmu.read64(address(c));
      return next;
    }
  }

  static final class Load32 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = c.mmu.read32(address(c)) & 0xffffffffL;
      return next;
    }
  }

  static final class Load16 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = c.r[reg] & ~0xffffL | c.mmu.read16(address(c));
      return next;
    }
  }

  static final class Load8 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = c.r[reg] & ~0xffL | c.mmu.read8(address(c));
      return next;
    }
  }

  /** MOVZX from memory, 32- and 64-bit destinations alike. */
  static final class LoadZero16 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = c.mmu.read16(address(c));
      return next;
    }
  }

  static final class LoadZero8 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = c.mmu.read8(address(c));
      return next;
    }
  }

  static final class LoadSign32To64 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = c.mmu.read32(address(c));
      return next;
    }
  }

  static final class LoadSign16To64 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = (short) c.mmu.read16(address(c));
      return next;
    }
  }

  static final class LoadSign16To32 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = (short) c.mmu.read16(address(c)) & 0xffffffffL;
      return next;
    }
  }

  static final class LoadSign8To64 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = (byte) c.mmu.read8(address(c));
      return next;
    }
  }

  static final class LoadSign8To32 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = (byte) c.mmu.read8(address(c)) & 0xffffffffL;
      return next;
    }
  }

  static final class Store64 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      c.mmu.write64(address(c), c.r[reg]);
      return next;
    }
  }

  static final class Store32 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      c.mmu.write32(address(c), (int) c.r[reg]);
      return next;
    }
  }

  static final class Store16 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      c.mmu.write16(address(c), (int) c.r[reg]);
      return next;
    }
  }

  static final class Store8 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      c.mmu.write8(address(c), (int) c.r[reg]);
      return next;
    }
  }

  /** Memory from an immediate. */
  abstract static class MemImm extends MemOp {
    int imm;
  }

  static final class StoreImm64 extends MemImm {
    @Override
    @Nullable Op exec(Cpu c) {
      c.mmu.write64(address(c), imm);
      return next;
    }
  }

  static final class StoreImm32 extends MemImm {
    @Override
    @Nullable Op exec(Cpu c) {
      c.mmu.write32(address(c), imm);
      return next;
    }
  }

  static final class StoreImm8 extends MemImm {
    @Override
    @Nullable Op exec(Cpu c) {
      c.mmu.write8(address(c), imm);
      return next;
    }
  }

  static final class Lea64 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      long[] r = c.r;
      r[reg] = r[base] + (r[index] << scale) + disp;
      return next;
    }
  }

  static final class Lea32 extends RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      long[] r = c.r;
      r[reg] = r[base] + (r[index] << scale) + disp & 0xffffffffL;
      return next;
    }
  }

  static final class ZeroExtend8 extends RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[dst] = c.r[src] & 0xff;
      return next;
    }
  }

  static final class ZeroExtend16 extends RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[dst] = c.r[src] & 0xffff;
      return next;
    }
  }

  static final class SignExtend32To64 extends RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[dst] = (int) c.r[src];
      return next;
    }
  }

  static final class SignExtend16To64 extends RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[dst] = (short) c.r[src];
      return next;
    }
  }

  static final class SignExtend16To32 extends RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[dst] = (short) c.r[src] & 0xffffffffL;
      return next;
    }
  }

  static final class SignExtend8To64 extends RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[dst] = (byte) c.r[src];
      return next;
    }
  }

  static final class SignExtend8To32 extends RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[dst] = (byte) c.r[src] & 0xffffffffL;
      return next;
    }
  }

  /** CMOVcc r64, r64. */
  static final class Cmov64 extends RegReg {
    byte condition;

    @Override
    @Nullable Op exec(Cpu c) {
      if (c.condition(condition)) {
        c.r[dst] = c.r[src];
      }
      return next;
    }
  }

  /** CMOVcc r32, r32: the destination is zero-extended whether it moves or not. */
  static final class Cmov32 extends RegReg {
    byte condition;

    @Override
    @Nullable Op exec(Cpu c) {
      c.r[dst] = (c.condition(condition) ? c.r[src] : c.r[dst]) & 0xffffffffL;
      return next;
    }
  }

  /** SETcc r8, without the high-byte registers. */
  static final class SetReg extends Op {
    byte dst;
    byte condition;

    @Override
    @Nullable Op exec(Cpu c) {
      c.r[dst] = c.r[dst] & ~0xffL | (c.condition(condition) ? 1 : 0);
      return next;
    }
  }

  /** PUSH r64 in 64-bit mode. */
  static final class Push64 extends Op {
    byte src;

    @Override
    @Nullable Op exec(Cpu c) {
      long sp = c.r[Cpu.RSP] - 8;
      c.mmu.write64(sp, c.r[src]);
      c.r[Cpu.RSP] = sp;
      return next;
    }

    @Override
    boolean usesStackSegment() {
      return true;
    }
  }

  /** POP r64 in 64-bit mode. */
  static final class Pop64 extends Op {
    byte dst;

    @Override
    @Nullable Op exec(Cpu c) {
      long sp = c.r[Cpu.RSP];
      long v = c.mmu.read64(sp);
      c.r[Cpu.RSP] = sp + 8;
      c.r[dst] = v;
      return next;
    }

    @Override
    boolean usesStackSegment() {
      return true;
    }
  }

  /** PUSH r32 in flat 32-bit mode with a 32-bit stack. */
  static final class Push32 extends Op {
    byte src;

    @Override
    @Nullable Op exec(Cpu c) {
      long sp = c.r[Cpu.RSP] - 4 & 0xffffffffL;
      c.mmu.write32(sp, (int) c.r[src]);
      c.r[Cpu.RSP] = sp;
      return next;
    }
  }

  /** POP r32 in flat 32-bit mode with a 32-bit stack. */
  static final class Pop32 extends Op {
    byte dst;

    @Override
    @Nullable Op exec(Cpu c) {
      long sp = c.r[Cpu.RSP] & 0xffffffffL;
      long v = c.mmu.read32(sp) & 0xffffffffL;
      c.r[Cpu.RSP] = sp + 4 & 0xffffffffL;
      c.r[dst] = v;
      return next;
    }
  }

  /** #SS(0) for a push of 8 bytes of an operation whose other operand is not the stack's. */
  static void checkStack(Cpu c, long sp) {
    long linear = c.masked(sp);
    if (!c.isCanonical(linear) || !c.isCanonical(linear + 7)) {
      throw c.ss(0);
    }
  }

  static final class PushImm64 extends Op {
    int imm;

    @Override
    @Nullable Op exec(Cpu c) {
      long sp = c.r[Cpu.RSP] - 8;
      c.mmu.write64(sp, imm);
      c.r[Cpu.RSP] = sp;
      return next;
    }

    @Override
    boolean usesStackSegment() {
      return true;
    }
  }

  static final class PushMem64 extends MemOp {
    @Override
    @Nullable Op exec(Cpu c) {
      long v = c.mmu.read64(address(c));
      long sp = c.r[Cpu.RSP] - 8;
      checkStack(c, sp);
      c.mmu.write64(sp, v);
      c.r[Cpu.RSP] = sp;
      return next;
    }
  }

  static final class Leave64 extends Op {
    @Override
    @Nullable Op exec(Cpu c) {
      long bp = c.r[Cpu.RBP];
      long v = c.mmu.read64(bp);
      c.r[Cpu.RSP] = bp + 8;
      c.r[Cpu.RBP] = v;
      return next;
    }

    @Override
    boolean usesStackSegment() {
      return true;
    }
  }

  static final class Mov8 extends RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[dst] = c.r[dst] & ~0xffL | c.r[src] & 0xff;
      return next;
    }
  }

  static final class Mov16 extends RegReg {
    @Override
    @Nullable Op exec(Cpu c) {
      c.r[dst] = c.r[dst] & ~0xffffL | c.r[src] & 0xffff;
      return next;
    }
  }

  /** CMOVcc r64, m64: reads whether it moves or not. */
  static final class CmovMem64 extends RegMem {
    byte condition;

    @Override
    @Nullable Op exec(Cpu c) {
      long v = c.mmu.read64(address(c));
      if (c.condition(condition)) {
        c.r[reg] = v;
      }
      return next;
    }
  }

  static final class CmovMem32 extends RegMem {
    byte condition;

    @Override
    @Nullable Op exec(Cpu c) {
      long v = c.mmu.read32(address(c));
      c.r[reg] = (c.condition(condition) ? v : c.r[reg]) & 0xffffffffL;
      return next;
    }
  }

  static final class SetMem extends MemOp {
    byte condition;

    @Override
    @Nullable Op exec(Cpu c) {
      c.mmu.write8(address(c), c.condition(condition) ? 1 : 0);
      return next;
    }
  }
}
