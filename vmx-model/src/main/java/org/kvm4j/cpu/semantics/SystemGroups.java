package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.decode.Opcode;

/** Enters the handlers of system instructions. */
final class SystemGroups {
  private SystemGroups() {}

  static void register() {
    SegmentInstructions.register();
    FarTransfer.register();
    Interrupts.register();
    FlagInstructions.register();
    SystemCalls.register();
    ProcessorInstructions.register();
    InputOutput.register();
    ExtendedState.register();
    ShadowStackInstructions.register();
    Handlers.put(Opcode.CLTS, ControlRegisters::clts);
    Handlers.put(Opcode.LMSW, ControlRegisters::lmsw);
    Handlers.put(Opcode.SMSW, ControlRegisters::smsw);
  }
}
