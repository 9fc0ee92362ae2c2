package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.core.Cpu;

/**
 * Arithmetic, logic, shifts and bit operations on values of each size: the result is returned, the
 * lazy flags of {@link Cpu} are set. Every engine calls these and nothing else states what ADD
 * does. Operands of 8 and 16 bits may have garbage above their size; results of 8 and 16 bits are
 * zero-extended. The forms without a number in their name take the size in bytes and zero-extend
 * every result. SDM Vol. 2, each instruction's page.
 *
 * <p>Flags that the SDM calls undefined are as processors of AMD's Zen 4 leave them, unless a
 * method says otherwise.
 */
public final class Alu {
  /** In {@code flagAux}: CF. */
  private static final long CARRY = 1L << 63;

  /** In {@code flagAux}: CF xor OF. */
  private static final long OVER = 1L << 62;

  /** In {@code flagAux}: both. */
  private static final long TOP = 3L << 62;

  /** In {@code flagAux}: AF. */
  private static final long HALF = 8;

  private Alu() {}

  private static void flags64(Cpu cpu, long result, long carries) {
    cpu.flagResult = result;
    cpu.flagAux = carries & (TOP | HALF);
  }

  private static void flags32(Cpu cpu, int result, int carries) {
    cpu.flagResult = result;
    cpu.flagAux = (long) carries << 32 | carries & 8;
  }

  private static void flags16(Cpu cpu, int result, int carries) {
    cpu.flagResult = (short) result;
    cpu.flagAux = (long) carries << 48 | carries & 8;
  }

  private static void flags8(Cpu cpu, int result, int carries) {
    cpu.flagResult = (byte) result;
    cpu.flagAux = (long) carries << 56 | carries & 8;
  }

  public static long add64(Cpu cpu, long a, long b) {
    long result = a + b;
    flags64(cpu, result, a & b | (a | b) & ~result);
    return result;
  }

  public static int add32(Cpu cpu, int a, int b) {
    int result = a + b;
    flags32(cpu, result, a & b | (a | b) & ~result);
    return result;
  }

  public static int add16(Cpu cpu, int a, int b) {
    int result = a + b;
    flags16(cpu, result, a & b | (a | b) & ~result);
    return result & 0xffff;
  }

  public static int add8(Cpu cpu, int a, int b) {
    int result = a + b;
    flags8(cpu, result, a & b | (a | b) & ~result);
    return result & 0xff;
  }

  public static long sub64(Cpu cpu, long a, long b) {
    long result = a - b;
    flags64(cpu, result, ~a & b | (~a | b) & result);
    return result;
  }

  public static int sub32(Cpu cpu, int a, int b) {
    int result = a - b;
    flags32(cpu, result, ~a & b | (~a | b) & result);
    return result;
  }

  public static int sub16(Cpu cpu, int a, int b) {
    int result = a - b;
    flags16(cpu, result, ~a & b | (~a | b) & result);
    return result & 0xffff;
  }

  public static int sub8(Cpu cpu, int a, int b) {
    int result = a - b;
    flags8(cpu, result, ~a & b | (~a | b) & result);
    return result & 0xff;
  }

  /** Adds both operands and CF. */
  public static long adc64(Cpu cpu, long a, long b) {
    long result = a + b + (cpu.flagAux >>> 63);
    flags64(cpu, result, a & b | (a | b) & ~result);
    return result;
  }

  public static int adc32(Cpu cpu, int a, int b) {
    int result = a + b + ((int) (cpu.flagAux >>> 63));
    flags32(cpu, result, a & b | (a | b) & ~result);
    return result;
  }

  public static int adc16(Cpu cpu, int a, int b) {
    int result = a + b + ((int) (cpu.flagAux >>> 63));
    flags16(cpu, result, a & b | (a | b) & ~result);
    return result & 0xffff;
  }

  public static int adc8(Cpu cpu, int a, int b) {
    int result = a + b + ((int) (cpu.flagAux >>> 63));
    flags8(cpu, result, a & b | (a | b) & ~result);
    return result & 0xff;
  }

  /** Subtracts the second operand and CF. */
  public static long sbb64(Cpu cpu, long a, long b) {
    long result = a - b - (cpu.flagAux >>> 63);
    flags64(cpu, result, ~a & b | (~a | b) & result);
    return result;
  }

  public static int sbb32(Cpu cpu, int a, int b) {
    int result = a - b - ((int) (cpu.flagAux >>> 63));
    flags32(cpu, result, ~a & b | (~a | b) & result);
    return result;
  }

  public static int sbb16(Cpu cpu, int a, int b) {
    int result = a - b - ((int) (cpu.flagAux >>> 63));
    flags16(cpu, result, ~a & b | (~a | b) & result);
    return result & 0xffff;
  }

  public static int sbb8(Cpu cpu, int a, int b) {
    int result = a - b - ((int) (cpu.flagAux >>> 63));
    flags8(cpu, result, ~a & b | (~a | b) & result);
    return result & 0xff;
  }

  /** Adds 1 and keeps CF. */
  public static long inc64(Cpu cpu, long a) {
    long result = a + 1;
    flagsKeepingCf(cpu, result, (~a & result), a & ~result);
    return result;
  }

