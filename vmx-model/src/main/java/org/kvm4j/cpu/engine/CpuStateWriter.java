package org.kvm4j.cpu.engine;

import static org.objectweb.asm.Opcodes.*;

import org.kvm4j.cpu.core.Cpu;
import org.objectweb.asm.MethodVisitor;

/**
 * All state in {@link Cpu}, always: short code that the JVM's quick compiler makes something of at
 * once. For the many regions that are warm.
 */
final class CpuStateWriter extends StateWriter {
  CpuStateWriter(MethodVisitor v) {
    super(v);
  }

  @Override
  void block(int number) {}

  @Override
  void arrive(int number, int kind) {}

  @Override
  void register(int k) {
    element(k);
  }

  @Override
  void setRegister(int k) {
    v.visitVarInsn(LSTORE, FREE);
    v.visitVarInsn(ALOAD, R);
    push(k);
    v.visitVarInsn(LLOAD, FREE);
    v.visitInsn(LASTORE);
  }

  @Override
  void codeBase() {
    element(Cpu.CODE_BASE);
  }

  @Override
  void charge(int instructions) {
    v.visitVarInsn(ALOAD, C);
    v.visitInsn(DUP);
    v.visitFieldInsn(GETFIELD, CPU, "countdown", "J");
    push((long) instructions);
    v.visitInsn(LSUB);
    v.visitFieldInsn(PUTFIELD, CPU, "countdown", "J");
  }

  @Override
  void mayLoop(int block, int instructions) {
    v.visitVarInsn(ALOAD, THIS);
    v.visitVarInsn(ALOAD, C);
    push(block);
    v.visitMethodInsn(INVOKEVIRTUAL, REGION, "mayLoop", "(L" + CPU + ";I)Z", false);
  }

  @Override
  void mayFault(int index, int kind) {
    v.visitVarInsn(ALOAD, THIS);
    push(index);
    v.visitFieldInsn(PUTFIELD, REGION, "at", "I");
  }

  @Override
  boolean settlesBeforeFault() {
    return true;
  }

  @Override
  boolean hasKindVariable() {
    return false;
  }

  @Override
  void leave() {}

  @Override
  void reload() {}

  @Override
  Object mark() {
    return this;
  }

  @Override
  void back(Object mark) {}
}
