package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.fpu.Float80;

/**
 * Arithmetic and comparison of the x87 FPU. SDM Vol. 1, 8.3 "x87 FPU Instruction Set"; Vol. 2, each
 * instruction's page. What moves data is in {@link X87Transfer}, what controls the FPU in {@link
 * X87Control}, the transcendental functions in {@link X87Functions}.
 */
final class X87 {
  private X87() {}

  /** An operation with two operands, which leaves its result in the arithmetic unit. */
  @FunctionalInterface
  interface Binary {
    void apply(Float80 f, int ae, long as, int be, long bs);
  }

  /** An operation with one operand. */
  @FunctionalInterface
  interface Unary {
    void apply(Float80 f, int e, long s);
  }

  static void register() {
    arithmetic(Float80::add, Opcode.FADD, Opcode.FADDP, Opcode.FIADD);
    arithmetic(Float80::multiply, Opcode.FMUL, Opcode.FMULP, Opcode.FIMUL);
    arithmetic(Float80::subtract, Opcode.FSUB, Opcode.FSUBP, Opcode.FISUB);
    arithmetic(
        (f, ae, as, be, bs) -> f.subtract(be, bs, ae, as),
        Opcode.FSUBR,
        Opcode.FSUBRP,
        Opcode.FISUBR);
    arithmetic(Float80::divide, Opcode.FDIV, Opcode.FDIVP, Opcode.FIDIV);
    arithmetic(
        (f, ae, as, be, bs) -> f.divide(be, bs, ae, as),
        Opcode.FDIVR,
        Opcode.FDIVRP,
        Opcode.FIDIVR);
    Handlers.put(Opcode.FSQRT, (c, i) -> unary(c, i, Float80::squareRoot));
    Handlers.put(Opcode.FRNDINT, (c, i) -> unary(c, i, Float80::roundToInteger));
    Handlers.put(Opcode.FSCALE, X87::scale);
    Handlers.put(Opcode.FPREM, (c, i) -> remainder(c, i, false));
    Handlers.put(Opcode.FPREM1, (c, i) -> remainder(c, i, true));
    Handlers.put(Opcode.FXTRACT, X87::extract);
    Handlers.put(Opcode.FCHS, (c, i) -> sign(c, i, 0xffff, 0x8000));
    Handlers.put(Opcode.FABS, (c, i) -> sign(c, i, 0x7fff, 0));
    Handlers.put(Opcode.FXAM, X87::examine);
    Handlers.put(Opcode.FTST, X87::test);
    Handlers.put(Opcode.FCOM, (c, i) -> compare(c, i, false, 0));
    Handlers.put(Opcode.FCOMP, (c, i) -> compare(c, i, false, 1));
    Handlers.put(Opcode.FCOMPP, (c, i) -> compare(c, i, false, 2));
    Handlers.put(Opcode.FICOM, (c, i) -> compare(c, i, false, 0));
    Handlers.put(Opcode.FICOMP, (c, i) -> compare(c, i, false, 1));
    Handlers.put(Opcode.FUCOM, (c, i) -> compare(c, i, true, 0));
    Handlers.put(Opcode.FUCOMP, (c, i) -> compare(c, i, true, 1));
    Handlers.put(Opcode.FUCOMPP, (c, i) -> compare(c, i, true, 2));
    Handlers.put(Opcode.FCOMI, (c, i) -> compareToFlags(c, i, false, 0));
    Handlers.put(Opcode.FCOMIP, (c, i) -> compareToFlags(c, i, false, 1));
    Handlers.put(Opcode.FUCOMI, (c, i) -> compareToFlags(c, i, true, 0));
    Handlers.put(Opcode.FUCOMIP, (c, i) -> compareToFlags(c, i, true, 1));
  }

  private static void arithmetic(Binary operation, Opcode plain, Opcode pops, Opcode integer) {
    Handlers.put(plain, (c, i) -> binary(c, i, operation, false));
    Handlers.put(pops, (c, i) -> binary(c, i, operation, true));
    Handlers.put(integer, (c, i) -> integerOperand(c, i, operation));
  }

  // ---- two operands ----

  private static void binary(Cpu cpu, Instruction i, Binary operation, boolean pop) {
    Float80 f = X87Exceptions.begin(cpu);
    if (i.kind0 == OperandKind.MEMORY) {
      loadReal(cpu, i, f);
      withMemory(cpu, i, f, operation);
      return;
    }
    int to = i.reg0;
    int from = i.reg1;
    if (X87State.isEmpty(cpu, to) || X87State.isEmpty(cpu, from)) {
      if (!X87Exceptions.underflow(cpu, i)) {
        return;
      }
      X87State.setIndefinite(cpu, to);
    } else {
      operation.apply(
          f,
          X87State.exponent(cpu, to),
          X87State.significand(cpu, to),
          X87State.exponent(cpu, from),
          X87State.significand(cpu, from));
      if (!X87Exceptions.settle(cpu, i, f)) {
        return;
      }
      X87State.set(cpu, to, f.exponent, f.significand);
    }
    if (pop) {
      X87State.pop(cpu);
    }
  }