  public static int inc32(Cpu cpu, int a) {
    int result = a + 1;
    flagsKeepingCf(cpu, result, (long) (~a & result) << 32, a & ~result);
    return result;
  }

  public static int inc16(Cpu cpu, int a) {
    int result = a + 1;
    flagsKeepingCf(cpu, (short) result, (long) (~a & result) << 48, a & ~result);
    return result & 0xffff;
  }

  public static int inc8(Cpu cpu, int a) {
    int result = a + 1;
    flagsKeepingCf(cpu, (byte) result, (long) (~a & result) << 56, a & ~result);
    return result & 0xff;
  }

  /** Subtracts 1 and keeps CF. */
  public static long dec64(Cpu cpu, long a) {
    long result = a - 1;
    flagsKeepingCf(cpu, result, (a & ~result), ~a & result);
    return result;
  }

  public static int dec32(Cpu cpu, int a) {
    int result = a - 1;
    flagsKeepingCf(cpu, result, (long) (a & ~result) << 32, ~a & result);
    return result;
  }

  public static int dec16(Cpu cpu, int a) {
    int result = a - 1;
    flagsKeepingCf(cpu, (short) result, (long) (a & ~result) << 48, ~a & result);
    return result & 0xffff;
  }

  public static int dec8(Cpu cpu, int a) {
    int result = a - 1;
    flagsKeepingCf(cpu, (byte) result, (long) (a & ~result) << 56, ~a & result);
    return result & 0xff;
  }

  /** OF is the sign of {@code overflow}, AF bit 3 of {@code half}; CF stays. */
  private static void flagsKeepingCf(Cpu cpu, long result, long overflow, long half) {
    long carry = cpu.flagAux & CARRY;
    cpu.flagResult = result;
    cpu.flagAux = carry | (carry ^ overflow & CARRY) >>> 1 | half & HALF;
  }

  /** Two's complement: CF is clear for 0 only. */
  public static long neg64(Cpu cpu, long a) {
    return sub64(cpu, 0, a);
  }

  public static int neg32(Cpu cpu, int a) {
    return sub32(cpu, 0, a);
  }

  public static int neg16(Cpu cpu, int a) {
    return sub16(cpu, 0, a);
  }

  public static int neg8(Cpu cpu, int a) {
    return sub8(cpu, 0, a);
  }

  /** Flags of AND, OR, XOR and TEST: CF and OF clear, AF clear (undefined in the SDM). */
  public static long logic64(Cpu cpu, long result) {
    cpu.flagResult = result;
    cpu.flagAux = 0;
    return result;
  }

  public static int logic32(Cpu cpu, int result) {
    cpu.flagResult = result;
    cpu.flagAux = 0;
    return result;
  }

  public static int logic16(Cpu cpu, int result) {
    cpu.flagResult = (short) result;
    cpu.flagAux = 0;
    return result & 0xffff;
  }

  public static int logic8(Cpu cpu, int result) {
    cpu.flagResult = (byte) result;
    cpu.flagAux = 0;
    return result & 0xff;
  }

  /**
   * Shifts left by the count modulo 64 for 64-bit operands, otherwise modulo 32; 0 changes nothing.
   * AF is set; OF is CF xor the result's sign, whatever the count.
   */
  public static long shl64(Cpu cpu, long a, int count) {
    int n = count & 63;
    if (n == 0) {
      return a;
    }
    long result = a << n;
    cpu.flagResult = result;
    cpu.flagAux = a << n - 1 & TOP | HALF;
    return result;
  }

  public static int shl32(Cpu cpu, int a, int count) {
    int n = count & 31;
    if (n == 0) {
      return a;
    }
    int result = a << n;
    cpu.flagResult = result;
    cpu.flagAux = (long) (a << n - 1) << 32 & TOP | HALF;
    return result;
  }

  public static int shl16(Cpu cpu, int a, int count) {
    int n = count & 31;
    a &= 0xffff;
    if (n == 0) {
      return a;
    }
    int result = a << n;
    cpu.flagResult = (short) result;
    cpu.flagAux = (long) (a << n - 1) << 48 & TOP | HALF;
    return result & 0xffff;
  }

  public static int shl8(Cpu cpu, int a, int count) {
    int n = count & 31;
    a &= 0xff;
    if (n == 0) {
      return a;
    }
    int result = a << n;
    cpu.flagResult = (byte) result;
    cpu.flagAux = (long) (a << n - 1) << 56 & TOP | HALF;
    return result & 0xff;
  }

  /**
   * Shifts right, filling with zeros; counts as for {@link #shl64}. AF is set; OF is the operand's
   * sign for a count of 1 and otherwise clear: the result's second highest bit.
   */
  public static long shr64(Cpu cpu, long a, int count) {
    int n = count & 63;
    if (n == 0) {
      return a;
    }
    long result = a >>> n;
    long carry = a >>> n - 1 << 63;
    cpu.flagResult = result;
    cpu.flagAux = carry | carry >>> 1 ^ result & OVER | HALF;
    return result;
  }

  public static int shr32(Cpu cpu, int a, int count) {
    int n = count & 31;
    if (n == 0) {
      return a;
    }
    int result = a >>> n;
    long carry = (long) (a >>> n - 1) << 63;
    cpu.flagResult = result;
    cpu.flagAux = carry | carry >>> 1 ^ (long) result << 32 & OVER | HALF;
    return result;
  }

