package org.kvm4j.cpu.engine;

import static org.objectweb.asm.Opcodes.*;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.cet.BranchTracking;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.engine.RegionPlan.Part;
import org.objectweb.asm.ClassWriter;
import org.objectweb.asm.Label;
import org.objectweb.asm.MethodVisitor;

/**
 * Writes the class of a region.
 *
 * <p>Where registers are kept is the {@link StateWriter}'s matter. Flags are lazy: {@link
 * LazyFlags}; those that nobody can see before the next ones are not kept at all ({@link
 * FlagsUse}). What has no bytecode here is done by the interpreter's operation.
 */
final class RegionWriter {
  private static final String PACKAGE = StateWriter.PACKAGE;
  private static final String REGION = StateWriter.REGION;
  private static final String OP = PACKAGE + "Op";
  private static final String CPU = StateWriter.CPU;
  private static final String MMU = StateWriter.MMU;
  private static final String BLOCK = PACKAGE + "Block";
  private static final String TRACKING = "org/kvm4j/cpu/cet/BranchTracking";
  private static final String RUN = "(L" + CPU + ";L" + BLOCK + ";I)L" + OP + ";";
  private static final String MAKE =
      "(L" + PACKAGE + "Interpreter;[L" + OP + ";[L" + OP + ";[B[L" + BLOCK + ";I)V";

  /** HotSpot compiles no method with more bytecode than 8000 bytes. */
  private static final int MOST_BYTES = 7900;

  private final RegionPlan plan;
  private final StateWriter state;
  private final FlagsUse flags;
  private MethodVisitor v = new Silent();

  /** The kind of the lazy flags where the next instruction is written. */
  private int kind;

  // What is known at the start of each block: UNKNOWN for kinds not known yet.
  private static final int UNKNOWN = -2;
  private final int[] kindAt;
  private final boolean[] loops;
  private boolean changed;

  private Label[] starts = {};
  private int index;

  /** A method that nobody wants the code of. */
  private static final class Silent extends MethodVisitor {
    Silent() {
      super(ASM9);
    }
  }

  RegionWriter(RegionPlan plan) {
    this.plan = plan;
    int blocks = plan.parts.size();
    state = new StateWriter(v, plan.kinds, blocks);
    flags = new FlagsUse(plan);
    kindAt = new int[blocks];
    loops = new boolean[blocks];
    forgetKinds();
  }

  private void forgetKinds() {
    java.util.Arrays.fill(kindAt, UNKNOWN);
    kindAt[0] = LazyFlags.SETTLED;
  }

  /** The class' bytes; null if its method is too long. */
  byte @Nullable [] write() {
    // The first pass sees who looks at flags, the others what is known at the start of blocks.
    body();
    flags.solve(plan.parts, loops);
    forgetKinds();
    do {
      changed = false;
      body();
    } while (changed || state.again());
    ClassWriter w =
        new ClassWriter(ClassWriter.COMPUTE_FRAMES) {
          @Override
          protected String getCommonSuperClass(String a, String b) {
            return "java/lang/Object";
          }
        };
    w.visit(V17, ACC_FINAL | ACC_SUPER, PACKAGE + "Translated", null, REGION, null);
    MethodVisitor make = w.visitMethod(0, "<init>", MAKE, null, null);
    make.visitCode();
    for (int k = 0; k < 6; k++) {
      make.visitVarInsn(ALOAD, k);
    }
    make.visitVarInsn(ILOAD, 6);
    make.visitMethodInsn(INVOKESPECIAL, REGION, "<init>", MAKE, false);
    make.visitInsn(RETURN);
    make.visitMaxs(7, 7);
    make.visitEnd();
    MethodVisitor run = w.visitMethod(0, "run", RUN, null, null);
    v = run;
    state.v = run;
    state.silent = false;
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
    state.begin();
    for (Part p : plan.parts) {
      block(p);
    }
    state.end();
  }

  /** Gives {@link Cpu} all that it needs to go on without the region. */
  private void leave() {
    settle();
    state.leave();
  }

