package org.kvm4j.ept.nested;

import org.kvm4j.ept.paging.PagingContext;

/**
 * Bits of the entries of EPT paging structures.
 *
 * <p>Source: SDM 29.3.2 "EPT Translation Mechanism".
 */
public final class EptEntry {
  /** Reads are allowed. */
  public static final long READ = 1;

  /** Writes are allowed. */
  public static final long WRITE = 1 << 1;

  /**
   * Fetches are allowed; with mode-based execute control, from supervisor-mode linear addresses.
   */
  public static final long EXECUTE = 1 << 2;

  /** With mode-based execute control: fetches are allowed from user-mode linear addresses. */
  public static final long EXECUTE_USER = 1 << 10;

  /** All rights there are without mode-based execute control. */
  public static final long ALL = READ | WRITE | EXECUTE;

  /** Where the memory type of a leaf begins: bits 5:3. */
  public static final int MEMORY_TYPE_SHIFT = 3;

  /** Bits of the memory type of a leaf. */
  public static final long MEMORY_TYPE = 7 << MEMORY_TYPE_SHIFT;

  /** In a leaf: the guest's PAT is ignored. */
  public static final long IGNORE_PAT = 1 << 6;

  /** The entry maps a page although it is not in a page table. */
  public static final long PAGE = 1 << 7;

  /** The entry was used, if the EPTP enables the flags. */
  public static final long ACCESSED = 1 << 8;

  /** In a leaf: the page was written, if the EPTP enables the flags. */
  public static final long DIRTY = 1 << 9;

  /**
   * In a leaf, with guest-paging verification: the page is reached only by linear addresses all of
   * whose guest paging structures are in pages with {@link #PAGING_WRITE}.
   */
  public static final long VERIFY_GUEST_PAGING = 1L << 57;

  /**
   * In a leaf, with EPT paging-write control: the processor may set accessed and dirty flags of
   * guest paging structures in the page although writes are not allowed.
   */
  public static final long PAGING_WRITE = 1L << 58;

  /** In a leaf: a supervisor shadow-stack page, if the EPTP enables the control. */
  public static final long SUPERVISOR_SHADOW_STACK = 1L << 60;

  /**
   * In an entry that maps a 4-KByte page, with sub-page write permissions: a write that is not
   * allowed is looked up in the sub-page permission table.
   */
  public static final long SUB_PAGE_WRITE = 1L << 61;

  /** Violations of this entry are not turned into virtualization exceptions. */
  public static final long SUPPRESS_VE = 1L << 63;

  /** Bits that an address may have, those beyond MAXPHYADDR included. */
  public static final long ADDRESS = 0x000f_ffff_ffff_f000L;

  /** Memory type uncacheable. */
  public static final int UNCACHEABLE = 0;

  /** Memory type write-combining. */
  public static final int WRITE_COMBINING = 1;

  /** Memory type write-through. */
  public static final int WRITE_THROUGH = 4;

  /** Memory type write-protected. */
  public static final int WRITE_PROTECTED = 5;

  /** Memory type write-back. */
  public static final int WRITE_BACK = 6;

  /** The memory types that are not reserved, one bit for each. */
  static final int VALID_MEMORY_TYPES =
      1 << UNCACHEABLE
          | 1 << WRITE_COMBINING
          | 1 << WRITE_THROUGH
          | 1 << WRITE_PROTECTED
          | 1 << WRITE_BACK;

  private EptEntry() {}

  /** Whether an entry is present: whether any right is granted that the controls know. */
  public static boolean isPresent(long entry, boolean modeBasedExecute) {
    return (entry & (modeBasedExecute ? ALL | EXECUTE_USER : ALL)) != 0;
  }

  /**
   * Whether a present entry maps a page.
   *
   * @param shift log2 of what one entry of its level covers: 12, 21, 30, 39 or 48
   */
  public static boolean isLeaf(long entry, int shift) {
    return shift == 12 || shift <= 30 && (entry & PAGE) != 0;
  }

  /**
   * For messages: {@code "rwx, page, WB, accessed"}; bits that controls make the processor ignore
   * are left out.
   */
  public static String describe(long entry, int shift, PagingContext context) {
    boolean modeBasedExecute = context.modeBasedExecute;
    if (!isPresent(entry, modeBasedExecute)) {
      return "not present";
    }
    StringBuilder text = new StringBuilder();
    text.append((entry & READ) != 0 ? 'r' : '-');
    text.append((entry & WRITE) != 0 ? 'w' : '-');
    text.append((entry & EXECUTE) != 0 ? 'x' : '-');
    if (modeBasedExecute) {
      text.append((entry & EXECUTE_USER) != 0 ? 'u' : '-');
    }
    if (isLeaf(entry, shift)) {
      text.append(", page, ").append(memoryTypeName((int) (entry >>> MEMORY_TYPE_SHIFT) & 7));
      if ((entry & IGNORE_PAT) != 0) {
        text.append(", ignore PAT");
      }
      if (context.eptPagingWrite && (entry & PAGING_WRITE) != 0) {
        text.append(", paging-write access");
      }
      if (context.guestPagingVerification && (entry & VERIFY_GUEST_PAGING) != 0) {
        text.append(", verify guest paging");
      }
      if (context.subPageWrite && shift == 12 && (entry & SUB_PAGE_WRITE) != 0) {
        text.append(", sub-page write permissions");
      }
    }
    if ((entry & ACCESSED) != 0) {
      text.append(", accessed");
    }
    if (isLeaf(entry, shift) && (entry & DIRTY) != 0) {
      text.append(", dirty");
    }
    return text.toString();
  }

  /** The name of a memory type. */
  public static String memoryTypeName(int type) {
    return switch (type) {
      case 0 -> "UC";
      case 1 -> "WC";
      case 4 -> "WT";
      case 5 -> "WP";
      case 6 -> "WB";
      case 7 -> "UC-";
      default -> "reserved type " + type;
    };
  }
}
