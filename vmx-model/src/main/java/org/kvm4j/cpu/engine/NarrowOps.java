package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.semantics.Alu;

/**
 * Arithmetic and logic of 8 and 16 bits: one class for each form, which asks for the operation by a
 * number. The high-byte registers are not among them.
 */
final class NarrowOps {
  private NarrowOps() {}

  /** The number of an operation; -1 if it has no form here. */
  static int kind(Opcode opcode) {
    return switch (opcode) {
      case ADD -> 0;
      case OR -> 1;
      case ADC -> 2;
      case SBB -> 3;
      case AND -> 4;
      case SUB -> 5;
      case XOR -> 6;
      case CMP -> 7;
      case TEST -> 8;
      default -> -1;
    };
  }

  /** From here on operations only set flags. */
  static final int FLAGS_ONLY = 7;

  private static int apply8(Cpu c, int kind, int a, int b) {
    return switch (kind) {
      case 0 -> Alu.add8(c, a, b);
      case 1 -> Alu.logic8(c, a | b);
      case 2 -> Alu.adc8(c, a, b);
      case 3 -> Alu.sbb8(c, a, b);
      case 4, 8 -> Alu.logic8(c, a & b);
      case 6 -> Alu.logic8(c, a ^ b);
      default -> Alu.sub8(c, a, b);
    };
  }

  private static int apply16(Cpu c, int kind, int a, int b) {
    return switch (kind) {
      case 0 -> Alu.add16(c, a, b);
      case 1 -> Alu.logic16(c, a | b);
      case 2 -> Alu.adc16(c, a, b);
      case 3 -> Alu.sbb16(c, a, b);
      case 4, 8 -> Alu.logic16(c, a & b);
      case 6 -> Alu.logic16(c, a ^ b);
      default -> Alu.sub16(c, a, b);
    };
  }

  static final class RegReg8 extends AluOps.RegReg {
    byte kind;

    @Override
    @Nullable Op exec(Cpu c) {
      int v = apply8(c, kind, (int) c.r[dst], (int) c.r[src]);
      if (kind < FLAGS_ONLY) {
        c.r[dst] = c.r[dst] & ~0xffL | v;
      }
      return next;
    }
  }

  static final class RegImm8 extends AluOps.RegImm {
    byte kind;

    @Override
    @Nullable Op exec(Cpu c) {
      int v = apply8(c, kind, (int) c.r[dst], imm);
      if (kind < FLAGS_ONLY) {
        c.r[dst] = c.r[dst] & ~0xffL | v;
      }
      return next;
    }
  }

  static final class RegMem8 extends AluOps.RegMem {
    byte kind;

    @Override
    @Nullable Op exec(Cpu c) {
      int b = c.mmu.read8(address(c));
      int v = apply8(c, kind, (int) c.r[reg], b);
      if (kind < FLAGS_ONLY) {
        c.r[reg] = c.r[reg] & ~0xffL | v;
      }
      return next;
    }
  }

  static final class MemReg8 extends AluOps.RegMem {
    byte kind;

    @Override
    @Nullable Op exec(Cpu c) {
      update8(c, address(c), kind, (int) c.r[reg]);
      return next;
    }
  }

  static final class MemImm8 extends AluOps.MemImm {
    byte kind;

    @Override
    @Nullable Op exec(Cpu c) {
      update8(c, address(c), kind, imm);
      return next;
    }
  }

  private static void update8(Cpu c, long at, int kind, int b) {
    if (kind >= FLAGS_ONLY) {
      apply8(c, kind, c.mmu.read8(at), b);
      return;
    }
    c.mmu.probeWrite(at, 1);
    int a = c.mmu.read8(at);
    c.mmu.write8(at, apply8(c, kind, a, b));
  }

  static final class RegReg16 extends AluOps.RegReg {
    byte kind;