  private static void integerOperand(Cpu cpu, Instruction i, Binary operation) {
    Float80 f = X87Exceptions.begin(cpu);
    f.fromLong(Operands.signExtend(Operands.read0(cpu, i), i.size0));
    withMemory(cpu, i, f, operation);
  }

  /** ST(0) with the operand that has been loaded. */
  private static void withMemory(Cpu cpu, Instruction i, Float80 f, Binary operation) {
    if (X87State.isEmpty(cpu, 0)) {
      if (X87Exceptions.underflow(cpu, i)) {
        X87State.setIndefinite(cpu, 0);
      }
      return;
    }
    operation.apply(
        f, X87State.exponent(cpu, 0), X87State.significand(cpu, 0), f.exponent, f.significand);
    if (X87Exceptions.settle(cpu, i, f)) {
      X87State.set(cpu, 0, f.exponent, f.significand);
    }
  }

  /** The operand in memory, of single or double precision. */
  private static void loadReal(Cpu cpu, Instruction i, Float80 f) {
    long bits = Operands.read0(cpu, i);
    if (i.size0 == 4) {
      f.fromFloat((int) bits);
    } else {
      f.fromDouble(bits);
    }
  }

  // ---- ST(0) alone, or with ST(1) ----

  /** Whether ST(0) is empty, which is answered. */
  static boolean isMissing(Cpu cpu, Instruction i) {
    if (!X87State.isEmpty(cpu, 0)) {
      return false;
    }
    if (X87Exceptions.underflow(cpu, i)) {
      X87State.setIndefinite(cpu, 0);
    }
    return true;
  }

  static void unary(Cpu cpu, Instruction i, Unary operation) {
    Float80 f = X87Exceptions.begin(cpu);
    if (isMissing(cpu, i)) {
      return;
    }
    operation.apply(f, X87State.exponent(cpu, 0), X87State.significand(cpu, 0));
    if (X87Exceptions.settle(cpu, i, f)) {
      X87State.set(cpu, 0, f.exponent, f.significand);
    }
  }

  /** Applies an operation to ST(0) and ST(1); whether there is a result. */
  private static boolean both(Cpu cpu, Instruction i, Float80 f, Binary operation) {
    if (X87State.isEmpty(cpu, 0) || X87State.isEmpty(cpu, 1)) {
      if (X87Exceptions.underflow(cpu, i)) {
        X87State.setIndefinite(cpu, 0);
      }
      return false;
    }
    operation.apply(
        f,
        X87State.exponent(cpu, 0),
        X87State.significand(cpu, 0),
        X87State.exponent(cpu, 1),
        X87State.significand(cpu, 1));
    if (!X87Exceptions.settle(cpu, i, f)) {
      return false;
    }
    X87State.set(cpu, 0, f.exponent, f.significand);
    return true;
  }

  private static void scale(Cpu cpu, Instruction i) {
    both(cpu, i, X87Exceptions.begin(cpu), Float80::scale);
  }

  private static void remainder(Cpu cpu, Instruction i, boolean nearest) {
    Float80 f = X87Exceptions.begin(cpu);
    boolean done = both(cpu, i, f, (u, ae, as, be, bs) -> u.remainder(ae, as, be, bs, nearest));
    int conditions = 0;
    if (done && !f.complete) {
      conditions = X87State.C2;
    } else if (done) {
      int q = (int) f.quotient;
      conditions =
          ((q & 4) != 0 ? X87State.C0 : 0)
              | ((q & 2) != 0 ? X87State.C3 : 0)
              | ((q & 1) != 0 ? X87State.C1 : 0);
    }
    X87State.setConditions(cpu, conditions);
  }

  /** Whether ST(0) is empty, or there is no room for a second result, which is answered. */
  static boolean isMissingOrFull(Cpu cpu, Instruction i) {
    boolean isMissing = X87State.isEmpty(cpu, 0);
    if (!isMissing && X87State.isEmpty(cpu, 7)) {
      return false;
    }
    if (isMissing ? X87Exceptions.underflow(cpu, i) : X87Exceptions.overflow(cpu, i)) {
      X87State.setIndefinite(cpu, 0);
      X87State.push(cpu, X87State.INDEFINITE_EXPONENT, X87State.INDEFINITE_SIGNIFICAND);
    }
    return true;
  }

  /** FXTRACT: the exponent in ST(0), and then the significand pushed. */
  private static void extract(Cpu cpu, Instruction i) {
    Float80 f = X87Exceptions.begin(cpu);
    if (isMissingOrFull(cpu, i)) {
      return;
    }
    f.extractExponent(X87State.exponent(cpu, 0), X87State.significand(cpu, 0));
    int e = f.exponent;
    long s = f.significand;
    f.extractSignificand(X87State.exponent(cpu, 0), X87State.significand(cpu, 0));
    if (X87Exceptions.settle(cpu, i, f)) {
      X87State.set(cpu, 0, e, s);
      X87State.push(cpu, f.exponent, f.significand);
    }
  }

