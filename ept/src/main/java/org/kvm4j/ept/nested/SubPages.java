package org.kvm4j.ept.nested;

import org.kvm4j.ept.memory.MemoryCursor;

/**
 * Sub-page write permissions: a table like EPT's, by guest-physical address, whose last level says
 * of each 128 bytes of a page whether they may be written although EPT does not allow it.
 *
 * <p>Source: SDM 29.3.4 "Sub-Page Write Permissions".
 */
public final class SubPages {
  /** What a look into the table comes to. */
  public enum Outcome {
    /** The write is let through. */
    ALLOWED("writes are allowed"),
    /** The permission vector is there and does not allow it: an EPT violation. */
    DENIED("writes are not allowed"),
    /** An entry is not valid: an SPP miss. */
    MISS("SPP MISS"),
    /** A reserved bit is set: an SPP misconfiguration. */
    MISCONFIGURED("SPP MISCONFIGURATION, reserved bits are set");

    private final String words;

    Outcome(String words) {
      this.words = words;
    }

    /** For messages. */
    public String words() {
      return words;
    }
  }

  /** An entry above the permission vectors refers to another table. */
  public static final long VALID = 1;

  /** What the entries of the topmost table cover, log2. */
  public static final int TOP = 39;

  private static final long RESERVED_LOW = 0xffe;
  private static final long ODD_BITS = 0xaaaa_aaaa_aaaa_aaaaL;

  private SubPages() {}

  /** Where the entry of a guest-physical address is in a table. */
  public static long entryAt(long table, long gpa, int shift) {
    return table + (gpa >>> shift & 0x1ff) * 8;
  }

  /** Whether an entry above the permission vectors has reserved bits set. */
  public static boolean isReserved(long entry, int physicalBits) {
    return (entry & (RESERVED_LOW | ~0L << physicalBits)) != 0;
  }

  /**
   * What a permission vector says of a write.
   *
   * @param length of the write, of which nothing is beyond the page
   */
  public static Outcome allows(long vector, long gpa, int length) {
    if ((vector & ODD_BITS) != 0) {
      return Outcome.MISCONFIGURED;
    }
    int first = (int) gpa >>> 7 & 31;
    int last = Math.min(0xfff, ((int) gpa & 0xfff) + length - 1) >>> 7;
    for (int page = first; page <= last; page++) {
      if ((vector >>> 2 * page & 1) == 0) {
        return Outcome.DENIED;
      }
    }
    return Outcome.ALLOWED;
  }

  /**
   * Looks a write up.
   *
   * @param table the sub-page-permission-table pointer
   */
  static Outcome look(MemoryCursor cursor, long table, int physicalBits, long gpa, int length) {
    long at = table & EptEntry.ADDRESS;
    for (int shift = TOP; shift > 12; shift -= 9) {
      long entry = cursor.readLong(entryAt(at, gpa, shift));
      if ((entry & VALID) == 0) {
        return Outcome.MISS;
      }
      if (isReserved(entry, physicalBits)) {
        return Outcome.MISCONFIGURED;
      }
      at = entry & EptEntry.ADDRESS;
    }
    return allows(cursor.readLong(entryAt(at, gpa, 12)), gpa, length);
  }
}
