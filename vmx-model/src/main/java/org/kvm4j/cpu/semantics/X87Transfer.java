package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.fpu.Float80;

/**
 * Loads, stores, constants and moves of the x87 FPU. SDM Vol. 1, 8.3.3 "Data Transfer
 * Instructions", 8.3.4 "Load Constant Instructions"; Vol. 2, each instruction's page.
 */
final class X87Transfer {
  /** What the largest packed decimal does not reach: 10 to the 18th. */
  private static final long DECIMAL_LIMIT = 1_000_000_000_000_000_000L;

  private X87Transfer() {}

  static void register() {
    Handlers.put(Opcode.FLD, X87Transfer::fld);
    Handlers.put(Opcode.FST, (c, i) -> fst(c, i, false));
    Handlers.put(Opcode.FSTP, (c, i) -> fst(c, i, true));
    Handlers.put(Opcode.FILD, X87Transfer::fild);
    Handlers.put(Opcode.FIST, (c, i) -> fist(c, i, false, false));
    Handlers.put(Opcode.FISTP, (c, i) -> fist(c, i, false, true));
    Handlers.put(Opcode.FISTTP, (c, i) -> fist(c, i, true, true));
    Handlers.put(Opcode.FBLD, X87Transfer::fbld);
    Handlers.put(Opcode.FBSTP, X87Transfer::fbstp);
    Handlers.put(Opcode.FXCH, X87Transfer::fxch);
    Handlers.put(Opcode.FLDZ, (c, i) -> load(c, i, 0, 0));
    Handlers.put(Opcode.FLD1, (c, i) -> load(c, i, 0x3fff, 0x8000000000000000L));
    inexact(Opcode.FLDL2T, 0x4000, 0xd49a784bcd1b8afeL, false);
    inexact(Opcode.FLDL2E, 0x3fff, 0xb8aa3b295c17f0bbL, true);
    inexact(Opcode.FLDPI, 0x4000, 0xc90fdaa22168c234L, true);
    inexact(Opcode.FLDLG2, 0x3ffd, 0x9a209a84fbcff798L, true);
    inexact(Opcode.FLDLN2, 0x3ffe, 0xb17217f7d1cf79abL, true);
    move(Opcode.FCMOVB, Opcode.FCMOVNB, Cpu::cf);
    move(Opcode.FCMOVE, Opcode.FCMOVNE, Cpu::zf);
    move(Opcode.FCMOVBE, Opcode.FCMOVNBE, c -> c.cf() || c.zf());
    move(Opcode.FCMOVU, Opcode.FCMOVNU, Cpu::pf);
  }

  // ---- constants ----

  /** A constant whose truncated significand is given, and whether the nearest is the next one. */
  private static void inexact(Opcode opcode, int exponent, long truncated, boolean nearestIsUp) {
    Handlers.put(
        opcode,
        (c, i) -> {
          int rounding = X87State.control(c) >> 10 & 3;
          boolean up = rounding == Float80.UP || (rounding == Float80.NEAREST && nearestIsUp);
          load(c, i, exponent, up ? truncated + 1 : truncated);
        });
  }

  private static void load(Cpu cpu, Instruction i, int exponent, long significand) {
    Float80 f = X87Exceptions.begin(cpu);
    f.exponent = exponent;
    f.significand = significand;
    X87Exceptions.push(cpu, i, f);
  }

  // ---- loads ----

  private static void fld(Cpu cpu, Instruction i) {
    Float80 f = X87Exceptions.begin(cpu);
    if (i.kind0 == OperandKind.X87) {
      fldRegister(cpu, i, f);
      return;
    }
    switch (i.size0) {
      case 4 -> {
        f.fromFloat((int) Operands.read0(cpu, i));
        f.quiet();
      }
      case 8 -> {
        f.fromDouble(Operands.read0(cpu, i));
        f.quiet();
      }
      default -> {
        long at = Operands.linear(cpu, i, 10, false);
        f.significand = cpu.mmu.read64(at);
        f.exponent = cpu.mmu.read16(at + 8);
      }
    }
    X87Exceptions.push(cpu, i, f);
  }

  private static void fldRegister(Cpu cpu, Instruction i, Float80 f) {
    f.exponent = X87State.exponent(cpu, i.reg0);
    f.significand = X87State.significand(cpu, i.reg0);
    if (X87State.isEmpty(cpu, i.reg0)) {
      if (!X87Exceptions.underflow(cpu, i)) {
        return;
      }
      X87State.push(cpu, X87State.INDEFINITE_EXPONENT, X87State.INDEFINITE_SIGNIFICAND);
      return;
    }
    X87Exceptions.push(cpu, i, f);
  }

  private static void fild(Cpu cpu, Instruction i) {
    Float80 f = X87Exceptions.begin(cpu);
    f.fromLong(Operands.signExtend(Operands.read0(cpu, i), i.size0));
    X87Exceptions.push(cpu, i, f);
  }

  private static void fbld(Cpu cpu, Instruction i) {
    Float80 f = X87Exceptions.begin(cpu);
    long at = Operands.linear(cpu, i, 10, false);
    long low = cpu.mmu.read64(at);
    int high = cpu.mmu.read16(at + 8);
    long value = (high >> 4 & 15) * 10 + (high & 15);
    for (int k = 60; k >= 0; k -= 4) {
      value = value * 10 + (low >>> k & 15);
    }
    f.fromLong(value);
    f.exponent |= high & 0x8000;
    X87Exceptions.push(cpu, i, f);
  }

  // ---- stores ----

