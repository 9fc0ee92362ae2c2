package org.kvm4j.cpu.semantics;

import static org.kvm4j.cpu.core.Cpu.CS;
import static org.kvm4j.cpu.core.Cpu.RCX;

import org.kvm4j.cpu.cet.BranchTracking;
import org.kvm4j.cpu.cet.ShadowStack;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;

/** Near transfers of control: within the code segment. */
final class ControlTransfer {
  private ControlTransfer() {}

  static void register() {
    Handlers.put(Opcode.JMP_NEAR, ControlTransfer::jmp);
    Handlers.put(Opcode.JCC, ControlTransfer::jcc);
    Handlers.put(Opcode.CALL_NEAR, ControlTransfer::call);
    Handlers.put(Opcode.RET_NEAR, ControlTransfer::ret);
    Handlers.put(Opcode.LOOP, (cpu, i) -> loop(cpu, i, true));
    Handlers.put(Opcode.LOOPE, (cpu, i) -> loop(cpu, i, cpu.zf()));
    Handlers.put(Opcode.LOOPNE, (cpu, i) -> loop(cpu, i, !cpu.zf()));
    Handlers.put(Opcode.JCXZ, ControlTransfer::jcxz);
  }

  /**
   * Checks the target of a near transfer.
   *
   * @throws org.kvm4j.cpu.core.CpuException #GP(0) for one beyond the limit of CS, or in 64-bit
   *     mode for one that is not canonical
   */
  static void checkTarget(Cpu cpu, long target) {
    boolean valid = cpu.codeSize == 8 ? cpu.isCanonical(target) : target <= cpu.seg[CS].limit;
    if (!valid) {
      throw cpu.gp(0);
    }
  }

  /** The target of a relative branch. */
  private static long relative(Cpu cpu, Instruction i) {
    return Operands.truncate(cpu.rip + i.immediate, i.operandSize);
  }

  private static long target(Cpu cpu, Instruction i) {
    return i.kind0 == OperandKind.RELATIVE ? relative(cpu, i) : Operands.read0(cpu, i);
  }

  private static void jmp(Cpu cpu, Instruction i) {
    long target = target(cpu, i);
    checkTarget(cpu, target);
    cpu.rip = target;
    track(cpu, i);
  }

  /** An indirect branch is tracked. */
  private static void track(Cpu cpu, Instruction i) {
    if (i.kind0 != OperandKind.RELATIVE) {
      BranchTracking.near(cpu, i.noTrack);
    }
  }

  /** Whether CALL pushes on a shadow stack: not where it only finds out its own address. */
  private static boolean pushesShadow(Cpu cpu, Instruction i) {
    return cpu.shadowStack && (i.kind0 != OperandKind.RELATIVE || i.immediate != 0);
  }

  private static void jcc(Cpu cpu, Instruction i) {
    if (cpu.condition(i.condition)) {
      long target = relative(cpu, i);
      checkTarget(cpu, target);
      cpu.rip = target;
    }
  }

  /** What the stack has to say comes before what is wrong with the target. */
  private static void call(Cpu cpu, Instruction i) {
    int size = i.operandSize;
    long target = target(cpu, i);
    long offset = Stack.offset(cpu, -size);
    long linear = Stack.linear(cpu, offset, size, true);
    cpu.mmu.probeWrite(linear, size);
    checkTarget(cpu, target);
    if (pushesShadow(cpu, i)) {
      ShadowStack.probePush(cpu, size);
      ShadowStack.push(cpu, size, cpu.rip);
    }
    cpu.mmu.write(linear, size, cpu.rip);
    Stack.setPointer(cpu, offset);
    cpu.rip = target;
    track(cpu, i);
  }

  private static void ret(Cpu cpu, Instruction i) {
    int size = i.operandSize;
    long target = Stack.top(cpu, size);
    long ssp = cpu.shadowStack ? ShadowStack.checkReturn(cpu, size, target) : cpu.ssp;
    checkTarget(cpu, target);
    cpu.ssp = ssp;
    Stack.drop(cpu, size + i.immediate);
    cpu.rip = target;
  }

  private static void loop(Cpu cpu, Instruction i, boolean condition) {
    long count = Operands.truncate(cpu.r[RCX] - 1, i.addressSize);
    if (count != 0 && condition) {
      long target = relative(cpu, i);
      checkTarget(cpu, target);
      cpu.rip = target;
    }
    Operands.setGpr(cpu, RCX, i.addressSize, count);
  }

  private static void jcxz(Cpu cpu, Instruction i) {
    if (Operands.gpr(cpu, RCX, i.addressSize) == 0) {
      long target = relative(cpu, i);
      checkTarget(cpu, target);
      cpu.rip = target;
    }
  }
}
