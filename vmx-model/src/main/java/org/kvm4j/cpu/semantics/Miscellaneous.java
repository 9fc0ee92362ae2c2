package org.kvm4j.cpu.semantics;

import static org.kvm4j.cpu.core.Cpu.RAX;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;

/** Hints, fences, cache lines, random numbers, CRC32, and what is never valid. */
final class Miscellaneous {
  private static final int CACHE_LINE = 64;

  private Miscellaneous() {}

  static void register() {
    for (Opcode hint :
        new Opcode[] {
          Opcode.NOP,
          Opcode.PREFETCH,
          Opcode.PREFETCHW,
          Opcode.PREFETCHWT1,
          Opcode.PREFETCHNTA,
          Opcode.PREFETCHT0,
          Opcode.PREFETCHT1,
          Opcode.PREFETCHT2,
          Opcode.CLDEMOTE
        }) {
      Handlers.put(hint, (cpu, i) -> {});
    }
    Handlers.put(Opcode.LFENCE, (cpu, i) -> {});
    Handlers.put(Opcode.SFENCE, (cpu, i) -> java.lang.invoke.VarHandle.releaseFence());
    Handlers.put(Opcode.MFENCE, (cpu, i) -> java.lang.invoke.VarHandle.fullFence());
    Handlers.put(Opcode.CLFLUSH, Miscellaneous::touch);
    Handlers.put(Opcode.CLFLUSHOPT, Miscellaneous::touch);
    Handlers.put(Opcode.CLWB, Miscellaneous::touch);
    Handlers.put(Opcode.CLZERO, Miscellaneous::clzero);
    Handlers.put(Opcode.CRC32, Miscellaneous::crc32);
    Handlers.put(Opcode.RDRAND, Miscellaneous::random);
    Handlers.put(Opcode.RDSEED, Miscellaneous::random);
    Handlers.put(Opcode.UD0, Handlers::undefined);
    Handlers.put(Opcode.UD1, Handlers::undefined);
    Handlers.put(Opcode.UD2, Handlers::undefined);
  }

  /** A flush or write-back of a cache line: faults as a load of the byte does. */
  private static void touch(Cpu cpu, Instruction i) {
    cpu.mmu.probeRead(Operands.linear(cpu, i, 1, false), 1);
  }

  /** Clears the cache line that rAX points into. */
  private static void clzero(Cpu cpu, Instruction i) {
    long address = Operands.gpr(cpu, RAX, i.addressSize) & -CACHE_LINE;
    long linear = cpu.linear(i.segment, address, CACHE_LINE, true) & -CACHE_LINE;
    for (int k = 0; k < CACHE_LINE; k += 8) {
      cpu.mmu.write64(linear + k, 0);
    }
  }

  private static void crc32(Cpu cpu, Instruction i) {
    long value = Operands.read1(cpu, i);
    int crc = Crc32c.accumulate((int) cpu.r[i.reg0], value, i.size1);
    cpu.r[i.reg0] = crc & 0xffffffffL;
  }

  /** There is always a number: CF is set, the other flags are clear. */
  private static void random(Cpu cpu, Instruction i) {
    if (cpu.guest != null && cpu.guest.instruction(i)) {
      return;
    }
    Operands.write0(cpu, i, cpu.platform.random());
    cpu.setLazyFlags(Flags.CF);
  }
}
