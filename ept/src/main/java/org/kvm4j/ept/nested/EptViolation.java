package org.kvm4j.ept.nested;

import java.util.StringJoiner;

/**
 * Bits of the exit qualification of an EPT violation.
 *
 * <p>Source: SDM 28.2.1 "Basic VM-Exit Information", table "Exit Qualification for EPT Violations".
 */
public final class EptViolation {
  /** The access was a data read. */
  public static final long READ = 1;

  /** The access was a data write. */
  public static final long WRITE = 1 << 1;

  /** The access was an instruction fetch. */
  public static final long FETCH = 1 << 2;

  /** The guest-physical address was readable. */
  public static final long READABLE = 1 << 3;

  /** The guest-physical address was writable. */
  public static final long WRITABLE = 1 << 4;

  /** The guest-physical address was executable (for supervisor-mode linear addresses). */
  public static final long EXECUTABLE = 1 << 5;

  /** With mode-based execute control: it was executable for user-mode linear addresses. */
  public static final long EXECUTABLE_USER = 1 << 6;

  /** The guest linear-address field is valid. */
  public static final long LINEAR_VALID = 1 << 7;

  /** The access was to the translation of the linear address, not to a paging-structure entry. */
  public static final long TRANSLATED = 1 << 8;

  /** With advanced information: the linear address is a user-mode one. */
  public static final long USER_LINEAR = 1 << 9;

  /** With advanced information: paging translates the linear address to a read/write page. */
  public static final long READ_WRITE_LINEAR = 1 << 10;

  /** With advanced information: paging translates the linear address to an execute-disable page. */
  public static final long EXECUTE_DISABLE_LINEAR = 1 << 11;

  /** NMI unblocking due to IRET. */
  public static final long NMI_UNBLOCKING = 1 << 12;

  /** The access was a shadow-stack access. */
  public static final long SHADOW_STACK = 1 << 13;

  /** With supervisor shadow-stack control: the page is one for supervisor shadow stacks. */
  public static final long SUPERVISOR_SHADOW_STACK_PAGE = 1 << 14;

  /** Guest-paging verification failed: SDM 29.3.3.2 "EPT Violations". */
  public static final long GUEST_PAGING_VERIFICATION = 1 << 15;

  /** The access was asynchronous to instruction execution, and not of the delivery of an event. */
  public static final long ASYNCHRONOUS = 1 << 16;

  private EptViolation() {}

  /** For messages: the number, and what it says. */
  public static String describe(long qualification) {
    return "%#x (%s)".formatted(qualification, words(qualification));
  }

  /** What a qualification says. */
  public static String words(long qualification) {
    StringJoiner access = new StringJoiner("+");
    add(access, qualification, READ, "read");
    add(access, qualification, WRITE, "write");
    add(access, qualification, FETCH, "fetch");
    StringBuilder rights = new StringBuilder();
    rights.append((qualification & READABLE) != 0 ? 'r' : '-');
    rights.append((qualification & WRITABLE) != 0 ? 'w' : '-');
    rights.append((qualification & EXECUTABLE) != 0 ? 'x' : '-');
    if ((qualification & EXECUTABLE_USER) != 0) {
      rights.append('u');
    }
    String what =
        (qualification & LINEAR_VALID) == 0
            ? "no linear address"
            : (qualification & TRANSLATED) != 0
                ? "translated linear address"
                : "guest paging-structure entry";
    StringJoiner more = new StringJoiner(", ", ", ", "").setEmptyValue("");
    add(more, qualification, USER_LINEAR, "of a user-mode address");
    add(more, qualification, READ_WRITE_LINEAR, "writable by paging");
    add(more, qualification, EXECUTE_DISABLE_LINEAR, "execute-disable by paging");
    add(more, qualification, NMI_UNBLOCKING, "NMI unblocking due to IRET");
    add(more, qualification, SHADOW_STACK, "shadow-stack access");
    add(more, qualification, SUPERVISOR_SHADOW_STACK_PAGE, "supervisor shadow-stack page");
    add(more, qualification, GUEST_PAGING_VERIFICATION, "guest-paging verification failed");
    add(more, qualification, ASYNCHRONOUS, "asynchronous to instruction execution");
    return "%s of a page that is %s, %s%s".formatted(access, rights, what, more);
  }

  private static void add(StringJoiner text, long qualification, long bit, String name) {
    if ((qualification & bit) != 0) {
      text.add(name);
    }
  }
}
