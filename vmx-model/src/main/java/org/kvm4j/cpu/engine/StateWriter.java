package org.kvm4j.cpu.engine;

import static org.objectweb.asm.Opcodes.*;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.objectweb.asm.Label;
import org.objectweb.asm.MethodVisitor;

/**
 * Keeps the processor's state in translated code: the general registers that a region uses and the
 * budget are local variables, which go back to {@link Cpu} where the region is left. One handler
 * around all that may fault puts them back exactly as they were before the instruction that
 * faulted.
 */
final class StateWriter {
  static final String PACKAGE = "org/kvm4j/cpu/engine/";
  static final String REGION = PACKAGE + "Region";
  static final String CPU = "org/kvm4j/cpu/core/Cpu";
  static final String MMU = "org/kvm4j/cpu/core/Mmu";

  // Local variables.
  static final int THIS = 0;
  static final int C = 1;

  /** The block that the guest's call returns to that the region is in. */
  static final int EXPECTED = 2;

  /** How many of the guest's calls are the JVM's now. */
  static final int DEPTH = 3;

  static final int R = 4;
  static final int M = 5;
  static final int A = 6;
  static final int B = 8;
  static final int T1 = 10;
  static final int T2 = 12;

  /** Index of the instruction that may fault. */
  private static final int PC = 14;

  /** The kind of the lazy flags where it is dynamic. */
  private static final int KIND = 15;

  private static final int LEFT = 16;
  private static final int CODE = 18;
  private static final int THROWN = 20;

  /** Where the MMU looks for translations. */
  static final int DATA = 21;

  /** Which of the ways out is taken that share one end. */
  private static final int EXIT = 23;

  private static final int REGISTERS = 24;

  /** The XMM registers, two variables each. */
  private static final int VECTORS = REGISTERS + 2 * 16;

  /** What {@link org.kvm4j.cpu.semantics.SseOperations#mode} says. */
  private static final int SSE = VECTORS + 4 * 16;

  /** Words of vector registers for now. */
  static final int W0 = SSE + 1;

  private static final String SSE_OPERATIONS = "org/kvm4j/cpu/semantics/SseOperations";

  private final byte[] kinds;

  // Sets of registers: bits 0 to 15 are the general ones, 16 to 31 the vector registers.
  private final int[] dirtyAt;
  private int dirty;
  private int used;
  private int written;

  /** Whether any instruction uses SSE. */
  private boolean sse;

  private boolean changed;

  /** Where the ways out lead that share one end. */
  private Label out = new Label();

  private boolean leads;

  private final List<Label[]> guarded = new ArrayList<>();
  private @Nullable Label guardedFrom;

  MethodVisitor v;

  /** Where the page of what is written is from the region's first page. */
  private long page;

  /** Nobody wants the code: a pass that finds out what is known at the start of blocks. */
  boolean silent = true;

  /**
   * @param kinds is told the kind of the lazy flags before each instruction that may fault
   * @param blocks of the region
   */
  StateWriter(MethodVisitor v, byte[] kinds, int blocks) {
    this.v = v;
    this.kinds = kinds;
    this.dirtyAt = new int[blocks];
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
    guarded.clear();
    guardedFrom = null;
    v.visitInsn(ICONST_0);
    v.visitVarInsn(ISTORE, PC);
    v.visitInsn(ICONST_0);
    v.visitVarInsn(ISTORE, KIND);
    out = new Label();
    leads = false;
    page = 0;
    reload();
  }

  /** Takes from {@link Cpu} what is a variable here. */
  void reload() {
    takeBudget();
    element(Cpu.CODE_BASE);
    if (page != 0) {
      push(page);
      v.visitInsn(LSUB);
    }
    v.visitVarInsn(LSTORE, CODE);
    takeTable();
    for (int k = 0; k < 16; k++) {
      if ((used & 1 << k) != 0) {
        element(k);
        v.visitVarInsn(LSTORE, REGISTERS + 2 * k);
      }
    }
    for (int k = 0; k < 16; k++) {
      if ((used & vector(k)) != 0) {
        takeVector(k);
      }
    }
    if (sse) {
      reloadMode();
    }
  }

  void takeBudget() {
    v.visitVarInsn(ALOAD, C);
    v.visitFieldInsn(GETFIELD, CPU, "countdown", "J");
    v.visitVarInsn(LSTORE, LEFT);
  }

  void giveBudget() {
    v.visitVarInsn(ALOAD, C);
    v.visitVarInsn(LLOAD, LEFT);
    v.visitFieldInsn(PUTFIELD, CPU, "countdown", "J");
  }

