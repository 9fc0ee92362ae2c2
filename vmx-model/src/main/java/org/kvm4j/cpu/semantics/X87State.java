package org.kvm4j.cpu.semantics;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.fpu.Float80;
import org.kvm4j.cpu.profile.Feature;

/**
 * The registers of the x87 FPU, which are kept in {@link Cpu#xsaveArea} as FXSAVE writes them:
 * ST(0) to ST(7) in the order of the stack, the abridged tags by physical register. So a push moves
 * registers, and whoever sets TOP alone has to {@link #rotate} them. SDM Vol. 1, 8.1 "x87 FPU
 * Execution Environment", 10.5.1 "FXSAVE Area".
 */
final class X87State {
  /**
   * Of the status word: an operation on a register that is empty, or a push onto one that is not.
   */
  static final int STACK_FAULT = 1 << 6;

  /** Of the status word: an unmasked exception waits. */
  static final int SUMMARY = 1 << 7;

  static final int C0 = 1 << 8;
  static final int C1 = 1 << 9;
  static final int C2 = 1 << 10;
  static final int C3 = 1 << 14;
  static final int CONDITIONS = C0 | C1 | C2 | C3;
  static final int BUSY = 1 << 15;

  /** The exceptions in the status word and their masks in the control word. */
  static final int EXCEPTIONS = 0x3f;

  /** What FNINIT sets the control word to: all masked, 64 bits, to nearest. */
  static final int DEFAULT_CONTROL = 0x37f;

  /** The indefinite QNaN. */
  static final int INDEFINITE_EXPONENT = 0xffff;

  static final long INDEFINITE_SIGNIFICAND = 0xc000000000000000L;

