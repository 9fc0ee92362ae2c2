package org.kvm4j.cpu.engine;

import static org.kvm4j.cpu.engine.MachineEmitter.*;
import static org.kvm4j.machine.Assembler.*;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.machine.Assembler;
import org.kvm4j.machine.HostProcessor;

/** Writes moves, the stack, exchanges and what depends on a condition. */
final class MachineMoves {
  private final MachineEmitter e;
  private final Assembler a;

  MachineMoves(MachineEmitter e) {
    this.e = e;
    this.a = e.a;
  }

  boolean compareAndExchange16(Instruction i, int index) {
    if (!HostProcessor.hasEcx(13) || !e.access(i, 16, true, index)) {
      return false;
    }
    e.aligned(16, index);
    if (i.lock) {
      a.emit(0xf0);
    }
    e.mem(8, 0x0fc7, 1);
    // ZF alone is the guest's.
    a.registers(1, 0x0f94, 0, SCRATCH);
    a.registers(1, 0xc0, 4, SCRATCH);
    a.emit(6);
    a.memory(1, 0x80, 4, CONTEXT, MachineContext.FLAGS + 1);
    a.emit(0xbf);
    a.memory(1, 0x08, SCRATCH, CONTEXT, MachineContext.FLAGS + 1);
    e.inHost = false;
    return true;
  }

  boolean move(Instruction i, int index) {
    int size = i.size0;
    if (i.kind0 == OperandKind.MEMORY) {
      if (isGpr(i.kind1)) {
        if (!e.access(i, size, true, index)) {
          return false;
        }
        e.mem(size, size == 1 ? 0x88 : 0x89, e.value(i.reg1));
        return true;
      }
      if (i.kind1 == OperandKind.IMMEDIATE) {
        if (!e.access(i, size, true, index)) {
          return false;
        }
        e.mem(size, size == 1 ? 0xc6 : 0xc7, 0);
        a.emitSized(size, (int) i.immediate);
        return true;
      }
      return false;
    }
    if (!isGpr(i.kind0)) {
      return false;
    }
    int to = i.reg0;
    if (i.kind1 == OperandKind.MEMORY) {
      if (!e.access(i, size, false, index)) {
        return false;
      }
      e.mem(size, size == 1 ? 0x8a : 0x8b, target(to));
      e.keep(to, size);
      return true;
    }
    if (i.kind1 == OperandKind.IMMEDIATE) {
      if (size >= 4) {
        long value = size == 4 ? i.immediate & 0xffffffffL : i.immediate;
        if (isHost(to)) {
          a.set(HOST[to], value);
        } else if (value == (int) value) {
          e.rm(8, 0xc7, 0, to);
          a.emit32((int) value);
        } else {
          a.set(SCRATCH, value);
          e.keep(to, 8);
        }
      } else {
        e.rm(size, size == 1 ? 0xc6 : 0xc7, 0, to);
        a.emitSized(size, (int) i.immediate);
      }
      return true;
    }
    if (!isGpr(i.kind1)) {
      return false;
    }
    if (isHost(to)) {
      e.rm(size, size == 1 ? 0x8a : 0x8b, HOST[to], i.reg1);
    } else {
      e.rm(size, size == 1 ? 0x88 : 0x89, e.value(i.reg1), to);
      e.zeroUpper(size, to);
    }
    return true;
  }

  boolean extend(Instruction i, int index, int opcode) {
    if (!isGpr(i.kind0)) {
      return false;
    }
    // A source of one byte in BPL, SIL or DIL takes a REX prefix.
    if (i.kind1 == OperandKind.MEMORY) {
      if (!e.access(i, i.size1, false, index)) {
        return false;
      }
      e.mem(i.size0, opcode, target(i.reg0));
    } else if (isGpr(i.kind1)) {
      int from = i.reg1;
      if (isHost(from)) {
        a.extend(i.size0, opcode, target(i.reg0), HOST[from], i.size1 == 1);
      } else {
        e.rm(i.size0, opcode, target(i.reg0), from);
      }
    } else {
      return false;
    }
    e.keep(i.reg0, i.size0);
    return true;
  }

  boolean lea(Instruction i) {
    if (!isGpr(i.kind0) || !e.linear(i, false)) {
      return false;
    }
    int size = i.size0;
    e.rm(size, 0x89, LINEAR, i.reg0);
    e.zeroUpper(size, i.reg0);
    return true;
  }

  boolean push(Instruction i, int index) {
    if (i.operandSize != 8) {
      return false;
    }
    if (isGpr(i.kind0)) {
      e.stack(-8, true, index);
      e.mem(8, 0x89, e.value(i.reg0));
    } else if (i.kind0 == OperandKind.IMMEDIATE) {
      e.stack(-8, true, index);
      e.mem(8, 0xc7, 0);
      a.emit32((int) i.immediate);
    } else if (i.kind0 == OperandKind.MEMORY) {
      if (!e.access(i, 8, false, index)) {
        return false;
      }
      e.mem(8, 0x8b, SCRATCH);
      a.store(SCRATCH, CONTEXT, MachineContext.ASIDE);
      e.stack(-8, true, index);
      a.load(SCRATCH, CONTEXT, MachineContext.ASIDE);
      e.mem(8, 0x89, SCRATCH);
    } else {
      return false;
    }
    a.move(HOST[Cpu.RSP], LINEAR);
    return true;
  }