  public static int shr16(Cpu cpu, int a, int count) {
    int n = count & 31;
    a &= 0xffff;
    if (n == 0) {
      return a;
    }
    int result = a >>> n;
    long carry = (long) (a >>> n - 1) << 63;
    cpu.flagResult = (short) result;
    cpu.flagAux = carry | carry >>> 1 ^ (long) result << 48 & OVER | HALF;
    return result;
  }

  public static int shr8(Cpu cpu, int a, int count) {
    int n = count & 31;
    a &= 0xff;
    if (n == 0) {
      return a;
    }
    int result = a >>> n;
    long carry = (long) (a >>> n - 1) << 63;
    cpu.flagResult = (byte) result;
    cpu.flagAux = carry | carry >>> 1 ^ (long) result << 56 & OVER | HALF;
    return result;
  }

  /** Shifts right, filling with the sign; counts as for {@link #shl64}. AF is set, OF clear. */
  public static long sar64(Cpu cpu, long a, int count) {
    int n = count & 63;
    if (n == 0) {
      return a;
    }
    long result = a >> n;
    long carry = a >> n - 1 << 63;
    cpu.flagResult = result;
    cpu.flagAux = carry | carry >>> 1 | HALF;
    return result;
  }

  public static int sar32(Cpu cpu, int a, int count) {
    int n = count & 31;
    if (n == 0) {
      return a;
    }
    int result = a >> n;
    long carry = (long) (a >> n - 1) << 63;
    cpu.flagResult = result;
    cpu.flagAux = carry | carry >>> 1 | HALF;
    return result;
  }

  public static int sar16(Cpu cpu, int a, int count) {
    int n = count & 31;
    if (n == 0) {
      return a & 0xffff;
    }
    int value = (short) a;
    int result = value >> n;
    long carry = (long) (value >> n - 1) << 63;
    cpu.flagResult = result;
    cpu.flagAux = carry | carry >>> 1 | HALF;
    return result & 0xffff;
  }

  public static int sar8(Cpu cpu, int a, int count) {
    int n = count & 31;
    if (n == 0) {
      return a & 0xff;
    }
    int value = (byte) a;
    int result = value >> n;
    long carry = (long) (value >> n - 1) << 63;
    cpu.flagResult = result;
    cpu.flagAux = carry | carry >>> 1 | HALF;
    return result & 0xff;
  }

  /**
   * Rotates left; a count of 0 after masking changes nothing, a multiple of the size sets CF and OF
   * all the same. OF is CF xor the result's sign, whatever the count.
   */
  public static long rol64(Cpu cpu, long a, int count) {
    int n = count & 63;
    if (n == 0) {
      return a;
    }
    long result = Long.rotateLeft(a, n);
    cpu.flagAux = cpu.flagAux & ~TOP | result << 63 | (result) >>> 1 & OVER;
    return result;
  }

  public static int rol32(Cpu cpu, int a, int count) {
    int n = count & 31;
    if (n == 0) {
      return a;
    }
    int result = Integer.rotateLeft(a, n);
    cpu.flagAux = cpu.flagAux & ~TOP | (long) result << 63 | ((long) result << 32) >>> 1 & OVER;
    return result;
  }

  public static int rol16(Cpu cpu, int a, int count) {
    int n = count & 31;
    a &= 0xffff;
    if (n == 0) {
      return a;
    }
    int result = (a << (n & 15) | a >>> 16 - (n & 15)) & 0xffff;
    cpu.flagAux = cpu.flagAux & ~TOP | (long) result << 63 | ((long) result << 48) >>> 1 & OVER;
    return result;
  }

  public static int rol8(Cpu cpu, int a, int count) {
    int n = count & 31;
    a &= 0xff;
    if (n == 0) {
      return a;
    }
    int result = (a << (n & 7) | a >>> 8 - (n & 7)) & 0xff;
    cpu.flagAux = cpu.flagAux & ~TOP | (long) result << 63 | ((long) result << 56) >>> 1 & OVER;
    return result;
  }

  /**
   * Rotates right; counts as for {@link #rol64}. CF is the result's highest bit, OF that xor the
   * second highest, whatever the count.
   */
  public static long ror64(Cpu cpu, long a, int count) {
    int n = count & 63;
    if (n == 0) {
      return a;
    }
    long result = Long.rotateRight(a, n);
    cpu.flagAux = cpu.flagAux & ~TOP | result & TOP;
    return result;
  }

  public static int ror32(Cpu cpu, int a, int count) {
    int n = count & 31;
    if (n == 0) {
      return a;
    }
    int result = Integer.rotateRight(a, n);
    cpu.flagAux = cpu.flagAux & ~TOP | (long) result << 32 & TOP;
    return result;
  }

  public static int ror16(Cpu cpu, int a, int count) {
    int n = count & 31;
    a &= 0xffff;
    if (n == 0) {
      return a;
    }
    int result = (a >>> (n & 15) | a << 16 - (n & 15)) & 0xffff;
    cpu.flagAux = cpu.flagAux & ~TOP | (long) result << 48 & TOP;
    return result;
  }

