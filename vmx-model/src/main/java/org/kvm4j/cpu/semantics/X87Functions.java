package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.fpu.Float80;
import org.kvm4j.cpu.fpu.Transcendental;

/**
 * The transcendental instructions of the x87 FPU. SDM Vol. 2, F2XM1, FCOS, FPATAN, FPTAN, FSIN,
 * FSINCOS, FYL2X, FYL2XP1.
 */
final class X87Functions {
  private X87Functions() {}

  static void register() {
    Handlers.put(Opcode.F2XM1, (c, i) -> X87.unary(c, i, Transcendental::power));
    Handlers.put(Opcode.FYL2X, (c, i) -> popped(c, i, Transcendental::logarithm));
    Handlers.put(Opcode.FYL2XP1, (c, i) -> popped(c, i, Transcendental::logarithmPlusOne));
    Handlers.put(Opcode.FPATAN, (c, i) -> popped(c, i, Transcendental::arctangent));
    Handlers.put(Opcode.FSIN, (c, i) -> reduced(c, i, Transcendental::sine));
    Handlers.put(Opcode.FCOS, (c, i) -> reduced(c, i, Transcendental::cosine));
    Handlers.put(
        Opcode.FPTAN, (c, i) -> pushed(c, i, Transcendental::tangent, Transcendental::one));
    Handlers.put(
        Opcode.FSINCOS, (c, i) -> pushed(c, i, Transcendental::sine, Transcendental::cosine));
  }

  /** A function of ST(0) and ST(1): the result in ST(1), and ST(0) popped. */
  private static void popped(Cpu cpu, Instruction i, X87.Binary function) {
    Float80 f = X87Exceptions.begin(cpu);
    if (X87State.isEmpty(cpu, 0) || X87State.isEmpty(cpu, 1)) {
      if (X87Exceptions.underflow(cpu, i)) {
        X87State.setIndefinite(cpu, 1);
        X87State.pop(cpu);
      }
      return;
    }
    function.apply(
        f,
        X87State.exponent(cpu, 0),
        X87State.significand(cpu, 0),
        X87State.exponent(cpu, 1),
        X87State.significand(cpu, 1));
    if (X87Exceptions.settle(cpu, i, f)) {
      X87State.set(cpu, 1, f.exponent, f.significand);
      X87State.pop(cpu);
    }
  }

  /** Whether ST(0) is beyond what can be reduced, which C2 says and nothing else does. */
  private static boolean isOutOfRange(Cpu cpu, Instruction i, Float80 f) {
    boolean isOut =
        !Transcendental.isInRange(X87State.exponent(cpu, 0), X87State.significand(cpu, 0));
    if (isOut) {
      X87Exceptions.settle(cpu, i, f);
    }
    int others = X87State.status(cpu) & X87State.CONDITIONS & ~X87State.C2;
    X87State.setConditions(cpu, isOut ? others | X87State.C2 : others);
    return isOut;
  }

  private static void reduced(Cpu cpu, Instruction i, X87.Unary function) {
    Float80 f = X87Exceptions.begin(cpu);
    if (X87.isMissing(cpu, i) || isOutOfRange(cpu, i, f)) {
      return;
    }
    function.apply(f, X87State.exponent(cpu, 0), X87State.significand(cpu, 0));
    if (X87Exceptions.settle(cpu, i, f)) {
      X87State.set(cpu, 0, f.exponent, f.significand);
    }
  }

  /** Two functions of ST(0): one in its place, and then the other pushed. C1 is the first one's. */
  private static void pushed(Cpu cpu, Instruction i, X87.Unary first, X87.Unary second) {
    Float80 f = X87Exceptions.begin(cpu);
    if (X87.isMissingOrFull(cpu, i) || isOutOfRange(cpu, i, f)) {
      return;
    }
    int e = X87State.exponent(cpu, 0);
    long s = X87State.significand(cpu, 0);
    second.apply(f, e, s);
    int secondExponent = f.exponent;
    long secondSignificand = f.significand;
    f.roundedUp = false;
    first.apply(f, e, s);
    if (X87Exceptions.settle(cpu, i, f)) {
      X87State.set(cpu, 0, f.exponent, f.significand);
      X87State.push(cpu, secondExponent, secondSignificand);
    }
  }
}
