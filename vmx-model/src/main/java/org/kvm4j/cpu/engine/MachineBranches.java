package org.kvm4j.cpu.engine;

import static org.kvm4j.cpu.engine.MachineEmitter.*;
import static org.kvm4j.machine.Assembler.*;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.machine.Assembler;

/** Writes near branches, and what follows a block. */
final class MachineBranches {
  private final MachineEmitter e;
  private final Assembler a;

  MachineBranches(MachineEmitter e) {
    this.e = e;
    this.a = e.a;
  }

  boolean branch(Instruction i, int index) {
    if (i.kind0 == OperandKind.RELATIVE) {
      long target = e.offset + i.length + i.immediate;
      if (target != (int) target) {
        return false;
      }
      switch (i.opcode) {
        case JMP_NEAR:
          e.save();
          take((int) target);
          return true;
        case CALL_NEAR:
          e.stack(-8, true, index);
          returnAddress(i);
          e.mem(8, 0x89, SCRATCH);
          a.move(HOST[Cpu.RSP], LINEAR);
          take((int) target);
          return true;
        default:
          conditional(i, (int) target);
          return true;
      }
    }
    boolean call = i.opcode == Opcode.CALL_NEAR;
    if (i.opcode == Opcode.RET_NEAR) {
      if (i.kind0 != OperandKind.NONE) {
        return false;
      }
      e.stack(0, false, index);
      e.mem(8, 0x8b, LINEAR);
      jumpSlot(MachineBlock.INTERPRET, index);
      a.address(HOST[Cpu.RSP], HOST[Cpu.RSP], NONE, 0, 8);
      a.jumpTo(TO_HOST, 16);
      return true;
    }
    e.save();
    if (isGpr(i.kind0)) {
      a.move(LINEAR, e.value(i.reg0, LINEAR));
    } else if (i.kind0 == OperandKind.MEMORY && e.access(i, 8, false, index)) {
      e.mem(8, 0x8b, LINEAR);
    } else {
      return false;
    }
    jumpSlot(MachineBlock.INTERPRET, index);
    if (!call) {
      a.jumpTo(TO_HOST, 16);
      return true;
    }
    a.load(SCRATCH, TO_HOST, 16);
    a.store(SCRATCH, CONTEXT, MachineContext.ASIDE);
    a.store(LINEAR, CONTEXT, MachineContext.ASIDE2);
    e.stack(-8, true, index);
    returnAddress(i);
    e.mem(8, 0x89, SCRATCH);
    a.move(HOST[Cpu.RSP], LINEAR);
    a.load(LINEAR, CONTEXT, MachineContext.ASIDE2);
    a.jumpTo(CONTEXT, MachineContext.ASIDE);
    return true;
  }

  /** SCRATCH is the address after a call. */
  private void returnAddress(Instruction i) {
    a.load(SCRATCH, CONTEXT, MachineContext.CODE_BASE);
    a.address(SCRATCH, SCRATCH, NONE, 0, e.offset + i.length);
  }

  /**
   * Finds the slot of the jump cache for RIP in LINEAR; TO_HOST is it. Flags are in the context.
   */
  private void jumpSlot(int kind, int index) {
    a.registers(4, 0x69, TO_HOST, LINEAR); // imul
    a.emit32(MachineContext.JUMP_HASH);
    a.registers(4, 0xc1, 5, TO_HOST); // shr
    a.emit(MachineContext.JUMP_SHIFT);
    a.memory(4, 0x23, TO_HOST, CONTEXT, MachineContext.JUMP_MASK); // and
    a.memory(8, 0x03, TO_HOST, CONTEXT, MachineContext.JUMPS);
    a.memory(8, 0x3b, LINEAR, TO_HOST, 0);
    e.lookAgain(a.jump(NE), MachineContext.OTHER_JUMP, kind, index);
    a.load(SCRATCH, TO_HOST, 8);
    a.memory(8, 0x3b, SCRATCH, CONTEXT, MachineContext.EPOCH);
    int mine = a.jumpShort(E);
    a.memory(8, 0x3b, SCRATCH, CONTEXT, MachineContext.GLOBAL_EPOCH);
    e.lookAgain(a.jump(NE), MachineContext.REVALIDATE, kind, index);
    a.bindShort(mine);
    e.inHost = false;
  }

  private void conditional(Instruction i, int target) {
    e.save();
    e.restore();
    boolean direct = isInPage(target) && !isBackwards(target);
    int taken = direct ? a.jumpAligned(i.condition) : a.jump(i.condition);
    e.offset += i.length;
    follow();
    e.offset -= i.length;
    if (direct) {
      e.out(taken, MachineBlock.TAKE, 0);
    } else {
      a.bind(taken);
      take(target);
    }
  }

  private static boolean isInPage(int target) {
    return (target & ~0xfff) == 0;
  }

  /** Whether a branch may close a loop. */
  private boolean isBackwards(int target) {
    return target <= e.offset;
  }

  /** Goes to the target of the direct branch that the block ends with. Flags are in the context. */
  private void take(int target) {
    if (!isInPage(target)) {
      far(target);
      return;
    }
    if (isBackwards(target)) {
      e.out(e.attention(), MachineBlock.TURN, 0);
    }
    e.out(a.jumpAligned(), MachineBlock.TAKE, 0);
  }

  /** Goes to what follows the block. Flags are in the context. */
  void follow() {
    if (e.offset >= CodePage.SIZE) {
      far(e.offset);
    } else {
      e.out(a.jumpAligned(), MachineBlock.FOLLOW, 0);
    }
  }

  /** Goes to another page. */
  private void far(int target) {
    a.load(LINEAR, CONTEXT, MachineContext.CODE_BASE);
    a.address(LINEAR, LINEAR, NONE, 0, target);
    jump();
  }

  /** Goes to LINEAR. Flags are in the context. */
  void jump() {
    jumpSlot(MachineBlock.JUMP, 0);
    a.jumpTo(TO_HOST, 16);
  }
}
