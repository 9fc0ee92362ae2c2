package org.kvm4j.cpu.semantics;

import static org.kvm4j.cpu.core.Cpu.RAX;
import static org.kvm4j.cpu.core.Cpu.RDX;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;

/** Addition, subtraction, comparison and sign extension of the accumulator. */
final class Arithmetic {
  private Arithmetic() {}

  static void register() {
    Handlers.put(Opcode.ADD, Update.binary(Alu::add));
    Handlers.put(Opcode.ADC, Update.binary(Alu::adc));
    Handlers.put(Opcode.SUB, Update.binary(Alu::sub));
    Handlers.put(Opcode.SBB, Update.binary(Alu::sbb));
    Handlers.put(Opcode.INC, Update.unary((cpu, size, a, b) -> Alu.inc(cpu, size, a)));
    Handlers.put(Opcode.DEC, Update.unary((cpu, size, a, b) -> Alu.dec(cpu, size, a)));
    Handlers.put(Opcode.NEG, Update.unary((cpu, size, a, b) -> Alu.neg(cpu, size, a)));
    Handlers.put(Opcode.CMP, Update.compare(Alu::sub));
    Handlers.put(Opcode.ADCX, Arithmetic::adcx);
    Handlers.put(Opcode.ADOX, Arithmetic::adox);
    Handlers.put(Opcode.CBW, Arithmetic::cbw);
    Handlers.put(Opcode.CWD, Arithmetic::cwd);
  }

  private static void adcx(Cpu cpu, Instruction i) {
    long b = Operands.read1(cpu, i);
    long a = cpu.r[i.reg0];
    Operands.write0(
        cpu, i, i.size0 == 8 ? Alu.adcx64(cpu, a, b) : Alu.adcx32(cpu, (int) a, (int) b));
  }

  private static void adox(Cpu cpu, Instruction i) {
    long b = Operands.read1(cpu, i);
    long a = cpu.r[i.reg0];
    Operands.write0(
        cpu, i, i.size0 == 8 ? Alu.adox64(cpu, a, b) : Alu.adox32(cpu, (int) a, (int) b));
  }

  /** CBW, CWDE, CDQE. */
  private static void cbw(Cpu cpu, Instruction i) {
    int size = i.operandSize;
    Operands.setGpr(cpu, RAX, size, Operands.signExtend(cpu.r[RAX], size >> 1));
  }

  /** CWD, CDQ, CQO. */
  private static void cwd(Cpu cpu, Instruction i) {
    int size = i.operandSize;
    Operands.setGpr(cpu, RDX, size, Operands.signExtend(cpu.r[RAX], size) >> 63);
  }
}
