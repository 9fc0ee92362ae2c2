package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.fpu.Comparison;
import org.kvm4j.cpu.fpu.Estimates;
import org.kvm4j.cpu.fpu.SimdConversions;
import org.kvm4j.cpu.fpu.SimdFloat;
import org.kvm4j.cpu.fpu.VectorUnit;

/**
 * Arithmetic and comparison of SSE and AVX on single and double precision elements. A scalar
 * instruction leaves the other elements as they are in its first source. SDM Vol. 2, each
 * instruction's page. What is more than one element from each source is in {@link SimdHorizontal}
 * and {@link SimdFused}.
 *
 * <p>Each opcode has a lambda of its own, so that the compiler sees the operation in the loop.
 */
final class SimdArithmetic {
  private SimdArithmetic() {}

  /** An operation on a single precision element of each source. */
  @FunctionalInterface
  interface Single {
    int apply(SimdFloat f, int a, int b);
  }

  /** An operation on a double precision element of each source. */
  @FunctionalInterface
  interface Double {
    long apply(SimdFloat f, long a, long b);
  }

  /** An operation on 32-bit elements of one source. */
  @FunctionalInterface
  interface SingleUnary {
    int apply(SimdFloat f, int x);
  }

  /** An operation on 64-bit elements of one source. */
  @FunctionalInterface
  interface DoubleUnary {
    long apply(SimdFloat f, long x);
  }

  static void register() {
    Handlers.putVector(Opcode.ADDPS, (c, i) -> singles(c, i, SimdFloat::add));
    Handlers.putVector(Opcode.ADDPD, (c, i) -> doubles(c, i, SimdFloat::add));
    Handlers.putVector(Opcode.ADDSS, (c, i) -> single(c, i, SimdFloat::add));
    Handlers.putVector(Opcode.ADDSD, (c, i) -> one(c, i, SimdFloat::add));
    Handlers.putVector(Opcode.SUBPS, (c, i) -> singles(c, i, SimdFloat::subtract));
    Handlers.putVector(Opcode.SUBPD, (c, i) -> doubles(c, i, SimdFloat::subtract));
    Handlers.putVector(Opcode.SUBSS, (c, i) -> single(c, i, SimdFloat::subtract));
    Handlers.putVector(Opcode.SUBSD, (c, i) -> one(c, i, SimdFloat::subtract));
    Handlers.putVector(Opcode.MULPS, (c, i) -> singles(c, i, SimdFloat::multiply));
    Handlers.putVector(Opcode.MULPD, (c, i) -> doubles(c, i, SimdFloat::multiply));
    Handlers.putVector(Opcode.MULSS, (c, i) -> single(c, i, SimdFloat::multiply));
    Handlers.putVector(Opcode.MULSD, (c, i) -> one(c, i, SimdFloat::multiply));
    Handlers.putVector(Opcode.DIVPS, (c, i) -> singles(c, i, SimdFloat::divide));
    Handlers.putVector(Opcode.DIVPD, (c, i) -> doubles(c, i, SimdFloat::divide));
    Handlers.putVector(Opcode.DIVSS, (c, i) -> single(c, i, SimdFloat::divide));
    Handlers.putVector(Opcode.DIVSD, (c, i) -> one(c, i, SimdFloat::divide));
    Handlers.putVector(Opcode.MINPS, (c, i) -> singles(c, i, SimdFloat::min));
    Handlers.putVector(Opcode.MINPD, (c, i) -> doubles(c, i, SimdFloat::min));
    Handlers.putVector(Opcode.MINSS, (c, i) -> single(c, i, SimdFloat::min));
    Handlers.putVector(Opcode.MINSD, (c, i) -> one(c, i, SimdFloat::min));
    Handlers.putVector(Opcode.MAXPS, (c, i) -> singles(c, i, SimdFloat::max));
    Handlers.putVector(Opcode.MAXPD, (c, i) -> doubles(c, i, SimdFloat::max));
    Handlers.putVector(Opcode.MAXSS, (c, i) -> single(c, i, SimdFloat::max));
    Handlers.putVector(Opcode.MAXSD, (c, i) -> one(c, i, SimdFloat::max));
    Handlers.putVector(Opcode.SQRTPS, (c, i) -> mapSingles(c, i, SimdFloat::squareRoot));
    Handlers.putVector(Opcode.SQRTPD, (c, i) -> mapDoubles(c, i, SimdFloat::squareRoot));
    Handlers.putVector(Opcode.SQRTSS, (c, i) -> single(c, i, (f, a, b) -> f.squareRoot(b)));
    Handlers.putVector(Opcode.SQRTSD, (c, i) -> one(c, i, (f, a, b) -> f.squareRoot(b)));
    Handlers.putVector(Opcode.RCPPS, (c, i) -> mapSingles(c, i, (f, x) -> Estimates.reciprocal(x)));
    Handlers.putVector(Opcode.RCPSS, (c, i) -> single(c, i, (f, a, b) -> Estimates.reciprocal(b)));
    Handlers.putVector(
        Opcode.RSQRTPS, (c, i) -> mapSingles(c, i, (f, x) -> Estimates.reciprocalRoot(x)));
    Handlers.putVector(
        Opcode.RSQRTSS, (c, i) -> single(c, i, (f, a, b) -> Estimates.reciprocalRoot(b)));
    Handlers.putVector(Opcode.ROUNDPS, SimdArithmetic::roundSingles);
    Handlers.putVector(Opcode.ROUNDPD, SimdArithmetic::roundDoubles);
    Handlers.putVector(Opcode.ROUNDSS, SimdArithmetic::roundSingle);
    Handlers.putVector(Opcode.ROUNDSD, SimdArithmetic::roundDouble);
    Handlers.putVector(Opcode.CMPPS, SimdArithmetic::compareSingles);
    Handlers.putVector(Opcode.CMPPD, SimdArithmetic::compareDoubles);
    Handlers.putVector(Opcode.CMPSS, SimdArithmetic::compareSingle);
    Handlers.putVector(Opcode.CMPSD, SimdArithmetic::compareDouble);
    Handlers.putVector(Opcode.COMISS, (c, i) -> compareToFlags(c, i, true));
    Handlers.putVector(Opcode.COMISD, (c, i) -> compareToFlags(c, i, true));
    Handlers.putVector(Opcode.UCOMISS, (c, i) -> compareToFlags(c, i, false));
    Handlers.putVector(Opcode.UCOMISD, (c, i) -> compareToFlags(c, i, false));
  }