  private void settle() {
    if (kind == LazyFlags.SETTLED) {
      return;
    }
    pushCpu();
    if (kind == Region.DYNAMIC) {
      state.kindVariable();
    } else {
      push(kind);
    }
    pushA();
    pushB();
    call(PACKAGE + "LazyFlags", "settle", "(L" + CPU + ";IJJ)V");
    kind = LazyFlags.SETTLED;
  }

  /** From here on the instruction may fault. */
  private void mayFault() {
    flags.wanted(index);
    state.mayFault(index, kind);
  }

  // ---- blocks ----

  private void block(Part p) {
    kind = kindAt[p.number];
    if (kind == UNKNOWN) {
      // Nothing leads here yet: the next pass knows.
      return;
    }
    index = p.first;
    state.block(p.number, p.page);
    v.visitLabel(starts[p.number]);
    if (loops[p.number]) {
      Label on = new Label();
      state.mayLoop(plan.kinds.length);
      v.visitJumpInsn(IFNE, on);
      exit(Region.BLOCK, p.number);
      v.visitLabel(on);
    }
    state.charge(p.block.count);
    Instruction[] list = p.instructions;
    for (int k = 0; k < list.length; k++) {
      index = p.first + k;
      boolean last = k == list.length - 1;
      if (last && terminal(p, list[k])) {
        return;
      }
      if (InLine.keepsRegisters(list[k])) {
        interpretInLine(list[k]);
      } else if (!new InstructionWriter(this, list[k], p.at(p.ops[k])).write()) {
        interpret();
      } else {
        afterStore();
      }
    }
    after(p);
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
    v.visitVarInsn(ALOAD, StateWriter.THIS);
    v.visitFieldInsn(GETFIELD, REGION, "dead", "Z");
    v.visitJumpInsn(IFEQ, on);
    flags.wantedAfter(index);
    exit(Region.NEXT, index);
    v.visitLabel(on);
  }

  /**
   * Leaves the region by the way out that all share.
   *
   * @param what one of the constants of {@link Region}
   * @param number of the block or index of the instruction
   */
  private void exit(int what, int number) {
    state.exit(kind, Region.exitCode(what, number));
  }

  /** The interpreter does the instruction. */
  private void interpret() {
    flags.wanted(index);
    leave();
    state.safe();
    invoke("pass");
    goOn();
  }

  /** The interpreter does an instruction that changes no variable but the budget. */
  private void interpretInLine(Instruction i) {
    mayFault();
    flags.wantedAfter(index);
    state.giveBudget();
    v.visitVarInsn(ALOAD, StateWriter.THIS);
    v.visitVarInsn(ALOAD, StateWriter.C);
    push(index);
    v.visitMethodInsn(INVOKEVIRTUAL, REGION, "passInPlace", "(L" + CPU + ";I)I", false);
    state.takeBudget();
    if (i.opcode == Opcode.CLAC || i.opcode == Opcode.STAC) {
      state.takeTable();
    }
    state.exitIf(kind);
  }

  /** Calls a method of the region's about the instruction; what comes next is on the stack then. */
  private void invoke(String method) {
    v.visitVarInsn(ALOAD, StateWriter.THIS);
    v.visitVarInsn(ALOAD, StateWriter.C);
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
    state.reload();
  }