    @Override
    @Nullable Op exec(Cpu c) {
      int v = apply16(c, kind, (int) c.r[dst], (int) c.r[src]);
      if (kind < FLAGS_ONLY) {
        c.r[dst] = c.r[dst] & ~0xffffL | v;
      }
      return next;
    }
  }

  static final class RegImm16 extends AluOps.RegImm {
    byte kind;

    @Override
    @Nullable Op exec(Cpu c) {
      int v = apply16(c, kind, (int) c.r[dst], imm);
      if (kind < FLAGS_ONLY) {
        c.r[dst] = c.r[dst] & ~0xffffL | v;
      }
      return next;
    }
  }

  static final class RegMem16 extends AluOps.RegMem {
    byte kind;

    @Override
    @Nullable Op exec(Cpu c) {
      int b = c.mmu.read16(address(c));
      int v = apply16(c, kind, (int) c.r[reg], b);
      if (kind < FLAGS_ONLY) {
        c.r[reg] = c.r[reg] & ~0xffffL | v;
      }
      return next;
    }
  }

  static final class MemReg16 extends AluOps.RegMem {
    byte kind;

    @Override
    @Nullable Op exec(Cpu c) {
      update16(c, address(c), kind, (int) c.r[reg]);
      return next;
    }
  }

  static final class MemImm16 extends AluOps.MemImm {
    byte kind;

    @Override
    @Nullable Op exec(Cpu c) {
      update16(c, address(c), kind, imm);
      return next;
    }
  }

  private static void update16(Cpu c, long at, int kind, int b) {
    if (kind >= FLAGS_ONLY) {
      apply16(c, kind, c.mmu.read16(at), b);
      return;
    }
    c.mmu.probeWrite(at, 2);
    int a = c.mmu.read16(at);
    c.mmu.write16(at, apply16(c, kind, a, b));
  }

  /** Register and register; null where there is none. */
  static AluOps.@Nullable RegReg regReg(Opcode opcode, int size) {
    int kind = kind(opcode);
    if (kind < 0) {
      return null;
    }
    if (size == 1) {
      RegReg8 o = new RegReg8();
      o.kind = (byte) kind;
      return o;
    }
    RegReg16 o = new RegReg16();
    o.kind = (byte) kind;
    return o;
  }

  /** Register and immediate; null where there is none. */
  static AluOps.@Nullable RegImm regImm(Opcode opcode, int size) {
    int kind = kind(opcode);
    if (kind < 0) {
      return null;
    }
    if (size == 1) {
      RegImm8 o = new RegImm8();
      o.kind = (byte) kind;
      return o;
    }
    RegImm16 o = new RegImm16();
    o.kind = (byte) kind;
    return o;
  }

  /** Register and memory; null where there is none. */
  static AluOps.@Nullable RegMem regMem(Opcode opcode, int size) {
    int kind = kind(opcode);
    if (kind < 0) {
      return null;
    }
    if (size == 1) {
      RegMem8 o = new RegMem8();
      o.kind = (byte) kind;
      return o;
    }
    RegMem16 o = new RegMem16();
    o.kind = (byte) kind;
    return o;
  }

  /** Memory and register; null where there is none. */
  static AluOps.@Nullable RegMem memReg(Opcode opcode, int size) {
    int kind = kind(opcode);
    if (kind < 0) {
      return null;
    }
    if (size == 1) {
      MemReg8 o = new MemReg8();
      o.kind = (byte) kind;
      return o;
    }
    MemReg16 o = new MemReg16();
    o.kind = (byte) kind;
    return o;
  }

  /** Memory and immediate; null where there is none. */
  static AluOps.@Nullable MemImm memImm(Opcode opcode, int size) {
    int kind = kind(opcode);
    if (kind < 0) {
      return null;
    }
    if (size == 1) {
      MemImm8 o = new MemImm8();
      o.kind = (byte) kind;
      return o;
    }
    MemImm16 o = new MemImm16();
    o.kind = (byte) kind;
    return o;
  }
}
