package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.fpu.VectorUnit;

/**
 * PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM. SDM Vol. 2, 4.1 "Imm8 Control Byte Operation for
 * PCMPESTRI / PCMPESTRM / PCMPISTRI / PCMPISTRM".
 */
final class StringComparison {
  // Aggregation: bits 3:2 of the immediate.
  private static final int EQUAL_ANY = 0;
  private static final int RANGES = 1;
  private static final int EQUAL_EACH = 2;

  private StringComparison() {}

  static void register() {
    Handlers.putVector(Opcode.PCMPESTRI, (c, i) -> compare(c, i, true, true));
    Handlers.putVector(Opcode.PCMPESTRM, (c, i) -> compare(c, i, true, false));
    Handlers.putVector(Opcode.PCMPISTRI, (c, i) -> compare(c, i, false, true));
    Handlers.putVector(Opcode.PCMPISTRM, (c, i) -> compare(c, i, false, false));
  }

  private static void compare(Cpu cpu, Instruction i, boolean explicit, boolean index) {
    VectorUnit v = cpu.vector;
    VectorOperands.read1(cpu, i, v.b);
    VectorOperands.read0(cpu, i, v.a);
    int imm = (int) i.immediate;
    int bits = (imm & 1) == 0 ? 8 : 16;
    int count = 128 / bits;
    int aLength = explicit ? length(cpu, i, Cpu.RAX, count) : length(v.a, bits);
    int bLength = explicit ? length(cpu, i, Cpu.RDX, count) : length(v.b, bits);
    int result = aggregate(v, imm, aLength, bLength);
    switch (imm >> 4 & 3) {
      case 1 -> result = ~result & (1 << count) - 1;
      case 3 -> result ^= (1 << bLength) - 1;
      default -> {}
    }
    if (index) {
      int lowest = result == 0 ? count : Integer.numberOfTrailingZeros(result);
      int highest = result == 0 ? count : 31 - Integer.numberOfLeadingZeros(result);
      cpu.r[Cpu.RCX] = (imm & 0x40) == 0 ? lowest : highest;
    } else {
      mask(v.d, result, (imm & 0x40) == 0 ? 1 : bits, count);
      VectorState.setXmm(cpu, 0, v.d[0], v.d[1]);
      if (i.vex) {
        VectorState.zeroUpper(cpu, 0);
      }
    }
    cpu.setLazyFlags(
        (result != 0 ? Flags.CF : 0)
            | (bLength < count ? Flags.ZF : 0)
            | (aLength < count ? Flags.SF : 0)
            | ((result & 1) != 0 ? Flags.OF : 0));
  }

  /** The absolute value of EAX or EDX, or with W of RAX or RDX, but at most all elements. */
  private static int length(Cpu cpu, Instruction i, int register, int count) {
    boolean wide = i.vex ? i.vexW != 0 : (i.rex & 8) != 0;
    long value = wide && i.codeSize == 8 ? cpu.r[register] : (int) cpu.r[register];
    // The absolute value of the least number is negative: more than enough as well.
    long length = Math.abs(value);
    return length < 0 || length > count ? count : (int) length;
  }

  /** The elements before the first that is zero. */
  private static int length(long[] string, int bits) {
    int n = 0;
    while (n < 128 / bits && PackedMath.zero(string, n * bits, bits) != 0) {
      n++;
    }
    return n;
  }

  /** One bit for each element of b. */
  private static int aggregate(VectorUnit v, int imm, int aLength, int bLength) {
    int bits = (imm & 1) == 0 ? 8 : 16;
    boolean signed = (imm & 2) != 0;
    int result = 0;
    for (int k = 128 / bits - 1; k >= 0; k--) {
      boolean found =
          switch (imm >> 2 & 3) {
            case EQUAL_ANY -> k < bLength && isAny(v, k, aLength, bits, signed);
            case RANGES -> k < bLength && isInRange(v, k, aLength, bits, signed);
            case EQUAL_EACH ->
                k < aLength == k < bLength
                    && (k >= aLength
                        || element(v.a, k, bits, signed) == element(v.b, k, bits, signed));
            default -> isSubstring(v, k, aLength, bLength, bits);
          };
      result = result << 1 | (found ? 1 : 0);
    }
    return result;
  }

  private static long element(long[] string, int n, int bits, boolean signed) {
    return signed
        ? PackedMath.sign(string, n * bits, bits)
        : PackedMath.zero(string, n * bits, bits);
  }

  private static boolean isAny(VectorUnit v, int k, int aLength, int bits, boolean signed) {
    long value = element(v.b, k, bits, signed);
    for (int n = 0; n < aLength; n++) {
      if (element(v.a, n, bits, signed) == value) {
        return true;
      }
    }
    return false;
  }

  /** Whether an element of b is within one of the pairs of a. */
  private static boolean isInRange(VectorUnit v, int k, int aLength, int bits, boolean signed) {
    long value = element(v.b, k, bits, signed);
    for (int n = 0; n + 1 < aLength; n += 2) {
      if (element(v.a, n, bits, signed) <= value && value <= element(v.a, n + 1, bits, signed)) {
        return true;
      }
    }
    return false;
  }

  /** Whether a is found at an element of b, as far as the register goes. */
  private static boolean isSubstring(VectorUnit v, int k, int aLength, int bLength, int bits) {
    for (int n = 0; n < aLength && k + n < 128 / bits; n++) {
      if (k + n >= bLength
          || PackedMath.zero(v.a, n * bits, bits) != PackedMath.zero(v.b, (k + n) * bits, bits)) {
        return false;
      }
    }
    return true;
  }

  /** Each bit of the result in so many bits. */
  private static void mask(long[] to, int result, int bits, int count) {
    to[0] = 0;
    to[1] = 0;
    for (int k = 0; k < count; k++) {
      PackedMath.put(to, k * bits, bits, -(result >> k & 1));
    }
  }
}
