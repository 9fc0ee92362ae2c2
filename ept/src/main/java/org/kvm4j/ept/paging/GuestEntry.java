package org.kvm4j.ept.paging;

/**
 * Bits of the entries of guest paging structures. The low twelve are alike in 4-byte and 8-byte
 * entries.
 *
 * <p>Source: SDM 4.3 "32-Bit Paging", SDM 4.4 "PAE Paging", SDM 4.5 "4-Level Paging and 5-Level
 * Paging".
 */
public final class GuestEntry {
  /** P: the entry is present; if clear, all other bits are ignored. */
  public static final long PRESENT = 1;

  /** R/W: writes may be allowed. */
  public static final long WRITABLE = 1 << 1;

  /** U/S: user-mode accesses may be allowed. */
  public static final long USER = 1 << 2;

  /** PWT: low bit of the index into the PAT. */
  public static final long WRITE_THROUGH = 1 << 3;

  /** PCD: middle bit of the index into the PAT. */
  public static final long CACHE_DISABLE = 1 << 4;

  /** A: the entry was used for a translation. */
  public static final long ACCESSED = 1 << 5;

  /** D, in an entry that maps a page: the page was written. */
  public static final long DIRTY = 1 << 6;

  /** PS: the entry maps a page although it is not in a page table. */
  public static final long PAGE_SIZE = 1 << 7;

  /** PAT, in an entry of a page table: high bit of the index into the PAT. */
  public static final long PAT = 1 << 7;

  /** G, in an entry that maps a page: the translation is global. */
  public static final long GLOBAL = 1 << 8;

  /**
   * R, of HLAT paging: the translation is restarted with ordinary paging. SDM 4.5.5 "Restart of
   * HLAT Paging".
   */
  public static final long RESTART = 1 << 11;

  /** PAT, in an entry that maps a larger page. */
  public static final long PAT_LARGE = 1 << 12;

  /** XD: no instruction fetches (8-byte entries, with IA32_EFER.NXE). */
  public static final long EXECUTE_DISABLE = 1L << 63;

  /** Bits that an address may have in 8-byte entries, those beyond MAXPHYADDR included. */
  public static final long ADDRESS = 0x000f_ffff_ffff_f000L;

  /** Where the protection key begins in a leaf of 4- and 5-level paging. */
  public static final int PROTECTION_KEY_SHIFT = 59;

  /** Bits that are reserved in all entries of PAE paging. */
  public static final long PAE_RESERVED = 0x7ff0_0000_0000_0000L;

  private GuestEntry() {}

  /**
   * The reserved bits of a present 8-byte entry.
   *
   * @param shift log2 of what one entry of its level covers: 12, 21, 30, 39 or 48
   * @param leaf whether it maps a page
   */
  public static long reserved(PagingContext context, int shift, boolean leaf) {
    long reserved = ~0L << context.physicalBits & ADDRESS;
    if (!context.nxe) {
      reserved |= EXECUTE_DISABLE;
    }
    if (context.mode == PagingMode.PAE) {
      reserved |= PAE_RESERVED;
    }
    if (!leaf) {
      return shift >= 30 ? reserved | PAGE_SIZE : reserved;
    }
    return reserved | ((1L << shift) - 1 & ~0x1fffL);
  }

  /** The reserved bits of a present PDE that maps a 4-MByte page in 32-bit paging. */
  public static int reserved4m(PagingContext context) {
    int bits = context.pse36 ? Math.min(40, context.physicalBits) : 32;
    return (1 << 22) - (1 << 13 + bits - 32);
  }

  /**
   * The reserved bits of a present PDPTE of PAE paging, which the processor checks when it loads
   * the PDPTE registers.
   *
   * <p>Source: SDM 4.4.1 "PDPTE Registers".
   */
  public static long reservedPdpte(PagingContext context) {
    return ~0L << context.physicalBits | 0x1e6;
  }

  /**
   * For messages: {@code "P RW US A D"}.
   *
   * @param leaf whether the entry maps a page
   * @param wide whether it has 8 bytes
   */
  public static String describe(long entry, boolean leaf, boolean wide) {
    if ((entry & PRESENT) == 0) {
      return "not present";
    }
    StringBuilder text = new StringBuilder("P");
    text.append((entry & WRITABLE) != 0 ? " RW" : " RO");
    text.append((entry & USER) != 0 ? " US" : " S");
    text.append((entry & WRITE_THROUGH) != 0 ? " PWT" : "");
    text.append((entry & CACHE_DISABLE) != 0 ? " PCD" : "");
    text.append((entry & ACCESSED) != 0 ? " A" : "");
    text.append(leaf && (entry & DIRTY) != 0 ? " D" : "");
    text.append(leaf && (entry & GLOBAL) != 0 ? " G" : "");
    text.append(wide && entry < 0 ? " XD" : "");
    return text.append(leaf ? ", page" : "").toString();
  }
}
