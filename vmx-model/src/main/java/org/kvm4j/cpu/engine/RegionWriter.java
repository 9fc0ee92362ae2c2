package org.kvm4j.cpu.engine;

import static org.objectweb.asm.Opcodes.*;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.engine.RegionPlan.Part;
import org.objectweb.asm.ClassWriter;
import org.objectweb.asm.Label;
import org.objectweb.asm.MethodVisitor;

/**
 * Writes the class of a region.
 *
 * <p>The general registers that the region uses are local variables; they go back to {@link Cpu}
 * where the region is left. Flags are lazy: {@link LazyFlags}. What has no bytecode here is done by
 * the interpreter's operation. One handler around all that may fault puts state back, exactly as it
 * was before the instruction that faulted.
 */
final class RegionWriter {
  private static final String PACKAGE = "org/kvm4j/cpu/engine/";
  private static final String NAME = PACKAGE + "T1";
  private static final String REGION = PACKAGE + "Region";
  private static final String OP = PACKAGE + "Op";
  private static final String CPU = "org/kvm4j/cpu/core/Cpu";
  private static final String MMU = "org/kvm4j/cpu/core/Mmu";
  private static final String RUN = "(L" + CPU + ";)L" + OP + ";";
  private static final String MAKE =
      "(L" + PACKAGE + "Interpreter;[L" + OP + ";[L" + OP + ";[B[L" + OP + ";)V";

  /** HotSpot compiles no method with more bytecode than 8000 bytes. */
  private static final int MOST_BYTES = 7900;

  // Local variables.
  private static final int THIS = 0;
  private static final int C = 1;
  private static final int R = 2;
  private static final int M = 3;

  /** Index of the instruction that may fault. */
  private static final int PC = 4;

  /** The kind of the lazy flags where it is dynamic. */
  private static final int KIND = 5;

  private static final int LEFT = 6;
  private static final int CODE = 8;
  private static final int A = 10;
  private static final int B = 12;
  private static final int T1 = 14;
  private static final int T2 = 16;
  private static final int THROWN = 18;
  private static final int REGISTERS = 20;

  private final RegionPlan plan;
  private MethodVisitor v = new Silent();

  // What is known where the next instruction is written.
  private int kind;
  private int dirty;

  // What is known at the start of each block: -2 for kinds not known yet.
  private static final int UNKNOWN = -2;
  private final int[] kindAt;
  private final int[] dirtyAt;
  private boolean changed;

  private int used;
  private int written;
  private Label[] starts = {};
  private final List<Label[]> guarded = new ArrayList<>();
  private @Nullable Label guardedFrom;
  private int index;

  /** A method that nobody wants the code of. */
  private static final class Silent extends MethodVisitor {
    Silent() {
      super(ASM9);
    }
  }

  RegionWriter(RegionPlan plan) {
    this.plan = plan;
    kindAt = new int[plan.parts.size()];
    dirtyAt = new int[plan.parts.size()];
    java.util.Arrays.fill(kindAt, UNKNOWN);
    kindAt[0] = LazyFlags.SETTLED;
  }

  /** The class' bytes; null if its method is too long. */
  byte @Nullable [] write() {
    do {
      changed = false;
      body();
    } while (changed);
    ClassWriter w =
        new ClassWriter(ClassWriter.COMPUTE_FRAMES) {
          @Override
          protected String getCommonSuperClass(String a, String b) {
            return "java/lang/Object";
          }
        };
    w.visit(V17, ACC_FINAL | ACC_SUPER, NAME, null, REGION, null);
    MethodVisitor make = w.visitMethod(0, "<init>", MAKE, null, null);
    make.visitCode();
    for (int k = 0; k < 6; k++) {
      make.visitVarInsn(ALOAD, k);
    }
    make.visitMethodInsn(INVOKESPECIAL, REGION, "<init>", MAKE, false);
    make.visitInsn(RETURN);
    make.visitMaxs(6, 6);
    make.visitEnd();
    MethodVisitor run = w.visitMethod(0, "run", RUN, null, null);
    v = run;
    run.visitCode();
    body();
    Label end = new Label();
    run.visitLabel(end);
    run.visitMaxs(0, 0);
    run.visitEnd();
    w.visitEnd();
    return end.getOffset() > MOST_BYTES ? null : w.toByteArray();
  }

