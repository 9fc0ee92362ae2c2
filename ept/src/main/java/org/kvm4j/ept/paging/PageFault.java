package org.kvm4j.ept.paging;

/**
 * The error code of a page fault.
 *
 * <p>Source: SDM 4.7 "Page-Fault Exceptions".
 */
public final class PageFault {
  /**
   * There is a translation; the access violates its rights (or RSVD). Clear: an entry was not
   * present.
   */
  public static final int PRESENT = 1;

  /** The access was a write. */
  public static final int WRITE = Access.WRITE;

  /** The access was a user-mode access. */
  public static final int USER = Access.USER;

  /** A reserved bit was set in an entry. */
  public static final int RESERVED = 1 << 3;

  /** The access was a fetch (reported with SMEP or NXE only). */
  public static final int FETCH = Access.FETCH;

  /** A protection key denies the access. */
  public static final int PROTECTION_KEY = 1 << 5;

  /** The access was a shadow-stack access. */
  public static final int SHADOW_STACK = Access.SHADOW_STACK;

  /**
   * There is no translation by HLAT paging: an entry was not present, or had a reserved bit set.
   */
  public static final int HLAT = 1 << 7;

  private PageFault() {}

  /** For messages: {@code "0x7 (present, write, user)"}. */
  public static String describe(int errorCode) {
    StringBuilder text = new StringBuilder(Integer.toHexString(errorCode)).insert(0, "0x");
    text.append((errorCode & PRESENT) != 0 ? " (present" : " (not present");
    text.append(
        (errorCode & FETCH) != 0 ? ", fetch" : (errorCode & WRITE) != 0 ? ", write" : ", read");
    text.append((errorCode & USER) != 0 ? ", user" : ", supervisor");
    text.append((errorCode & RESERVED) != 0 ? ", reserved bit set" : "");
    text.append((errorCode & PROTECTION_KEY) != 0 ? ", protection key" : "");
    text.append((errorCode & SHADOW_STACK) != 0 ? ", shadow stack" : "");
    text.append((errorCode & HLAT) != 0 ? ", HLAT paging" : "");
    return text.append(')').toString();
  }
}
