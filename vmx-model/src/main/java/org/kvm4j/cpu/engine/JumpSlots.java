package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;

/**
 * The slots of a jump cache: where the block of a RIP is looked for, and how many there are, always
 * a power of two. They begin with none, and get more as blocks drive each other out.
 */
final class JumpSlots {
  /** Of a jump cache before its first block; nothing is ever put there. */
  static final @Nullable Block[] NONE = {null};

  private static final int FIRST = 64;
  private static final int LOG_MOST = 14;

  private JumpSlots() {}

  /** Where the block of a RIP is. */
  static int of(long rip, @Nullable Block[] slots) {
    return (int) (rip * 0x9e3779b97f4a7c15L >>> 64 - LOG_MOST) & slots.length - 1;
  }

  /**
   * Whether there are to be more before the next block is put in.
   *
   * @param driven how many blocks have driven out others since there were so many slots
   */
  static boolean tooFew(@Nullable Block[] slots, int driven) {
    return slots == NONE || driven > slots.length / 4 && slots.length < 1 << LOG_MOST;
  }

  /** More slots, with the blocks of these. */
  static @Nullable Block[] more(@Nullable Block[] slots) {
    @Nullable Block[] more = new Block[slots == NONE ? FIRST : 4 * slots.length];
    for (Block b : slots) {
      if (b != null) {
        more[of(b.rip, more)] = b;
      }
    }
    return more;
  }
}
