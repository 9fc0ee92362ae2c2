package org.kvm4j.cpu.semantics;

import static org.kvm4j.cpu.core.Cpu.RAX;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;

/**
 * Decimal adjustments. Flags that the SDM leaves undefined are those of the addition or subtraction
 * that the adjustment is: of AL for DAA, DAS and AAD, of AX for AAA and AAS. AAM clears OF, AF and
 * CF.
 */
final class Decimal {
  private Decimal() {}

  static void register() {
    Handlers.put(Opcode.AAA, (cpu, i) -> ascii(cpu, 1));
    Handlers.put(Opcode.AAS, (cpu, i) -> ascii(cpu, -1));
    Handlers.put(Opcode.AAD, Decimal::aad);
    Handlers.put(Opcode.AAM, Decimal::aam);
    Handlers.put(Opcode.DAA, Decimal::daa);
    Handlers.put(Opcode.DAS, Decimal::das);
  }

  /** Replaces AF and CF; OF stays. */
  private static void carries(Cpu cpu, boolean half, boolean carry) {
    int others = cpu.lazyFlags() & ~(Flags.AF | Flags.CF);
    cpu.setLazyFlags(others | (half ? Flags.AF : 0) | (carry ? Flags.CF : 0));
  }

  private static void ascii(Cpu cpu, int sign) {
    int ax = (int) cpu.r[RAX] & 0xffff;
    boolean adjust = (ax & 15) > 9 || cpu.af();
    int amount = adjust ? 0x106 : 0;
    int result = sign > 0 ? Alu.add16(cpu, ax, amount) : Alu.sub16(cpu, ax, amount);
    carries(cpu, adjust, adjust);
    Operands.setGpr(cpu, RAX, 2, result & 0xff0f);
  }

  private static void aad(Cpu cpu, Instruction i) {
    int ax = (int) cpu.r[RAX];
    int tens = (ax >> 8 & 0xff) * (int) i.immediate;
    Operands.setGpr(cpu, RAX, 2, Alu.add8(cpu, ax, tens));
  }

  private static void aam(Cpu cpu, Instruction i) {
    int base = (int) i.immediate & 0xff;
    if (base == 0) {
      throw cpu.de();
    }
    int al = (int) cpu.r[RAX] & 0xff;
    int units = Alu.logic8(cpu, al % base);
    Operands.setGpr(cpu, RAX, 2, al / base << 8 | units);
  }

  private static void daa(Cpu cpu, Instruction i) {
    int al = (int) cpu.r[RAX] & 0xff;
    boolean low = (al & 15) > 9 || cpu.af();
    boolean high = al > 0x99 || cpu.cf();
    int result = Alu.add8(cpu, al, (low ? 6 : 0) + (high ? 0x60 : 0));
    carries(cpu, low, high);
    Operands.setGpr(cpu, RAX, 1, result);
  }

  private static void das(Cpu cpu, Instruction i) {
    int al = (int) cpu.r[RAX] & 0xff;
    boolean low = (al & 15) > 9 || cpu.af();
    boolean high = al > 0x99 || cpu.cf();
    int result = Alu.sub8(cpu, al, (low ? 6 : 0) + (high ? 0x60 : 0));
    carries(cpu, low, high || low && al < 6);
    Operands.setGpr(cpu, RAX, 1, result);
  }
}
