package org.kvm4j.cpu.engine;

import static org.kvm4j.cpu.engine.MachineEmitter.*;
import static org.kvm4j.machine.Assembler.*;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.semantics.SystemCalls;
import org.kvm4j.machine.Assembler;

/** Writes what kernels turn interrupts off and on with, SWAPGS, and system calls. */
final class MachineSystem {
  private final MachineEmitter e;
  private final Assembler a;
  private final MachineBranches branches;

  MachineSystem(MachineEmitter e, MachineBranches branches) {
    this.e = e;
    this.branches = branches;
    this.a = e.a;
  }

  private static final int IF = 1 << 9;

  boolean pushFlags(Instruction i, int index) {
    if (i.operandSize != 8) {
      return false;
    }
    e.stack(-8, true, index);
    flags();
    e.mem(8, 0x89, SCRATCH);
    a.move(HOST[Cpu.RSP], LINEAR);
    return true;
  }

  /** Has SCRATCH be RFLAGS without RF and VM; they are in the context. */
  private void flags() {
    a.memory(4, 0x0fb6, SCRATCH, CONTEXT, MachineContext.FLAGS + 1); // movzx
    a.immediate(4, 4, SCRATCH, 0xd5);
    a.memory(4, 0x0b, SCRATCH, CONTEXT, MachineContext.FLAGS_REST); // or
    a.immediate(4, 4, SCRATCH, ~(Flags.RF | Flags.VM));
    a.memory(1, 0xf6, 0, CONTEXT, MachineContext.FLAGS); // test
    a.emit(1);
    int no = a.jumpShort(E);
    a.immediate(4, 1, SCRATCH, Flags.OF);
    a.bindShort(no);
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

  /** STI before what is always done here, so that nobody sees its shadow. */
  boolean turnOn(int index) {
    if (index + 1 >= e.count || !isAlwaysDone(e.instructions[index + 1])) {
      return false;
    }
    unless(MachineContext.MAY_STI, index);
    a.immediate(4, 1, CONTEXT, NONE, MachineContext.FLAGS_REST, IF);
    return true;
  }

  /** Flags that SYSRET loads, and the interpreter does that. */
  private static final int RARE =
      Flags.TF | Flags.IOPL | Flags.NT | Flags.AC | Flags.VIF | Flags.VIP;

  /** SYSCALL to 64-bit code. */
  boolean call(Instruction i, int index) {
    unless(MachineContext.MAY_SYSCALL, index);
    flags();
    a.store(SCRATCH, CONTEXT, slot(11));
    a.load(RCX, CONTEXT, MachineContext.CODE_BASE);
    a.address(RCX, RCX, NONE, 0, e.offset + i.length);
    a.memory(4, 0x23, SCRATCH, CONTEXT, MachineContext.CALL_KEEPS); // and
    setFlags();
    // If FMASK leaves AC set, the TLB just lacks the pages that that allows to access.
    level(0, MachineContext.SUPERVISOR);
    a.load(LINEAR, CONTEXT, MachineContext.CALL_TARGET);
    branches.jump();
    return true;
  }

  /** SYSRET to 64-bit code. */
  boolean sysret(Instruction i, int index) {
    if (i.operandSize != 8) {
      return false;
    }
    unless(MachineContext.MAY_SYSRET, index);
    a.load(SCRATCH, CONTEXT, slot(11));
    a.registers(4, 0xf7, 0, SCRATCH); // test
    a.emit32(RARE);
    e.out(a.jump(NE), MachineBlock.INTERPRET, index);
    // The lower half of the addresses.
    a.move(TO_HOST, RCX);
    a.registers(8, 0xc1, 5, TO_HOST); // shr
    a.emit(47);
    e.out(a.jump(NE), MachineBlock.INTERPRET, index);
    a.immediate(4, 4, SCRATCH, SystemCalls.SYSRET_FLAGS);
    setFlags();
    level(3, MachineContext.USER);
    a.move(LINEAR, RCX);
    branches.jump();
    return true;
  }

  /** RFLAGS, from SCRATCH. */
  private void setFlags() {
    a.memory(1, 0x88, SCRATCH, CONTEXT, MachineContext.FLAGS + 1);
    a.registers(4, 0x0fba, 4, SCRATCH); // bt
    a.emit(11);
    a.memory(1, 0x0f92, 0, CONTEXT, MachineContext.FLAGS); // setc
    a.immediate(4, 4, SCRATCH, Flags.REST);
    a.immediate(4, 1, SCRATCH, 2);
    a.memory(4, 0x89, SCRATCH, CONTEXT, MachineContext.FLAGS_REST);
  }

  /** Goes on at another privilege level. */
  private void level(int level, int bank) {
    for (int k = 0; k < MachineContext.BANKED.length; k++) {
      a.load(TO_HOST, CONTEXT, bank + 8 * k);
      a.store(TO_HOST, CONTEXT, MachineContext.BANKED[k]);
    }
    a.memory(4, 0x8b, TO_HOST, CONTEXT, bank + MachineContext.BANKED_ALLOWED);
    a.memory(4, 0x89, TO_HOST, CONTEXT, MachineContext.ALLOWED);
    a.store32(level | MachineContext.CHANGED, CONTEXT, MachineContext.LEVEL);
  }

  private static boolean isAlwaysDone(Instruction i) {
    return i.opcode == Opcode.NOP
        || i.opcode == Opcode.JMP_NEAR
            && i.kind0 == OperandKind.RELATIVE
            && i.operandSize == 8
            && Math.abs(i.immediate) < 1 << 30
            && !i.lock;
  }

  boolean readTsc(int index) {
    unless(MachineContext.MAY_READ_TSC, index);
    a.memory(4, 0xff, 2, CONTEXT, MachineContext.READ_TSC); // call
    return true;
  }

  boolean readTscAndAux(int index) {
    unless(MachineContext.MAY_READ_AUX, index);
    a.memory(4, 0xff, 2, CONTEXT, MachineContext.READ_TSC); // call
    a.memory(4, 0x8b, HOST[Cpu.RCX], CONTEXT, MachineContext.TSC_AUX);
    return true;
  }

  /** MOV from CR2, which exits nowhere. */
  boolean readControl(Instruction i, int index) {
    if (i.reg1 != 2 || i.size0 != 8) {
      return false;
    }
    unless(MachineContext.MAY_SWAPGS, index);
    int to = target(i.reg0);
    a.load(to, CONTEXT, MachineContext.CR2);
    e.keep(i.reg0, 8);
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
