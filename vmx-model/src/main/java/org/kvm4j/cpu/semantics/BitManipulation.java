package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;

/** Bit tests, bit scans and counts, BSWAP. */
public final class BitManipulation {
  private BitManipulation() {}

  /**
   * The handler of BTS, BTR or BTC: an operation whose second operand is the number of a bit of the
   * first.
   */
  public static final class BitUpdating implements Handler {
    public final Update.Operation operation;

    private BitUpdating(Update.Operation operation) {
      this.operation = operation;
    }

    @Override
    public void execute(Cpu cpu, Instruction i) {
      int bit = bit(cpu, i);
      if (i.kind0 == OperandKind.MEMORY) {
        Update.memory(cpu, linear(cpu, i, true), i.size0, i.lock, operation, bit);
      } else {
        Update.operand0(cpu, i, operation, bit);
      }
    }
  }

  static void register() {
    Handlers.put(Opcode.BT, BitManipulation::bt);
    Handlers.put(Opcode.BTS, update(BitManipulation::set));
    Handlers.put(Opcode.BTR, update(BitManipulation::reset));
    Handlers.put(Opcode.BTC, update(BitManipulation::complement));
    Handlers.put(Opcode.BSF, BitManipulation::bsf);
    Handlers.put(Opcode.BSR, BitManipulation::bsr);
    Handlers.put(Opcode.TZCNT, BitManipulation::tzcnt);
    Handlers.put(Opcode.LZCNT, BitManipulation::lzcnt);
    Handlers.put(Opcode.POPCNT, BitManipulation::popcnt);
    Handlers.put(Opcode.BSWAP, BitManipulation::bswap);
  }

  private static long set(Cpu cpu, int size, long a, long bit) {
    Alu.bt(cpu, a, (int) bit);
    return a | 1L << bit;
  }

  private static long reset(Cpu cpu, int size, long a, long bit) {
    Alu.bt(cpu, a, (int) bit);
    return a & ~(1L << bit);
  }

  private static long complement(Cpu cpu, int size, long a, long bit) {
    Alu.bt(cpu, a, (int) bit);
    return a ^ 1L << bit;
  }

  /** The number of the bit in the operand that is accessed. */
  private static int bit(Cpu cpu, Instruction i) {
    return (int) Operands.read1(cpu, i) & i.size0 * 8 - 1;
  }

  /**
   * The linear address of the operand that holds the bit: a bit number from a register is signed
   * and reaches beyond the memory operand.
   */
  private static long linear(Cpu cpu, Instruction i, boolean write) {
    int size = i.size0;
    long address = Operands.effectiveAddress(cpu, i);
    if (i.kind1 == OperandKind.GPR) {
      long offset = Operands.signExtend(cpu.r[i.reg1], size);
      address = Operands.truncate(address + (offset >> 3 & -size), i.addressSize);
    }
    return cpu.linear(i.segment, address, size, write);
  }

  private static void bt(Cpu cpu, Instruction i) {
    int bit = bit(cpu, i);
    long value =
        i.kind0 == OperandKind.MEMORY
            ? cpu.mmu.read(linear(cpu, i, false), i.size0)
            : cpu.r[i.reg0];
    Alu.bt(cpu, value, bit);
  }

  private static Handler update(Update.Operation operation) {
    return new BitUpdating(operation);
  }

  private static void bsf(Cpu cpu, Instruction i) {
    int index = Alu.bsf(cpu, Operands.read1(cpu, i));
    if (index >= 0) {
      Operands.setGpr(cpu, i.reg0, i.size0, index);
    }
  }

  private static void bsr(Cpu cpu, Instruction i) {
    int index = Alu.bsr(cpu, Operands.read1(cpu, i));
    if (index >= 0) {
      Operands.setGpr(cpu, i.reg0, i.size0, index);
    }
  }

  private static void tzcnt(Cpu cpu, Instruction i) {
    long value = Operands.read1(cpu, i);
    Operands.setGpr(cpu, i.reg0, i.size0, Alu.tzcnt(cpu, value, i.size0 * 8));
  }

  private static void lzcnt(Cpu cpu, Instruction i) {
    long value = Operands.read1(cpu, i);
    Operands.setGpr(cpu, i.reg0, i.size0, Alu.lzcnt(cpu, value, i.size0 * 8));
  }

  private static void popcnt(Cpu cpu, Instruction i) {
    Operands.setGpr(cpu, i.reg0, i.size0, Alu.popcnt(cpu, Operands.read1(cpu, i)));
  }

  /** Of a 16-bit register, which the SDM leaves undefined, the result is 0. */
  private static void bswap(Cpu cpu, Instruction i) {
    long value = cpu.r[i.reg0];
    long swapped =
        switch (i.size0) {
          case 2 -> 0;
          case 4 -> Integer.reverseBytes((int) value);
          default -> Long.reverseBytes(value);
        };
    Operands.setGpr(cpu, i.reg0, i.size0, swapped);
  }
}