  public static int ror8(Cpu cpu, int a, int count) {
    int n = count & 31;
    a &= 0xff;
    if (n == 0) {
      return a;
    }
    int result = (a >>> (n & 7) | a << 8 - (n & 7)) & 0xff;
    cpu.flagAux = cpu.flagAux & ~TOP | (long) result << 56 & TOP;
    return result;
  }

  /**
   * Rotates left through CF: a value of one bit more than the operand's size. OF is CF xor the
   * result's sign, whatever the count; a masked count of 9 (or 17) leaves operand and CF of 8 (or
   * 16) bits as they are and sets OF.
   */
  public static long rcl64(Cpu cpu, long a, int count) {
    int n = count & 63;
    if (n == 0) {
      return a;
    }
    long in = cpu.flagAux >>> 63;
    long result = a << n | in << n - 1 | (n == 1 ? 0 : a >>> 65 - n);
    long carry = a << n - 1 & CARRY;
    cpu.flagAux = cpu.flagAux & ~TOP | carry | result >>> 1 & OVER;
    return result;
  }

  public static int rcl32(Cpu cpu, int a, int count) {
    int n = count & 31;
    if (n == 0) {
      return a;
    }
    long wide = a & 0xffffffffL | cpu.flagAux >>> 63 << 32;
    wide = wide << n | wide >>> 33 - n;
    cpu.flagAux = cpu.flagAux & ~TOP | wide << 31 & TOP;
    return (int) wide;
  }

  public static int rcl16(Cpu cpu, int a, int count) {
    int n = (count & 31) % 17;
    a &= 0xffff;
    if ((count & 31) == 0) {
      return a;
    }
    int wide = a | (int) (cpu.flagAux >>> 63) << 16;
    wide = wide << n | wide >>> 17 - n;
    cpu.flagAux = cpu.flagAux & ~TOP | (long) wide << 47 & TOP;
    return wide & 0xffff;
  }

  public static int rcl8(Cpu cpu, int a, int count) {
    int n = (count & 31) % 9;
    a &= 0xff;
    if ((count & 31) == 0) {
      return a;
    }
    int wide = a | (int) (cpu.flagAux >>> 63) << 8;
    wide = wide << n | wide >>> 9 - n;
    cpu.flagAux = cpu.flagAux & ~TOP | (long) wide << 55 & TOP;
    return wide & 0xff;
  }

  /**
   * Rotates right through CF; counts as for {@link #rcl64}. OF is the xor of the result's two
   * highest bits, whatever the count.
   */
  public static long rcr64(Cpu cpu, long a, int count) {
    int n = count & 63;
    if (n == 0) {
      return a;
    }
    long in = cpu.flagAux & CARRY;
    long result = a >>> n | in >>> n - 1 | (n == 1 ? 0 : a << 65 - n);
    rotatedRight(cpu, a >>> n - 1 << 63, result);
    return result;
  }

  public static int rcr32(Cpu cpu, int a, int count) {
    int n = count & 31;
    if (n == 0) {
      return a;
    }
    long wide = a & 0xffffffffL | cpu.flagAux >>> 63 << 32;
    wide = wide >>> n | wide << 33 - n;
    rotatedRight(cpu, wide << 31 & CARRY, wide << 32);
    return (int) wide;
  }

  public static int rcr16(Cpu cpu, int a, int count) {
    int n = (count & 31) % 17;
    a &= 0xffff;
    if ((count & 31) == 0) {
      return a;
    }
    int wide = a | (int) (cpu.flagAux >>> 63) << 16;
    wide = wide >>> n | wide << 17 - n;
    rotatedRight(cpu, (long) wide << 47 & CARRY, (long) wide << 48);
    return wide & 0xffff;
  }

  public static int rcr8(Cpu cpu, int a, int count) {
    int n = (count & 31) % 9;
    a &= 0xff;
    if ((count & 31) == 0) {
      return a;
    }
    int wide = a | (int) (cpu.flagAux >>> 63) << 8;
    wide = wide >>> n | wide << 9 - n;
    rotatedRight(cpu, (long) wide << 55 & CARRY, (long) wide << 56);
    return wide & 0xff;
  }

  /** CF is given, OF the xor of the two highest bits of the result, which is left-aligned. */
  private static void rotatedRight(Cpu cpu, long carry, long result) {
    long overflow = result ^ result << 1;
    cpu.flagAux = cpu.flagAux & ~TOP | carry | (carry ^ overflow & CARRY) >>> 1;
  }

  /** Of SHRD: AF is set, OF the xor of the two highest bits of the result, left-aligned. */
  private static void shiftedRight(Cpu cpu, long result, long carry, long aligned) {
    long overflow = aligned ^ aligned << 1;
    cpu.flagResult = result;
    cpu.flagAux = carry | (carry ^ overflow & CARRY) >>> 1 | HALF;
  }

  /**
   * Shifts left, filling from the top of {@code b}. Flags and counts are those of {@link #shl64}
   * but for SF, ZF and PF, which follow the result. 16-bit operands with counts above 16 (undefined
   * in the SDM) go on with {@code b} once more; OF and CF then are clear.
   */
  public static long shld64(Cpu cpu, long a, long b, int count) {
    int n = count & 63;
    if (n == 0) {
      return a;
    }
    long result = a << n | b >>> 64 - n;
    cpu.flagResult = result;
    cpu.flagAux = a << n - 1 & TOP | HALF;
    return result;
  }

