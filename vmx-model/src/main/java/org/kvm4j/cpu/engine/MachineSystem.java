package org.kvm4j.cpu.engine;

import static org.kvm4j.cpu.engine.MachineEmitter.*;
import static org.kvm4j.machine.Assembler.*;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.machine.Assembler;

/** Writes what kernels turn interrupts off and on with, and SWAPGS. */
final class MachineSystem {
  private final MachineEmitter e;
  private final Assembler a;

  MachineSystem(MachineEmitter e) {
    this.e = e;
    this.a = e.a;
  }

  private static final int IF = 1 << 9;

  boolean pushFlags(Instruction i, int index) {
    if (i.operandSize != 8) {
      return false;
    }
    e.stack(-8, true, index);
    a.memory(4, 0x0fb6, SCRATCH, CONTEXT, MachineContext.FLAGS + 1); // movzx
    a.immediate(4, 4, SCRATCH, 0xd5);
    a.memory(4, 0x0b, SCRATCH, CONTEXT, MachineContext.FLAGS_REST); // or
    a.immediate(4, 4, SCRATCH, ~(Flags.RF | Flags.VM));
    a.memory(1, 0xf6, 0, CONTEXT, MachineContext.FLAGS); // test
    a.emit(1);
    int no = a.jumpShort(E);
    a.immediate(4, 1, SCRATCH, Flags.OF);
    a.bindShort(no);
    e.mem(8, 0x89, SCRATCH);
    a.move(HOST[Cpu.RSP], LINEAR);
    return true;
  }

  /** Where what the context says does not allow it the instruction is the interpreter's. */
  private void unless(int may, int index) {
    e.save();
    a.memory(1, 0xf6, 0, CONTEXT, MachineContext.ALLOWED); // test
    a.emit(may);
    e.out(a.jump(E), MachineBlock.INTERPRET, index);
    e.inHost = false;
  }

  boolean turnOff(int index) {
    unless(MachineContext.MAY_CLI, index);
    a.immediate(4, 4, CONTEXT, NONE, MachineContext.FLAGS_REST, ~IF);
    return true;
  }

  /** STI before a NOP, so that nobody sees its shadow; or where interrupts are on. */
  boolean turnOn(int index) {
    if (index + 1 >= e.count || e.instructions[index + 1].opcode != Opcode.NOP) {
      return false;
    }
    unless(MachineContext.MAY_STI, index);
    a.immediate(4, 1, CONTEXT, NONE, MachineContext.FLAGS_REST, IF);
    return true;
  }

  boolean swapGs(int index) {
    unless(MachineContext.MAY_SWAPGS, index);
    a.load(LINEAR, CONTEXT, MachineContext.GS_BASE);
    a.load(TO_HOST, CONTEXT, MachineContext.KERNEL_GS_BASE);
    a.store(LINEAR, CONTEXT, MachineContext.KERNEL_GS_BASE);
    a.store(TO_HOST, CONTEXT, MachineContext.GS_BASE);
    return true;
  }
}
