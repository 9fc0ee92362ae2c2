package org.kvm4j.cpu.engine;

import static org.kvm4j.cpu.engine.MachineEmitter.*;
import static org.kvm4j.machine.Assembler.*;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.machine.Assembler;

/** Writes shifts and rotations, and the flags that they leave undefined. */
final class MachineShifts {
  private final MachineEmitter e;
  private final Assembler a;

  MachineShifts(MachineEmitter e) {
    this.e = e;
    this.a = e.a;
  }

  boolean shiftDouble(Instruction i, int index, int opcode) {
    int size = i.size0;
    boolean immediate = i.kind2 == OperandKind.IMMEDIATE;
    if (size < 4 || !isGpr(i.kind0) || !isGpr(i.kind1)) {
      return false;
    }
    if (!UndefinedFlags.AS_MODELLED) {
      return shiftDoubleMakingFlags(i, opcode);
    }
    int where = e.value(i.reg0, LINEAR);
    e.restore();
    a.registers(size, immediate ? opcode : opcode + 1, e.value(i.reg1), where);
    if (immediate) {
      a.emit((int) i.immediate);
    }
    e.flagsSet();
    if (!isHost(i.reg0)) {
      e.rm(size, 0x89, LINEAR, i.reg0);
      e.zeroUpper(size, i.reg0);
    }
    return true;
  }

  /** On a processor whose undefined flags are others: they are made from the result. */
  private boolean shiftDoubleMakingFlags(Instruction i, int opcode) {
    int size = i.size0;
    boolean immediate = i.kind2 == OperandKind.IMMEDIATE;
    int mask = size == 8 ? 63 : 31;
    int count = immediate ? (int) i.immediate & mask : 0;
    if (immediate && count == 0) {
      return false;
    }
    boolean left = i.opcode == Opcode.SHLD;
    e.save();
    e.inHost = false;
    int skip = 0;
    if (!immediate) {
      a.registers(4, 0x89, RCX, SCRATCH);
      a.immediate(4, 4, SCRATCH, mask);
      skip = a.jump(E);
    }
    int where = e.value(i.reg0, LINEAR);
    a.registers(size, immediate ? opcode : opcode + 1, e.value(i.reg1), where);
    if (immediate) {
      a.emit(count);
    }
    if (!isHost(i.reg0)) {
      e.rm(size, 0x89, LINEAR, i.reg0);
    }
    a.move(SCRATCH, RAX);
    a.emit(0x9f); // lahf
    if (!left) {
      // OF is the xor of the two highest bits.
      int result = where == RAX ? SCRATCH : where;
      bit(size, result, size * 8 - 2);
      a.registers(1, 0x0f92, 0, RAX);
      bit(size, result, size * 8 - 1);
      a.emit(0x14);
      a.emit(0); // adc al, 0
      a.emit(0x24);
      a.emit(1); // and al, 1
    }
    e.madeFlags(left ? Missing.LEFT : Missing.HALF);
    a.memory(2, 0x89, RAX, CONTEXT, MachineContext.FLAGS);
    a.move(RAX, SCRATCH);
    if (!immediate) {
      a.bind(skip);
    }
    if (size == 4 && isHost(i.reg0)) {
      // A count of 0 makes the upper half 0, too.
      a.registers(4, 0x89, HOST[i.reg0], HOST[i.reg0]);
    } else {
      e.zeroUpper(size, i.reg0);
    }
    e.saved = true;
    return true;
  }

  /** CF is a bit of a host's register. */
  private void bit(int size, int register, int bit) {
    a.registers(size, 0x0fba, 4, register);
    a.emit(bit);
  }

