package org.kvm4j.ept.nested;

/**
 * The extended-page-table pointer (EPTP).
 *
 * <p>Source: SDM 25.6.11 "Extended-Page-Table Pointer (EPTP)".
 */
public final class EptPointer {
  /** Memory type uncacheable, bits 2:0. */
  public static final int UNCACHEABLE = 0;

  /** Memory type write-back, bits 2:0. */
  public static final int WRITE_BACK = 6;

  /** Enables accessed and dirty flags for EPT. */
  public static final long ACCESSED_DIRTY = 1L << 6;

  /** Enables access rights of supervisor shadow-stack pages. */
  public static final long SUPERVISOR_SHADOW_STACK = 1L << 7;

  /** Bits of the address of the first EPT paging structure, which also tag the TLB (the EPTRTA). */
  public static final long ROOT = 0x000f_ffff_ffff_f000L;

  private EptPointer() {}

  /**
   * An EPTP.
   *
   * @param root host-physical address of the first paging structure
   * @param levels page-walk length: 4 or 5
   * @param memoryType {@link #UNCACHEABLE} or {@link #WRITE_BACK}
   */
  public static long of(long root, int levels, int memoryType, boolean accessedDirty) {
    if ((root & ~ROOT) != 0) {
      throw new IllegalArgumentException("%#x is not a page's address".formatted(root));
    }
    return root | memoryType | (levels - 1L) << 3 | (accessedDirty ? ACCESSED_DIRTY : 0);
  }

  /** Host-physical address of the first paging structure. */
  public static long root(long eptp) {
    return eptp & ROOT;
  }

  /** The page-walk length that bits 5:3 encode. */
  public static int levels(long eptp) {
    return (int) (eptp >>> 3 & 7) + 1;
  }

  /** Memory type of accesses to the EPT paging structures. */
  public static int memoryType(long eptp) {
    return (int) eptp & 7;
  }

  /** Whether accessed and dirty flags are enabled. */
  public static boolean accessedDirty(long eptp) {
    return (eptp & ACCESSED_DIRTY) != 0;
  }
}
