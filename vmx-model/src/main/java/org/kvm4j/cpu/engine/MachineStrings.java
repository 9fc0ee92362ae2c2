package org.kvm4j.cpu.engine;

import static org.kvm4j.cpu.engine.MachineEmitter.*;
import static org.kvm4j.machine.Assembler.*;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.machine.Assembler;

/**
 * Writes repeated MOVS and STOS, which are the host's where they end within a page with ascending
 * addresses, so that they are one unit of the budget; and CLD and STD.
 */
final class MachineStrings {
  private static final int PAGE = 4096;

  /** EFLAGS.DF in the second byte. */
  private static final int DF = 1 << 2;

  private final MachineEmitter e;
  private final Assembler a;

  MachineStrings(MachineEmitter e) {
    this.e = e;
    this.a = e.a;
  }

  /** CLD and STD. */
  boolean direction(boolean down) {
    e.save();
    int value = down ? DF : ~DF;
    a.immediate(1, down ? 1 : 4, CONTEXT, NONE, MachineContext.FLAGS_REST + 1, value);
    e.inHost = false;
    return true;
  }

  boolean store(Instruction i, int index) {
    if (!begin(i, index)) {
      return false;
    }
    find(RDI, i.size0, true, index);
    a.address(RDI, LINEAR, TO_HOST, 0, 0);
    repeat(0xaa, i.size0);
    a.registers(8, SUB | 1, TO_HOST, RDI);
    return true;
  }

  boolean move(Instruction i, int index) {
    if (i.segment >= Cpu.FS || !begin(i, index)) {
      return false;
    }
    int size = i.size0;
    find(RDI, size, true, index);
    a.store(TO_HOST, CONTEXT, MachineContext.ASIDE);
    find(RSI, size, false, index);
    a.store(TO_HOST, CONTEXT, MachineContext.ASIDE2);
    a.registers(8, ADD | 1, TO_HOST, LINEAR);
    a.load(SCRATCH, CONTEXT, MachineContext.ASIDE);
    a.registers(8, ADD | 1, RDI, SCRATCH);
    // Elements that are written and read after that: the interpreter does them in parts.
    a.move(TO_HOST, SCRATCH);
    a.registers(8, SUB | 1, LINEAR, TO_HOST);
    if (size > 1) {
      a.registers(8, 0xc1, 5, TO_HOST); // shr
      a.emit(Integer.numberOfTrailingZeros(size));
    }
    a.registers(8, CMP | 1, RCX, TO_HOST);
    e.out(a.jump(B), MachineBlock.INTERPRET, index);
    a.move(RSI, LINEAR);
    a.move(RDI, SCRATCH);
    repeat(0xa4, size);
    a.memory(8, SUB | 3, RSI, CONTEXT, MachineContext.ASIDE2);
    a.memory(8, SUB | 3, RDI, CONTEXT, MachineContext.ASIDE);
    return true;
  }

  /** False for other forms. The interpreter does what is descending or longer than a page. */
  private boolean begin(Instruction i, int index) {
    if (!i.rep || i.addressSize != 8) {
      return false;
    }
    e.save();
    a.memory(1, 0xf6, 0, CONTEXT, MachineContext.FLAGS_REST + 1); // test
    a.emit(DF);
    e.out(a.jump(NE), MachineBlock.INTERPRET, index);
    a.immediate(8, 7, RCX, PAGE / i.size0);
    e.out(a.jump(A), MachineBlock.INTERPRET, index);
    e.inHost = false;
    return true;
  }

  /** Looks all elements from a register on up in the TLB: their last byte is in the same page. */
  private void find(int register, int size, boolean write, int index) {
    a.move(LINEAR, register);
    a.address(SCRATCH, LINEAR, RCX, Integer.numberOfTrailingZeros(size), -1);
    e.findPage(write, index);
  }

  private void repeat(int opcode, int size) {
    if (size == 2) {
      a.emit(0x66);
    }
    a.emit(0xf3);
    if (size == 8) {
      a.emit(0x48);
    }
    a.emit(sized(opcode, size));
  }
}
