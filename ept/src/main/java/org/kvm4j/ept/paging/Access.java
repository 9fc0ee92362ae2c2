package org.kvm4j.ept.paging;

/**
 * What an access to a linear address is, as bits of an {@code int}. The architectural ones stand
 * where the page-fault error code has them.
 *
 * <p>Source: SDM 4.6 "Access Rights" and SDM 4.7 "Page-Fault Exceptions".
 */
public final class Access {
  /** A data read: none of the other bits. */
  public static final int READ = 0;

  /** A data write. */
  public static final int WRITE = 1 << 1;

  /** A user-mode access: CPL = 3 and not {@link #IMPLICIT}. */
  public static final int USER = 1 << 2;

  /** An instruction fetch. */
  public static final int FETCH = 1 << 4;

  /**
   * A shadow-stack access: of the user's shadow stack with {@link #USER}, else of a supervisor's.
   * {@link #AC} plays no part.
   */
  public static final int SHADOW_STACK = 1 << 6;

  /**
   * An implicit supervisor-mode access, whatever the CPL: descriptor tables, TSS, delivery of
   * events. SMAP applies to it whatever EFLAGS.AC is.
   */
  public static final int IMPLICIT = 1 << 8;

  /**
   * EFLAGS.AC is set: SMAP lets an explicit supervisor-mode data access reach user-mode addresses.
   */
  public static final int AC = 1 << 9;

  /**
   * Leave accessed and dirty flags as they are, in guest tables and EPT. For address queries and
   * traces; what such a walk finds must not be cached.
   */
  public static final int NO_SIDE_EFFECTS = 1 << 12;

  private static final int LENGTH_SHIFT = 16;

  private Access() {}

  /**
   * An access of this many bytes, of which the walk's address is the first: 1 unless it is told
   * otherwise. Sub-page write permissions ask for it.
   *
   * @param length 1 to 4096, what is beyond the page left out
   */
  public static int of(int access, int length) {
    return access | length - 1 << LENGTH_SHIFT;
  }

  /** How many bytes are accessed. */
  public static int length(int access) {
    return (access >>> LENGTH_SHIFT & 0xfff) + 1;
  }

  /** For messages: {@code "user write"}. */
  public static String describe(int access) {
    StringBuilder text = new StringBuilder();
    text.append(
        (access & IMPLICIT) != 0
            ? "implicit supervisor "
            : (access & USER) != 0 ? "user " : "supervisor ");
    text.append((access & FETCH) != 0 ? "fetch" : (access & WRITE) != 0 ? "write" : "read");
    if ((access & SHADOW_STACK) != 0) {
      text.append(" of a shadow stack");
    }
    if ((access & AC) != 0) {
      text.append(" with AC");
    }
    return text.toString();
  }
}
