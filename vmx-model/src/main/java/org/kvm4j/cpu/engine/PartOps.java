package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;

/** Moves of parts of registers: 8 and 16 bits, the high-byte registers among them. */
final class PartOps {
  private PartOps() {}

  /** MOV to a part of a register from another, or from a constant. */
  static final class Move extends Op {
    private final byte dst;
    private final byte dstShift;
    private final byte src;
    private final byte srcShift;
    private final int mask;
    private final int constant;

    Move(Instruction i) {
      boolean register = i.kind1 != OperandKind.IMMEDIATE;
      dst = (byte) i.reg0;
      dstShift = shift(i.kind0);
      src = (byte) (register ? i.reg1 : Cpu.ZERO);
      srcShift = shift(i.kind1);
      mask = i.size0 == 1 ? 0xff : 0xffff;
      constant = register ? 0 : (int) i.immediate & mask;
    }

    @Override
    @Nullable Op exec(Cpu c) {
      long part = c.r[src] >>> srcShift & mask | constant;
      c.r[dst] = c.r[dst] & ~((long) mask << dstShift) | part << dstShift;
      return next;
    }
  }

  /** MOVZX and MOVSX from a high-byte register to 32 or 64 bits. */
  static final class ExtendHigh extends Op {
    private final byte dst;
    private final byte src;
    private final boolean signed;
    private final long mask;

    ExtendHigh(Instruction i) {
      dst = (byte) i.reg0;
      src = (byte) i.reg1;
      signed = i.opcode == Opcode.MOVSX;
      mask = i.size0 == 8 ? -1 : 0xffffffffL;
    }

    @Override
    @Nullable Op exec(Cpu c) {
      long part = c.r[src] >>> 8;
      c.r[dst] = (signed ? (byte) part : part & 0xff) & mask;
      return next;
    }
  }

  private static byte shift(int kind) {
    return (byte) (kind == OperandKind.GPR_HIGH ? 8 : 0);
  }

  private static boolean isRegister(int kind) {
    return kind == OperandKind.GPR || kind == OperandKind.GPR_HIGH;
  }

  /** A form without memory; null where there is none. */
  static @Nullable Op registers(Instruction i) {
    if (!isRegister(i.kind0)) {
      return null;
    }
    if (i.opcode == Opcode.MOV
        && i.size0 < 4
        && (isRegister(i.kind1) || i.kind1 == OperandKind.IMMEDIATE)) {
      return new Move(i);
    }
    boolean extends8 = i.opcode == Opcode.MOVZX || i.opcode == Opcode.MOVSX;
    return extends8 && i.kind1 == OperandKind.GPR_HIGH && i.size0 >= 4 ? new ExtendHigh(i) : null;
  }

  /** MOV of memory from a high-byte register. */
  static final class StoreHigh extends MoveOps.RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      c.mmu.write8(address(c), (int) (c.r[reg] >>> 8));
      return next;
    }
  }

  /** MOV of a high-byte register from memory. */
  static final class LoadHigh extends MoveOps.RegMem {
    @Override
    @Nullable Op exec(Cpu c) {
      long part = c.mmu.read8(address(c));
      c.r[reg] = c.r[reg] & ~0xff00L | part << 8;
      return next;
    }
  }

  /** MOV of 16 bits of memory from a constant. */
  static final class StoreImm16 extends MoveOps.MemImm {
    @Override
    @Nullable Op exec(Cpu c) {
      c.mmu.write16(address(c), imm);
      return next;
    }
  }

  /** A form with memory, whose address is to be filled in; null where there is none. */
  static @Nullable MemOp memory(Instruction i) {
    if (i.opcode != Opcode.MOV) {
      return null;
    }
    if (i.kind0 == OperandKind.MEMORY) {
      if (i.kind1 == OperandKind.GPR_HIGH) {
        StoreHigh o = new StoreHigh();
        o.reg = (byte) i.reg1;
        return o;
      }
      if (i.kind1 == OperandKind.IMMEDIATE && i.size0 == 2) {
        StoreImm16 o = new StoreImm16();
        o.imm = (int) i.immediate;
        return o;
      }
    } else if (i.kind0 == OperandKind.GPR_HIGH && i.kind1 == OperandKind.MEMORY) {
      LoadHigh o = new LoadHigh();
      o.reg = (byte) i.reg0;
      return o;
    }
    return null;
  }
}
