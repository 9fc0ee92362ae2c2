package org.kvm4j.cpu.engine;

import static org.kvm4j.cpu.engine.MachineEmitter.*;
import static org.kvm4j.machine.Assembler.*;

import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.machine.Assembler;

/** Writes the instructions of SSE that {@link MachineVectors} knows. */
final class MachineSse {
  private final MachineEmitter e;
  private final Assembler a;

  MachineSse(MachineEmitter e) {
    this.e = e;
    this.a = e.a;
  }

  /** Has the XMM registers be in the host's. */
  private void needVectors(int index) {
    if (e.vectors) {
      return;
    }
    e.save();
    e.checks[index] = a.position();
    a.memory(1, 0x80, 7, CONTEXT, MachineContext.VECTORS);
    a.emit(0);
    e.out(a.jump(E), MachineBlock.VECTORS, index);
    e.inHost = false;
    e.vectors = true;
  }

  boolean vector(Instruction i, int index) {
    boolean before = e.vectors;
    needVectors(index);
    if (!written(i, index)) {
      e.vectors = before;
      return false;
    }
    if (MachineVectors.setsFlags(i)) {
      e.flagsSet();
    }
    return true;
  }

  /** Bits of MXCSR that are not as {@link MachineEngine} wants them for vectors of the host's. */
  private static final int OTHERWISE = MachineEngine.MXCSR_MASKS | ~MachineEngine.MXCSR_DEFINED;

  /** LDMXCSR: what is no value of MXCSR, or does not mask all exceptions, is the interpreter's. */
  boolean loadControl(Instruction i, int index) {
    needVectors(index);
    if (!e.access(i, 4, false, index)) {
      return false;
    }
    e.mem(4, 0x8b, SCRATCH);
    a.immediate(4, 6, SCRATCH, MachineEngine.MXCSR_MASKS); // xor
    a.registers(4, 0xf7, 0, SCRATCH); // test
    a.emit32(OTHERWISE);
    e.out(a.jump(NE), MachineBlock.INTERPRET, index);
    // What has been looked at, whatever is in memory now: the host would take any other.
    a.immediate(4, 6, SCRATCH, MachineEngine.MXCSR_MASKS);
    a.memory(4, 0x89, SCRATCH, CONTEXT, MachineContext.MXCSR);
    a.memory(4, 0x0fae, 2, CONTEXT, MachineContext.MXCSR);
    return true;
  }

  /** STMXCSR. */
  boolean storeControl(Instruction i, int index) {
    needVectors(index);
    if (!e.access(i, 4, true, index)) {
      return false;
    }
    e.mem(4, 0x0fae, 3);
    return true;
  }

  private boolean written(Instruction i, int index) {
    int prefix = MachineVectors.prefix(i);
    int opcode = MachineVectors.opcode(i);
    int size = (i.rex & 8) != 0 ? 8 : 4;
    boolean immediate =
        i.kind1 == OperandKind.IMMEDIATE
            || i.kind2 == OperandKind.IMMEDIATE
            || i.kind3 == OperandKind.IMMEDIATE;
    int reg = i.modrm >> 3 & 7 | (i.rex & 4) << 1;
    boolean firstInRm = MachineVectors.isFirstInRm(i);
    int regKind = firstInRm ? i.kind1 : i.kind0;
    int rmKind = firstInRm ? i.kind0 : i.kind1;
    int rm = firstInRm ? i.reg0 : i.reg1;
    boolean group = firstInRm && regKind == OperandKind.IMMEDIATE;
    if (rmKind == OperandKind.MEMORY) {
      int bytes = firstInRm ? i.size0 : i.size1;
      if (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8 && bytes != 16
          || !e.access(i, bytes, firstInRm, index)) {
        return false;
      }
      if (bytes == 16 && MachineVectors.isAligned(i)) {
        e.aligned(16, index);
      }
    }
    int host = group || regKind == OperandKind.XMM ? reg : target(reg);
    if (!group && regKind != OperandKind.XMM && regKind != OperandKind.GPR) {
      return false;
    }
    switch (rmKind) {
      case OperandKind.MEMORY -> e.mem(prefix, size, opcode, host);
      case OperandKind.XMM -> a.registers(prefix, size, opcode, host, rm);
      case OperandKind.GPR -> {
        if (firstInRm) {
          a.registers(prefix, size, opcode, host, target(rm));
        } else {
          a.registers(prefix, size, opcode, host, e.value(rm));
        }
      }
      default -> {
        return false;
      }
    }
    if (immediate) {
      a.emit((int) i.immediate);
    }
    if (regKind == OperandKind.GPR && !firstInRm) {
      e.keep(reg, i.size0);
    } else if (rmKind == OperandKind.GPR && firstInRm) {
      e.keep(rm, i.size0);
    }
    return true;
  }
}