  public static int shld32(Cpu cpu, int a, int b, int count) {
    int n = count & 31;
    if (n == 0) {
      return a;
    }
    int result = a << n | b >>> 32 - n;
    cpu.flagResult = result;
    cpu.flagAux = (long) (a << n - 1) << 32 & TOP | HALF;
    return result;
  }

  public static int shld16(Cpu cpu, int a, int b, int count) {
    int n = count & 31;
    a &= 0xffff;
    b &= 0xffff;
    if (n == 0) {
      return a;
    }
    int result = (int) (((long) a << 32 | (long) b << 16 | b) << n >>> 32);
    cpu.flagResult = (short) result;
    cpu.flagAux = (long) (a << n - 1) << 48 & TOP | HALF;
    return result & 0xffff;
  }

  /**
   * Shifts right, filling from the bottom of {@code b}. Counts are those of {@link #shr64}; AF is
   * set, OF is the xor of the result's two highest bits, whatever the count. 16-bit operands with
   * counts above 16 (undefined in the SDM) go on with {@code b} once more; CF then is clear.
   */
  public static long shrd64(Cpu cpu, long a, long b, int count) {
    int n = count & 63;
    if (n == 0) {
      return a;
    }
    long result = a >>> n | b << 64 - n;
    shiftedRight(cpu, result, a >>> n - 1 << 63, result);
    return result;
  }

  public static int shrd32(Cpu cpu, int a, int b, int count) {
    int n = count & 31;
    if (n == 0) {
      return a;
    }
    int result = a >>> n | b << 32 - n;
    shiftedRight(cpu, result, (long) (a >>> n - 1) << 63, (long) result << 32);
    return result;
  }

  public static int shrd16(Cpu cpu, int a, int b, int count) {
    int n = count & 31;
    a &= 0xffff;
    b &= 0xffff;
    if (n == 0) {
      return a;
    }
    int result = (int) (((long) b << 32 | (long) b << 16 | a) >>> n) & 0xffff;
    shiftedRight(cpu, (short) result, (long) (a >>> n - 1) << 63, (long) result << 48);
    return result;
  }

  // ---- multiplication and division ----

  /** CF and OF of a multiplication: whether the upper half matters. The others stay. */
  private static void mulFlags(Cpu cpu, boolean wide) {
    cpu.flagAux = cpu.flagAux & ~TOP | (wide ? CARRY : 0);
  }

  /** The upper half of the unsigned product; the lower one is {@code a * b}. */
  public static long mulHigh64(Cpu cpu, long a, long b) {
    long high = WideMath.multiplyHighUnsigned(a, b);
    mulFlags(cpu, high != 0);
    return high;
  }

  /** The unsigned product in 64 bits. */
  public static long mul32(Cpu cpu, int a, int b) {
    long product = (a & 0xffffffffL) * (b & 0xffffffffL);
    mulFlags(cpu, product >>> 32 != 0);
    return product;
  }

  /** The unsigned product in 32 bits. */
  public static int mul16(Cpu cpu, int a, int b) {
    int product = (a & 0xffff) * (b & 0xffff);
    mulFlags(cpu, product >>> 16 != 0);
    return product;
  }

  /** The unsigned product in 16 bits. */
  public static int mul8(Cpu cpu, int a, int b) {
    int product = (a & 0xff) * (b & 0xff);
    mulFlags(cpu, product >>> 8 != 0);
    return product;
  }

  /** The upper half of the signed product; the lower one is {@code a * b}. */
  public static long imulHigh64(Cpu cpu, long a, long b) {
    long high = Math.multiplyHigh(a, b);
    mulFlags(cpu, high != a * b >> 63);
    return high;
  }

  /** The lower half of the signed product. */
  public static long imul64(Cpu cpu, long a, long b) {
    imulHigh64(cpu, a, b);
    return a * b;
  }

  /** The signed product in 64 bits; instructions with two operands keep the lower half. */
  public static long imul32(Cpu cpu, int a, int b) {
    long product = (long) a * b;
    mulFlags(cpu, product != (int) product);
    return product;
  }

  /** The signed product in 32 bits; instructions with two operands keep the lower half. */
  public static int imul16(Cpu cpu, int a, int b) {
    int product = (short) a * (short) b;
    mulFlags(cpu, product != (short) product);
    return product;
  }

  /** The signed product in 16 bits, zero-extended. */
  public static int imul8(Cpu cpu, int a, int b) {
    int product = (byte) a * (byte) b;
    mulFlags(cpu, product != (byte) product);
    return product & 0xffff;
  }

  /** All undefined in the SDM: SF, ZF and PF clear, AF set, OF and CF as they were. */
  private static void divFlags(Cpu cpu) {
    cpu.flagResult = 1;
    cpu.flagAux = cpu.flagAux & TOP | HALF;
  }

  /**
   * The quotient of an unsigned division; the remainder is {@code low - quotient * divisor}.
   *
   * @throws org.kvm4j.cpu.core.CpuException #DE for a divisor of 0 or a quotient that is too large
   */
  public static long div64(Cpu cpu, long high, long low, long divisor) {
    if (Long.compareUnsigned(high, divisor) >= 0) {
      throw cpu.de();
    }
    long quotient = WideMath.divideUnsigned(high, low, divisor);
    divFlags(cpu);
    return quotient;
  }

