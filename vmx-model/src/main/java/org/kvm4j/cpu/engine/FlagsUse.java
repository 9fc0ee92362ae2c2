package org.kvm4j.cpu.engine;

import java.util.ArrayList;
import java.util.List;

/**
 * Which flags of a region somebody can look at: an instruction with a condition, whatever may
 * fault, and whatever goes on where the region is left. Others are overwritten unseen, and not
 * kept.
 *
 * <p>The first pass over the region tells who looks at flags and who sets all of them; then {@link
 * #solve} follows them backwards.
 */
final class FlagsUse {
  private final int count;
  private final boolean[] wanted;
  private final boolean[] wantedAfter;
  private final boolean[] sets;
  private final boolean[] live;
  private final boolean[] liveAfter;
  private final List<int[]> edges = new ArrayList<>();
  private boolean solved;

  FlagsUse(RegionPlan plan) {
    count = plan.kinds.length;
    wanted = new boolean[count];
    wantedAfter = new boolean[count];
    sets = new boolean[count];
    live = new boolean[count];
    liveAfter = new boolean[count];
    for (RegionPlan.Part p : plan.parts) {
      for (int k = p.first; k < p.first + p.instructions.length - 1; k++) {
        edges.add(new int[] {k, k + 1});
      }
    }
  }

  /** Somebody looks at the flags as they are before an instruction. */
  void wanted(int index) {
    wanted[index] = true;
  }

  /** Somebody looks at the flags as an instruction leaves them. */
  void wantedAfter(int index) {
    wantedAfter[index] = true;
  }

  /** An instruction sets all flags. */
  void set(int index) {
    sets[index] = true;
  }

  /** An instruction may be followed by another. */
  void edge(int from, int to) {
    if (!solved) {
      edges.add(new int[] {from, to});
    }
  }

  /**
   * Finds out which are seen.
   *
   * @param parts the blocks
   * @param entered of each block, whether the region may be left before its first instruction
   */
  void solve(List<RegionPlan.Part> parts, boolean[] entered) {
    for (RegionPlan.Part p : parts) {
      if (entered[p.number]) {
        wanted[p.first] = true;
      }
    }
    boolean changed;
    do {
      changed = false;
      for (int e = edges.size() - 1; e >= 0; e--) {
        int from = edges.get(e)[0];
        if (!liveAfter[from] && before(edges.get(e)[1])) {
          liveAfter[from] = true;
          changed = true;
        }
      }
    } while (changed);
    for (int k = 0; k < count; k++) {
      live[k] = before(k);
    }
    solved = true;
  }

  private boolean before(int k) {
    return wanted[k] || !sets[k] && (wantedAfter[k] || liveAfter[k]);
  }

  /** Whether somebody looks at the flags as they are before an instruction. */
  boolean liveBefore(int index) {
    return !solved || live[index];
  }

  /** Whether somebody looks at the flags as an instruction leaves them. */
  boolean liveAfter(int index) {
    return !solved || wantedAfter[index] || liveAfter[index];
  }
}
