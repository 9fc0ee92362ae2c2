package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.fpu.SimdConversions;
import org.kvm4j.cpu.fpu.SimdFloat;
import org.kvm4j.cpu.fpu.VectorUnit;

/**
 * Conversions of SSE, AVX and F16C between precisions and integers, with those from and to MMX
 * registers. SDM Vol. 2, CVTDQ2PD to CVTTSS2SI, VCVTPH2PS, VCVTPS2PH.
 */
final class SimdConvert {
  private SimdConvert() {}

  /** From 32 bits to 64. */
  @FunctionalInterface
  private interface Widening {
    long apply(SimdFloat f, int x);
  }

  /** From 64 bits to 32. */
  @FunctionalInterface
  private interface Narrowing {
    int apply(SimdFloat f, long x);
  }

  static void register() {
    Handlers.putVector(Opcode.CVTDQ2PS, (c, i) -> map(c, i, SimdConversions::toSingle));
    Handlers.putVector(Opcode.CVTPS2DQ, (c, i) -> map(c, i, SimdConversions::toInt));
    Handlers.putVector(Opcode.CVTTPS2DQ, (c, i) -> map(c, i, SimdConversions::truncateToInt));
    Handlers.putVector(Opcode.CVTPS2PD, (c, i) -> widen(c, i, SimdConversions::widen));
    Handlers.putVector(
        Opcode.CVTDQ2PD, (c, i) -> widen(c, i, (f, x) -> SimdConversions.toDouble(x)));
    Handlers.putVector(Opcode.CVTPD2PS, (c, i) -> narrow(c, i, SimdConversions::narrow));
    Handlers.putVector(Opcode.CVTPD2DQ, (c, i) -> narrow(c, i, SimdConversions::toInt));
    Handlers.putVector(Opcode.CVTTPD2DQ, (c, i) -> narrow(c, i, SimdConversions::truncateToInt));

    Handlers.putVector(
        Opcode.CVTSS2SD,
        (c, i) -> SimdArithmetic.one(c, i, (f, a, b) -> SimdConversions.widen(f, (int) b)));
    Handlers.putVector(Opcode.CVTSD2SS, SimdConvert::narrowOne);
    Handlers.putVector(Opcode.CVTSI2SS, SimdConvert::integerToSingle);
    Handlers.putVector(Opcode.CVTSI2SD, SimdConvert::integerToDouble);
    Handlers.putVector(Opcode.CVTSS2SI, (c, i) -> toInteger(c, i, false));
    Handlers.putVector(Opcode.CVTTSS2SI, (c, i) -> toInteger(c, i, true));
    Handlers.putVector(Opcode.CVTSD2SI, (c, i) -> toInteger(c, i, false));
    Handlers.putVector(Opcode.CVTTSD2SI, (c, i) -> toInteger(c, i, true));

    mmx(Opcode.CVTPI2PS, SimdConvert::mmxToSingles);
    mmx(Opcode.CVTPI2PD, (c, i) -> widen(c, i, (f, x) -> SimdConversions.toDouble(x)));
    mmx(Opcode.CVTPS2PI, (c, i) -> map(c, i, SimdConversions::toInt));
    mmx(Opcode.CVTTPS2PI, (c, i) -> map(c, i, SimdConversions::truncateToInt));
    mmx(Opcode.CVTPD2PI, (c, i) -> narrow(c, i, SimdConversions::toInt));
    mmx(Opcode.CVTTPD2PI, (c, i) -> narrow(c, i, SimdConversions::truncateToInt));

    Handlers.putVectorOnly(Opcode.VCVTPH2PS, SimdConvert::fromHalves);
    Handlers.putVectorOnly(Opcode.VCVTPS2PH, SimdConvert::toHalves);
  }

  // ---- packed ----

  /** As many elements of 32 bits. */
  private static void map(Cpu cpu, Instruction i, SimdArithmetic.SingleUnary operation) {
    SimdArithmetic.mapSingles(cpu, i, operation);
  }

  private static void widen(Cpu cpu, Instruction i, Widening operation) {
    VectorUnit v = cpu.vector;
    VectorOperands.read1(cpu, i, v.b);
    SimdFloat f = SimdControl.begin(cpu);
    for (int k = 0; k < VectorOperands.words(i); k++) {
      v.d[k] = operation.apply(f, (int) (v.b[k >> 1] >>> 32 * (k & 1)));
    }
    SimdArithmetic.finish(cpu, i, v, f);
  }

  /** Two elements to 64 bits, the rest becoming zero; from a YMM register four. */
  private static void narrow(Cpu cpu, Instruction i, Narrowing operation) {
    VectorUnit v = cpu.vector;
    VectorOperands.read1(cpu, i, v.b);
    SimdFloat f = SimdControl.begin(cpu);
    v.d[1] = 0;
    for (int k = 0; k < i.size1 >> 4; k++) {
      v.d[k] =
          SimdArithmetic.pack(operation.apply(f, v.b[2 * k]), operation.apply(f, v.b[2 * k + 1]));
    }
    SimdArithmetic.finish(cpu, i, v, f);
  }

