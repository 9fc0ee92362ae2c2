package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.semantics.Alu;
import org.kvm4j.cpu.semantics.Atomics;
import org.kvm4j.cpu.semantics.BitManipulation.BitUpdating;
import org.kvm4j.cpu.semantics.Handler;
import org.kvm4j.cpu.semantics.Handlers;
import org.kvm4j.cpu.semantics.Operands;
import org.kvm4j.cpu.semantics.Update;

/**
 * Read-modify-write forms that have no class of their own: locked ones, those of 8 and 16 bits,
 * bits, and high-byte registers. They have what the handler computes as a field, and so are slower
 * than the classes of {@link AluOps}, but need no operands to be looked at.
 */
final class UpdateOps {
  private UpdateOps() {}

  // ---- registers ----

  /** A register, and another or a constant. */
  static final class ToRegister extends Op {
    private final Update.Operation operation;

    private final boolean writes;

    private final byte size;
    private final byte reg;

    /** 8 for a high-byte register. */
    private final byte shift;

    private final byte source;
    private final byte sourceShift;
    private final int sourceMask;
    private final int constant;

    ToRegister(Instruction i, Update.Operation operation, boolean writes, int bits) {
      this.operation = operation;
      this.writes = writes;
      size = (byte) i.size0;
      reg = (byte) i.reg0;
      shift = shift(i.kind0);
      source = (byte) (i.kind1 == OperandKind.NONE || isConstant(i) ? Cpu.ZERO : i.reg1);
      sourceShift = shift(i.kind1);
      sourceMask = bits != 0 ? bits - 1 : i.size1 == 1 ? 0xff : i.size1 == 2 ? 0xffff : -1;
      constant = isConstant(i) ? (int) i.immediate & (bits != 0 ? bits - 1 : -1) : 0;
    }

    @Override
    @Nullable Op exec(Cpu c) {
      // Operands of 4 and 8 bytes need no truncation: operations do it.
      long b = (c.r[source] >>> sourceShift & sourceMask) + constant;
      long old = c.r[reg];
      long a = Operands.truncate(old >>> shift, size);
      long v = operation.apply(c, size, a, b);
      if (writes) {
        switch (size) {
          case 1 -> c.r[reg] = old & ~(0xffL << shift) | (v & 0xff) << shift;
          case 2 -> c.r[reg] = old & ~0xffffL | v & 0xffff;
          case 4 -> c.r[reg] = v & 0xffffffffL;
          default -> c.r[reg] = v;
        }
      }
      return next;
    }
  }

  private static byte shift(int kind) {
    return (byte) (kind == OperandKind.GPR_HIGH ? 8 : 0);
  }

  private static boolean isConstant(Instruction i) {
    return i.kind1 == OperandKind.IMMEDIATE;
  }

  private static boolean isRegister(int kind) {
    return kind == OperandKind.GPR || kind == OperandKind.GPR_HIGH;
  }

  /** A form without memory; null where there is none. */
  static @Nullable Op registers(Instruction i) {
    if (!isRegister(i.kind0)
        || i.kind2 != OperandKind.NONE
        || !isRegister(i.kind1) && !isConstant(i) && i.kind1 != OperandKind.NONE) {
      return null;
    }
    Handler handler = Handlers.of(i.opcode);
    if (handler instanceof Update.Updating u) {
      return new ToRegister(i, u.operation, u.writes, 0);
    }
    if (handler instanceof BitUpdating u) {
      return new ToRegister(i, u.operation, true, i.size0 * 8);
    }
    return i.opcode == Opcode.BT ? new BitOfRegister(i) : null;
  }

  /** BT of a register. */
  static final class BitOfRegister extends Op {
    private final byte reg;
    private final byte source;
    private final byte mask;
    private final byte constant;

    BitOfRegister(Instruction i) {
      reg = (byte) i.reg0;
      source = (byte) (isConstant(i) ? Cpu.ZERO : i.reg1);
      mask = (byte) (i.size0 * 8 - 1);
      constant = (byte) (isConstant(i) ? (int) i.immediate & mask : 0);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      Alu.bt(c, c.r[reg], ((int) c.r[source] & mask) + constant);
      return next;
    }
  }

  // ---- memory ----

  /** Memory, and a register, a constant or nothing; locked or not. */
  static final class ToMemory extends MemOp {
    private final Update.Operation operation;
    private final byte size;
    private final boolean lock;
    private final byte source;
    private final int constant;

