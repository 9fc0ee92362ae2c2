package org.kvm4j.cpu.engine;

import static org.objectweb.asm.Opcodes.*;

import org.kvm4j.cpu.core.Cpu;
import org.objectweb.asm.MethodVisitor;

/**
 * Where translated code keeps the processor's state between instructions, and what it does so that
 * the state is right where something else looks at it.
 */
abstract class StateWriter {
  static final String PACKAGE = "org/kvm4j/cpu/engine/";
  static final String REGION = PACKAGE + "Region";
  static final String CPU = "org/kvm4j/cpu/core/Cpu";
  static final String MMU = "org/kvm4j/cpu/core/Mmu";

  // Local variables.
  static final int THIS = 0;
  static final int C = 1;
  static final int R = 2;
  static final int M = 3;
  static final int A = 4;
  static final int B = 6;
  static final int T1 = 8;
  static final int T2 = 10;

  /** The first local variable that is free. */
  static final int FREE = 12;

  MethodVisitor v;

  /** Nobody wants the code: the passes that find out what is known at the start of blocks. */
  boolean silent = true;

  StateWriter(MethodVisitor v) {
    this.v = v;
  }

  /** The method begins. */
  void begin() {
    v.visitVarInsn(ALOAD, C);
    v.visitFieldInsn(GETFIELD, CPU, "r", "[J");
    v.visitVarInsn(ASTORE, R);
    v.visitVarInsn(ALOAD, C);
    v.visitFieldInsn(GETFIELD, CPU, "mmu", "L" + MMU + ";");
    v.visitVarInsn(ASTORE, M);
    v.visitInsn(LCONST_0);
    v.visitVarInsn(LSTORE, A);
    v.visitInsn(LCONST_0);
    v.visitVarInsn(LSTORE, B);
  }

  /** A block begins: forgets what is known of the one written before. */
  abstract void block(int number);

  /** A branch to a block: what is known here is known there. */
  abstract void arrive(int number, int kind);

  /** Pushes a general register, all 64 bits. */
  abstract void register(int k);

  /** Pops a general register, all 64 bits. */
  abstract void setRegister(int k);

  /** Pushes the linear address of the page's begin. */
  abstract void codeBase();

  /** Charges instructions to the budget. */
  abstract void charge(int instructions);

  /** Pushes whether a loop may go on without the dispatcher. */
  abstract void mayLoop(int block, int instructions);

  /** An instruction may fault from here on. */
  abstract void mayFault(int index, int kind);

  /** No instruction faults from here on that needs this method's help. */
  void safe() {}

  /** Whether what is known at the start of blocks has changed since this was asked last. */
  boolean again() {
    return false;
  }

  /** Whether the lazy flags must be settled before an instruction that may fault. */
  abstract boolean settlesBeforeFault();

  /**
   * Whether blocks that are reached with several kinds of lazy flags can have a variable for it.
   */
  abstract boolean hasKindVariable();

  /** Pushes the variable that has the kind of lazy flags. */
  void kindVariable() {
    throw new IllegalStateException("there is none");
  }

  /** Gives {@link Cpu} all but the flags. */
  abstract void leave();

  /** Takes from {@link Cpu} what is a variable here. */
  abstract void reload();

  /** The method ends. */
  void end() {}

  /**
   * What is written from here on comes after what left the method, where nothing was given back.
   */
  abstract Object mark();

  /** Goes back to what was known at a mark. */
  abstract void back(Object mark);

  /** Pushes an element of {@link Cpu#r}. */
  final void element(int k) {
    v.visitVarInsn(ALOAD, R);
    push(k);
    v.visitInsn(LALOAD);
  }

  final void push(int value) {
    if (value >= -1 && value <= 5) {
      v.visitInsn(ICONST_0 + value);
    } else if (value == (byte) value) {
      v.visitIntInsn(BIPUSH, value);
    } else if (value == (short) value) {
      v.visitIntInsn(SIPUSH, value);
    } else {
      v.visitLdcInsn(value);
    }
  }

  final void push(long value) {
    if (value == 0 || value == 1) {
      v.visitInsn(value == 0 ? LCONST_0 : LCONST_1);
    } else if (value == (short) value) {
      push((int) value);
      v.visitInsn(I2L);
    } else {
      v.visitLdcInsn(value);
    }
  }
}