  /** The last instruction, if it decides what comes next. */
  private boolean terminal(Part p, Instruction i) {
    if (p.lastOp() instanceof BranchOps.Direct) {
      switch (i.opcode) {
        case JMP_NEAR:
          edge(p, p.taken, true);
          return true;
        case JCC:
          Label taken = new Label();
          new ConditionWriter(this).jump(i.condition, taken);
          int kindHere = kind;
          int mark = state.mark();
          after(p);
          v.visitLabel(taken);
          kind = kindHere;
          state.back(mark);
          edge(p, p.taken, true);
          return true;
        case CALL_NEAR:
          if (p.after != null) {
            mayFault();
            pushReturn(p);
            callInPlace(p, false);
            leave();
            beginCall();
            push(index);
            endCall("call", "I", p, p.after);
            return true;
          }
          break;
        default:
          break;
      }
    } else if (i.opcode == Opcode.CALL_NEAR && p.after != null && target(p, i)) {
      if (i.kind0 == OperandKind.MEMORY) {
        // The operand's segment is not the stack's, which the fault of a wrong address names.
        pushCpu();
        register(Cpu.RSP);
        push(8L);
        v.visitInsn(LSUB);
        call(PACKAGE + "MoveOps", "checkStack", "(L" + CPU + ";J)V");
      }
      pushReturn(p);
      track(i);
      callInPlace(p, true);
      leave();
      beginCall();
      pushT2();
      endCall(plan.tracked ? "callToTracked" : "callTo", "J", p, p.after);
      return true;
    } else if (i.opcode == Opcode.JMP_NEAR && target(p, i)) {
      track(i);
      leave();
      state.safe();
      v.visitVarInsn(ALOAD, StateWriter.THIS);
      v.visitVarInsn(ALOAD, StateWriter.C);
      pushT2();
      String jump = plan.tracked ? "jumpTracked" : "jump";
      v.visitMethodInsn(INVOKEVIRTUAL, REGION, jump, "(L" + CPU + ";J)L" + OP + ";", false);
      v.visitInsn(ARETURN);
      return true;
    } else if (p.lastOp() instanceof BranchOps.Ret64) {
      ret(p);
      return true;
    }
    if (InLine.endsBlock(i)) {
      flags.wanted(index);
      leave();
      state.safe();
      invoke("interpret");
      v.visitInsn(ARETURN);
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
      Label elsewhere = new Label();
      pageChange(from, to, elsewhere);
      arrive(from, to);
      v.visitJumpInsn(GOTO, starts[to.number]);
      if (from.isInPageOf(to)) {
        return;
      }
      v.visitLabel(elsewhere);
    }
    flags.wantedAfter(index);
    if (taken) {
      exit(Region.TAKE, index);
    } else {
      exit(Region.END, from.number);
    }
  }

  /**
   * Makes the page of another block the current one.
   *
   * @param elsewhere what to go on with if that page is not where it was
   */
  private void pageChange(Part from, Part to, Label elsewhere) {
    if (from.isInPageOf(to)) {
      return;
    }
    v.visitVarInsn(ALOAD, StateWriter.THIS);
    push(to.number);
    state.code(to.at());
    v.visitMethodInsn(INVOKEVIRTUAL, REGION, "reaches", "(IJ)Z", false);
    v.visitJumpInsn(IFEQ, elsewhere);
  }

  /** What is known here is known at the start of a block, too; where that differs it is told. */
  private void arrive(Part from, Part to) {
    int n = to.number;
    flags.edge(index, to.first);
    if (n <= from.number && !loops[n]) {
      loops[n] = true;
      changed = true;
    }
    if (!flags.liveBefore(to.first)) {
      // Nobody looks at them: whatever they are.
      if (kindAt[n] == UNKNOWN) {
        kindAt[n] = LazyFlags.SETTLED;
        changed = true;
      }
      state.arrive(n, Region.DYNAMIC);
      return;
    }
    if (kindAt[n] == UNKNOWN) {
      kindAt[n] = kind;
      changed = true;
    } else if (kindAt[n] != kind) {
      if (kindAt[n] != Region.DYNAMIC) {
        kindAt[n] = Region.DYNAMIC;
        changed = true;
      }
    }
    state.arrive(n, kindAt[n] == Region.DYNAMIC ? kind : Region.DYNAMIC);
  }

  /**
   * Finds the target of an indirect branch, to T2, if it is canonical; it may fault.
   *
   * @return false if the interpreter has to do it
   */
  private boolean target(Part p, Instruction i) {
    mayFault();
    if (!new InstructionWriter(this, i, p.at(p.lastOp())).target()) {
      return false;
    }
    popT2();
    pushCpu();
    pushT2();
    call(PACKAGE + "BranchOps", "checkTarget", "(L" + CPU + ";J)V");
    return true;
  }

  /** The tracker hears of an indirect branch, which cannot fault any more. */
  private void track(Instruction i) {
    if (plan.tracked) {
      pushCpu();
      push(i.noTrack ? 1 : 0);
      call(TRACKING, "near", "(L" + CPU + ";Z)V");
    }
  }

