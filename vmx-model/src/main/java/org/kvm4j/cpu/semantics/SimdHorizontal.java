package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.fpu.SimdFloat;
import org.kvm4j.cpu.fpu.VectorUnit;

/**
 * Floating-point operations on neighbouring elements: HADDPS and its kin, ADDSUBPS and ADDSUBPD,
 * DPPS and DPPD. Each 128 bits are apart. SDM Vol. 2, each instruction's page.
 */
final class SimdHorizontal {
  private SimdHorizontal() {}

  static void register() {
    Handlers.putVector(Opcode.HADDPS, (c, i) -> horizontal(c, i, SimdFloat::add));
    Handlers.putVector(Opcode.HSUBPS, (c, i) -> horizontal(c, i, SimdFloat::subtract));
    Handlers.putVector(Opcode.HADDPD, (c, i) -> horizontalDoubles(c, i, SimdFloat::add));
    Handlers.putVector(Opcode.HSUBPD, (c, i) -> horizontalDoubles(c, i, SimdFloat::subtract));
    Handlers.putVector(Opcode.ADDSUBPS, SimdHorizontal::addSubtract);
    Handlers.putVector(Opcode.ADDSUBPD, SimdHorizontal::addSubtractDoubles);
    Handlers.putVector(Opcode.DPPS, SimdHorizontal::dotProduct);
    Handlers.putVector(Opcode.DPPD, SimdHorizontal::dotProductDoubles);
  }

  private static void horizontal(Cpu cpu, Instruction i, SimdArithmetic.Single operation) {
    VectorUnit v = VectorOperands.sources(cpu, i);
    SimdFloat f = SimdControl.begin(cpu);
    for (int k = 0; k < VectorOperands.words(i); k += 2) {
      v.d[k] = pairs(f, operation, v.a, k);
      v.d[k + 1] = pairs(f, operation, v.b, k);
    }
    SimdArithmetic.finish(cpu, i, v, f);
  }

  private static long pairs(SimdFloat f, SimdArithmetic.Single operation, long[] from, int k) {
    return SimdArithmetic.pack(
        operation.apply(f, (int) from[k], (int) (from[k] >>> 32)),
        operation.apply(f, (int) from[k + 1], (int) (from[k + 1] >>> 32)));
  }

  private static void horizontalDoubles(Cpu cpu, Instruction i, SimdArithmetic.Double operation) {
    VectorUnit v = VectorOperands.sources(cpu, i);
    SimdFloat f = SimdControl.begin(cpu);
    for (int k = 0; k < VectorOperands.words(i); k += 2) {
      v.d[k] = operation.apply(f, v.a[k], v.a[k + 1]);
      v.d[k + 1] = operation.apply(f, v.b[k], v.b[k + 1]);
    }
    SimdArithmetic.finish(cpu, i, v, f);
  }

  /** The difference of even elements, the sum of odd ones. */
  private static void addSubtract(Cpu cpu, Instruction i) {
    VectorUnit v = VectorOperands.sources(cpu, i);
    SimdFloat f = SimdControl.begin(cpu);
    for (int k = 0; k < VectorOperands.words(i); k++) {
      v.d[k] =
          SimdArithmetic.pack(
              f.subtract((int) v.a[k], (int) v.b[k]),
              f.add((int) (v.a[k] >>> 32), (int) (v.b[k] >>> 32)));
    }
    SimdArithmetic.finish(cpu, i, v, f);
  }

  private static void addSubtractDoubles(Cpu cpu, Instruction i) {
    VectorUnit v = VectorOperands.sources(cpu, i);
    SimdFloat f = SimdControl.begin(cpu);
    for (int k = 0; k < VectorOperands.words(i); k += 2) {
      v.d[k] = f.subtract(v.a[k], v.b[k]);
      v.d[k + 1] = f.add(v.a[k + 1], v.b[k + 1]);
    }
    SimdArithmetic.finish(cpu, i, v, f);
  }

  // ---- dot products: bits 7:4 of the immediate choose the products, bits 3:0 where the sum goes
  // ----

  private static int product(SimdFloat f, Instruction i, int element, long a, long b) {
    return (i.immediate >> 4 + element & 1) == 0 ? 0 : f.multiply((int) a, (int) b);
  }

  private static void dotProduct(Cpu cpu, Instruction i) {
    VectorUnit v = VectorOperands.sources(cpu, i);
    SimdFloat f = SimdControl.begin(cpu);
    int words = VectorOperands.words(i);
    for (int k = 0; k < words; k++) {
      int element = 2 * (k & 1);
      v.d[k] =
          SimdArithmetic.pack(
              product(f, i, element, v.a[k], v.b[k]),
              product(f, i, element + 1, v.a[k] >>> 32, v.b[k] >>> 32));
    }
    // What the products raise comes before what the sums would, and these before the last sum.
    SimdControl.settle(cpu, i, f);
    for (int k = 0; k < words; k++) {
      v.c[k] = f.add((int) v.d[k], (int) (v.d[k] >>> 32));
    }
    SimdControl.settle(cpu, i, f);
    for (int k = 0; k < words; k += 2) {
      int sum = f.add((int) v.c[k], (int) v.c[k + 1]);
      int to = (int) i.immediate;
      v.d[k] = SimdArithmetic.pack((to & 1) != 0 ? sum : 0, (to & 2) != 0 ? sum : 0);
      v.d[k + 1] = SimdArithmetic.pack((to & 4) != 0 ? sum : 0, (to & 8) != 0 ? sum : 0);
    }
    SimdArithmetic.finish(cpu, i, v, f);
  }

  private static void dotProductDoubles(Cpu cpu, Instruction i) {
    VectorUnit v = VectorOperands.sources(cpu, i);
    SimdFloat f = SimdControl.begin(cpu);
    int which = (int) i.immediate;
    long low = (which & 0x10) == 0 ? 0 : f.multiply(v.a[0], v.b[0]);
    long high = (which & 0x20) == 0 ? 0 : f.multiply(v.a[1], v.b[1]);
    SimdControl.settle(cpu, i, f);
    long sum = f.add(low, high);
    v.d[0] = (which & 1) != 0 ? sum : 0;
    v.d[1] = (which & 2) != 0 ? sum : 0;
    SimdArithmetic.finish(cpu, i, v, f);
  }
}
