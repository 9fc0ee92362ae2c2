package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;

/**
 * One instruction ready to run, chained to the next. Kept small (40 bytes here, 48 at most below):
 * flat code is bound by the data cache.
 *
 * <p>{@link #exec} does the instruction and says what runs next: {@link #next}, the head of another
 * block, or null to go back to the dispatcher with {@link Cpu#rip} set.
 */
abstract class Op {
  /** What follows in line. Replaced by a {@link Resume} when the code was overwritten. */
  @Nullable Op next;

  /** Offset of the first byte in its page. */
  short offset;

  /** Length in bytes. */
  byte length;

  /** Instructions of the block after this one. */
  short remaining;

  abstract @Nullable Op exec(Cpu c);

  /** RIP of the instruction. */
  final long rip(Cpu c) {
    return c.r[Cpu.CODE_BASE] + (offset & 0xffff) & c.ripMask;
  }

  /** RIP of the instruction after it. */
  final long ripAfter(Cpu c) {
    return c.r[Cpu.CODE_BASE] + (offset & 0xffff) + length & c.ripMask;
  }

  /** Whether a non-canonical address of this instruction is a stack fault. */
  boolean usesStackSegment() {
    return false;
  }

  /** Drops every link to another block: this op is about to go. */
  void unlink() {}

  /** Drops links to a block that is gone. */
  void unlink(Block target) {
    unlink();
  }

  /** The target block of a direct branch is known now. */
  void link(Block target) {}
}
