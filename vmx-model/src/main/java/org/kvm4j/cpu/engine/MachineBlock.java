package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;

/** A block as machine code. */
final class MachineBlock {
  // Why machine code is left: in the low bits of what it says; the others are an index.

  /** The block was not begun: the budget ends, or something is to be looked at. */
  static final int ENTRY = 0;

  /** An operation is the interpreter's; nothing of it has happened. The index is its own. */
  static final int INTERPRET = 1;

  /** The direct branch that the block ends with is taken; its site. */
  static final int TAKE = 2;

  /** What follows the block in line; its site. */
  static final int FOLLOW = 3;

  /** What is at an address. */
  static final int JUMP = 4;

  /** XMM registers are wanted at the block's begin, or at what follows an operation. */
  static final int VECTORS = 5;

  /** As {@link #TAKE}, but before that something is to be looked at. */
  static final int TURN = 6;

  static final int KIND_BITS = 3;

  final Block block;

  /** Which one it is. */
  final int number;

  /** Of whose code: all of another generation is gone. */
  final int generation;

  /** The operations of its instructions. */
  final Op[] ops;

  /** What follows them. */
  final Op end;

  /** Where its code is, as an offset, and how long. */
  int code;

  /** Where it is entered with RIP in R13, from the beginning of the code. */
  int farEntry;

  /** Where it is entered from its own page. */
  int nearEntry;

  /** Whether it begins with what the interpreter does. */
  boolean startsInterpreted;

  /** Where the jump to each of the two blocks that may follow is, 0 for none; {@link #TAKE}. */
  int takeSite;

  int followSite;

  /** Where those jumps lead while nothing is linked. */
  int takeStub;

  int followStub;

  /** Where its page is in the host's memory. */
  long hostPage;

  /** What looks at the page that the block's one instruction goes on in; null if in none. */
  final @Nullable SecondPage crossing;

  /** Where that page is in the host's memory. */
  long secondHostPage;

  /** Where the jump cache has it; 0 for nowhere. */
  long jumpSlot;

  /** In which of the jump caches that there have been. */
  int jumpVersion;

  /** Jumps that lead here: where each is, and where it leads to otherwise. */
  int[] incoming = NONE;

  int incomingCount;

  private static final int[] NONE = {};

  MachineBlock(
      Block block, int number, int generation, @Nullable SecondPage crossing, Op[] ops, Op end) {
    this.block = block;
    this.number = number;
    this.generation = generation;
    this.crossing = crossing;
    this.ops = ops;
    this.end = end;
  }

  void addIncoming(int site, int stub) {
    if (incomingCount + 2 > incoming.length) {
      incoming = java.util.Arrays.copyOf(incoming, Math.max(4, 2 * incoming.length));
    }
    incoming[incomingCount++] = site;
    incoming[incomingCount++] = stub;
  }
}
