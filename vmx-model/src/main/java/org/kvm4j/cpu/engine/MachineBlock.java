package org.kvm4j.cpu.engine;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;
import org.kvm4j.machine.CodeSpace;

/**
 * A run of instructions as machine code, for all processors of a {@link MachineStore}: where its
 * code is, what it was made from, and which jumps lead to it. What one processor has to do with it
 * is in a {@link MachineUse}.
 */
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

  /** Which one of its store it is. */
  final int number;

  /** Host-physical address of its page. */
  final long hpa;

  /** Where it begins in the page. */
  final int offset;

  /** Where it ends: beyond the page's end if its one instruction goes on in the next. */
  final int end;

  /** As {@code Block.modeKey}. */
  final int modeKey;

  /** Its instructions' lengths. */
  final byte[] lengths;

  /** Its bytes. */
  final byte[] bytes;

  /** Where the direct branch that it ends with leads to, as an offset in its page; -1 for none. */
  final int target;

  /** Host-physical address of the page that its one instruction goes on in; -1 if in none. */
  final long secondHpa;

  /** Where its page is in the host's memory. */
  final long hostPage;

  /** Where the page that it goes on in is in the host's memory. */
  final long secondHostPage;

  /** Where its code is, as an offset. */
  int code;

  /** Where it is entered from its own page, from the beginning of the code. */
  int nearEntry;

  /** A bit for each instruction that is the interpreter's only since it touches devices. */
  long devices;

  /** How many blocks there have been in its place, each made since the other did not fit. */
  int replaced;

  /** Whether it begins with what the interpreter does. */
  boolean startsInterpreted;

  /**
   * After which instructions, which the interpreter does, its code goes on, each with where, from
   * the beginning of the code.
   */
  int[] continuations = NONE;

  /** Where the jump to each of the two blocks that may follow is, 0 for none; {@link #TAKE}. */
  int takeSite;

  int followSite;

  /** Where those jumps lead while nothing is linked. */
  int takeStub;

  int followStub;

  /**
   * Nothing leads here any more, though some processor may not have left yet. Set by whoever has
   * the store's lock; who reads it without may do so late.
   */
  boolean dead;

  /** The next block of those that begin in the same line of its page. */
  @Nullable MachineBlock sibling;

  /** Jumps that lead here: where each is, and where it leads to otherwise. */
  private int[] incoming = NONE;

  private int incomingCount;

  private static final int[] NONE = {};

  /**
   * @param hpa host-physical address of its page
   * @param hostPage where that is in the host's memory
   * @param target of the direct branch that it ends with, -1 for none
   * @param second of the page that its one instruction goes on in: host-physical address, -1 for
   *     none
   * @param secondHostPage and where that is in the host's memory
   */
  MachineBlock(
      int number,
      Block block,
      long hostPage,
      byte[] lengths,
      byte[] bytes,
      int target,
      long second,
      long secondHostPage) {
    this.number = number;
    this.hpa = block.page.hpa;
    this.offset = block.offset & 0xffff;
    this.end = block.end;
    this.modeKey = block.modeKey;
    this.hostPage = hostPage;
    this.lengths = lengths;
    this.bytes = bytes;
    this.target = target;
    this.secondHpa = second;
    this.secondHostPage = secondHostPage;
  }

  /** Instructions. */
  int count() {
    return lengths.length;
  }

  /** Where an instruction begins, as an offset in the page. */
  int offsetOf(int index) {
    int at = offset;
    for (int k = 0; k < index; k++) {
      at += lengths[k];
    }
    return at;
  }

  /** Remembers that a jump leads here. */
  void addIncoming(int site, int stub) {
    if (incomingCount + 2 > incoming.length) {
      incoming = Arrays.copyOf(incoming, Math.max(4, 2 * incoming.length));
    }
    incoming[incomingCount++] = site;
    incoming[incomingCount++] = stub;
  }

  /** Has the jumps that lead here lead where they do otherwise. */
  void unlink(CodeSpace space) {
    for (int k = 0; k < incomingCount; k += 2) {
      int site = incoming[k];
      space.write32(site - 4, incoming[k + 1] - site);
    }
    incomingCount = 0;
    incoming = NONE;
  }
}
