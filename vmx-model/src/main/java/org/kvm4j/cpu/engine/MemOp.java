package org.kvm4j.cpu.engine;

import org.kvm4j.cpu.core.Cpu;

/**
 * An operation with a memory operand in a flat mode: 64-bit, or 32-bit with 4 GiB segments. The
 * address is a sum of two registers and a displacement; RIP-relative operands use {@link
 * Cpu#CODE_BASE}, FS and GS {@link Cpu#FS_BASE} and {@link Cpu#GS_BASE}.
 */
abstract class MemOp extends Op {
  byte base;
  byte index;
  byte scale;
  boolean stack;
  int disp;

  /** The linear address. */
  final long address(Cpu c) {
    long[] r = c.r;
    return r[base] + (r[index] << scale) + disp & c.ripMask;
  }

  @Override
  final boolean usesStackSegment() {
    return stack;
  }
}
