package org.kvm4j.cpu.engine;

import static org.kvm4j.cpu.engine.MachineEmitter.*;
import static org.kvm4j.machine.Assembler.*;

import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.machine.Assembler;

/** Writes arithmetic and logic. */
final class MachineArithmetic {
  private final MachineEmitter e;
  private final Assembler a;

  MachineArithmetic(MachineEmitter e) {
    this.e = e;
    this.a = e.a;
  }

  /** The number of a register's byte without a REX prefix; negative if there is none. */
  private static int byteRegister(int kind, int register) {
    if (kind == OperandKind.GPR_HIGH) {
      return register + 4;
    }
    return kind == OperandKind.GPR && register < 4 ? register : -1;
  }

  /** Instructions with AH to BH, which no REX prefix may be with. */
  boolean highByte(Instruction i, int index) {
    int to = byteRegister(i.kind0, i.reg0);
    int from = byteRegister(i.kind1, i.reg1);
    if (i.opcode == Opcode.MOVZX || i.opcode == Opcode.MOVSX) {
      if (i.kind0 != OperandKind.GPR || i.size0 != 4 || !isHost(i.reg0) || HOST[i.reg0] >= 8) {
        return false;
      }
      a.plain(i.opcode == Opcode.MOVZX ? 0x0fb6 : 0x0fbe, HOST[i.reg0], from);
      return true;
    }
    int operation =
        switch (i.opcode) {
          case ADD -> 0;
          case OR -> 1;
          case ADC -> 2;
          case SBB -> 3;
          case AND -> 4;
          case SUB -> 5;
          case XOR -> 6;
          case CMP -> 7;
          case TEST, MOV -> 8;
          default -> -1;
        };
    boolean immediate = i.kind1 == OperandKind.IMMEDIATE;
    if (operation < 0 || to < 0 || !immediate && from < 0) {
      return false;
    }
    if (operation == 2 || operation == 3) {
      e.restoreCarry();
    }
    if (immediate) {
      int opcode = i.opcode == Opcode.TEST ? 0xf6 : i.opcode == Opcode.MOV ? 0xc6 : 0x80;
      a.plain(opcode, operation & 7, to);
      a.emit((int) i.immediate);
    } else {
      int opcode = i.opcode == Opcode.TEST ? 0x84 : i.opcode == Opcode.MOV ? 0x88 : operation << 3;
      a.plain(opcode, from, to);
    }
    if (i.opcode != Opcode.MOV) {
      e.flagsSet();
    }
    return true;
  }

  boolean carry(int opcode) {
    e.restore();
    a.emit(opcode);
    e.flagsSet();
    return true;
  }

  /**
   * @param operation as in ModR/M.reg of the opcodes 80 to 83
   */
  boolean arithmetic(Instruction i, int index, int operation) {
    int size = i.size0;
    boolean withCarry = operation == 2 || operation == 3;
    boolean writes = operation != 7;
    int opcode = sized(operation << 3, size);
    if (i.kind0 == OperandKind.MEMORY) {
      boolean register = isGpr(i.kind1);
      if (!register && i.kind1 != OperandKind.IMMEDIATE || !e.access(i, size, writes, index)) {
        return false;
      }
      if (i.lock) {
        e.aligned(size, index);
      }
      if (withCarry) {
        e.restoreCarry();
      }
      int source = register ? e.value(i.reg1) : 0;
      if (i.lock) {
        a.emit(0xf0);
      }
      if (register) {
        e.mem(size, opcode, source);
      } else {
        boolean small = i.immediate == (byte) i.immediate;
        e.mem(size, size == 1 ? 0x80 : small ? 0x83 : 0x81, operation);
        immediate(size, small, (int) i.immediate);
      }
      e.flagsSet();
      return true;
    }
    if (!isGpr(i.kind0)) {
      return false;
    }
    int to = i.reg0;
    if (i.kind1 == OperandKind.MEMORY) {
      if (!e.access(i, size, false, index)) {
        return false;
      }
      if (withCarry) {
        e.restoreCarry();
      }
      if (isHost(to)) {
        e.mem(size, opcode | 2, HOST[to]);
      } else {
        e.mem(size, size == 1 ? 0x8a : 0x8b, SCRATCH);
        e.rm(size, opcode, SCRATCH, to);
      }
    } else if (i.kind1 == OperandKind.IMMEDIATE) {
      if (withCarry) {
        e.restoreCarry();
      }
      boolean small = i.immediate == (byte) i.immediate;
      e.rm(size, size == 1 ? 0x80 : small ? 0x83 : 0x81, operation, to);
      immediate(size, small, (int) i.immediate);
    } else if (isGpr(i.kind1)) {
      if (withCarry) {
        e.restoreCarry();
      }
      if (isHost(to)) {
        e.rm(size, opcode | 2, HOST[to], i.reg1);
      } else {
        e.rm(size, opcode, e.value(i.reg1), to);
      }
    } else {
      return false;
    }
    e.flagsSet();
    if (writes) {
      e.zeroUpper(size, to);
    }
    return true;
  }

  private void immediate(int size, boolean small, int value) {
    if (small || size == 1) {
      a.emit(value);
    } else {
      a.emitSized(size, value);
    }
  }

