package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.decode.Opcode;

/** AND, OR, XOR, NOT and TEST. */
final class Logic {
  private Logic() {}

  static void register() {
    Handlers.put(Opcode.AND, Update.binary(Alu::and));
    Handlers.put(Opcode.OR, Update.binary(Alu::or));
    Handlers.put(Opcode.XOR, Update.binary(Alu::xor));
    Handlers.put(Opcode.NOT, Update.unary((cpu, size, a, b) -> ~a));
    Handlers.put(Opcode.TEST, Update.compare(Alu::and));
  }
}
