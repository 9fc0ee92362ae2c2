package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.cet.BranchTracking;
import org.kvm4j.cpu.core.Cpu;

/** Near indirect branches, and ENDBRANCH, where indirect branches are tracked. */
final class TrackedOps {
  private TrackedOps() {}

  /** ENDBRANCH of the mode. */
  static final class Endbranch extends Op {
    @Override
    @Nullable Op exec(Cpu c) {
      BranchTracking.endbranch(c);
      return next;
    }
  }

  /** An indirect branch: as it is without tracking, and what the tracker makes of it. */
  static final class Branch extends Op {
    final Op plain;
    private final boolean noTrack;

    /**
     * @param plain has its offset and its length
     */
    Branch(Op plain, boolean noTrack) {
      this.plain = plain;
      this.noTrack = noTrack;
    }

    @Override
    @Nullable Op exec(Cpu c) {
      Op to = plain.exec(c);
      BranchTracking.near(c, noTrack);
      return arrive(c, to);
    }

    @Override
    boolean usesStackSegment() {
      return plain.usesStackSegment();
    }
  }

  /**
   * Where an indirect branch goes on.
   *
   * @param to the block that it has led to, or null
   * @return null if the dispatcher has to look at the tracker first
   */
  static @Nullable Op arrive(Cpu c, @Nullable Op to) {
    if (to instanceof Block b && stops(c, b)) {
      c.rip = b.rip(c);
      return null;
    }
    return to;
  }

  /** Whether a block may not be gone on with, since it has to begin with ENDBRANCH. */
  static boolean stops(Cpu c, Block b) {
    return BranchTracking.isWaiting(c) && !begins(b);
  }

  /** Whether a block begins with ENDBRANCH. */
  static boolean begins(Block b) {
    return b.next instanceof Endbranch;
  }
}
