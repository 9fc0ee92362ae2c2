package org.kvm4j.cpu.engine;

import static org.objectweb.asm.Opcodes.*;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.objectweb.asm.Label;
import org.objectweb.asm.MethodVisitor;

/**
 * Registers and the budget in local variables, which go back to {@link Cpu} where the region is
 * left or an instruction faults: much code, of which the JVM's optimising compiler makes the best.
 * For the few regions that are hot.
 */
final class VariableStateWriter extends StateWriter {
  /** Index of the instruction that may fault. */
  private static final int PC = FREE;

  /** The kind of the lazy flags where it is dynamic. */
  private static final int KIND = FREE + 1;

  private static final int LEFT = FREE + 2;
  private static final int CODE = FREE + 4;
  private static final int THROWN = FREE + 6;
  private static final int REGISTERS = FREE + 8;

  private final byte[] kinds;
  private final int[] dirtyAt;
  private int dirty;
  private int used;
  private int written;

  private boolean changed;

  private final List<Label[]> guarded = new ArrayList<>();
  private @Nullable Label guardedFrom;

  VariableStateWriter(MethodVisitor v, byte[] kinds, int blocks) {
    super(v);
    this.kinds = kinds;
    this.dirtyAt = new int[blocks];
  }

  @Override
  void begin() {
    super.begin();
    guarded.clear();
    guardedFrom = null;
    v.visitInsn(ICONST_0);
    v.visitVarInsn(ISTORE, PC);
    v.visitInsn(ICONST_0);
    v.visitVarInsn(ISTORE, KIND);
    reload();
  }

  @Override
  void reload() {
    v.visitVarInsn(ALOAD, C);
    v.visitFieldInsn(GETFIELD, CPU, "countdown", "J");
    v.visitVarInsn(LSTORE, LEFT);
    element(Cpu.CODE_BASE);
    v.visitVarInsn(LSTORE, CODE);
    for (int k = 0; k < 16; k++) {
      if ((used & 1 << k) != 0) {
        element(k);
        v.visitVarInsn(LSTORE, REGISTERS + 2 * k);
      }
    }
  }

  private void spill(int registers) {
    for (int k = 0; k < 16; k++) {
      if ((registers & 1 << k) != 0) {
        v.visitVarInsn(ALOAD, R);
        push(k);
        v.visitVarInsn(LLOAD, REGISTERS + 2 * k);
        v.visitInsn(LASTORE);
      }
    }
    v.visitVarInsn(ALOAD, C);
    v.visitVarInsn(LLOAD, LEFT);
    v.visitFieldInsn(PUTFIELD, CPU, "countdown", "J");
  }

  @Override
  void block(int number) {
    dirty = dirtyAt[number];
  }

  @Override
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

  @Override
  void register(int k) {
    used |= 1 << k;
    v.visitVarInsn(LLOAD, REGISTERS + 2 * k);
  }

  @Override
  void setRegister(int k) {
    used |= 1 << k;
    written |= 1 << k;
    dirty |= 1 << k;
    v.visitVarInsn(LSTORE, REGISTERS + 2 * k);
  }

  @Override
  void codeBase() {
    v.visitVarInsn(LLOAD, CODE);
  }

  @Override
  void charge(int instructions) {
    v.visitVarInsn(LLOAD, LEFT);
    push((long) instructions);
    v.visitInsn(LSUB);
    v.visitVarInsn(LSTORE, LEFT);
  }

  @Override
  void mayLoop(int block, int instructions) {
    v.visitVarInsn(LLOAD, LEFT);
    push((long) instructions);
    v.visitVarInsn(ALOAD, C);
    v.visitMethodInsn(INVOKESTATIC, REGION, "mayLoop", "(JJL" + CPU + ";)Z", false);
  }

  @Override
  void mayFault(int index, int kind) {
    if (guardedFrom == null) {
      guardedFrom = new Label();
      v.visitLabel(guardedFrom);
    }
    kinds[index] = (byte) kind;
    push(index);
    v.visitVarInsn(ISTORE, PC);
  }

  @Override
  void safe() {
    Label from = guardedFrom;
    if (from != null) {
      Label to = new Label();
      v.visitLabel(to);
      guarded.add(new Label[] {from, to});
      guardedFrom = null;
    }
  }

  @Override
  boolean again() {
    boolean was = changed;
    changed = false;
    return was;
  }

  @Override
  boolean settlesBeforeFault() {
    return false;
  }

  @Override
  boolean hasKindVariable() {
    return true;
  }

  @Override
  void kindVariable() {
    v.visitVarInsn(ILOAD, KIND);
  }

  @Override
  void leave() {
    spill(dirty);
    dirty = 0;
  }

  @Override
  Object mark() {
    return dirty;
  }

  @Override
  void back(Object mark) {
    dirty = (Integer) mark;
  }

  /** One handler around all that may fault puts state back as it was before the instruction. */
  @Override
  void end() {
    safe();
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
}
