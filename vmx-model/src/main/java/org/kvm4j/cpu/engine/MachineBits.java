package org.kvm4j.cpu.engine;

import static org.kvm4j.cpu.engine.MachineEmitter.*;
import static org.kvm4j.machine.Assembler.*;

import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.machine.Assembler;
import org.kvm4j.machine.HostProcessor;

/** Writes bit tests and scans, BSWAP and CRC32. */
final class MachineBits {
  private final MachineEmitter e;
  private final Assembler a;

  MachineBits(MachineEmitter e) {
    this.e = e;
    this.a = e.a;
  }

  boolean crc(Instruction i, int index) {
    int size = i.size1;
    if (!HostProcessor.hasEcx(20) || size == 2 || !isGpr(i.kind0)) {
      return false;
    }
    int opcode = size == 1 ? 0x0f38f0 : 0x0f38f1;
    int to = i.reg0;
    if (i.kind1 == OperandKind.MEMORY) {
      if (!e.access(i, size, false, index)) {
        return false;
      }
      if (!isHost(to)) {
        a.load(SCRATCH, CONTEXT, slot(to));
      }
      e.mem(0xf2, size, opcode, target(to));
    } else if (isGpr(i.kind1)) {
      if (!isHost(to)) {
        a.load(SCRATCH, CONTEXT, slot(to));
      }
      e.rm(0xf2, size, opcode, target(to), i.reg1);
    } else {
      return false;
    }
    e.keep(to, 8);
    return true;
  }

  boolean scan(Instruction i, int index, int prefix, int opcode, boolean there) {
    int size = i.size0;
    boolean undefined = i.opcode != Opcode.POPCNT;
    if (!there || size < 4 || !isGpr(i.kind0)) {
      return false;
    }
    int to = i.reg0;
    if (i.kind1 == OperandKind.MEMORY) {
      if (!e.access(i, size, false, index)) {
        return false;
      }
    } else if (!isGpr(i.kind1)) {
      return false;
    }
    if (undefined && !UndefinedFlags.AS_MODELLED) {
      scanMakingFlags(i, index, prefix, opcode);
      return true;
    }
    e.restore();
    if (!isHost(to)) {
      a.load(SCRATCH, CONTEXT, slot(to));
    }
    if (i.kind1 == OperandKind.MEMORY) {
      e.mem(prefix, size, opcode, target(to));
    } else {
      e.rm(prefix, size, opcode, target(to), i.reg1);
    }
    e.keep(to, 8);
    e.flagsSet();
    return true;
  }

  /** On a processor whose undefined flags are others: the operand has been found, if in memory. */
  private void scanMakingFlags(Instruction i, int index, int prefix, int opcode) {
    int size = i.size0;
    int to = i.reg0;
    boolean memory = i.kind1 == OperandKind.MEMORY;
    e.save();
    e.inHost = false;
    if (i.opcode == Opcode.BSF || i.opcode == Opcode.BSR) {
      if (memory) {
        e.mem(size, 0x8b, SCRATCH);
      }
      int from = memory ? SCRATCH : e.value(i.reg1);
      a.registers(size, 0x85, from, from); // test
      // What becomes of the destination then, the interpreter knows.
      e.out(a.jump(E), MachineBlock.INTERPRET, index);
      a.registers(size, opcode, target(to), from);
      e.keep(to, 8);
      if (isHost(to)) {
        a.move(SCRATCH, HOST[to]);
      }
      // PF is the result's parity; the others are clear.
      a.immediate(4, 0, SCRATCH, 0x100);
      e.flagsSet();
      return;
    }
    if (memory) {
      e.mem(prefix, size, opcode, target(to));
    } else {
      e.rm(prefix, size, opcode, target(to), i.reg1);
    }
    e.keep(to, 8);
    // OF stays, ZF and CF are the host's; the others are clear.
    a.move(SCRATCH, RAX);
    a.emit(0x9f); // lahf
    a.emit(0x0f);
    a.emit(0xb6);
    a.emit(0xc4); // movzx eax, ah
    a.immediate(4, 4, RAX, 0x43);
    a.memory(1, 0x88, RAX, CONTEXT, MachineContext.FLAGS + 1);
    a.move(RAX, SCRATCH);
    e.saved = true;
  }

  boolean bit(Instruction i, int index, int extension, int opcode) {
    int size = i.size0;
    if (i.kind1 == OperandKind.IMMEDIATE) {
      int bit = (int) i.immediate & size * 8 - 1;
      if (i.kind0 == OperandKind.MEMORY) {
        if (!e.access(i, size, i.opcode != Opcode.BT, index)) {
          return false;
        }
        if (i.lock) {
          e.aligned(size, index);
        }
        keepOthers();
        if (i.lock) {
          a.emit(0xf0);
        }
        e.mem(size, 0x0fba, extension);
      } else if (isGpr(i.kind0)) {
        keepOthers();
        e.rm(size, 0x0fba, extension, i.reg0);
      } else {
        return false;
      }
      a.emit(bit);
    } else if (isGpr(i.kind0) && isGpr(i.kind1)) {
      keepOthers();
      // With memory the bit may be anywhere.
      int where = isHost(i.reg0) ? HOST[i.reg0] : LINEAR;
      if (where == LINEAR) {
        a.load(LINEAR, CONTEXT, slot(i.reg0));
      }
      a.registers(size, opcode, e.value(i.reg1), where);
      if (where == LINEAR && i.opcode != Opcode.BT) {
        e.rm(size, 0x89, LINEAR, i.reg0);
      }
    } else if (i.kind0 == OperandKind.MEMORY && isGpr(i.kind1)) {
      return bitString(i, index, opcode);
    } else {
      return false;
    }
    if (UndefinedFlags.AS_MODELLED) {
      e.flagsSet();
    } else {
      e.carryAlone();
    }
    if (i.kind0 == OperandKind.GPR && i.opcode != Opcode.BT) {
      e.zeroUpper(size, i.reg0);
    }
    return true;
  }

  /** Flags other than CF are as they were: where processors may differ, in the context. */
  private void keepOthers() {
    if (UndefinedFlags.AS_MODELLED) {
      e.restore();
    } else {
      e.save();
      e.inHost = false;
    }
  }

  /** A bit of a string in memory, which the number may reach anywhere in. */
  private boolean bitString(Instruction i, int index, int opcode) {
    int size = i.size0;
    e.save();
    if (size < 4 || !e.linear(i, true)) {
      return false;
    }
    int number = e.value(i.reg1);
    if (size == 8) {
      a.move(TO_HOST, number);
    } else {
      a.registers(8, 0x63, TO_HOST, number); // movsxd
    }
    a.registers(8, 0xc1, 7, TO_HOST); // sar
    a.emit(3);
    a.immediate(8, 4, TO_HOST, -size);
    a.registers(8, 0x01, TO_HOST, LINEAR);
    e.find(size, i.opcode != Opcode.BT, index);
    if (i.lock) {
      e.aligned(size, index);
    }
    a.move(SCRATCH, e.value(i.reg1));
    a.immediate(4, 4, SCRATCH, size * 8 - 1);
    if (i.lock) {
      a.emit(0xf0);
    }
    e.mem(size, opcode, SCRATCH);
    e.carryAlone();
    return true;
  }

  boolean swap(Instruction i) {
    int size = i.size0;
    if (size < 4) {
      return false;
    }
    int register = e.value(i.reg0);
    if (size == 4 && register == SCRATCH) {
      a.registers(4, 0x89, SCRATCH, SCRATCH);
    }
    a.swap(size, register);
    e.keep(i.reg0, size);
    return true;
  }
}
