package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;

/** What one processor has to do with a block's machine code, which others may run, too. */
final class MachineUse {
  final MachineBlock code;

  /** The block as this processor has decoded it. */
  final Block block;

  /** What looks at the page that the block's one instruction goes on in; null if in none. */
  private final @Nullable SecondPage crossing;

  /** The operations of its instructions. */
  final Op[] ops;

  /** What follows them. */
  final Op end;

  /** Of all that this processor uses: what is of another generation is gone. */
  final int generation;

  /** Where the jump cache has it; 0 for nowhere. */
  long jumpSlot;

  /** In which of the jump caches that there have been. */
  int jumpVersion;

  MachineUse(
      MachineBlock code,
      Block block,
      @Nullable SecondPage crossing,
      Op[] ops,
      Op end,
      int generation) {
    this.code = code;
    this.block = block;
    this.crossing = crossing;
    this.ops = ops;
    this.end = end;
    this.generation = generation;
  }

  /** The operation that is to be done for one of the instructions. */
  Op op(int index) {
    return crossing != null ? crossing : ops[index];
  }
}
