package org.kvm4j.ept.paging;

/**
 * The paging modes of a logical processor.
 *
 * <p>Source: SDM 4.1.1 "Four Paging Modes".
 */
public enum PagingMode {
  /** CR0.PG = 0: linear addresses are physical addresses. */
  NONE(0),
  /** CR0.PG = 1, CR4.PAE = 0: two levels of 4-byte entries. */
  BITS32(2),
  /**
   * CR0.PG = 1, CR4.PAE = 1, IA32_EFER.LME = 0: four PDPTE registers and two levels of 8-byte
   * entries.
   */
  PAE(3),
  /** CR0.PG = 1, CR4.PAE = 1, IA32_EFER.LME = 1, CR4.LA57 = 0. */
  LEVEL4(4),
  /** CR0.PG = 1, CR4.PAE = 1, IA32_EFER.LME = 1, CR4.LA57 = 1. */
  LEVEL5(5);

  private final int levels;

  PagingMode(int levels) {
    this.levels = levels;
  }

  /**
   * The number of levels of paging structures, the PDPTE registers of PAE paging counted as one.
   */
  public int levels() {
    return levels;
  }

  /** The mode that the control bits select. */
  public static PagingMode of(boolean pg, boolean pae, boolean lme, boolean la57) {
    if (!pg) {
      return NONE;
    }
    if (!pae) {
      return BITS32;
    }
    if (!lme) {
      return PAE;
    }
    return la57 ? LEVEL5 : LEVEL4;
  }
}
