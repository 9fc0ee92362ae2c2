package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;

/**
 * A run of instructions within one page that is entered at its top, and its own first operation: it
 * charges the block's instructions to the budget and looks for requests, so that no loop runs
 * unchecked.
 *
 * <p>The key is the physical page, the offset in it and the mode ({@link Cpu#modeKey}); nothing
 * here depends on where the page is mapped.
 */
final class Block extends Op {
  final CodePage page;
  final int modeKey;

  /** Offset in the page after the last byte. */
  int end;

  /** Instructions. */
  int count;

  /** Times entered through the dispatcher or a link; what a translator goes by. */
  int entries;

  /** Where the jump cache has it. */
  long rip;

  /** When the jump cache took it; 0 if it is in no cache, or gone. */
  int epoch;

  /** The branches linked to this block, to be unlinked when it goes. */
  private final java.util.ArrayList<Op> incoming = new java.util.ArrayList<>(2);

  /** The next block at the same offset, in another mode. */
  @Nullable Block sibling;

  Block(CodePage page, int offset, int modeKey) {
    this.page = page;
    this.offset = (short) offset;
    this.modeKey = modeKey;
  }

  /** Remembers that a branch leads here. */
  void addIncoming(Op branch) {
    incoming.add(branch);
  }

  /** Makes the branches that lead here ask the dispatcher again. */
  void dropIncoming() {
    for (Op op : incoming) {
      op.unlink(this);
    }
    incoming.clear();
  }

  @Override
  @Nullable Op exec(Cpu c) {
    if ((c.countdown -= count) < 0 || c.attention != 0) {
      c.countdown += count;
      c.rip = rip(c);
      return null;
    }
    return next;
  }
}
