package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;

/** AND, OR, XOR, NOT and TEST. */
final class Logic {
  private Logic() {}

  static void register() {
    Handlers.put(Opcode.AND, Update.binary(Alu::and));
    Handlers.put(Opcode.OR, Update.binary(Alu::or));
    Handlers.put(Opcode.XOR, Update.binary(Alu::xor));
    Handlers.put(Opcode.NOT, Update.unary((cpu, size, a, b) -> ~a));
    Handlers.put(Opcode.TEST, Logic::test);
  }

  private static void test(Cpu cpu, Instruction i) {
    long a = Operands.read0(cpu, i);
    long b = Operands.read1(cpu, i);
    Alu.and(cpu, i.size0, a, b);
  }
}