  private static void fst(Cpu cpu, Instruction i, boolean pop) {
    Float80 f = X87Exceptions.begin(cpu);
    boolean empty = X87State.isEmpty(cpu, 0);
    int e = empty ? X87State.INDEFINITE_EXPONENT : X87State.exponent(cpu, 0);
    long s = empty ? X87State.INDEFINITE_SIGNIFICAND : X87State.significand(cpu, 0);
    if (i.kind0 == OperandKind.X87) {
      if (empty) {
        if (!X87Exceptions.underflow(cpu, i)) {
          return;
        }
      } else {
        X87Exceptions.settle(cpu, i, f);
      }
      X87State.set(cpu, i.reg0, e, s);
    } else if (!storeReal(cpu, i, f, e, s, empty)) {
      return;
    }
    if (pop) {
      X87State.pop(cpu);
    }
  }

  private static boolean storeReal(
      Cpu cpu, Instruction i, Float80 f, int e, long s, boolean empty) {
    long value = s;
    if (i.size0 == 4) {
      value = f.toFloat(e, s) & 0xffffffffL;
    } else if (i.size0 == 8) {
      value = f.toDouble(e, s);
    }
    return store(cpu, i, f, value, e, empty);
  }

  /** Stores what has been converted, if nothing forbids it; whether it was. */
  private static boolean store(
      Cpu cpu, Instruction i, Float80 f, long value, int high, boolean empty) {
    boolean storable = empty ? X87Exceptions.isFaultMasked(cpu) : X87Exceptions.isStorable(f);
    long at = Operands.linear(cpu, i, i.size0, true);
    if (i.size0 == 10) {
      cpu.mmu.probeWrite(at, 10);
      if (storable) {
        cpu.mmu.write64(at, value);
        cpu.mmu.write16(at + 8, high);
      }
    } else if (storable) {
      cpu.mmu.write(at, i.size0, value);
    } else {
      cpu.mmu.probeWrite(at, i.size0);
    }
    if (empty) {
      X87Exceptions.underflow(cpu, i);
    } else {
      X87Exceptions.settleStore(cpu, i, f);
    }
    return storable;
  }

  private static void fist(Cpu cpu, Instruction i, boolean truncate, boolean pop) {
    Float80 f = X87Exceptions.begin(cpu);
    boolean empty = X87State.isEmpty(cpu, 0);
    int bits = i.size0 * 8;
    long value =
        empty
            ? -1L << bits - 1
            : f.toInteger(X87State.exponent(cpu, 0), X87State.significand(cpu, 0), bits, truncate);
    if (store(cpu, i, f, value, 0, empty) && pop) {
      X87State.pop(cpu);
    }
  }

  private static void fbstp(Cpu cpu, Instruction i) {
    Float80 f = X87Exceptions.begin(cpu);
    boolean empty = X87State.isEmpty(cpu, 0);
    int e = X87State.exponent(cpu, 0);
    long value = empty ? 0 : f.toInteger(e, X87State.significand(cpu, 0), 64, false);
    long magnitude = Math.abs(value);
    if ((f.flags & Float80.INVALID) == 0 && Long.compareUnsigned(magnitude, DECIMAL_LIMIT) >= 0) {
      f.begin();
      f.flags = Float80.INVALID;
    }
    long low = 0xc000000000000000L;
    int high = 0xffff;
    if (!empty && (f.flags & Float80.INVALID) == 0) {
      low = 0;
      for (int k = 0; k < 64; k += 4) {
        low |= magnitude % 10 << k;
        magnitude /= 10;
      }
      high = (int) (magnitude / 10 << 4 | magnitude % 10) | e & 0x8000;
    }
    if (store(cpu, i, f, low, high, empty)) {
      X87State.pop(cpu);
    }
  }

  // ---- moves ----

  private static void fxch(Cpu cpu, Instruction i) {
    Float80 f = X87Exceptions.begin(cpu);
    int st = i.kind0 == OperandKind.X87 ? i.reg0 : 1;
    if (X87State.isEmpty(cpu, 0) || X87State.isEmpty(cpu, st)) {
      if (!X87Exceptions.underflow(cpu, i)) {
        return;
      }
      for (int n : new int[] {0, st}) {
        if (X87State.isEmpty(cpu, n)) {
          X87State.setIndefinite(cpu, n);
        }
      }
    } else {
      X87Exceptions.settle(cpu, i, f);
    }
    int e = X87State.exponent(cpu, 0);
    long s = X87State.significand(cpu, 0);
    X87State.set(cpu, 0, X87State.exponent(cpu, st), X87State.significand(cpu, st));
    X87State.set(cpu, st, e, s);
  }

  private static void move(
      Opcode opcode, Opcode opposite, java.util.function.Predicate<Cpu> condition) {
    Handlers.put(opcode, (c, i) -> fcmov(c, i, condition.test(c)));
    Handlers.put(opposite, (c, i) -> fcmov(c, i, !condition.test(c)));
  }

  private static void fcmov(Cpu cpu, Instruction i, boolean moves) {
    Float80 f = X87Exceptions.begin(cpu);
    int st = i.reg1;
    if (X87State.isEmpty(cpu, 0) || X87State.isEmpty(cpu, st)) {
      if (X87Exceptions.underflow(cpu, i)) {
        X87State.setIndefinite(cpu, 0);
      }
      return;
    }
    X87Exceptions.settle(cpu, i, f);
    if (moves) {
      X87State.set(cpu, 0, X87State.exponent(cpu, st), X87State.significand(cpu, st));
    }
  }
}