  /** Quotient in bits 31:0, remainder in bits 63:32. */
  public static long div32(Cpu cpu, long dividend, int divisor) {
    long d = divisor & 0xffffffffL;
    if (dividend >>> 32 >= d) {
      throw cpu.de();
    }
    long quotient = Long.divideUnsigned(dividend, d);
    divFlags(cpu);
    return dividend - quotient * d << 32 | quotient;
  }

  /** Quotient in bits 15:0, remainder in bits 31:16. */
  public static int div16(Cpu cpu, int dividend, int divisor) {
    int d = divisor & 0xffff;
    if (dividend >>> 16 >= d) {
      throw cpu.de();
    }
    int quotient = Integer.divideUnsigned(dividend, d);
    divFlags(cpu);
    return dividend - quotient * d << 16 | quotient;
  }

  /** Quotient in bits 7:0, remainder in bits 15:8. */
  public static int div8(Cpu cpu, int dividend, int divisor) {
    int n = dividend & 0xffff;
    int d = divisor & 0xff;
    if (n >>> 8 >= d) {
      throw cpu.de();
    }
    divFlags(cpu);
    return n % d << 8 | n / d;
  }

  /**
   * The quotient of a signed division; the remainder is {@code low - quotient * divisor}.
   *
   * @throws org.kvm4j.cpu.core.CpuException #DE for a divisor of 0 or a quotient that is too large
   */
  public static long idiv64(Cpu cpu, long high, long low, long divisor) {
    long quotient;
    if (high == low >> 63 && divisor != 0 && (divisor != -1 || low != Long.MIN_VALUE)) {
      quotient = low / divisor;
    } else {
      boolean negative = high < 0;
      long h = negative ? ~high + (low == 0 ? 1 : 0) : high;
      long l = negative ? -low : low;
      long d = Math.abs(divisor);
      if (Long.compareUnsigned(h, d) >= 0) {
        throw cpu.de();
      }
      quotient = WideMath.divideUnsigned(h, l, d);
      if (negative != divisor < 0) {
        quotient = -quotient;
        if (quotient > 0) {
          throw cpu.de();
        }
      } else if (quotient < 0) {
        throw cpu.de();
      }
    }
    divFlags(cpu);
    return quotient;
  }

  /** Quotient in bits 31:0, remainder in bits 63:32. */
  public static long idiv32(Cpu cpu, long dividend, int divisor) {
    if (divisor == 0) {
      throw cpu.de();
    }
    long quotient = dividend / divisor;
    if (quotient != (int) quotient) {
      throw cpu.de();
    }
    divFlags(cpu);
    return dividend - quotient * divisor << 32 | quotient & 0xffffffffL;
  }

  /** Quotient in bits 15:0, remainder in bits 31:16. */
  public static int idiv16(Cpu cpu, int dividend, int divisor) {
    int d = (short) divisor;
    if (d == 0) {
      throw cpu.de();
    }
    int quotient = dividend / d;
    if (quotient != (short) quotient) {
      throw cpu.de();
    }
    divFlags(cpu);
    return dividend - quotient * d << 16 | quotient & 0xffff;
  }

  /** Quotient in bits 7:0, remainder in bits 15:8. */
  public static int idiv8(Cpu cpu, int dividend, int divisor) {
    int n = (short) dividend;
    int d = (byte) divisor;
    if (d == 0) {
      throw cpu.de();
    }
    int quotient = n / d;
    if (quotient != (byte) quotient) {
      throw cpu.de();
    }
    divFlags(cpu);
    return (n - quotient * d & 0xff) << 8 | quotient & 0xff;
  }

  // ---- bits ----

  /** CF is a bit of the value; the others stay. */
  public static void bt(Cpu cpu, long value, int bit) {
    cpu.setCf((value >>> bit & 1) != 0);
  }

  /** ZF and PF as given; OF, SF, AF and CF clear. */
  private static void zeroFlag(Cpu cpu, boolean zero, boolean evenParity) {
    cpu.flagResult = zero ? 0 : 0x100;
    cpu.flagAux = evenParity ? 0 : 0x100;
  }

  /**
   * The number of the lowest set bit, or -1 for 0, which leaves the destination as it is. ZF says
   * whether the value was 0, PF is the result's parity, OF, SF, AF and CF are clear.
   *
   * @param value zero-extended
   */
  public static int bsf(Cpu cpu, long value) {
    int index = Long.numberOfTrailingZeros(value) & 63;
    zeroFlag(cpu, value == 0, value == 0 || (Integer.bitCount(index) & 1) == 0);
    return value == 0 ? -1 : index;
  }

  /** The number of the highest set bit; otherwise as {@link #bsf}. */
  public static int bsr(Cpu cpu, long value) {
    int index = 63 - Long.numberOfLeadingZeros(value);
    zeroFlag(cpu, value == 0, value == 0 || (Integer.bitCount(index) & 1) == 0);
    return index;
  }

  /** CF says that the source was 0; SF, AF and PF are clear, OF stays. */
  private static int counted(Cpu cpu, long value, int count) {
    boolean overflow = cpu.of();
    zeroFlag(cpu, count == 0, false);
    cpu.setCfOf(value == 0, overflow);
    return count;
  }

