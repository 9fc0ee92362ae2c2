package org.kvm4j.cpu.semantics;

import static org.kvm4j.cpu.core.Cpu.RAX;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;

/** CF and DF by themselves, and AH as an image of the flags. */
final class FlagControl {
  private static final int IN_AH = Flags.SF | Flags.ZF | Flags.AF | Flags.PF | Flags.CF;

  private FlagControl() {}

  static void register() {
    Handlers.put(Opcode.CLC, (cpu, i) -> cpu.setCf(false));
    Handlers.put(Opcode.STC, (cpu, i) -> cpu.setCf(true));
    Handlers.put(Opcode.CMC, (cpu, i) -> cpu.setCf(!cpu.cf()));
    Handlers.put(Opcode.CLD, (cpu, i) -> cpu.flagsRest &= ~Flags.DF);
    Handlers.put(Opcode.STD, (cpu, i) -> cpu.flagsRest |= Flags.DF);
    Handlers.put(Opcode.LAHF, FlagControl::lahf);
    Handlers.put(Opcode.SAHF, FlagControl::sahf);
    Handlers.put(Opcode.SALC, (cpu, i) -> Operands.setGpr(cpu, RAX, 1, cpu.cf() ? 0xff : 0));
  }

  private static void lahf(Cpu cpu, Instruction i) {
    long ah = cpu.lazyFlags() & IN_AH | 2;
    cpu.r[RAX] = cpu.r[RAX] & ~0xff00L | ah << 8;
  }

  private static void sahf(Cpu cpu, Instruction i) {
    int ah = (int) (cpu.r[RAX] >>> 8) & IN_AH;
    cpu.setLazyFlags(cpu.lazyFlags() & Flags.OF | ah);
  }
}
