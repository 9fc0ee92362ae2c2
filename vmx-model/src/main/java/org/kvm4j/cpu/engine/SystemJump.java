package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;

/**
 * SYSCALL, SYSRET and IRET: goes on with the block that it leads to, in whatever mode, if that is
 * known and nothing is to be looked at before it.
 */
final class SystemJump extends Op {
  private final Interpreter engine;
  private final GenericOp plain;
  private final boolean isCall;

  /**
   * @param i is copied
   * @param offset of the instruction in its page
   */
  SystemJump(Interpreter engine, Instruction i, int offset) {
    this.engine = engine;
    this.plain = new GenericOp(i);
    this.isCall = i.opcode == Opcode.SYSCALL;
    plain.offset = (short) offset;
    plain.length = i.length;
  }

  static boolean is(Opcode opcode) {
    return opcode == Opcode.SYSCALL || opcode == Opcode.SYSRET || opcode == Opcode.IRET;
  }

  @Override
  @Nullable Op exec(Cpu c) {
    JumpContext before = isCall && c.cpl == 3 ? engine.context() : null;
    plain.exec(c);
    Block to = engine.resume();
    if (before != null) {
      JumpContext.pair(before, engine.context(), c);
    }
    return TrackedOps.arrive(c, to);
  }

  @Override
  boolean usesStackSegment() {
    return plain.usesStackSegment();
  }
}