  /**
   * Counts trailing zeros. ZF says that the result is 0, CF that the value is; SF, AF and PF are
   * clear, OF stays.
   *
   * @param value zero-extended
   * @param bits of the operand
   */
  public static int tzcnt(Cpu cpu, long value, int bits) {
    return counted(cpu, value, Math.min(Long.numberOfTrailingZeros(value), bits));
  }

  /** Counts leading zeros; otherwise as {@link #tzcnt}. */
  public static int lzcnt(Cpu cpu, long value, int bits) {
    return counted(cpu, value, Long.numberOfLeadingZeros(value) - (64 - bits));
  }

  /** Counts set bits of a zero-extended value. */
  public static int popcnt(Cpu cpu, long value) {
    zeroFlag(cpu, value == 0, false);
    return Long.bitCount(value);
  }

  /**
   * Extracts the bits that {@code control} names: first bit in 7:0, length in 15:8. ZF and PF
   * follow the result; OF, SF and CF are clear, AF is set.
   *
   * @param value zero-extended
   */
  public static long bextr(Cpu cpu, long value, long control) {
    int start = (int) control & 0xff;
    int length = (int) control >>> 8 & 0xff;
    long result = start > 63 ? 0 : value >>> start;
    if (length < 64) {
      result &= (1L << length) - 1;
    }
    cpu.flagResult = result;
    cpu.flagAux = HALF | result >>> 63;
    return result;
  }

  /** CF as given, OF and AF clear; the others follow the result. */
  private static void bitFlags(Cpu cpu, long result, boolean carry) {
    cpu.flagResult = result;
    cpu.flagAux = carry ? TOP : 0;
  }

  /** Isolates the lowest set bit. */
  public static long blsi64(Cpu cpu, long a) {
    long result = a & -a;
    bitFlags(cpu, result, a != 0);
    return result;
  }

  public static int blsi32(Cpu cpu, int a) {
    int result = a & -a;
    bitFlags(cpu, result, a != 0);
    return result;
  }

  /** Clears the lowest set bit. */
  public static long blsr64(Cpu cpu, long a) {
    long result = a & a - 1;
    bitFlags(cpu, result, a == 0);
    return result;
  }

  public static int blsr32(Cpu cpu, int a) {
    int result = a & a - 1;
    bitFlags(cpu, result, a == 0);
    return result;
  }

  /** Sets all bits up to the lowest set one. */
  public static long blsmsk64(Cpu cpu, long a) {
    long result = a ^ a - 1;
    bitFlags(cpu, result, a == 0);
    return result;
  }

  public static int blsmsk32(Cpu cpu, int a) {
    int result = a ^ a - 1;
    bitFlags(cpu, result, a == 0);
    return result;
  }

  /** Clears the bits from {@code index}'s low byte upwards; CF says that there are none. */
  public static long bzhi64(Cpu cpu, long a, long index) {
    int n = (int) index & 0xff;
    long result = n < 64 ? a & (1L << n) - 1 : a;
    bitFlags(cpu, result, n > 63);
    return result;
  }

  public static int bzhi32(Cpu cpu, int a, int index) {
    int n = index & 0xff;
    int result = n < 32 ? a & (1 << n) - 1 : a;
    bitFlags(cpu, result, n > 31);
    return result;
  }

  /** Adds both operands and CF, and changes CF alone. */
  public static long adcx64(Cpu cpu, long a, long b) {
    long result = a + b + (cpu.flagAux >>> 63);
    cpu.setCf((a & b | (a | b) & ~result) < 0);
    return result;
  }

  public static int adcx32(Cpu cpu, int a, int b) {
    int result = a + b + (int) (cpu.flagAux >>> 63);
    cpu.setCf((a & b | (a | b) & ~result) < 0);
    return result;
  }

  /** Adds both operands and OF, and changes OF alone. */
  public static long adox64(Cpu cpu, long a, long b) {
    long result = a + b + (cpu.of() ? 1 : 0);
    cpu.setCfOf(cpu.cf(), (a & b | (a | b) & ~result) < 0);
    return result;
  }

  public static int adox32(Cpu cpu, int a, int b) {
    int result = a + b + (cpu.of() ? 1 : 0);
    cpu.setCfOf(cpu.cf(), (a & b | (a | b) & ~result) < 0);
    return result;
  }

  // ---- by size ----

  public static long add(Cpu cpu, int size, long a, long b) {
    return switch (size) {
      case 1 -> add8(cpu, (int) a, (int) b);
      case 2 -> add16(cpu, (int) a, (int) b);
      case 4 -> add32(cpu, (int) a, (int) b) & 0xffffffffL;
      default -> add64(cpu, a, b);
    };
  }

  public static long adc(Cpu cpu, int size, long a, long b) {
    return switch (size) {
      case 1 -> adc8(cpu, (int) a, (int) b);
      case 2 -> adc16(cpu, (int) a, (int) b);
      case 4 -> adc32(cpu, (int) a, (int) b) & 0xffffffffL;
      default -> adc64(cpu, a, b);
    };
  }

