package org.kvm4j.cpu.core;

/**
 * Bits of IA32_U_CET and IA32_S_CET, and the error codes of #CP. SDM Vol. 1, "CET MSRs"; Vol. 3,
 * "Interrupt 21—Control Protection Exception (#CP)".
 */
public final class CetControl {
  /** Shadow stacks are enabled. */
  public static final long SH_STK_EN = 1;

  /** WRSS may write to shadow stacks. */
  public static final long WR_SHSTK_EN = 1 << 1;

  /** Indirect branch tracking is enabled. */
  public static final long ENDBR_EN = 1 << 2;

  /** Targets in pages of the legacy code page bitmap need not be ENDBRANCH. */
  public static final long LEG_IW_EN = 1 << 3;

  /** The prefix 3EH keeps a near indirect branch from being tracked. */
  public static final long NO_TRACK_EN = 1 << 4;

  /** Legacy code does not suppress tracking. */
  public static final long SUPPRESS_DIS = 1 << 5;

  /** Tracking is suppressed, by legacy code. */
  public static final long SUPPRESS = 1 << 10;

  /** The tracker waits for ENDBRANCH; else it is idle. */
  public static final long TRACKER = 1 << 11;

  /** Bits 9:6. */
  public static final long RESERVED = 0x3c0;

  /** Where the legacy code page bitmap begins: bits 63:12. */
  public static final long EB_LEG_BITMAP_BASE = ~0xfffL;

  /** Error code of #CP: RET near. */
  public static final int NEAR_RET = 1;

  /** Error code of #CP: RET far, or IRET. */
  public static final int FAR_RET_IRET = 2;

  /** Error code of #CP: no ENDBRANCH where an indirect branch has led. */
  public static final int ENDBRANCH = 3;

  /** Error code of #CP: RSTORSSP. */
  public static final int RSTORSSP = 4;

  /** Error code of #CP: SETSSBSY. */
  public static final int SETSSBSY = 5;

  private CetControl() {}

  /**
   * Whether a control register of CET may have a value, as far as its bits go: SUPPRESS with
   * TRACKER is refused, and so are bits 9:6.
   */
  public static boolean isValid(long value) {
    return (value & RESERVED) == 0 && (value & (SUPPRESS | TRACKER)) != (SUPPRESS | TRACKER);
  }
}