  /** ENDBRANCH, of whatever mode. */
  void endbranch(Instruction i) {
    if (plan.tracked && BranchTracking.isEndbranch(i)) {
      pushCpu();
      call(TRACKING, "endbranch", "(L" + CPU + ";)V");
    }
  }

  /**
   * Pushes the return address of a call on the guest's stack. Whether the slow path was taken is on
   * the JVM's then.
   */
  private void pushReturn(Part p) {
    pushMmu();
    register(Cpu.RSP);
    push(8L);
    v.visitInsn(LSUB);
    v.visitInsn(DUP2);
    popT1();
    pushCode(p.at(p.lastOp()) + p.lastOp().length);
    store(8);
    pushT1();
    setRegister(Cpu.RSP);
  }

  /**
   * Goes on with the function that takes a call's place, if there is one.
   *
   * @param indirect whether the call may lead elsewhere; it leads to what T2 says
   */
  private void callInPlace(Part p, boolean indirect) {
    Part callee = p.callee;
    if (callee == null) {
      v.visitInsn(POP);
      return;
    }
    // The slow path may have dropped code.
    Label other = new Label();
    v.visitJumpInsn(IFNE, other);
    if (indirect) {
      pushT2();
      pushCode(callee.at());
      v.visitInsn(LCMP);
      v.visitJumpInsn(IFNE, other);
    }
    pageChange(p, callee, other);
    arrive(p, callee);
    v.visitJumpInsn(GOTO, starts[callee.number]);
    v.visitLabel(other);
  }

  private void beginCall() {
    state.safe();
    v.visitVarInsn(ALOAD, StateWriter.THIS);
    v.visitVarInsn(ALOAD, StateWriter.C);
  }

  /** Makes a guest's call by a method of the region's, and goes on where that returns to. */
  private void endCall(String method, String argument, Part p, Part after) {
    push(after.number);
    v.visitVarInsn(ILOAD, StateWriter.DEPTH);
    String descriptor = "(L" + CPU + ";" + argument + "II)L" + OP + ";";
    v.visitMethodInsn(INVOKEVIRTUAL, REGION, method, descriptor, false);
    goOn();
    arrive(p, after);
    v.visitJumpInsn(GOTO, starts[after.number]);
  }

  private void ret(Part p) {
    mayFault();
    pushMmu();
    register(Cpu.RSP);
    load(8);
    popT1();
    register(Cpu.RSP);
    push(8L);
    v.visitInsn(LADD);
    setRegister(Cpu.RSP);
    Part caller = p.caller();
    if (caller != null) {
      Label elsewhere = new Label();
      pushT1();
      pushCode(caller.at());
      v.visitInsn(LCMP);
      v.visitJumpInsn(IFNE, elsewhere);
      pageChange(p, caller, elsewhere);
      arrive(p, caller);
      v.visitJumpInsn(GOTO, starts[caller.number]);
      v.visitLabel(elsewhere);
    }
    flags.wanted(index);
    leave();
    state.safe();
    v.visitVarInsn(ALOAD, StateWriter.THIS);
    v.visitVarInsn(ALOAD, StateWriter.C);
    push(index);
    pushT1();
    if (p.call == null) {
      v.visitVarInsn(ALOAD, StateWriter.EXPECTED);
    } else {
      v.visitInsn(ACONST_NULL);
    }
    String descriptor = "(L" + CPU + ";IJL" + BLOCK + ";)L" + OP + ";";
    v.visitMethodInsn(INVOKEVIRTUAL, REGION, "ret", descriptor, false);
    v.visitInsn(ARETURN);
  }

  // ---- for those that write instructions and conditions ----

  MethodVisitor visitor() {
    return v;
  }

  int kind() {
    flags.wanted(index);
    return kind;
  }

  /** Whether anything can look at the flags that the instruction leaves. */
  boolean flagsSeen() {
    return flags.liveAfter(index);
  }

  /** The instruction sets all flags, from operands in A and B. */
  void setKind(int operation, int size) {
    flags.set(index);
    kind = LazyFlags.kind(operation, size);
  }