  /**
   * Shifts and rotations.
   *
   * @param extension ROL 0, ROR 1, RCL 2, RCR 3, SHL 4, SHR 5, SAR 7
   */
  boolean shift(Instruction i, int index, int extension) {
    int size = i.size0;
    boolean immediate = i.kind1 == OperandKind.IMMEDIATE;
    int count = immediate ? (int) i.immediate & (size == 8 ? 63 : 31) : 0;
    boolean rotates = extension < 4;
    boolean made = !UndefinedFlags.AS_MODELLED;
    if (!immediate && !(isGpr(i.kind1) && i.reg1 == Cpu.RCX)
        || made && size < 4 && (rotates || !immediate)) {
      return false;
    }
    boolean memory = i.kind0 == OperandKind.MEMORY;
    if (memory) {
      if (!e.access(i, size, true, index)) {
        return false;
      }
    } else if (!isGpr(i.kind0)) {
      return false;
    }
    if (immediate && count == 0) {
      // Nothing but that the upper half of a register becomes 0.
      if (!memory && size == 4) {
        if (isHost(i.reg0)) {
          a.registers(4, 0x89, HOST[i.reg0], HOST[i.reg0]);
        } else {
          e.zeroUpper(4, i.reg0);
        }
      }
      return true;
    }
    if (made && (rotates || !immediate)) {
      shiftMakingFlags(i, extension, memory, immediate, count);
      return true;
    }
    // A count of 0 keeps all flags, and rotations keep most of them.
    if (!immediate || rotates) {
      e.restore();
    }
    shifted(i, extension, memory, immediate, count);
    e.flagsSet();
    if (made) {
      e.missing = count == 1 ? Missing.HALF : extension == 4 ? Missing.LEFT : Missing.RIGHT;
    }
    return true;
  }

  private void shifted(Instruction i, int extension, boolean memory, boolean immediate, int count) {
    int size = i.size0;
    int opcode = sized(immediate ? count == 1 ? 0xd0 : 0xc0 : 0xd2, size);
    if (memory) {
      e.mem(size, opcode, extension);
    } else {
      e.rm(size, opcode, extension, i.reg0);
    }
    if (immediate && count != 1) {
      a.emit(count);
    }
    if (!memory) {
      e.zeroUpper(size, i.reg0);
    }
  }

  /** On a processor whose undefined flags are others: they are made from the result. */
  private void shiftMakingFlags(
      Instruction i, int extension, boolean memory, boolean immediate, int count) {
    int size = i.size0;
    e.save();
    int skip = 0;
    if (!immediate) {
      a.registers(4, 0x89, RCX, SCRATCH);
      a.immediate(4, 4, SCRATCH, size == 8 ? 63 : 31);
      skip = a.jump(E);
    }
    e.inHost = false;
    if (extension == 2 || extension == 3) {
      e.restoreCarry();
    }
    shifted(i, extension, memory, immediate, count);
    if (extension < 4) {
      // CF and OF alone.
      e.carryAlone();
      boolean left = (extension & 1) == 0;
      if (!left) {
        test(i, memory, size * 8 - 2);
        a.registers(1, 0x0f92, 0, SCRATCH);
      }
      // To the left CF xor the sign, to the right the two highest bits.
      test(i, memory, size * 8 - 1);
      a.memory(1, 0x0f92, 0, CONTEXT, MachineContext.FLAGS);
      a.memory(1, 0x30, SCRATCH, CONTEXT, MachineContext.FLAGS); // xor
    } else {
      a.move(SCRATCH, RAX);
      a.emit(0x9f); // lahf
      if (extension == 5) {
        // The second highest bit; in RAX are flags now.
        if (!memory && i.reg0 == Cpu.RAX) {
          bit(size, SCRATCH, size * 8 - 2);
        } else {
          test(i, memory, size * 8 - 2);
        }
        a.registers(1, 0x0f92, 0, RAX);
      } else {
        a.registers(1, 0x0f90, 0, RAX); // seto al, to be replaced
      }
      e.madeFlags(extension == 4 ? Missing.LEFT : extension == 7 ? Missing.RIGHT : Missing.HALF);
      a.memory(2, 0x89, RAX, CONTEXT, MachineContext.FLAGS);
      a.move(RAX, SCRATCH);
    }
    if (!immediate) {
      a.bind(skip);
      if (!memory && size == 4 && isHost(i.reg0)) {
        // A count of 0 makes the upper half 0, too.
        a.registers(4, 0x89, HOST[i.reg0], HOST[i.reg0]);
      } else if (!memory) {
        e.zeroUpper(size, i.reg0);
      }
    }
    e.saved = true;
    e.inHost = false;
  }

  /** CF is a bit of the first operand. */
  private void test(Instruction i, boolean memory, int bit) {
    if (memory) {
      e.mem(i.size0, 0x0fba, 4);
    } else {
      e.rm(i.size0, 0x0fba, 4, i.reg0);
    }
    a.emit(bit);
  }
}