  // ---- elements of two sources ----

  static long pack(int low, int high) {
    return low & 0xffffffffL | (long) high << 32;
  }

  static void finish(Cpu cpu, Instruction i, VectorUnit v, SimdFloat f) {
    SimdControl.settle(cpu, i, f);
    VectorOperands.write0(cpu, i, v.d);
  }

  private static void singles(Cpu cpu, Instruction i, Single operation) {
    VectorUnit v = VectorOperands.sources(cpu, i);
    SimdFloat f = SimdControl.begin(cpu);
    for (int k = VectorOperands.words(i) - 1; k >= 0; k--) {
      long a = v.a[k];
      long b = v.b[k];
      v.d[k] =
          pack(
              operation.apply(f, (int) a, (int) b),
              operation.apply(f, (int) (a >>> 32), (int) (b >>> 32)));
    }
    finish(cpu, i, v, f);
  }

  private static void doubles(Cpu cpu, Instruction i, Double operation) {
    VectorUnit v = VectorOperands.sources(cpu, i);
    SimdFloat f = SimdControl.begin(cpu);
    for (int k = VectorOperands.words(i) - 1; k >= 0; k--) {
      v.d[k] = operation.apply(f, v.a[k], v.b[k]);
    }
    finish(cpu, i, v, f);
  }

  // ---- the lowest elements ----

  static void single(Cpu cpu, Instruction i, Single operation) {
    int b = (int) second(cpu, i);
    int a = (int) first(cpu, i);
    setLowSingle(cpu, i, operation.apply(SimdControl.begin(cpu), a, b));
  }

  /** Of double precision. */
  static void one(Cpu cpu, Instruction i, Double operation) {
    long b = second(cpu, i);
    long a = first(cpu, i);
    setLow(cpu, i, operation.apply(SimdControl.begin(cpu), a, b));
  }

  /** The lowest 64 bits of the first source. */
  private static long first(Cpu cpu, Instruction i) {
    return VectorState.get(cpu, i.vex ? i.reg1 : i.reg0, 0);
  }

  /** The lowest 64 bits of the second source, or what it has less. */
  static long second(Cpu cpu, Instruction i) {
    int kind = i.vex ? i.kind2 : i.kind1;
    if (kind == OperandKind.XMM) {
      return VectorState.get(cpu, i.vex ? i.reg2 : i.reg1, 0);
    }
    return i.vex ? Operands.read2(cpu, i) : Operands.read1(cpu, i);
  }

  /**
   * Ends a scalar instruction with a result of 64 bits: the rest of the register stays, or with VEX
   * is the first source's.
   */
  static void setLow(Cpu cpu, Instruction i, long low) {
    SimdControl.settle(cpu, i, cpu.simd);
    VectorState.set(cpu, i.reg0, 0, low);
    if (i.vex) {
      VectorState.set(cpu, i.reg0, 1, VectorState.get(cpu, i.reg1, 1));
      VectorState.zeroUpper(cpu, i.reg0);
    }
  }