  boolean pop(Instruction i, int index) {
    if (i.operandSize != 8 || !isGpr(i.kind0)) {
      return false;
    }
    e.stack(0, false, index);
    int to = i.reg0;
    e.mem(8, 0x8b, target(to));
    e.keep(to, 8);
    if (to != Cpu.RSP) {
      a.address(HOST[Cpu.RSP], LINEAR, NONE, 0, 8);
    }
    return true;
  }

  boolean leave(Instruction i, int index) {
    if (i.operandSize != 8) {
      return false;
    }
    e.save();
    a.move(LINEAR, HOST[Cpu.RBP]);
    e.find(8, false, index);
    e.mem(8, 0x8b, HOST[Cpu.RBP]);
    a.address(HOST[Cpu.RSP], LINEAR, NONE, 0, 8);
    return true;
  }

  boolean exchange(Instruction i, int index) {
    int size = i.size0;
    if (i.kind0 == OperandKind.MEMORY || i.kind1 == OperandKind.MEMORY) {
      int register = i.kind0 == OperandKind.MEMORY ? i.reg1 : i.reg0;
      int kind = i.kind0 == OperandKind.MEMORY ? i.kind1 : i.kind0;
      if (!isGpr(kind) || !e.access(i, size, true, index)) {
        return false;
      }
      e.aligned(size, index);
      int with = e.value(register);
      e.mem(size, size == 1 ? 0x86 : 0x87, with);
      e.keep(register, size);
      return true;
    }
    if (!isGpr(i.kind0) || !isGpr(i.kind1)) {
      return false;
    }
    int one = i.reg0;
    int other = i.reg1;
    a.move(LINEAR, e.value(one, LINEAR));
    a.move(TO_HOST, e.value(other, TO_HOST));
    e.rm(size, size == 1 ? 0x88 : 0x89, TO_HOST, one);
    e.zeroUpper(size, one);
    e.rm(size, size == 1 ? 0x88 : 0x89, LINEAR, other);
    e.zeroUpper(size, other);
    return true;
  }

  boolean compareAndExchange(Instruction i, int index) {
    return updateByRegister(i, index, 0x0fb0);
  }

  boolean exchangeAndAdd(Instruction i, int index) {
    if (!updateByRegister(i, index, 0x0fc0)) {
      return false;
    }
    e.keep(i.reg1, i.size0);
    return true;
  }

  /**
   * An instruction that sets all flags, whose first operand is memory, and the second a register.
   *
   * @param opcode for operands of 1 byte
   */
  private boolean updateByRegister(Instruction i, int index, int opcode) {
    int size = i.size0;
    if (i.kind0 != OperandKind.MEMORY || !isGpr(i.kind1) || !e.access(i, size, true, index)) {
      return false;
    }
    e.aligned(size, index);
    int with = e.value(i.reg1);
    if (i.lock) {
      a.emit(0xf0);
    }
    e.mem(size, sized(opcode, size), with);
    e.flagsSet();
    return true;
  }

  boolean conditionalMove(Instruction i, int index) {
    int size = i.size0;
    if (size < 4 || !isGpr(i.kind0)) {
      return false;
    }
    int to = i.reg0;
    if (i.kind1 == OperandKind.MEMORY) {
      if (!e.access(i, size, false, index)) {
        return false;
      }
      e.restore();
      if (isHost(to)) {
        e.mem(size, 0x0f40 | i.condition, HOST[to]);
        return true;
      }
      a.load(SCRATCH, CONTEXT, slot(to));
      e.mem(size, 0x0f40 | i.condition, SCRATCH);
      e.keep(to, size);
      return true;
    }
    if (!isGpr(i.kind1)) {
      return false;
    }
    e.restore();
    if (isHost(to)) {
      e.rm(size, 0x0f40 | i.condition, HOST[to], i.reg1);
    } else {
      a.load(SCRATCH, CONTEXT, slot(to));
      e.rm(size, 0x0f40 | i.condition, SCRATCH, i.reg1);
      e.keep(to, size);
    }
    return true;
  }

  boolean setCondition(Instruction i, int index) {
    if (i.kind0 == OperandKind.MEMORY) {
      if (!e.access(i, 1, true, index)) {
        return false;
      }
      e.restore();
      e.mem(1, 0x0f90 | i.condition, 0);
      return true;
    }
    if (!isGpr(i.kind0)) {
      return false;
    }
    e.restore();
    e.rm(1, 0x0f90 | i.condition, 0, i.reg0);
    return true;
  }
}
