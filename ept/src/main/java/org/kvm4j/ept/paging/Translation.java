package org.kvm4j.ept.paging;

/**
 * What a walk found: a mutable holder that its owner reuses. Which fields mean something depends on
 * {@link #outcome}.
 */
public final class Translation {
  /** The address is translated and the access allowed. */
  public static final int OK = 0;

  /** A page fault of the guest; {@link #errorCode} is set. */
  public static final int PAGE_FAULT = 1;

  /** An EPT violation; {@link #qualification} and {@link #gpa} are set. */
  public static final int EPT_VIOLATION = 2;

  /** An EPT misconfiguration; {@link #gpa} is set. */
  public static final int EPT_MISCONFIGURATION = 3;

  /** The page-modification log is full; {@link #gpa} is set. */
  public static final int LOG_FULL = 4;

  /**
   * An access to the page of a virtual APIC that is not virtualized; {@link #qualification} is set,
   * with access type {@link #GUEST_PHYSICAL_ACCESS} for one to a guest paging-structure entry.
   */
  public static final int APIC_ACCESS = 5;

  /** An SPP-related event; {@link #qualification} and {@link #gpa} are set. */
  public static final int SPP_EVENT = 6;

  /** Bit 11 of the exit qualification of an SPP-related event: a miss, not a misconfiguration. */
  public static final long SPP_MISS = 1 << 11;

  /**
   * Bits 15:12 of the exit qualification of an APIC-access VM exit: a guest-physical access, and
   * not the translation of a linear address.
   */
  public static final long GUEST_PHYSICAL_ACCESS = 15 << 12;

  /** {@link #OK}, {@link #PAGE_FAULT} or one of the others above. */
  public int outcome;

  /** Host-physical address of the byte. */
  public long hpa;

  /**
   * Guest-physical address of the byte; for EPT outcomes the guest-physical address whose access
   * failed, which is a paging-structure entry's where {@link #pagingStructureAccess}.
   */
  public long gpa;

  /**
   * Log2 of the page that may be cached as one translation: the smaller of guest and nested page.
   */
  public int pageShift;

  /** Log2 of the guest's page, which decides what INVLPG drops. */
  public int guestPageShift;

  /** A global translation: G in the guest's leaf and CR4.PGE. */
  public boolean global;

  /** What is added to the protection key of a supervisor-mode address in {@link #key}. */
  public static final int SUPERVISOR_KEYS = 16;

  /**
   * The protection key that the rights depend on: 0 to 15 for PKRU's, 16 to 31 for IA32_PKRS'; -1
   * where there is none.
   */
  public int key = -1;

  /** The privilege of this access may read here from now on without another walk. */
  public boolean mayRead;

  /**
   * The privilege of this access may write here from now on without another walk: all rights allow
   * it, and every dirty flag that a write sets is set.
   */
  public boolean mayWrite;

  /** The privilege of this access may fetch here from now on without another walk. */
  public boolean mayFetch;

  /**
   * Becomes that of another address of the same page as one that is OK.
   *
   * @param hpa host-physical address
   * @param gpa guest-physical address
   * @param pageShift as {@link #pageShift}
   */
  public void set(Translation same, long hpa, long gpa, int pageShift) {
    outcome = OK;
    this.hpa = hpa;
    this.gpa = gpa;
    this.pageShift = pageShift;
    guestPageShift = same.guestPageShift;
    key = same.key;
    global = same.global;
    mayRead = same.mayRead;
    mayWrite = same.mayWrite;
    mayFetch = same.mayFetch;
  }

  /**
   * Of a page fault: the error code.
   *
   * <p>Source: SDM 4.7 "Page-Fault Exceptions".
   */
  public int errorCode;

  /**
   * Of an EPT violation and an SPP-related event: the exit qualification, bit 12 (NMI unblocking)
   * clear.
   *
   * <p>Source: SDM 28.2.1 "Basic VM-Exit Information", table "Exit Qualification for EPT
   * Violations".
   */
  public long qualification;

  /**
   * Of an EPT violation: bit 63 of the EPT entry that is not present, or maps the page: it is not
   * turned into a virtualization exception.
   *
   * <p>Source: SDM 26.5.7.1 "Convertible EPT Violations".
   */
  public boolean suppressesVe;

  /** Memory type that PAT and the guest's leaf give: 0 UC, 1 WC, 4 WT, 5 WP, 6 WB, 7 UC-. */
  public int guestMemoryType;

  /** EPT memory type, bits 5:3 of the EPT leaf; 6 (WB) without EPT. */
  public int eptMemoryType;

  private static final int WRITE_BACK = 6;

  /** EPT leaf bit 6: the guest's PAT is ignored. */
  public boolean eptIgnorePat;

  /** The access that failed was one to a guest paging-structure entry. */
  public boolean pagingStructureAccess;

  /**
   * Whether guest and EPT make the memory type write-back, as far as paging decides: MTRRs and
   * CR0.CD apart.
   */
  public boolean isWriteBack() {
    return eptMemoryType == WRITE_BACK && (eptIgnorePat || guestMemoryType == WRITE_BACK);
  }

  /** For messages. */
  @Override
  public String toString() {
    return switch (outcome) {
      case OK ->
          "hpa %#x, gpa %#x, %s page%s, %s%s%s"
              .formatted(
                  hpa,
                  gpa,
                  size(pageShift),
                  global ? " (global)" : "",
                  mayRead ? "r" : "-",
                  mayWrite ? "w" : "-",
                  mayFetch ? "x" : "-");
      case PAGE_FAULT -> "page fault, error code " + PageFault.describe(errorCode);
      case EPT_VIOLATION ->
          "EPT violation at gpa %#x, qualification %#x".formatted(gpa, qualification);
      case LOG_FULL -> "page-modification log full at gpa %#x".formatted(gpa);
      case SPP_EVENT -> "%s at gpa %#x".formatted(sppEvent(qualification), gpa);
      case APIC_ACCESS -> "APIC access, qualification %#x".formatted(qualification);
      default -> "EPT misconfiguration at gpa %#x".formatted(gpa);
    };
  }

  /** What an SPP-related event's exit qualification says. */
  public static String sppEvent(long qualification) {
    return (qualification & SPP_MISS) != 0 ? "SPP miss" : "SPP misconfiguration";
  }

  private static String size(int shift) {
    return shift >= 30
        ? (1L << (shift - 30)) + "G"
        : shift >= 20 ? (1L << (shift - 20)) + "M" : (1L << (shift - 10)) + "K";
  }
}
