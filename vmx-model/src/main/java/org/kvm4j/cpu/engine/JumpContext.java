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
  private int mode;
  private long csBase;
  long csLimit;

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
        && user == m.fetchesAsUser()
        && isModeOf(c);
  }

  private boolean isModeOf(Cpu c) {
    return mode == c.modeKey
        && csBase == c.seg[Cpu.CS].base
        && csLimit == c.seg[Cpu.CS].limit
        && epoch != 0;
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
    mode = c.modeKey;
    csBase = c.seg[Cpu.CS].base;
    csLimit = c.seg[Cpu.CS].limit;
    epoch = newEpoch;
    globalEpoch = newGlobalEpoch;
  }
}
