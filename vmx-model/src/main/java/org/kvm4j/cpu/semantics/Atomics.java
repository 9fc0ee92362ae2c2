package org.kvm4j.cpu.semantics;

import static org.kvm4j.cpu.core.Cpu.RAX;
import static org.kvm4j.cpu.core.Cpu.RBX;
import static org.kvm4j.cpu.core.Cpu.RCX;
import static org.kvm4j.cpu.core.Cpu.RDX;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Mmu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;

/** Exchanges. The locked forms of other instructions are in {@link Update}. */
public final class Atomics {
  private static final long LOW = 0xffffffffL;

  private Atomics() {}

  static void register() {
    Handlers.put(Opcode.XCHG, Atomics::xchg);
    Handlers.put(Opcode.XADD, Atomics::xadd);
    Handlers.put(Opcode.CMPXCHG, Atomics::cmpxchg);
    Handlers.put(Opcode.CMPXCHG8B, Atomics::cmpxchg8b);
    Handlers.put(Opcode.CMPXCHG16B, Atomics::cmpxchg16b);
  }

  /** With memory always locked. */
  private static void xchg(Cpu cpu, Instruction i) {
    long b = Operands.read1(cpu, i);
    if (i.kind0 == OperandKind.MEMORY) {
      long linear = Operands.linear(cpu, i, i.size0, true);
      Operands.write1(cpu, i, Update.exchange(cpu, linear, i.size0, b));
      return;
    }
    long a = Operands.read0(cpu, i);
    Operands.write0(cpu, i, b);
    Operands.write1(cpu, i, a);
  }

  private static void xadd(Cpu cpu, Instruction i) {
    long b = Operands.read1(cpu, i);
    if (i.kind0 == OperandKind.MEMORY) {
      Operands.write1(cpu, i, Update.operand0(cpu, i, Alu::add, b));
      return;
    }
    // The sum is written last: it stays if both operands are one register.
    long a = Operands.read0(cpu, i);
    Operands.write1(cpu, i, a);
    Operands.write0(cpu, i, Alu.add(cpu, i.size0, a, b));
  }

  /**
   * Memory is written in either case. A register destination is written, and so zero-extended, only
   * if it was equal, the accumulator only if not.
   */
  private static void cmpxchg(Cpu cpu, Instruction i) {
    int size = i.size0;
    long source = Operands.read1(cpu, i);
    if (i.kind0 == OperandKind.MEMORY) {
      compareExchange(cpu, Operands.linear(cpu, i, size, true), size, i.lock, source);
      return;
    }
    long accumulator = Operands.gpr(cpu, RAX, size);
    long found = Operands.read0(cpu, i);
    if (found == accumulator) {
      Operands.write0(cpu, i, source);
    }
    compared(cpu, size, accumulator, found);
  }

  /** CMPXCHG with memory. */
  public static void compareExchange(Cpu cpu, long linear, int size, boolean lock, long source) {
    Mmu mmu = cpu.mmu;
    long accumulator = Operands.gpr(cpu, RAX, size);
    mmu.probeWrite(linear, size);
    long found;
    if (lock && mmu.isRam(linear, size)) {
      found = mmu.compareAndExchange(linear, size, accumulator, source);
    } else {
      found = mmu.read(linear, size);
      mmu.write(linear, size, found == accumulator ? source : found);
    }
    compared(cpu, size, accumulator, found);
  }

  private static void compared(Cpu cpu, int size, long accumulator, long found) {
    Alu.sub(cpu, size, accumulator, found);
    if (found != accumulator) {
      Operands.setGpr(cpu, RAX, size, found);
    }
  }

  private static void setZf(Cpu cpu, boolean zero) {
    cpu.setLazyFlags(cpu.lazyFlags() & ~Flags.ZF | (zero ? Flags.ZF : 0));
  }

  private static void cmpxchg8b(Cpu cpu, Instruction i) {
    Mmu mmu = cpu.mmu;
    long linear = Operands.linear(cpu, i, 8, true);
    mmu.probeWrite(linear, 8);
    long expected = cpu.r[RDX] << 32 | cpu.r[RAX] & LOW;
    long source = cpu.r[RCX] << 32 | cpu.r[RBX] & LOW;
    long found;
    if (i.lock && mmu.isRam(linear, 8)) {
      found = mmu.compareAndExchange(linear, 8, expected, source);
    } else {
      found = mmu.read64(linear);
      mmu.write64(linear, found == expected ? source : found);
    }
    setZf(cpu, found == expected);
    if (found != expected) {
      cpu.r[RAX] = found & LOW;
      cpu.r[RDX] = found >>> 32;
    }
  }

  private static void cmpxchg16b(Cpu cpu, Instruction i) {
    Mmu mmu = cpu.mmu;
    long linear = Operands.linear(cpu, i, 16, true);
    if ((linear & 15) != 0) {
      throw cpu.gp(0);
    }
    mmu.probeWrite(linear, 16);
    boolean equal =
        mmu.compareAndExchange16(linear, i.lock, cpu.r[RAX], cpu.r[RDX], cpu.r[RBX], cpu.r[RCX]);
    setZf(cpu, equal);
    if (!equal) {
      cpu.r[RAX] = mmu.foundLow;
      cpu.r[RDX] = mmu.foundHigh;
    }
  }
}
