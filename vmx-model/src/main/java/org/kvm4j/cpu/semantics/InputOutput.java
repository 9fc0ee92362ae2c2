package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.event.DebugUnit;
import org.kvm4j.cpu.segment.DescriptorTables;

/**
 * IN, OUT, INS, OUTS. SDM Vol. 1, "Protected-Mode I/O"; Vol. 2, each instruction's page. The I/O
 * permission comes first, then the VM exit, then what the memory operand may fault for.
 */
final class InputOutput {
  private static final int MAP_BASE = 0x66;

  private InputOutput() {}

  static void register() {
    Handlers.put(Opcode.IN, InputOutput::in);
    Handlers.put(Opcode.OUT, InputOutput::out);
    Handlers.put(Opcode.INS, (c, i) -> string(c, i, true));
    Handlers.put(Opcode.OUTS, (c, i) -> string(c, i, false));
  }

  /** #GP(0) unless IOPL or the I/O permission bit map of the TSS allows the port. */
  static void checkPermission(Cpu cpu, int port, int size) {
    if (!cpu.v86 && (!cpu.protectedMode || cpu.cpl <= cpu.iopl())) {
      return;
    }
    Segment tr = cpu.seg[Cpu.TR];
    if (tr.unusable() || (tr.type() & 13) != 9 || tr.limit < MAP_BASE + 1) {
      throw cpu.gp(0);
    }
    long map = cpu.mmu.readSystem(DescriptorTables.linear(cpu, tr.base + MAP_BASE), 2);
    long at = map + (port >> 3);
    // Two bytes are always read.
    if (at + 1 > tr.limit) {
      throw cpu.gp(0);
    }
    long bits = cpu.mmu.readSystem(DescriptorTables.linear(cpu, tr.base + at), 2);
    if ((bits >> (port & 7) & (1 << size) - 1) != 0) {
      throw cpu.gp(0);
    }
  }

  private static int port(Cpu cpu, Instruction i, int kind) {
    return kind == OperandKind.IMMEDIATE ? (int) i.immediate & 0xff : (int) cpu.r[Cpu.RDX] & 0xffff;
  }

  private static void in(Cpu cpu, Instruction i) {
    int port = port(cpu, i, i.kind1);
    int size = i.size0;
    checkPermission(cpu, port, size);
    if (cpu.guest != null && cpu.guest.io(i, port, size, true, false, false, 0)) {
      return;
    }
    if (!cpu.platform.portAnswers(port, size)) {
      cpu.waiting = true;
      return;
    }
    int value = cpu.platform.portRead(port, size);
    Operands.setGpr(cpu, Cpu.RAX, size, value);
    DebugUnit.portAccessed(cpu, port, size);
  }

  private static void out(Cpu cpu, Instruction i) {
    int port = port(cpu, i, i.kind0);
    int size = i.size1;
    checkPermission(cpu, port, size);
    if (cpu.guest != null && cpu.guest.io(i, port, size, false, false, false, 0)) {
      return;
    }
    cpu.platform.portWrite(port, size, (int) Operands.gpr(cpu, Cpu.RAX, size));
    DebugUnit.portAccessed(cpu, port, size);
  }

  /** INS and OUTS, repeated until the count is 0 or something wants to be looked at. */
  private static void string(Cpu cpu, Instruction i, boolean in) {
    boolean repeated = i.rep || i.repne;
    int size = in ? i.size0 : i.size1;
    int port = (int) cpu.r[Cpu.RDX] & 0xffff;
    int pointer = in ? Cpu.RDI : Cpu.RSI;
    int segment = in ? Cpu.ES : i.segment;
    while (true) {
      if (repeated && Operands.truncate(cpu.r[Cpu.RCX], i.addressSize) == 0) {
        return;
      }
      checkPermission(cpu, port, size);
      long offset = Operands.truncate(cpu.r[pointer], i.addressSize);
      if (cpu.guest != null
          && cpu.guest.io(i, port, size, in, true, repeated, unchecked(cpu, segment, offset))) {
        return;
      }
      long at = cpu.linear(segment, offset, size, in);
      if (in) {
        cpu.mmu.probeWrite(at, size);
        cpu.mmu.write(at, size, cpu.platform.portRead(port, size));
      } else {
        cpu.platform.portWrite(port, size, (int) cpu.mmu.read(at, size));
      }
      DebugUnit.portAccessed(cpu, port, size);
      int step = (cpu.flagsRest & Flags.DF) != 0 ? -size : size;
      advance(cpu, pointer, step, i.addressSize);
      if (!repeated) {
        return;
      }
      advance(cpu, Cpu.RCX, -1, i.addressSize);
      if (Operands.truncate(cpu.r[Cpu.RCX], i.addressSize) == 0) {
        return;
      }
      if (Strings.interrupted(cpu, 1)) {
        return;
      }
    }
  }

  private static void advance(Cpu cpu, int reg, int step, int addressSize) {
    Operands.setGpr(cpu, reg, addressSize, cpu.r[reg] + step);
  }

  private static long unchecked(Cpu cpu, int segment, long offset) {
    if (cpu.codeSize == 8) {
      return segment >= Cpu.FS ? cpu.seg[segment].base + offset : offset;
    }
    return cpu.seg[segment].base + offset & 0xffffffffL;
  }
}
