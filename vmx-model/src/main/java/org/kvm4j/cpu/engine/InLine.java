package org.kvm4j.cpu.engine;

import static org.kvm4j.cpu.decode.Opcode.*;

import java.util.EnumSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.GuestMode;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.event.DebugUnit;

/**
 * Where a block ends, and where it goes on although {@link Instruction#endsBlock} has it that
 * something has to be looked at: after instructions that change neither what is fetched nor how it
 * is decoded, and that mostly nothing has waited for.
 */
final class InLine {
  private static final Set<Opcode> LOOKS =
      EnumSet.of(
          CLI, STI, POPF, CLAC, STAC, SWAPGS, WRFSBASE, WRGSBASE, RDTSC, RDTSCP, RDPMC, RDPID,
          RDMSR, CPUID, SGDT, SIDT, SLDT, STR, SMSW);

  /**
   * Those that change neither general registers nor the flags of arithmetic, and that cannot cause
   * a VM exit.
   */
  private static final Set<Opcode> KEEP_REGISTERS = EnumSet.of(CLI, STI, CLAC, STAC, SWAPGS);

  private InLine() {}

  /**
   * Whether an instruction that {@link InstructionWriter} does not write leaves what a region has
   * in variables as it is, and looks at none of it, unless it faults.
   */
  static boolean keepsRegisters(Instruction i) {
    return KEEP_REGISTERS.contains(i.opcode) && !i.lock;
  }

  /** Whether nothing follows the instruction in its block. */
  static boolean endsBlock(Instruction i) {
    return i.isBranch || i.endsBlock && !looks(i);
  }

  /** Whether its block goes on after it only if {@link #isQuiet}. */
  static boolean looks(Instruction i) {
    return LOOKS.contains(i.opcode)
        || i.opcode == Opcode.MOV
            && (i.kind1 == OperandKind.CONTROL || i.kind1 == OperandKind.DEBUG);
  }

  /** Whether an instruction accesses a port. */
  static boolean accessesPort(Instruction i) {
    return switch (i.opcode) {
      case IN, OUT, INS, OUTS -> true;
      default -> false;
    };
  }

  /**
   * What comes after an instruction of the middle of a block: what follows in line, or the
   * dispatcher, if there is something to be looked at.
   */
  static @Nullable Op after(Op op, Cpu c) {
    if (isQuiet(c)) {
      return op.next;
    }
    c.countdown += op.remaining;
    c.rip = op.ripAfter(c);
    return null;
  }

  /** Whether there is nothing to be looked at before the next instruction. */
  static boolean isQuiet(Cpu c) {
    GuestMode g = c.guest;
    return c.attention == 0
        && !DebugUnit.busy(c)
        && c.activity == Cpu.ACTIVE
        && c.requests() == 0
        && !c.left
        && (g == null || !g.windowPending());
  }
}