  /** Ends a scalar instruction with a result of 32 bits. */
  static void setLowSingle(Cpu cpu, Instruction i, int low) {
    setLow(cpu, i, pack(low, (int) (first(cpu, i) >>> 32)));
  }

  // ---- elements of one source ----

  static void mapSingles(Cpu cpu, Instruction i, SingleUnary operation) {
    VectorUnit v = cpu.vector;
    VectorOperands.read1(cpu, i, v.b);
    SimdFloat f = SimdControl.begin(cpu);
    for (int k = VectorOperands.words(i) - 1; k >= 0; k--) {
      long b = v.b[k];
      v.d[k] = pack(operation.apply(f, (int) b), operation.apply(f, (int) (b >>> 32)));
    }
    finish(cpu, i, v, f);
  }

  private static void mapDoubles(Cpu cpu, Instruction i, DoubleUnary operation) {
    VectorUnit v = cpu.vector;
    VectorOperands.read1(cpu, i, v.b);
    SimdFloat f = SimdControl.begin(cpu);
    for (int k = VectorOperands.words(i) - 1; k >= 0; k--) {
      v.d[k] = operation.apply(f, v.b[k]);
    }
    finish(cpu, i, v, f);
  }

  // ---- rounding; bit 3 of the immediate keeps inexact results from being noted ----

  private static int round(SimdFloat f, Instruction i, int x) {
    int immediate = (int) i.immediate;
    return SimdConversions.round(f, x, f.rounding(immediate), (immediate & 8) != 0);
  }

  private static long round(SimdFloat f, Instruction i, long x) {
    int immediate = (int) i.immediate;
    return SimdConversions.round(f, x, f.rounding(immediate), (immediate & 8) != 0);
  }

  private static void roundSingles(Cpu cpu, Instruction i) {
    mapSingles(cpu, i, (f, x) -> round(f, i, x));
  }

  private static void roundDoubles(Cpu cpu, Instruction i) {
    mapDoubles(cpu, i, (f, x) -> round(f, i, x));
  }

  private static void roundSingle(Cpu cpu, Instruction i) {
    single(cpu, i, (f, a, b) -> round(f, i, b));
  }

  private static void roundDouble(Cpu cpu, Instruction i) {
    one(cpu, i, (f, a, b) -> round(f, i, b));
  }

  // ---- comparison ----

  /** The predicate: 5 bits with VEX, otherwise 3. */
  private static int predicate(Instruction i) {
    return (int) i.immediate & (i.vex ? 31 : 7);
  }

  private static boolean holds(int predicate, int outcome) {
    return Comparison.isTrue(predicate, outcome);
  }

  private static void compareSingles(Cpu cpu, Instruction i) {
    int p = predicate(i);
    boolean signals = Comparison.signals(p);
    singles(cpu, i, (f, a, b) -> holds(p, f.compare(a, b, signals)) ? -1 : 0);
  }

  private static void compareDoubles(Cpu cpu, Instruction i) {
    int p = predicate(i);
    boolean signals = Comparison.signals(p);
    doubles(cpu, i, (f, a, b) -> holds(p, f.compare(a, b, signals)) ? -1 : 0);
  }

  private static void compareSingle(Cpu cpu, Instruction i) {
    int p = predicate(i);
    boolean signals = Comparison.signals(p);
    single(cpu, i, (f, a, b) -> holds(p, f.compare(a, b, signals)) ? -1 : 0);
  }

  private static void compareDouble(Cpu cpu, Instruction i) {
    int p = predicate(i);
    boolean signals = Comparison.signals(p);
    one(cpu, i, (f, a, b) -> holds(p, f.compare(a, b, signals)) ? -1 : 0);
  }

  /** COMISS and its kin: ZF, PF and CF; OF, SF and AF become 0. */
  private static void compareToFlags(Cpu cpu, Instruction i, boolean signals) {
    VectorUnit v = cpu.vector;
    VectorOperands.read1(cpu, i, v.b);
    VectorOperands.read0(cpu, i, v.a);
    SimdFloat f = SimdControl.begin(cpu);
    int outcome =
        i.size1 == 4
            ? f.compare((int) v.a[0], (int) v.b[0], signals)
            : f.compare(v.a[0], v.b[0], signals);
    SimdControl.settle(cpu, i, f);
    cpu.setLazyFlags(SseOperations.flags(outcome));
  }
}
