package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;

/**
 * The handler of each opcode. Each group of instructions enters its own; what is missing is #UD.
 */
public final class Handlers {
  private static final Handler[] TABLE = new Handler[Opcode.values().length];

  static {
    java.util.Arrays.fill(TABLE, (Handler) Handlers::undefined);
    Arithmetic.register();
    Logic.register();
    Shifts.register();
    MultiplyDivide.register();
    BitManipulation.register();
    Bmi.register();
    DataTransfer.register();
    Stack.register();
    Strings.register();
    ControlTransfer.register();
    FlagControl.register();
    Decimal.register();
    Atomics.register();
    Miscellaneous.register();
    SystemGroups.register();
    X87.register();
    X87Transfer.register();
    X87Control.register();
  }

  private Handlers() {}

  /** The handler of an opcode; never null. */
  public static Handler of(Opcode opcode) {
    return TABLE[opcode.ordinal()];
  }

  static void put(Opcode opcode, Handler handler) {
    TABLE[opcode.ordinal()] = handler;
  }

  /** #UD: an opcode that is invalid, or not built yet and not advertised by CPUID. */
  static void undefined(Cpu cpu, Instruction i) {
    throw cpu.ud();
  }
}
