package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.event.DebugUnit;

/** MOV to and from debug registers. SDM Vol. 2, "MOV—Move to/from Debug Registers". */
public final class DebugRegisters {
  private static final long DR7_GD = 1 << 13;

  private DebugRegisters() {}

  /** The value that DR6 gets when this is written: bits that are fixed keep theirs. */
  public static long dr6(long value) {
    return value & 0xe00fL | 0xffff0ff0L;
  }

  /** The value that DR7 gets when this is written. */
  public static long dr7(long value) {
    return value & 0xffff23ffL | 0x400;
  }

  /**
   * The number of the register that is accessed, after every check. The VM exit has priority over
   * all of them (SDM Vol. 3, "Instructions That Cause VM Exits Conditionally", MOV DR).
   *
   * @return -1 if a VM exit was taken
   */
  private static int select(Cpu cpu, Instruction i, int dr, int gpr, boolean from) {
    if (cpu.guest != null && cpu.guest.movDr(i, dr, gpr, from)) {
      return -1;
    }
    if (dr >= 8) {
      throw cpu.ud();
    }
    if (dr == 4 || dr == 5) {
      if ((cpu.cr4 & ControlBits.CR4_DE) != 0) {
        throw cpu.ud();
      }
      dr += 2;
    }
    if (cpu.cpl != 0) {
      throw cpu.gp(0);
    }
    if ((cpu.dr7 & DR7_GD) != 0) {
      throw cpu.db(DebugUnit.BD);
    }
    return dr;
  }

  static void read(Cpu cpu, Instruction i) {
    int dr = select(cpu, i, i.reg1, i.reg0, true);
    if (dr >= 0) {
      long value = dr == 6 ? cpu.dr6 : dr == 7 ? cpu.dr7 : cpu.dr[dr];
      Operands.setGpr(cpu, i.reg0, i.size0, value);
    }
  }

  static void write(Cpu cpu, Instruction i) {
    int dr = select(cpu, i, i.reg0, i.reg1, false);
    if (dr < 0) {
      return;
    }
    long value = Operands.gpr(cpu, i.reg1, i.size1);
    if (dr < 4) {
      cpu.dr[dr] = value;
      return;
    }
    if (value >>> 32 != 0) {
      throw cpu.gp(0);
    }
    if (dr == 6) {
      cpu.dr6 = dr6(value);
    } else {
      cpu.dr7 = dr7(value);
    }
  }
}