  /** Asks the MMU where it looks for translations now. */
  void takeTable() {
    v.visitVarInsn(ALOAD, M);
    v.visitMethodInsn(INVOKEVIRTUAL, MMU, "data", "()J", false);
    v.visitVarInsn(LSTORE, DATA);
  }

  private static int vector(int k) {
    return 1 << 16 + k;
  }

  /** Takes a vector register from {@link Cpu}. */
  void takeVector(int k) {
    used |= vector(k);
    for (int word = 0; word < 2; word++) {
      v.visitVarInsn(ALOAD, C);
      push(k);
      v.visitMethodInsn(
          INVOKESTATIC, SSE_OPERATIONS, word == 0 ? "low" : "high", "(L" + CPU + ";I)J", false);
      v.visitVarInsn(LSTORE, VECTORS + 4 * k + 2 * word);
    }
  }

  /** Stores a vector register to {@link Cpu}, where it may be older. */
  void giveVector(int k) {
    used |= vector(k);
    give(dirty & vector(k));
  }

  /** Pushes a word of a vector register. */
  void vectorWord(int k, int word) {
    used |= vector(k);
    v.visitVarInsn(LLOAD, VECTORS + 4 * k + 2 * word);
  }

  /** Pops a word of a vector register. */
  void setVectorWord(int k, int word) {
    used |= vector(k);
    written |= vector(k);
    dirty |= vector(k);
    v.visitVarInsn(LSTORE, VECTORS + 4 * k + 2 * word);
  }

  /** Looks anew whether SSE can be used and how. */
  void reloadMode() {
    v.visitVarInsn(ALOAD, C);
    v.visitMethodInsn(INVOKESTATIC, SSE_OPERATIONS, "mode", "(L" + CPU + ";)I", false);
    v.visitVarInsn(ISTORE, SSE);
  }

  /** Pushes what {@link org.kvm4j.cpu.semantics.SseOperations#mode} says. */
  void mode() {
    sse = true;
    v.visitVarInsn(ILOAD, SSE);
  }

  private void spill(int registers) {
    give(registers);
    giveBudget();
  }

  private void give(int registers) {
    for (int k = 0; k < 16; k++) {
      if ((registers & 1 << k) != 0) {
        v.visitVarInsn(ALOAD, R);
        push(k);
        v.visitVarInsn(LLOAD, REGISTERS + 2 * k);
        v.visitInsn(LASTORE);
      }
    }
    for (int k = 0; k < 16; k++) {
      if ((registers & vector(k)) != 0) {
        v.visitVarInsn(ALOAD, C);
        push(k);
        v.visitVarInsn(LLOAD, VECTORS + 4 * k);
        v.visitVarInsn(LLOAD, VECTORS + 4 * k + 2);
        v.visitMethodInsn(INVOKESTATIC, SSE_OPERATIONS, "set", "(L" + CPU + ";IJJ)V", false);
      }
    }
  }

  /**
   * A block begins: forgets what is known of the one written before.
   *
   * @param fromFirstPage where its page is from the region's first page
   */
  void block(int number, long fromFirstPage) {
    page = fromFirstPage;
    dirty = dirtyAt[number];
  }

  /**
   * A branch to a block: what is known here is known there.
   *
   * @param kind of the lazy flags, if the block has a variable for it; else {@link Region#DYNAMIC}
   */
  void arrive(int number, int kind) {
    if ((dirty & ~dirtyAt[number]) != 0) {
      dirtyAt[number] |= dirty;
      changed = true;
    }
    if (kind != Region.DYNAMIC) {
      push(kind);
      v.visitVarInsn(ISTORE, KIND);
    }
  }

  /** Pushes a general register, all 64 bits. */
  void register(int k) {
    used |= 1 << k;
    v.visitVarInsn(LLOAD, REGISTERS + 2 * k);
  }

  /** Pops a general register, all 64 bits. */
  void setRegister(int k) {
    used |= 1 << k;
    written |= 1 << k;
    dirty |= 1 << k;
    v.visitVarInsn(LSTORE, REGISTERS + 2 * k);
  }

  /** Stores a general register to {@link Cpu}, where it may be older. */
  void giveRegister(int k) {
    give(dirty & 1 << k);
  }

  /** Pushes the linear address of an offset from the begin of the region's first page. */
  void code(long offset) {
    v.visitVarInsn(LLOAD, CODE);
    push(offset);
    v.visitInsn(LADD);
  }

  /** Charges instructions to the budget. */
  void charge(int instructions) {
    v.visitVarInsn(LLOAD, LEFT);
    push((long) instructions);
    v.visitInsn(LSUB);
    v.visitVarInsn(LSTORE, LEFT);
  }