  // ---- the method ----

  private void body() {
    starts = new Label[plan.parts.size()];
    java.util.Arrays.setAll(starts, k -> new Label());
    guarded.clear();
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
    v.visitInsn(ICONST_0);
    v.visitVarInsn(ISTORE, PC);
    v.visitInsn(ICONST_0);
    v.visitVarInsn(ISTORE, KIND);
    reload();
    for (Part p : plan.parts) {
      block(p);
    }
    endGuard();
    handler();
  }

  /** Takes from {@link Cpu} what is a variable here. */
  private void reload() {
    v.visitVarInsn(ALOAD, C);
    v.visitFieldInsn(GETFIELD, CPU, "countdown", "J");
    v.visitVarInsn(LSTORE, LEFT);
    loadRegister(Cpu.CODE_BASE);
    v.visitVarInsn(LSTORE, CODE);
    for (int k = 0; k < 16; k++) {
      if ((used & 1 << k) != 0) {
        loadRegister(k);
        v.visitVarInsn(LSTORE, REGISTERS + 2 * k);
      }
    }
  }

  private void loadRegister(int k) {
    v.visitVarInsn(ALOAD, R);
    push(k);
    v.visitInsn(LALOAD);
  }

  /** Gives {@link Cpu} the registers of a set, the flags and the budget. */
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

  /** Gives {@link Cpu} all that it needs to go on without the region. */
  private void leave() {
    settle();
    spill(dirty);
    dirty = 0;
  }

  private void settle() {
    if (kind == LazyFlags.SETTLED) {
      return;
    }
    v.visitVarInsn(ALOAD, C);
    if (kind == Region.DYNAMIC) {
      v.visitVarInsn(ILOAD, KIND);
    } else {
      push(kind);
    }
    v.visitVarInsn(LLOAD, A);
    v.visitVarInsn(LLOAD, B);
    v.visitMethodInsn(INVOKESTATIC, PACKAGE + "LazyFlags", "settle", "(L" + CPU + ";IJJ)V", false);
    kind = LazyFlags.SETTLED;
  }

