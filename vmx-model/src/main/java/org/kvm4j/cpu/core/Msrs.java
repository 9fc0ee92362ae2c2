package org.kvm4j.cpu.core;

/**
 * Model-specific registers that have a place of their own. SDM Vol. 4, "IA-32 Architectural MSRs".
 */
public final class Msrs {
  /** IA32_APIC_BASE.BSP: the bootstrap processor. */
  public static final long APIC_BASE_BSP = 1 << 8;

  public long star;
  public long lstar;
  public long cstar;
  public long fmask;
  public long kernelGsBase;
  public long sysenterCs;
  public long sysenterEsp;
  public long sysenterEip;
  public long tscAux;

  /** IA32_UMWAIT_CONTROL. */
  public long umwaitControl;

  /** IA32_U_CET and IA32_S_CET: {@link CetControl}. Whoever changes them updates the mode. */
  public long uCet;

  public long sCet;

  /** IA32_PL0_SSP to IA32_PL3_SSP. */
  public final long[] plSsp = new long[4];

  /** IA32_INTERRUPT_SSP_TABLE_ADDR. */
  public long interruptSspTable;

  public long pat;
  public long apicBase;
  public long debugCtl;
  public long miscEnable;
  public long mtrrDefType;
  public final long[] mtrrFixed = new long[11];
  public final long[] mtrrBase = new long[10];
  public final long[] mtrrMask = new long[10];
  public long featureControl;
  public long spec;
  public long tscAdjust;
  public long biosSignature;

  // Of last branches. No branch is recorded.

  public final long[] lastBranchFrom = new long[32];
  public final long[] lastBranchTo = new long[32];
  public long lastBranchTop;
  public long lastBranchSelect;

  public long mcgStatus;
  public long mcgCtl;

  /** IA32_MCi_CTL, STATUS, ADDR and MISC of 32 banks. */
  public final long[] mcBanks = new long[128];

  /** Added to the platform's counter to give the guest's time-stamp counter. */
  public long tscOffset;

  /** Values after reset. SDM Vol. 3, table 10-1 and "Page Attribute Table". */
  public void reset() {
    star = 0;
    lstar = 0;
    cstar = 0;
    fmask = 0;
    kernelGsBase = 0;
    sysenterCs = 0;
    sysenterEsp = 0;
    sysenterEip = 0;
    tscAux = 0;
    umwaitControl = 0;
    resetCet();
    pat = 0x0007040600070406L;
    apicBase = 0xfee00900L;
    debugCtl = 0;
    // Fast strings, no BTS, no PEBS, MONITOR.
    miscEnable = 0x41801;
    mtrrDefType = 0;
    java.util.Arrays.fill(mtrrFixed, 0);
    java.util.Arrays.fill(mtrrBase, 0);
    java.util.Arrays.fill(mtrrMask, 0);
    featureControl = 0;
    spec = 0;
    tscAdjust = 0;
    biosSignature = 0;
    java.util.Arrays.fill(lastBranchFrom, 0);
    java.util.Arrays.fill(lastBranchTo, 0);
    lastBranchTop = 0;
    lastBranchSelect = 0;
    tscOffset = 0;
    mcgStatus = 0;
    mcgCtl = 0;
    java.util.Arrays.fill(mcBanks, 0);
  }

  /** The registers of CET, by reset and by INIT. */
  public void resetCet() {
    uCet = 0;
    sCet = 0;
    java.util.Arrays.fill(plSsp, 0);
    interruptSspTable = 0;
  }
}