  private static final VarHandle SHORT =
      MethodHandles.byteArrayViewVarHandle(short[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle LONG =
      MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

  private static final int CONTROL = 0;
  private static final int STATUS = 2;
  private static final int TAGS = 4;
  private static final int OPCODE = 6;
  private static final int INSTRUCTION = 8;
  private static final int DATA = 16;
  private static final int REGISTERS = 32;
  private static final int END = REGISTERS + 8 * 16;

  private X87State() {}

  private static int get16(Cpu cpu, int at) {
    return (short) SHORT.get(cpu.xsaveArea, at) & 0xffff;
  }

  private static void set16(Cpu cpu, int at, int value) {
    SHORT.set(cpu.xsaveArea, at, (short) value);
  }

  // ---- control and status ----

  static int control(Cpu cpu) {
    return get16(cpu, CONTROL);
  }

  /** Sets the control word, and in the status word whether an exception is unmasked now. */
  static void setControl(Cpu cpu, int value) {
    set16(cpu, CONTROL, value & 0x1f7f | 0x40);
    setStatus(cpu, get16(cpu, STATUS));
  }

  static int status(Cpu cpu) {
    return get16(cpu, STATUS);
  }

  /** Sets the status word; its summary and busy bits follow from exceptions and masks. */
  static void setStatus(Cpu cpu, int value) {
    boolean pending = (value & ~control(cpu) & EXCEPTIONS) != 0;
    set16(cpu, STATUS, pending ? value | SUMMARY | BUSY : value & ~(SUMMARY | BUSY));
  }

  /** Whether an unmasked exception waits. */
  static boolean isPending(Cpu cpu) {
    return (status(cpu) & ~control(cpu) & EXCEPTIONS) != 0;
  }

  static void setConditions(Cpu cpu, int conditions) {
    setStatus(cpu, status(cpu) & ~CONDITIONS | conditions);
  }

  static int top(Cpu cpu) {
    return status(cpu) >> 11 & 7;
  }

  static void setTop(Cpu cpu, int top) {
    set16(cpu, STATUS, status(cpu) & ~0x3800 | (top & 7) << 11);
  }

  // ---- the last instruction ----

  /** The last instruction's address, of 64 bits. */
  static long instructionPointer(Cpu cpu) {
    return (long) LONG.get(cpu.xsaveArea, INSTRUCTION);
  }

  static void setInstructionPointer(Cpu cpu, long value) {
    LONG.set(cpu.xsaveArea, INSTRUCTION, value);
  }

  static long dataPointer(Cpu cpu) {
    return (long) LONG.get(cpu.xsaveArea, DATA);
  }

  static void setDataPointer(Cpu cpu, long value) {
    LONG.set(cpu.xsaveArea, DATA, value);
  }

  private static boolean keepsSelectors(Cpu cpu) {
    return !cpu.model.has(Feature.FPU_CS_DS_DEPRECATED);
  }

  /** Sets the selectors of instruction and operand, on a processor that keeps them. */
  static void setSelectors(Cpu cpu, int code, int data) {
    if (keepsSelectors(cpu)) {
      cpu.fpuCs = code;
      cpu.fpuDs = data;
    }
  }

  /** Notes the instruction that executes. */
  static void noteInstruction(Cpu cpu) {
    setInstructionPointer(cpu, cpu.instructionRip);
    if (keepsSelectors(cpu)) {
      cpu.fpuCs = cpu.seg[Cpu.CS].selector;
    }
  }

  /** Notes the memory operand of the instruction that executes. */
  static void noteOperand(Cpu cpu, Instruction i) {
    setDataPointer(cpu, Operands.effectiveAddress(cpu, i));
    if (keepsSelectors(cpu)) {
      cpu.fpuDs = cpu.seg[i.segment].selector;
    }
  }

  static int opcode(Cpu cpu) {
    return get16(cpu, OPCODE);
  }

  static void setOpcode(Cpu cpu, int value) {
    set16(cpu, OPCODE, value & 0x7ff);
  }

  // ---- tags ----

  /** One bit for each physical register: not empty. */
  static int tags(Cpu cpu) {
    return cpu.xsaveArea[TAGS] & 0xff;
  }

  static void setTags(Cpu cpu, int value) {
    cpu.xsaveArea[TAGS] = (byte) value;
  }

  static boolean isEmpty(Cpu cpu, int st) {
    return (tags(cpu) >> (top(cpu) + st & 7) & 1) == 0;
  }

  static void setEmpty(Cpu cpu, int st) {
    setTags(cpu, tags(cpu) & ~(1 << (top(cpu) + st & 7)));
  }

  // ---- registers ----

  static int exponent(Cpu cpu, int st) {
    return get16(cpu, REGISTERS + 16 * st + 8);
  }

  static long significand(Cpu cpu, int st) {
    return (long) LONG.get(cpu.xsaveArea, REGISTERS + 16 * st);
  }

  /** Sets a register, which is not empty then. */
  static void set(Cpu cpu, int st, int exponent, long significand) {
    setContent(cpu, st, exponent, significand);
    setTags(cpu, tags(cpu) | 1 << (top(cpu) + st & 7));
  }

  /** Sets a register and leaves its tag as it is. */
  static void setContent(Cpu cpu, int st, int exponent, long significand) {
    LONG.set(cpu.xsaveArea, REGISTERS + 16 * st, significand);
    LONG.set(cpu.xsaveArea, REGISTERS + 16 * st + 8, exponent & 0xffffL);
  }

  static void setIndefinite(Cpu cpu, int st) {
    set(cpu, st, INDEFINITE_EXPONENT, INDEFINITE_SIGNIFICAND);
  }

  /** Pushes; the caller has seen that ST(7) is empty, or answers a stack overflow. */
  static void push(Cpu cpu, int exponent, long significand) {
    System.arraycopy(cpu.xsaveArea, REGISTERS, cpu.xsaveArea, REGISTERS + 16, 7 * 16);
    setTop(cpu, top(cpu) - 1);
    set(cpu, 0, exponent, significand);
  }

  static void pop(Cpu cpu) {
    setEmpty(cpu, 0);
    rotate(cpu, 1);
    setTop(cpu, top(cpu) + 1);
  }

  /** Moves ST(n) to ST(0) and so on, for a TOP that grows by n. */
  static void rotate(Cpu cpu, int n) {
    int bytes = (n & 7) * 16;
    if (bytes == 0) {
      return;
    }
    byte[] moved = new byte[bytes];
    byte[] area = cpu.xsaveArea;
    System.arraycopy(area, REGISTERS, moved, 0, bytes);
    System.arraycopy(area, REGISTERS + bytes, area, REGISTERS, 8 * 16 - bytes);
    System.arraycopy(moved, 0, area, END - bytes, bytes);
  }

  // ---- arithmetic ----

  /** The arithmetic unit, as the control word sets it, at the start of an operation. */
  static Float80 begin(Cpu cpu) {
    Float80 f = cpu.fpu;
    int control = control(cpu);
    f.rounding = control >> 10 & 3;
    int precision = control >> 8 & 3;
    f.precision = precision == 0 ? 24 : precision == 2 ? 53 : 64;
    f.masks = control & EXCEPTIONS;
    f.begin();
    return f;
  }
}