  boolean test(Instruction i, int index) {
    int size = i.size0;
    boolean register = isGpr(i.kind1);
    if (!register && i.kind1 != OperandKind.IMMEDIATE) {
      return false;
    }
    if (i.kind0 == OperandKind.MEMORY) {
      if (!e.access(i, size, false, index)) {
        return false;
      }
      if (register) {
        e.mem(size, size == 1 ? 0x84 : 0x85, e.value(i.reg1));
      } else {
        e.mem(size, size == 1 ? 0xf6 : 0xf7, 0);
        a.emitSized(size, (int) i.immediate);
      }
    } else if (isGpr(i.kind0)) {
      if (register) {
        e.rm(size, size == 1 ? 0x84 : 0x85, e.value(i.reg1), i.reg0);
      } else {
        e.rm(size, size == 1 ? 0xf6 : 0xf7, 0, i.reg0);
        a.emitSized(size, (int) i.immediate);
      }
    } else {
      return false;
    }
    e.flagsSet();
    return true;
  }

  /** INC and DEC, which keep CF, NEG, and NOT, which keeps all flags. */
  boolean unary(Instruction i, int index, int opcode, int extension) {
    int size = i.size0;
    boolean not = i.opcode == Opcode.NOT;
    boolean keepsCarry = opcode == 0xfe;
    if (i.kind0 == OperandKind.MEMORY) {
      if (!e.access(i, size, true, index)) {
        return false;
      }
      if (i.lock) {
        e.aligned(size, index);
      }
      if (keepsCarry) {
        e.restoreCarry();
      }
      if (i.lock) {
        a.emit(0xf0);
      }
      e.mem(size, sized(opcode, size), extension);
    } else if (isGpr(i.kind0)) {
      if (keepsCarry) {
        e.restoreCarry();
      }
      e.rm(size, sized(opcode, size), extension, i.reg0);
      e.zeroUpper(size, i.reg0);
    } else {
      return false;
    }
    if (!not) {
      e.flagsSet();
    }
    return true;
  }

  /**
   * After a multiplication, whose CF and OF alone are the guest's: the others stay as they are in
   * the context.
   */
  private void carryAndOverflow() {
    a.memory(1, 0x0f90, 0, CONTEXT, MachineContext.FLAGS); // seto
    e.carryAlone();
  }

  /** IMUL of two or three operands. */
  boolean product(Instruction i, int index) {
    int size = i.size0;
    if (size < 4 || !isGpr(i.kind0)) {
      return false;
    }
    int to = i.reg0;
    boolean immediate = i.kind2 == OperandKind.IMMEDIATE;
    if (!immediate && i.kind2 != OperandKind.NONE) {
      return false;
    }
    if (i.kind1 == OperandKind.MEMORY) {
      if (!e.access(i, size, false, index)) {
        return false;
      }
    } else if (!isGpr(i.kind1)) {
      return false;
    }
    e.save();
    int target = target(to);
    if (!immediate && !isHost(to)) {
      a.load(SCRATCH, CONTEXT, slot(to));
    }
    int opcode = immediate ? 0x69 : 0x0faf;
    if (i.kind1 == OperandKind.MEMORY) {
      e.mem(size, opcode, target);
    } else {
      e.rm(size, opcode, target, i.reg1);
    }
    if (immediate) {
      a.emit32((int) i.immediate);
    }
    e.keep(to, size);
    carryAndOverflow();
    return true;
  }

  /** MUL or IMUL of one operand. */
  boolean multiply(Instruction i, int index, int extension) {
    int size = i.size0;
    if (i.kind0 == OperandKind.MEMORY) {
      if (!e.access(i, size, false, index)) {
        return false;
      }
      e.mem(size, sized(0xf6, size), extension);
    } else if (isGpr(i.kind0)) {
      e.save();
      e.rm(size, sized(0xf6, size), extension, i.reg0);
    } else {
      return false;
    }
    carryAndOverflow();
    return true;
  }

  /** DIV of 4 or 8 bytes; where it faults it is the interpreter's. */
  boolean divide(Instruction i, int index) {
    int size = i.size0;
    boolean memory = i.kind0 == OperandKind.MEMORY;
    if (size < 4 || !memory && !isGpr(i.kind0) || memory && !e.access(i, size, false, index)) {
      return false;
    }
    e.save();
    // The quotient fits if the upper half is below the divisor, which then is not 0.
    if (memory) {
      e.mem(size, 0x8b, SCRATCH);
      a.registers(size, 0x3b, RDX, SCRATCH);
    } else {
      e.rm(size, 0x3b, RDX, i.reg0);
    }
    e.out(a.jump(AE), MachineBlock.INTERPRET, index);
    if (memory) {
      a.registers(size, 0xf7, 6, SCRATCH);
    } else {
      e.rm(size, 0xf7, 6, i.reg0);
    }
    // SF, ZF and PF clear, AF set, the others as they were: Alu.divFlags.
    a.memory(1, 0x80, 4, CONTEXT, MachineContext.FLAGS + 1);
    a.emit(0x01);
    a.memory(1, 0x80, 1, CONTEXT, MachineContext.FLAGS + 1);
    a.emit(0x10);
    e.inHost = false;
    return true;
  }
}
