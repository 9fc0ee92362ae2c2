package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.semantics.Alu;
import org.kvm4j.cpu.semantics.Operands;

/** Bit scans and counts, and IMUL with memory, for 32 and 64 bits. */
final class ScanOps {
  private ScanOps() {}

  private static final int BSF = 0;
  private static final int BSR = 1;
  private static final int TZCNT = 2;
  private static final int LZCNT = 3;
  private static final int POPCNT = 4;

  private static int kind(Opcode opcode) {
    return switch (opcode) {
      case BSF -> BSF;
      case BSR -> BSR;
      case TZCNT -> TZCNT;
      case LZCNT -> LZCNT;
      case POPCNT -> POPCNT;
      default -> -1;
    };
  }

  private static void scan(Cpu c, int kind, int dst, long value, int size) {
    int result =
        switch (kind) {
          case BSF -> Alu.bsf(c, value);
          case BSR -> Alu.bsr(c, value);
          case TZCNT -> Alu.tzcnt(c, value, size * 8);
          case LZCNT -> Alu.lzcnt(c, value, size * 8);
          default -> Alu.popcnt(c, value);
        };
    if (result >= 0) {
      c.r[dst] = result;
    }
  }

  /** Of a register. */
  static final class OfRegister extends Op {
    private final byte kind;
    private final byte dst;
    private final byte src;
    private final byte size;

    OfRegister(Instruction i, int kind) {
      this.kind = (byte) kind;
      dst = (byte) i.reg0;
      src = (byte) i.reg1;
      size = (byte) i.size0;
    }

    @Override
    @Nullable Op exec(Cpu c) {
      scan(c, kind, dst, Operands.truncate(c.r[src], size), size);
      return next;
    }
  }

  /** Of memory. */
  static final class OfMemory extends MemOp {
    private final byte kind;
    private final byte dst;
    private final byte size;

    OfMemory(Instruction i, int kind) {
      this.kind = (byte) kind;
      dst = (byte) i.reg0;
      size = (byte) i.size0;
    }

    @Override
    @Nullable Op exec(Cpu c) {
      scan(c, kind, dst, c.mmu.read(address(c), size), size);
      return next;
    }
  }

  /** IMUL of memory by a register or a constant. */
  static final class ImulMemory extends MemOp {
    private final byte dst;
    private final byte size;
    private final boolean constant;
    private final int imm;

    ImulMemory(Instruction i) {
      dst = (byte) i.reg0;
      size = (byte) i.size0;
      constant = i.kind2 == OperandKind.IMMEDIATE;
      imm = constant ? (int) i.immediate : 0;
    }

    @Override
    @Nullable Op exec(Cpu c) {
      long at = address(c);
      if (size == 8) {
        c.r[dst] = Alu.imul64(c, c.mmu.read64(at), constant ? imm : c.r[dst]);
      } else {
        int b = constant ? imm : (int) c.r[dst];
        c.r[dst] = Alu.imul32(c, c.mmu.read32(at), b) & 0xffffffffL;
      }
      return next;
    }
  }

  /** A form without memory; null where there is none. */
  static @Nullable Op registers(Instruction i) {
    int kind = kind(i.opcode);
    boolean has = kind >= 0 && i.size0 >= 4 && i.kind1 == OperandKind.GPR;
    return has ? new OfRegister(i, kind) : null;
  }

  /** A form with memory, whose address is to be filled in; null where there is none. */
  static @Nullable MemOp memory(Instruction i) {
    if (i.size0 < 4 || i.kind0 != OperandKind.GPR || i.kind1 != OperandKind.MEMORY) {
      return null;
    }
    if (i.opcode == Opcode.IMUL) {
      return new ImulMemory(i);
    }
    int kind = kind(i.opcode);
    return kind >= 0 ? new OfMemory(i, kind) : null;
  }
}