  /** Pushes whether a loop of so many instructions may go on without the dispatcher. */
  void mayLoop(int instructions) {
    v.visitVarInsn(LLOAD, LEFT);
    push((long) instructions);
    v.visitVarInsn(ALOAD, C);
    v.visitMethodInsn(INVOKESTATIC, REGION, "mayLoop", "(JJL" + CPU + ";)Z", false);
  }

  /** An instruction may fault from here on. */
  void mayFault(int index, int kind) {
    if (guardedFrom == null) {
      guardedFrom = new Label();
      v.visitLabel(guardedFrom);
    }
    kinds[index] = (byte) kind;
    push(index);
    v.visitVarInsn(ISTORE, PC);
  }

  /** No instruction faults from here on that needs this method's help. */
  void safe() {
    Label from = guardedFrom;
    if (from != null) {
      Label to = new Label();
      v.visitLabel(to);
      guarded.add(new Label[] {from, to});
      guardedFrom = null;
    }
  }

  /** Whether what is known at the start of blocks has changed since this was asked last. */
  boolean again() {
    boolean was = changed;
    changed = false;
    return was;
  }

  /** Pushes the variable that has the kind of the lazy flags. */
  void kindVariable() {
    v.visitVarInsn(ILOAD, KIND);
  }

  /** Gives {@link Cpu} all but the flags. */
  void leave() {
    spill(dirty);
    dirty = 0;
  }

  /**
   * Leaves the region, by the end that such ways out share.
   *
   * @param kind of the lazy flags
   * @param code as {@link Region#exit} takes it
   */
  void exit(int kind, int code) {
    push(code);
    v.visitVarInsn(ISTORE, EXIT);
    exit(kind);
  }

  private void exit(int kind) {
    if (kind != Region.DYNAMIC) {
      push(kind);
      v.visitVarInsn(ISTORE, KIND);
    }
    v.visitJumpInsn(GOTO, out);
    leads = true;
  }

  /** As {@link #exit}, with the code on the stack, unless that is 0. */
  void exitIf(int kind) {
    v.visitInsn(DUP);
    v.visitVarInsn(ISTORE, EXIT);
    Label on = new Label();
    v.visitJumpInsn(IFEQ, on);
    exit(kind);
    v.visitLabel(on);
  }

  /** What is known here, to come back to. */
  int mark() {
    return dirty;
  }

  /** Goes on with what was known at a mark. */
  void back(int mark) {
    dirty = mark;
  }

  /**
   * The end that ways out share, and one handler around all that may fault, which puts state back
   * as it was before the instruction.
   */
  void end() {
    safe();
    if (leads) {
      v.visitLabel(out);
      spill(written);
      v.visitVarInsn(ALOAD, THIS);
      v.visitVarInsn(ALOAD, C);
      v.visitVarInsn(ILOAD, EXIT);
      v.visitVarInsn(ILOAD, KIND);
      v.visitVarInsn(LLOAD, A);
      v.visitVarInsn(LLOAD, B);
      String descriptor = "(L" + CPU + ";IIJJ)L" + PACKAGE + "Op;";
      v.visitMethodInsn(INVOKEVIRTUAL, REGION, "exit", descriptor, false);
      v.visitInsn(ARETURN);
    }
    if (silent) {
      return;
    }
    Label handler = new Label();
    boolean any = false;
    for (Label[] range : guarded) {
      if (range[0].getOffset() != range[1].getOffset()) {
        v.visitTryCatchBlock(range[0], range[1], handler, null);
        any = true;
      }
    }
    if (!any) {
      return;
    }
    v.visitLabel(handler);
    v.visitVarInsn(ASTORE, THROWN);
    spill(written);
    v.visitVarInsn(ALOAD, THIS);
    v.visitVarInsn(ALOAD, C);
    v.visitVarInsn(ILOAD, PC);
    v.visitVarInsn(ILOAD, KIND);
    v.visitVarInsn(LLOAD, A);
    v.visitVarInsn(LLOAD, B);
    v.visitMethodInsn(INVOKEVIRTUAL, REGION, "fault", "(L" + CPU + ";IIJJ)V", false);
    v.visitVarInsn(ALOAD, THROWN);
    v.visitInsn(ATHROW);
  }

  /** Pushes an element of {@link Cpu#r}. */
  void element(int k) {
    v.visitVarInsn(ALOAD, R);
    push(k);
    v.visitInsn(LALOAD);
  }

  void push(int value) {
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

  void push(long value) {
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