  private void handler() {
    Label handler = new Label();
    if (v instanceof Silent) {
      return;
    }
    for (Label[] range : guarded) {
      if (range[0].getOffset() == range[1].getOffset()) {
        continue;
      }
      v.visitTryCatchBlock(range[0], range[1], handler, null);
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

  private void startGuard() {
    if (guardedFrom == null) {
      guardedFrom = new Label();
      v.visitLabel(guardedFrom);
    }
  }

  private void endGuard() {
    Label from = guardedFrom;
    if (from != null) {
      Label to = new Label();
      v.visitLabel(to);
      guarded.add(new Label[] {from, to});
      guardedFrom = null;
    }
  }

  /** From here on the instruction may fault. */
  private void mayFault() {
    startGuard();
    plan.kinds[index] = (byte) kind;
    push(index);
    v.visitVarInsn(ISTORE, PC);
  }

  // ---- blocks ----

  private void block(Part p) {
    kind = kindAt[p.number];
    dirty = dirtyAt[p.number];
    if (kind == UNKNOWN) {
      // Nothing leads here yet: the next pass knows.
      return;
    }
    Label out = new Label();
    Label in = new Label();
    v.visitLabel(starts[p.number]);
    v.visitVarInsn(LLOAD, LEFT);
    push((long) p.block.count);
    v.visitInsn(LSUB);
    v.visitInsn(DUP2);
    v.visitVarInsn(LSTORE, LEFT);
    v.visitInsn(LCONST_0);
    v.visitInsn(LCMP);
    v.visitJumpInsn(IFLT, out);
    v.visitVarInsn(ALOAD, C);
    v.visitFieldInsn(GETFIELD, CPU, "attention", "I");
    v.visitJumpInsn(IFEQ, in);
    v.visitLabel(out);
    v.visitVarInsn(LLOAD, LEFT);
    push((long) p.block.count);
    v.visitInsn(LADD);
    v.visitVarInsn(LSTORE, LEFT);
    resumeAt(p.offset());
    kind = kindAt[p.number];
    dirty = dirtyAt[p.number];
    v.visitLabel(in);
    Instruction[] list = p.instructions;
    for (int k = 0; k < list.length; k++) {
      index = p.first + k;
      boolean last = k == list.length - 1;
      if (last && terminal(p, list[k])) {
        return;
      }
      int offset = p.ops[k].offset & 0xffff;
      if (!new InstructionWriter(this, list[k], offset).write()) {
        interpret();
      } else {
        afterStore();
      }
    }
    after(p);
  }

  /** Leaves the region for the dispatcher, which goes on at an offset of the page. */
  private void resumeAt(int offset) {
    leave();
    v.visitVarInsn(ALOAD, C);
    v.visitVarInsn(LLOAD, CODE);
    push((long) offset);
    v.visitInsn(LADD);
    v.visitFieldInsn(PUTFIELD, CPU, "rip", "J");
    v.visitInsn(ACONST_NULL);
    v.visitInsn(ARETURN);
  }

  /** Whether the instruction just written left on the stack whether it may have dropped code. */
  boolean stored;

  private void afterStore() {
    if (!stored) {
      return;
    }
    stored = false;
    Label on = new Label();
    v.visitJumpInsn(IFEQ, on);
    v.visitVarInsn(ALOAD, THIS);
    v.visitFieldInsn(GETFIELD, REGION, "dead", "Z");
    v.visitJumpInsn(IFEQ, on);
    int kindHere = kind;
    int dirtyHere = dirty;
    leave();
    v.visitVarInsn(ALOAD, THIS);
    push(index);
    v.visitMethodInsn(INVOKEVIRTUAL, REGION, "next", "(I)L" + OP + ";", false);
    v.visitInsn(ARETURN);
    kind = kindHere;
    dirty = dirtyHere;
    v.visitLabel(on);
  }

  /** The interpreter does the instruction. */
  private void interpret() {
    leave();
    endGuard();
    invoke("pass");
    goOn();
  }

  /** Calls a method of the region's about the instruction; what comes next is on the stack then. */
  private void invoke(String method) {
    v.visitVarInsn(ALOAD, THIS);
    v.visitVarInsn(ALOAD, C);
    push(index);
    v.visitMethodInsn(INVOKEVIRTUAL, REGION, method, "(L" + CPU + ";I)L" + OP + ";", false);
  }

  /** After what may have changed all state: leaves unless null on the stack says to go on. */
  private void goOn() {
    v.visitInsn(DUP);
    Label on = new Label();
    v.visitJumpInsn(IFNULL, on);
    v.visitInsn(ARETURN);
    v.visitLabel(on);
    v.visitInsn(POP);
    reload();
    startGuard();
  }

  private void loadOp(String table, int at) {
    v.visitVarInsn(ALOAD, THIS);
    v.visitFieldInsn(GETFIELD, REGION, table, "[L" + OP + ";");
    push(at);
    v.visitInsn(AALOAD);
  }

  /** The last instruction, if it decides what comes next. */
  private boolean terminal(Part p, Instruction i) {
    if (p.ops[p.ops.length - 1] instanceof BranchOps.Direct) {
      switch (i.opcode) {
        case JMP_NEAR:
          edge(p, p.taken, true);
          return true;
        case JCC:
          Label taken = new Label();
          new ConditionWriter(this).jump(i.condition, taken);
          int kindHere = kind;
          int dirtyHere = dirty;
          after(p);
          v.visitLabel(taken);
          kind = kindHere;
          dirty = dirtyHere;
          edge(p, p.taken, true);
          return true;
        case CALL_NEAR:
          if (p.after != null) {
            call(p, p.after);
            return true;
          }
          break;
        default:
          break;
      }
    }
    if (i.isBranch || i.endsBlock) {
      leave();
      endGuard();
      invoke("interpret");
      v.visitInsn(ARETURN);
      startGuard();
      return true;
    }
    return false;
  }

  /** What follows a block in line. */
  private void after(Part p) {
    edge(p, p.after, false);
  }

  private void edge(Part from, @Nullable Part to, boolean taken) {
    if (to != null) {
      arrive(to);
      v.visitJumpInsn(GOTO, starts[to.number]);
      return;
    }
    leave();
    if (taken) {
      invoke("take");
    } else {
      loadOp("ends", from.number);
    }
    v.visitInsn(ARETURN);
  }

  /** What is known here is known at the start of a block, too; where that differs it is told. */
  private void arrive(Part to) {
    int n = to.number;
    if (kindAt[n] == UNKNOWN) {
      kindAt[n] = kind;
      changed = true;
    } else if (kindAt[n] != kind && kindAt[n] != Region.DYNAMIC) {
      kindAt[n] = Region.DYNAMIC;
      changed = true;
    }
    if ((dirty & ~dirtyAt[n]) != 0) {
      dirtyAt[n] |= dirty;
      changed = true;
    }
    if (kindAt[n] == Region.DYNAMIC && kind != Region.DYNAMIC) {
      push(kind);
      v.visitVarInsn(ISTORE, KIND);
    }
  }

  private void call(Part p, Part after) {
    Op op = p.ops[p.ops.length - 1];
    mayFault();
    v.visitVarInsn(ALOAD, M);
    register(Cpu.RSP);
    push(8L);
    v.visitInsn(LSUB);
    v.visitInsn(DUP2);
    v.visitVarInsn(LSTORE, T1);
    v.visitVarInsn(LLOAD, CODE);
    push((long) ((op.offset & 0xffff) + op.length));
    v.visitInsn(LADD);
    v.visitMethodInsn(INVOKEVIRTUAL, MMU, "write64", "(JJ)V", false);
    v.visitVarInsn(LLOAD, T1);
    setRegister(Cpu.RSP);
    leave();
    endGuard();
    v.visitVarInsn(ALOAD, THIS);
    v.visitVarInsn(ALOAD, C);
    push(index);
    push(after.number);
    v.visitMethodInsn(INVOKEVIRTUAL, REGION, "call", "(L" + CPU + ";II)L" + OP + ";", false);
    goOn();
    arrive(after);
    v.visitJumpInsn(GOTO, starts[after.number]);
  }

  // ---- for those that write instructions and conditions ----

  MethodVisitor visitor() {
    return v;
  }

  int kind() {
    return kind;
  }

  void setKind(int operation, int size) {
    kind = LazyFlags.kind(operation, size);
  }

  void settled() {
    settle();
  }

  void faulting() {
    mayFault();
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

  /** Pushes a register that does not change within the region: FS_BASE and GS_BASE. */
  void fixedRegister(int k) {
    loadRegister(k);
  }

  void pushCodeBase() {
    v.visitVarInsn(LLOAD, CODE);
  }

  void pushMmu() {
    v.visitVarInsn(ALOAD, M);
  }

  void pushCpu() {
    v.visitVarInsn(ALOAD, C);
  }

  void pushA() {
    v.visitVarInsn(LLOAD, A);
  }

  void popA() {
    v.visitVarInsn(LSTORE, A);
  }

  void pushB() {
    v.visitVarInsn(LLOAD, B);
  }

  void popB() {
    v.visitVarInsn(LSTORE, B);
  }

  void pushT1() {
    v.visitVarInsn(LLOAD, T1);
  }

  void popT1() {
    v.visitVarInsn(LSTORE, T1);
  }

  void pushT2() {
    v.visitVarInsn(LLOAD, T2);
  }

  void popT2() {
    v.visitVarInsn(LSTORE, T2);
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

  void call(String owner, String name, String descriptor) {
    v.visitMethodInsn(INVOKESTATIC, owner, name, descriptor, false);
  }
}