  /** The instruction sets all flags, which nobody looks at. */
  void setNothing() {
    flags.set(index);
  }

  /** The instruction looks at the flags. */
  void settled() {
    flags.wanted(index);
    settle();
  }

  /** The instruction keeps some flags, which somebody looks at after it. */
  void settledToKeep() {
    settle();
  }

  /** The instruction sets some flags, from operands in A and B; the others are settled. */
  void setKindOfSome(int operation, int size) {
    kind = LazyFlags.kind(operation, size);
  }

  /** The instruction has set all flags in {@link Cpu} itself. */
  void setSettled() {
    flags.set(index);
    kind = LazyFlags.SETTLED;
  }

  void faulting() {
    mayFault();
  }

  /** The interpreter does an instruction that changes no variable of the region's. */
  void interpretInPlace() {
    v.visitVarInsn(ALOAD, StateWriter.THIS);
    v.visitVarInsn(ALOAD, StateWriter.C);
    push(index);
    v.visitMethodInsn(INVOKEVIRTUAL, REGION, "interpret", "(L" + CPU + ";I)L" + OP + ";", false);
    v.visitInsn(POP);
  }

  /** Has the interpreter see a general register. */
  void giveRegister(int k) {
    state.giveRegister(k);
  }

  /** Takes a general register that the interpreter has set. */
  void takeRegister(int k) {
    state.element(k);
    state.setRegister(k);
  }

  /** Where vector registers and what SSE may do are kept. */
  StateWriter state() {
    return state;
  }

  /** Pushes where the MMU looks for translations. */
  void pushTable() {
    v.visitVarInsn(LLOAD, StateWriter.DATA);
  }

  /** Pushes a general register, all 64 bits. */
  void register(int k) {
    state.register(k);
  }

  /** Pops a general register, all 64 bits. */
  void setRegister(int k) {
    state.setRegister(k);
  }

  /** Pushes a register that does not change within the region: FS_BASE and GS_BASE. */
  void fixedRegister(int k) {
    state.element(k);
  }

  /** Pushes the linear address of an offset from the begin of the region's first page. */
  void pushCode(long offset) {
    state.code(offset);
  }

  void pushMmu() {
    v.visitVarInsn(ALOAD, StateWriter.M);
  }

  /**
   * Loads from the address on the stack, below which is the MMU: 8 bytes to a long, less to an int.
   */
  void load(int size) {
    v.visitVarInsn(LLOAD, StateWriter.DATA);
    String type = size == 8 ? "J" : "I";
    v.visitMethodInsn(INVOKEVIRTUAL, MMU, "load" + 8 * size, "(JJ)" + type, false);
  }

  /**
   * Stores the long, or int of less than 8 bytes, on the stack to the address below it, below which
   * is the MMU; leaves whether the slow path was taken.
   */
  void store(int size) {
    v.visitVarInsn(LLOAD, StateWriter.DATA);
    String type = size == 8 ? "J" : "I";
    v.visitMethodInsn(INVOKEVIRTUAL, MMU, "store" + 8 * size, "(J" + type + "J)Z", false);
  }

  void pushCpu() {
    v.visitVarInsn(ALOAD, StateWriter.C);
  }

  void pushA() {
    v.visitVarInsn(LLOAD, StateWriter.A);
  }

  void popA() {
    v.visitVarInsn(LSTORE, StateWriter.A);
  }

  void pushB() {
    v.visitVarInsn(LLOAD, StateWriter.B);
  }

  void popB() {
    v.visitVarInsn(LSTORE, StateWriter.B);
  }

  void pushT1() {
    v.visitVarInsn(LLOAD, StateWriter.T1);
  }

  void popT1() {
    v.visitVarInsn(LSTORE, StateWriter.T1);
  }

  void pushT2() {
    v.visitVarInsn(LLOAD, StateWriter.T2);
  }

  void popT2() {
    v.visitVarInsn(LSTORE, StateWriter.T2);
  }

  void push(int value) {
    state.push(value);
  }

  void push(long value) {
    state.push(value);
  }

  void call(String owner, String name, String descriptor) {
    v.visitMethodInsn(INVOKESTATIC, owner, name, descriptor, false);
  }
}