  public static long sub(Cpu cpu, int size, long a, long b) {
    return switch (size) {
      case 1 -> sub8(cpu, (int) a, (int) b);
      case 2 -> sub16(cpu, (int) a, (int) b);
      case 4 -> sub32(cpu, (int) a, (int) b) & 0xffffffffL;
      default -> sub64(cpu, a, b);
    };
  }

  public static long sbb(Cpu cpu, int size, long a, long b) {
    return switch (size) {
      case 1 -> sbb8(cpu, (int) a, (int) b);
      case 2 -> sbb16(cpu, (int) a, (int) b);
      case 4 -> sbb32(cpu, (int) a, (int) b) & 0xffffffffL;
      default -> sbb64(cpu, a, b);
    };
  }

  public static long and(Cpu cpu, int size, long a, long b) {
    return logic(cpu, size, a & b);
  }

  public static long or(Cpu cpu, int size, long a, long b) {
    return logic(cpu, size, a | b);
  }

  public static long xor(Cpu cpu, int size, long a, long b) {
    return logic(cpu, size, a ^ b);
  }

  public static long logic(Cpu cpu, int size, long result) {
    return switch (size) {
      case 1 -> logic8(cpu, (int) result);
      case 2 -> logic16(cpu, (int) result);
      case 4 -> logic32(cpu, (int) result) & 0xffffffffL;
      default -> logic64(cpu, result);
    };
  }

  public static long inc(Cpu cpu, int size, long a) {
    return switch (size) {
      case 1 -> inc8(cpu, (int) a);
      case 2 -> inc16(cpu, (int) a);
      case 4 -> inc32(cpu, (int) a) & 0xffffffffL;
      default -> inc64(cpu, a);
    };
  }

  public static long dec(Cpu cpu, int size, long a) {
    return switch (size) {
      case 1 -> dec8(cpu, (int) a);
      case 2 -> dec16(cpu, (int) a);
      case 4 -> dec32(cpu, (int) a) & 0xffffffffL;
      default -> dec64(cpu, a);
    };
  }

  public static long neg(Cpu cpu, int size, long a) {
    return switch (size) {
      case 1 -> neg8(cpu, (int) a);
      case 2 -> neg16(cpu, (int) a);
      case 4 -> neg32(cpu, (int) a) & 0xffffffffL;
      default -> neg64(cpu, a);
    };
  }

  public static long rol(Cpu cpu, int size, long a, int count) {
    return switch (size) {
      case 1 -> rol8(cpu, (int) a, count);
      case 2 -> rol16(cpu, (int) a, count);
      case 4 -> rol32(cpu, (int) a, count) & 0xffffffffL;
      default -> rol64(cpu, a, count);
    };
  }

  public static long ror(Cpu cpu, int size, long a, int count) {
    return switch (size) {
      case 1 -> ror8(cpu, (int) a, count);
      case 2 -> ror16(cpu, (int) a, count);
      case 4 -> ror32(cpu, (int) a, count) & 0xffffffffL;
      default -> ror64(cpu, a, count);
    };
  }

  public static long rcl(Cpu cpu, int size, long a, int count) {
    return switch (size) {
      case 1 -> rcl8(cpu, (int) a, count);
      case 2 -> rcl16(cpu, (int) a, count);
      case 4 -> rcl32(cpu, (int) a, count) & 0xffffffffL;
      default -> rcl64(cpu, a, count);
    };
  }

  public static long rcr(Cpu cpu, int size, long a, int count) {
    return switch (size) {
      case 1 -> rcr8(cpu, (int) a, count);
      case 2 -> rcr16(cpu, (int) a, count);
      case 4 -> rcr32(cpu, (int) a, count) & 0xffffffffL;
      default -> rcr64(cpu, a, count);
    };
  }

  public static long shl(Cpu cpu, int size, long a, int count) {
    return switch (size) {
      case 1 -> shl8(cpu, (int) a, count);
      case 2 -> shl16(cpu, (int) a, count);
      case 4 -> shl32(cpu, (int) a, count) & 0xffffffffL;
      default -> shl64(cpu, a, count);
    };
  }

  public static long shr(Cpu cpu, int size, long a, int count) {
    return switch (size) {
      case 1 -> shr8(cpu, (int) a, count);
      case 2 -> shr16(cpu, (int) a, count);
      case 4 -> shr32(cpu, (int) a, count) & 0xffffffffL;
      default -> shr64(cpu, a, count);
    };
  }

  public static long sar(Cpu cpu, int size, long a, int count) {
    return switch (size) {
      case 1 -> sar8(cpu, (int) a, count);
      case 2 -> sar16(cpu, (int) a, count);
      case 4 -> sar32(cpu, (int) a, count) & 0xffffffffL;
      default -> sar64(cpu, a, count);
    };
  }

  public static long shld(Cpu cpu, int size, long a, long b, int count) {
    return switch (size) {
      case 2 -> shld16(cpu, (int) a, (int) b, count);
      case 4 -> shld32(cpu, (int) a, (int) b, count) & 0xffffffffL;
      default -> shld64(cpu, a, b, count);
    };
  }

  public static long shrd(Cpu cpu, int size, long a, long b, int count) {
    return switch (size) {
      case 2 -> shrd16(cpu, (int) a, (int) b, count);
      case 4 -> shrd32(cpu, (int) a, (int) b, count) & 0xffffffffL;
      default -> shrd64(cpu, a, b, count);
    };
  }
}
