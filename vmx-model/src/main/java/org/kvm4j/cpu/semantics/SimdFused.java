package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.fpu.SimdFloat;
import org.kvm4j.cpu.fpu.VectorUnit;

/**
 * FMA: multiplication with addition, rounded once. The digits of a name say which operands are
 * multiplied and which is added: 132 is the first by the third, plus the second. SDM Vol. 1, 14.5
 * "Fused-Multiply-ADD (FMA) Extensions"; Vol. 2, VFMADD132PD and its kin.
 */
final class SimdFused {
  /** What is negated before it is added, unless it is a NaN. */
  private static final int PRODUCT = 1;

  private static final int ADDEND = 2;

  private SimdFused() {}

  static void register() {
    for (String order : new String[] {"132", "213", "231"}) {
      for (String suffix : new String[] {"PS", "PD", "SS", "SD"}) {
        String name = order + suffix;
        put("VFMADD" + name, 0, 0);
        put("VFMSUB" + name, ADDEND, ADDEND);
        put("VFNMADD" + name, PRODUCT, PRODUCT);
        put("VFNMSUB" + name, PRODUCT | ADDEND, PRODUCT | ADDEND);
        if (suffix.startsWith("P")) {
          put("VFMADDSUB" + name, ADDEND, 0);
          put("VFMSUBADD" + name, 0, ADDEND);
        }
      }
    }
  }

  /**
   * Enters an instruction by its name.
   *
   * @param even what is negated in even elements
   * @param odd what is negated in odd elements
   */
  private static void put(String name, int even, int odd) {
    int length = name.length();
    String order = name.substring(length - 5, length - 2);
    boolean single = name.endsWith("S");
    boolean scalar = name.charAt(length - 2) == 'S';
    Handlers.putVectorOnly(
        Opcode.valueOf(name),
        (c, i) -> {
          VectorUnit v = c.vector;
          VectorOperands.read2(c, i, v.c);
          VectorOperands.read1(c, i, v.b);
          VectorOperands.read0(c, i, v.a);
          // Of NaNs the first factor's is the result, then the second's, then the addend's.
          switch (order) {
            case "132" -> execute(c, i, v.a, v.c, v.b, single, scalar, even, odd);
            case "213" -> execute(c, i, v.b, v.a, v.c, single, scalar, even, odd);
            default -> execute(c, i, v.b, v.c, v.a, single, scalar, even, odd);
          }
        });
  }

  private static void execute(
      Cpu cpu,
      Instruction i,
      long[] x,
      long[] y,
      long[] z,
      boolean single,
      boolean scalar,
      int even,
      int odd) {
    VectorUnit v = cpu.vector;
    SimdFloat f = SimdControl.begin(cpu);
    v.d[1] = v.a[1];
    for (int k = scalar ? 0 : VectorOperands.words(i) - 1; k >= 0; k--) {
      if (single) {
        int high =
            scalar ? (int) (v.a[k] >>> 32) : fused(f, x[k] >>> 32, y[k] >>> 32, z[k] >>> 32, odd);
        v.d[k] = SimdArithmetic.pack(fused(f, x[k], y[k], z[k], even), high);
      } else {
        int negated = (k & 1) == 0 ? even : odd;
        v.d[k] =
            f.multiplyAdd(negate(x[k], negated & PRODUCT), y[k], negate(z[k], negated & ADDEND));
      }
    }
    SimdArithmetic.finish(cpu, i, v, f);
  }

  private static int fused(SimdFloat f, long x, long y, long z, int negated) {
    return f.multiplyAdd(
        negate((int) x, negated & PRODUCT), (int) y, negate((int) z, negated & ADDEND));
  }

  private static int negate(int v, int whether) {
    return whether == 0 || (v & 0x7fffffff) > 0x7f800000 ? v : v ^ 1 << 31;
  }

  private static long negate(long v, int whether) {
    return whether == 0 || (v & Long.MAX_VALUE) > 0x7ff0000000000000L ? v : v ^ 1L << 63;
  }
}
