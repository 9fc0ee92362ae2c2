package org.kvm4j.cpu.semantics;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import org.kvm4j.cpu.core.Cpu;

/**
 * The XMM, YMM and MMX registers and MXCSR, which are kept in {@link Cpu#xsaveArea} in the standard
 * format: XMM at 160, the upper halves of YMM at 576, MXCSR at 24. MMX register n is the
 * significand of the x87 FPU's physical register n. SDM Vol. 1, 10.5.1 "FXSAVE Area", 13.4 "XSAVE
 * Area", 9.5.1 "MMX Instructions and the x87 FPU Tag Word".
 */
final class VectorState {
  private static final VarHandle LONG =
      MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle INT =
      MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);

  private static final int MXCSR = 24;
  private static final int XMM = 160;
  private static final int YMM = 576;
  private static final int REGISTERS = 16;

  private VectorState() {}

  // ---- XMM and YMM ----

  private static int offset(int register, int word) {
    return (word < 2 ? XMM : YMM - 16) + 16 * register + 8 * word;
  }

  /**
   * 64 bits of a register.
   *
   * @param register 0 to 15
   * @param word 0 to 3, the lowest first; 2 and 3 are the upper half of YMM
   */
  static long get(Cpu cpu, int register, int word) {
    return (long) LONG.get(cpu.xsaveArea, offset(register, word));
  }

  /** Sets 64 bits of a register and nothing else. */
  static void set(Cpu cpu, int register, int word, long value) {
    LONG.set(cpu.xsaveArea, offset(register, word), value);
  }

  /** Sets the lower 128 bits: what a legacy SSE instruction changes. */
  static void setXmm(Cpu cpu, int register, long low, long high) {
    byte[] area = cpu.xsaveArea;
    LONG.set(area, XMM + 16 * register, low);
    LONG.set(area, XMM + 16 * register + 8, high);
  }

  /** Zeroes bits 128 and up: what every VEX-encoded instruction does to an XMM destination. */
  static void zeroUpper(Cpu cpu, int register) {
    byte[] area = cpu.xsaveArea;
    LONG.set(area, YMM + 16 * register, 0L);
    LONG.set(area, YMM + 16 * register + 8, 0L);
  }

  /** How many vector registers the mode reaches: 16 in 64-bit mode, otherwise 8. */
  static int registers(Cpu cpu) {
    return cpu.codeSize == 8 ? REGISTERS : REGISTERS / 2;
  }

  // ---- MXCSR ----

  static int mxcsr(Cpu cpu) {
    return (int) INT.get(cpu.xsaveArea, MXCSR);
  }

  static void setMxcsr(Cpu cpu, int value) {
    INT.set(cpu.xsaveArea, MXCSR, value);
  }

  // ---- MMX ----

  /** An MMX register, 0 to 7. */
  static long mmx(Cpu cpu, int register) {
    return X87State.significand(cpu, register - X87State.top(cpu) & 7);
  }

  /** Sets an MMX register, after {@link #enterMmx}: the exponent above it becomes all ones. */
  static void setMmx(Cpu cpu, int register, long value) {
    X87State.setContent(cpu, register, 0xffff, value);
  }

  /**
   * The transition to MMX that every MMX instruction makes: TOP becomes 0, all tags valid (and then
   * empty by EMMS). SDM Vol. 3, 13.2 "The MMX State and MMX Register Aliasing".
   */
  static void enterMmx(Cpu cpu) {
    int top = X87State.top(cpu);
    if (top != 0) {
      X87State.rotate(cpu, -top);
      X87State.setTop(cpu, 0);
    }
    X87State.setTags(cpu, 0xff);
  }
}