  private static void sign(Cpu cpu, Instruction i, int keep, int flip) {
    Float80 f = X87Exceptions.begin(cpu);
    if (!isMissing(cpu, i)) {
      X87Exceptions.settle(cpu, i, f);
      X87State.set(cpu, 0, X87State.exponent(cpu, 0) & keep ^ flip, X87State.significand(cpu, 0));
    }
  }

  // ---- comparison ----

  private static void examine(Cpu cpu, Instruction i) {
    X87Exceptions.settle(cpu, i, X87Exceptions.begin(cpu));
    int e = X87State.exponent(cpu, 0);
    long s = X87State.significand(cpu, 0);
    int found;
    if (X87State.isEmpty(cpu, 0)) {
      found = X87State.C3 | X87State.C0;
    } else if (Float80.isUnsupported(e, s)) {
      found = 0;
    } else if (Float80.isNan(e, s)) {
      found = X87State.C0;
    } else if (Float80.isInfinity(e, s)) {
      found = X87State.C2 | X87State.C0;
    } else if (Float80.isZero(e, s)) {
      found = X87State.C3;
    } else {
      found = Float80.isDenormal(e, s) ? X87State.C3 | X87State.C2 : X87State.C2;
    }
    X87State.setConditions(cpu, (e & 0x8000) != 0 ? found | X87State.C1 : found);
  }

  private static int conditions(int order) {
    return switch (order) {
      case -1 -> X87State.C0;
      case 0 -> X87State.C3;
      case 1 -> 0;
      default -> X87State.C3 | X87State.C2 | X87State.C0;
    };
  }

  private static void test(Cpu cpu, Instruction i) {
    Float80 f = X87Exceptions.begin(cpu);
    int order = Float80.UNORDERED;
    if (X87State.isEmpty(cpu, 0)) {
      if (!X87Exceptions.underflow(cpu, i)) {
        return;
      }
    } else {
      order = f.compare(X87State.exponent(cpu, 0), X87State.significand(cpu, 0), 0, 0, false);
      if (!X87Exceptions.settle(cpu, i, f) && !X87Exceptions.isDenormalOnly(f)) {
        return;
      }
    }
    X87State.setConditions(cpu, conditions(order));
  }

  /** FCOM and its kin: ST(0) with a register, ST(1) where none is named, or memory. */
  private static void compare(Cpu cpu, Instruction i, boolean quiet, int pops) {
    Float80 f = X87Exceptions.begin(cpu);
    int st = 0;
    if (i.kind0 == OperandKind.MEMORY) {
      if (i.opcode == Opcode.FICOM || i.opcode == Opcode.FICOMP) {
        f.fromLong(Operands.signExtend(Operands.read0(cpu, i), i.size0));
      } else {
        loadReal(cpu, i, f);
      }
    } else {
      st = i.kind0 == OperandKind.X87 ? i.reg0 : 1;
      f.exponent = X87State.exponent(cpu, st);
      f.significand = X87State.significand(cpu, st);
    }
    int order = order(cpu, i, f, st, quiet);
    if (order == STOPPED) {
      return;
    }
    X87State.setConditions(cpu, conditions(order));
    pop(cpu, f, pops);
  }

  private static final int STOPPED = 3;

  /**
   * Compares ST(0) with what is in the unit, from ST(st) or from memory (0). An unmasked invalid
   * operation stops the instruction before it sets any flag (SDM Vol. 2, FCOM and FCOMI; processors
   * of another vendor set them).
   */
  private static int order(Cpu cpu, Instruction i, Float80 f, int st, boolean quiet) {
    if (X87State.isEmpty(cpu, 0) || X87State.isEmpty(cpu, st)) {
      // A denormal in memory, which has been loaded, counts no more.
      f.begin();
      return X87Exceptions.underflow(cpu, i) ? Float80.UNORDERED : STOPPED;
    }
    int order =
        f.compare(
            X87State.exponent(cpu, 0),
            X87State.significand(cpu, 0),
            f.exponent,
            f.significand,
            quiet);
    return X87Exceptions.settle(cpu, i, f) || X87Exceptions.isDenormalOnly(f) ? order : STOPPED;
  }

  private static void compareToFlags(Cpu cpu, Instruction i, boolean quiet, int pops) {
    Float80 f = X87Exceptions.begin(cpu);
    int st = i.reg1;
    f.exponent = X87State.exponent(cpu, st);
    f.significand = X87State.significand(cpu, st);
    int order = order(cpu, i, f, st, quiet);
    if (order == STOPPED) {
      return;
    }
    cpu.setLazyFlags(
        switch (order) {
          case -1 -> Flags.CF;
          case 0 -> Flags.ZF;
          case 1 -> 0;
          default -> Flags.ZF | Flags.PF | Flags.CF;
        });
    pop(cpu, f, pops);
  }

  private static void pop(Cpu cpu, Float80 f, int pops) {
    if (!X87Exceptions.isDenormalOnly(f)) {
      for (int n = 0; n < pops; n++) {
        X87State.pop(cpu);
      }
    }
  }
}