  // ---- scalar ----

  private static void narrowOne(Cpu cpu, Instruction i) {
    long b = SimdArithmetic.second(cpu, i);
    SimdArithmetic.setLowSingle(cpu, i, SimdConversions.narrow(SimdControl.begin(cpu), b));
  }

  /** The integer operand of CVTSI2SS and CVTSI2SD. */
  private static long integer(Cpu cpu, Instruction i) {
    return Operands.signExtend(SimdArithmetic.second(cpu, i), i.vex ? i.size2 : i.size1);
  }

  private static void integerToSingle(Cpu cpu, Instruction i) {
    long b = integer(cpu, i);
    SimdArithmetic.setLowSingle(cpu, i, SimdConversions.toSingle(SimdControl.begin(cpu), b));
  }

  private static void integerToDouble(Cpu cpu, Instruction i) {
    long b = integer(cpu, i);
    SimdArithmetic.setLow(cpu, i, SimdConversions.toDouble(SimdControl.begin(cpu), b));
  }

  private static void toInteger(Cpu cpu, Instruction i, boolean truncate) {
    VectorUnit v = cpu.vector;
    VectorOperands.read1(cpu, i, v.b);
    SimdFloat f = SimdControl.begin(cpu);
    long x = v.b[0];
    if (i.size1 == 4) {
      int s = (int) x;
      v.d[0] =
          i.size0 == 8
              ? truncate ? SimdConversions.truncateToLong(f, s) : SimdConversions.toLong(f, s)
              : truncate ? SimdConversions.truncateToInt(f, s) : SimdConversions.toInt(f, s);
    } else {
      v.d[0] =
          i.size0 == 8
              ? truncate ? SimdConversions.truncateToLong(f, x) : SimdConversions.toLong(f, x)
              : truncate ? SimdConversions.truncateToInt(f, x) : SimdConversions.toInt(f, x);
    }
    SimdArithmetic.finish(cpu, i, v, f);
  }

  // ---- with MMX ----

  /** Enters one that needs SSE, and MMX where it has an MMX operand. */
  private static void mmx(Opcode opcode, Handler handler) {
    Handlers.put(
        opcode,
        (c, i) -> {
          VectorOperands.beginSse(c);
          if (i.kind0 == OperandKind.MMX || i.kind1 == OperandKind.MMX) {
            VectorOperands.beginMmx(c);
          }
          handler.execute(c, i);
        });
  }

  /** Two integers to the lower half of an XMM register. */
  private static void mmxToSingles(Cpu cpu, Instruction i) {
    VectorUnit v = cpu.vector;
    VectorOperands.read1(cpu, i, v.b);
    VectorOperands.read0(cpu, i, v.a);
    SimdFloat f = SimdControl.begin(cpu);
    v.d[0] =
        SimdArithmetic.pack(
            SimdConversions.toSingle(f, (int) v.b[0]),
            SimdConversions.toSingle(f, (int) (v.b[0] >>> 32)));
    v.d[1] = v.a[1];
    SimdArithmetic.finish(cpu, i, v, f);
  }

  // ---- half precision ----

  private static void fromHalves(Cpu cpu, Instruction i) {
    VectorUnit v = cpu.vector;
    VectorOperands.read1(cpu, i, v.b);
    SimdFloat f = SimdControl.begin(cpu);
    for (int k = 0; k < VectorOperands.words(i); k++) {
      int two = (int) (v.b[k >> 1] >>> 32 * (k & 1));
      v.d[k] =
          SimdArithmetic.pack(
              SimdConversions.fromHalf(f, two), SimdConversions.fromHalf(f, two >>> 16));
    }
    SimdArithmetic.finish(cpu, i, v, f);
  }

  private static void toHalves(Cpu cpu, Instruction i) {
    VectorUnit v = cpu.vector;
    VectorOperands.read1(cpu, i, v.b);
    if (i.kind0 == OperandKind.MEMORY) {
      // What is found in the numbers is not to be entered if the result cannot be stored.
      cpu.mmu.probeWrite(VectorOperands.linear(cpu, i, i.size0, true), i.size0);
    }
    SimdFloat f = SimdControl.begin(cpu);
    int mode = f.rounding((int) i.immediate);
    v.d[1] = 0;
    for (int k = 0; k < i.size1 >> 4; k++) {
      long two = halves(f, v.b[2 * k], mode);
      v.d[k] = two | halves(f, v.b[2 * k + 1], mode) << 32;
    }
    SimdArithmetic.finish(cpu, i, v, f);
  }

  /** Two numbers of half precision in the lower half. */
  private static long halves(SimdFloat f, long singles, int mode) {
    return SimdConversions.toHalf(f, (int) singles, mode)
        | (long) SimdConversions.toHalf(f, (int) (singles >>> 32), mode) << 16;
  }
}