    ToMemory(Instruction i, Update.Operation operation, int bits) {
      this.operation = operation;
      size = (byte) i.size0;
      lock = i.lock;
      source = (byte) (i.kind1 == OperandKind.GPR ? i.reg1 : Cpu.ZERO);
      constant = isConstant(i) ? (int) i.immediate & (bits != 0 ? bits - 1 : -1) : 0;
    }

    @Override
    @Nullable Op exec(Cpu c) {
      Update.memory(c, address(c), size, lock, operation, c.r[source] + constant);
      return next;
    }
  }

  /** BT, BTS, BTR and BTC of memory by a register, which reaches beyond the operand. */
  static final class BitString extends MemOp {
    private final Update.@Nullable Operation operation;
    private final byte size;
    private final boolean lock;
    private final byte source;

    BitString(Instruction i, Update.@Nullable Operation operation) {
      this.operation = operation;
      size = (byte) i.size0;
      lock = i.lock;
      source = (byte) i.reg1;
    }

    @Override
    @Nullable Op exec(Cpu c) {
      long bit = Operands.signExtend(c.r[source], size);
      long at = address(c) + (bit >> 3 & -size) & c.ripMask;
      int within = (int) bit & size * 8 - 1;
      if (operation == null) {
        Alu.bt(c, c.mmu.read(at, size), within);
      } else {
        Update.memory(c, at, size, lock, operation, within);
      }
      return next;
    }
  }

  /** BT of memory by a constant. */
  static final class BitOfMemory extends MemOp {
    private final byte size;
    private final byte bit;

    BitOfMemory(Instruction i) {
      size = (byte) i.size0;
      bit = (byte) (i.immediate & size * 8 - 1);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      Alu.bt(c, c.mmu.read(address(c), size), bit);
      return next;
    }
  }

  /** XCHG of memory and a register. */
  static final class Exchange extends MemOp {
    private final byte size;
    private final byte reg;

    Exchange(Instruction i, int reg) {
      size = (byte) i.size0;
      this.reg = (byte) reg;
    }

    @Override
    @Nullable Op exec(Cpu c) {
      long value = size == 8 ? c.r[reg] : c.r[reg] & 0xffffffffL;
      c.r[reg] = Update.exchange(c, address(c), size, value);
      return next;
    }
  }

  /** XADD of memory and a register. */
  static final class ExchangeAdd extends MemOp {
    private final byte size;
    private final boolean lock;
    private final byte reg;

    ExchangeAdd(Instruction i) {
      size = (byte) i.size0;
      lock = i.lock;
      reg = (byte) i.reg1;
    }

    @Override
    @Nullable Op exec(Cpu c) {
      c.r[reg] = Update.memory(c, address(c), size, lock, Alu::add, c.r[reg]);
      return next;
    }
  }

  /** CMPXCHG of memory and a register. */
  static final class CompareExchange extends MemOp {
    private final byte size;
    private final boolean lock;
    private final byte reg;

    CompareExchange(Instruction i) {
      size = (byte) i.size0;
      lock = i.lock;
      reg = (byte) i.reg1;
    }

    @Override
    @Nullable Op exec(Cpu c) {
      long source = size == 8 ? c.r[reg] : c.r[reg] & 0xffffffffL;
      Atomics.compareExchange(c, address(c), size, lock, source);
      return next;
    }
  }

  /** A form with memory, whose address is to be filled in; null where there is none. */
  static @Nullable MemOp memory(Instruction i) {
    if (i.kind0 != OperandKind.MEMORY || i.kind2 != OperandKind.NONE) {
      return null;
    }
    boolean register = i.kind1 == OperandKind.GPR;
    if (i.opcode == Opcode.BT) {
      return register ? new BitString(i, null) : new BitOfMemory(i);
    }
    Handler handler = Handlers.of(i.opcode);
    if (handler instanceof BitUpdating u) {
      return register ? new BitString(i, u.operation) : new ToMemory(i, u.operation, i.size0 * 8);
    }
    boolean whole = i.size0 >= 4;
    if (handler instanceof Update.Updating u) {
      // A narrow register would have to be truncated.
      boolean usable =
          u.writes && (isConstant(i) || i.kind1 == OperandKind.NONE || register && i.size1 >= 4);
      return usable ? new ToMemory(i, u.operation, 0) : null;
    }
    if (!register || !whole) {
      return null;
    }
    return switch (i.opcode) {
      case XCHG -> new Exchange(i, i.reg1);
      case XADD -> new ExchangeAdd(i);
      case CMPXCHG -> new CompareExchange(i);
      default -> null;
    };
  }
}
