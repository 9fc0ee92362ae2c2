package org.kvm4j.cpu.engine;

import java.util.ArrayList;
import java.util.List;
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

  /** The first instruction by itself, once it has been stepped. */
  @Nullable GenericOp first;

  /** How often the block has yet to be executed to be translated; not above 0: no more. */
  int heat;

  /** When that was counted from, in ms; 0 if it has not been asked for yet. */
  int since;

  /** The block and others as one method, once it is hot. */
  @Nullable Region region;

  /** The block as machine code, once it is worth it. */
  @Nullable MachineUse machine;

  /** The regions that the block is in. */
  private @Nullable List<Region> regions;

  /** Where the jump cache has it. */
  long rip;

  /** When the jump cache took it; 0 if it is in no cache, or gone. */
  long epoch;

  // The branches linked to this block, to be unlinked when it goes: mostly there is one.
  private @Nullable Op incoming;
  private @Nullable List<Op> moreIncoming;

  /** The next block at the same offset, in another mode. */
  @Nullable Block sibling;

  Block(CodePage page, int offset, int modeKey) {
    this.page = page;
    this.offset = (short) offset;
    this.modeKey = modeKey;
    this.heat = page.engine.heat;
  }

  /** Whether the block has not been executed yet, where that matters. */
  boolean isCold() {
    return heat == page.engine.heat && heat > 0;
  }

  void addRegion(Region r) {
    if (regions == null) {
      regions = new ArrayList<>(1);
    }
    regions.removeIf(old -> old.dead);
    regions.add(r);
  }

  /**
   * The block is gone: no region that it is in may be gone on with. Where those began there is
   * another once that is hot again.
   */
  void dropRegions() {
    if (regions != null) {
      for (Region r : regions) {
        if (!r.dead) {
          r.dead = true;
          Block head = (Block) r.blocks[0];
          head.region = null;
          head.heat = page.engine.heat;
        }
      }
      regions = null;
    }
  }

  /** Remembers that a branch leads here. */
  void addIncoming(Op branch) {
    if (incoming == null) {
      incoming = branch;
      return;
    }
    if (moreIncoming == null) {
      moreIncoming = new ArrayList<>(2);
    }
    moreIncoming.add(branch);
  }

  /** Makes the branches that lead here ask the dispatcher again. */
  void dropIncoming() {
    if (incoming != null) {
      incoming.unlink(this);
      incoming = null;
    }
    if (moreIncoming != null) {
      for (Op op : moreIncoming) {
        op.unlink(this);
      }
      moreIncoming = null;
    }
  }

  @Override
  @Nullable Op exec(Cpu c) {
    Region r = region;
    if (r != null && r.isReady(c)) {
      return r.enter(c, null, 0);
    }
    MachineUse m = machine;
    if (m != null) {
      if (page.engine.machine.isReady(m, c)) {
        return page.engine.machine.enter(c, m);
      }
      if (m.code.dead && heat <= 0) {
        heat = 1; // its code has been dropped, and another may be there
      }
    }
    if ((c.countdown -= count) < 0 || c.attention != 0) {
      c.countdown += count;
      c.rip = rip(c);
      return null;
    }
    if (heat > 0 && --heat == 0) {
      page.engine.hot(this);
    }
    return next;
  }
}
