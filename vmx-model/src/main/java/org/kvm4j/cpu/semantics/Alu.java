package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.core.Cpu;

/**
 * Two-operand arithmetic and logic on values of each size: the result is returned, the lazy flags
 * of {@link Cpu} are set. Every engine calls these and nothing else states what ADD does. Operands
 * of 8 and 16 bits may have garbage above their size. SDM Vol. 2, each instruction's page.
 */
public final class Alu {
  private Alu() {}

  private static void flags64(Cpu cpu, long result, long carries) {
    cpu.flagResult = result;
    cpu.flagAux = carries & 0xC000000000000008L;
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
}
