package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Mmu;

/** What it depends on which block is at a RIP, and the epochs of the jump cache good for that. */
final class JumpContext {
  private @Nullable Object fetches;
  private int generation;
  private int globalGeneration;
  private int vpid;
  private long eptRoot;
  private boolean user;
  private int rights;
  private int mode;
  private long csBase;
  long csLimit;

  /** The context that SYSCALL or SYSRET leads to from here, if that is known. */
  private @Nullable JumpContext other;

  private long epochOfOther;

  /** Of blocks in pages that are not global; 0 before there is a context. */
  long epoch;

  /** Of blocks in global pages. */
  long globalEpoch;

  /** Whether it is the processor's. */
  boolean isOf(Cpu c) {
    Mmu m = c.mmu;
    return fetches == m.fetchContext()
        && generation == m.space.generation()
        && globalGeneration == m.tlb.globalGeneration()
        && isModeOf(c);
  }

  /** Whether it is the processor's for global pages, which all PCIDs share. */
  boolean hasGlobalsOf(Cpu c) {
    Mmu m = c.mmu;
    return globalGeneration == m.tlb.globalGeneration()
        && vpid == m.space.vpid()
        && eptRoot == m.space.eptRoot()
        && rights == m.context.rights()
        && user == m.fetchesAsUser()
        && isModeOf(c);
  }

  private boolean isModeOf(Cpu c) {
    return mode == c.modeKey
        && csBase == c.seg[Cpu.CS].base
        && csLimit == c.seg[Cpu.CS].limit
        && epoch != 0;
  }

  /**
   * SYSCALL has led from one context, which was the processor's, to another, which is now: if that
   * changed nothing but the privilege level, both know each other until one of them changes.
   */
  static void pair(JumpContext before, JumpContext now, Cpu c) {
    Mmu m = c.mmu;
    if (before.mode == now.mode
        && (now.mode & 15) == 8
        && (now.mode & (Cpu.KEY_SHADOW_STACK | Cpu.KEY_BRANCH_TRACKING)) == 0
        && before.user
        && !now.user
        && before.fetches == m.space.user()
        && now.fetches == m.space.supervisor
        && before.generation == now.generation
        && before.globalGeneration == now.globalGeneration
        && now.isOf(c)) {
      before.other = now;
      before.epochOfOther = now.epoch;
      now.other = before;
      now.epochOfOther = before.epoch;
    }
  }

  /** The context that SYSCALL or SYSRET leads to; null if that is not known. */
  @Nullable JumpContext other() {
    JumpContext there = other;
    return there != null && there.epoch == epochOfOther ? there : null;
  }

  /** Makes it the processor's. */
  void set(Cpu c, long newEpoch, long newGlobalEpoch) {
    Mmu m = c.mmu;
    fetches = m.fetchContext();
    generation = m.space.generation();
    globalGeneration = m.tlb.globalGeneration();
    vpid = m.space.vpid();
    eptRoot = m.space.eptRoot();
    user = m.fetchesAsUser();
    rights = m.context.rights();
    mode = c.modeKey;
    csBase = c.seg[Cpu.CS].base;
    csLimit = c.seg[Cpu.CS].limit;
    other = null;
    epoch = newEpoch;
    globalEpoch = newGlobalEpoch;
  }
}
