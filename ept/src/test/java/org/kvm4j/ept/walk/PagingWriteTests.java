package org.kvm4j.ept.walk;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.ept.paging.Access.FETCH;
import static org.kvm4j.ept.paging.Access.READ;
import static org.kvm4j.ept.paging.Access.WRITE;

import org.junit.jupiter.api.Test;
import org.kvm4j.ept.nested.EptEntry;
import org.kvm4j.ept.nested.EptMisconfiguration;
import org.kvm4j.ept.nested.GuestPhysicalCache;
import org.kvm4j.ept.paging.GuestEntry;
import org.kvm4j.ept.paging.PagingMode;
import org.kvm4j.ept.paging.Translation;

/**
 * EPT paging-write control and guest-paging verification: SDM 29.3.3.1 "EPT Misconfigurations",
 * 29.3.3.2 "EPT Violations", 29.3.3.3 "Prioritization of EPT Misconfigurations and EPT Violations".
 */
class PagingWriteTests {
  private static final long PWA = EptEntry.PAGING_WRITE;
  private static final long VERIFY = EptEntry.VERIFY_GUEST_PAGING;
  private static final long LINEAR = 0x180;
  private static final long GPA = Guest.PAGE + 0x123;

  private final Guest plain = new Guest(false);
  private final Guest marked = new Guest(true);

  PagingWriteTests() {
    plain.context.eptPagingWrite = true;
    marked.context.eptPagingWrite = true;
  }

  private static void set(Guest g, long gpa, long bits) {
    g.eptEntry(1, gpa, g.eptEntry(1, gpa) | bits);
  }

  private static void clear(Guest g, long gpa, long bits) {
    g.eptEntry(1, gpa, g.eptEntry(1, gpa) & ~bits);
  }

  // ---- Paging-write access

  /** With A/D flags for EPT every access to a guest paging structure is a paging write. */
  @Test
  void pagesWithoutWriteAccessMayBeUpdatedWithPagingWriteAccess() {
    for (int level = 4; level >= 1; level--) {
      long table = Guest.TABLES[4 - level];
      long entry = marked.guestEntryGpa(level);
      clear(marked, table, EptEntry.WRITE);
      marked.expectViolation(READ, entry, 0x2b | 0x80);
      set(marked, table, PWA);
      marked.expectOk(WRITE);
      marked.guestEntry(level, marked.guestEntry(level) & ~GuestEntry.ACCESSED);
      clear(marked, table, EptEntry.DIRTY);
      marked.expectOk(READ);
      assertTrue((marked.guestEntry(level) & GuestEntry.ACCESSED) != 0);
      assertTrue((marked.eptEntry(1, table) & EptEntry.DIRTY) != 0, "a write all the same");
    }
  }

  @Test
  void withoutTheControlTheBitIsIgnored() {
    clear(marked, Guest.TABLES[2], EptEntry.WRITE);
    set(marked, Guest.TABLES[2], PWA);
    marked.context.eptPagingWrite = false;
    marked.expectViolation(READ, marked.guestEntryGpa(2), 0x2b | 0x80);
    marked.context.eptPagingWrite = true;
    marked.expectOk(READ);
  }

  /** Without A/D flags for EPT only the setting of a flag is a paging write. */
  @Test
  void flagsOfTheGuestAreSetWithPagingWriteAccess() {
    clear(plain, Guest.TABLES[3], EptEntry.WRITE);
    plain.guestEntry(1, plain.guestEntry(1) & ~(GuestEntry.ACCESSED | GuestEntry.DIRTY));
    plain.expectViolation(WRITE, plain.guestEntryGpa(1), 0x2b | 0x80);
    set(plain, Guest.TABLES[3], PWA);
    plain.expectOk(WRITE);
    assertEquals(0x60, plain.guestEntry(1) & 0x60);
  }

  /** Entries that reference other EPT structures have no such bit. */
  @Test
  void entriesAboveTheLeafHaveToAllowWrites() {
    set(marked, Guest.TABLES[1], PWA);
    marked.eptEntry(2, 0, marked.eptEntry(2, 0) & ~EptEntry.WRITE | PWA);
    marked.expectViolation(READ, marked.guestEntryGpa(4), 0x2b | 0x80);
  }

  @Test
  void itIsNoRightOfTheGuests() {
    clear(plain, Guest.PAGE, EptEntry.WRITE);
    set(plain, Guest.PAGE, PWA);
    plain.expectViolation(WRITE, GPA, 0x2 | 0x28 | LINEAR);
    plain.expectOk(READ);
    assertFalse(plain.found.mayWrite);
  }

  @Test
  void itIsNotAllowedWithoutReads() {
    plain.eptRights(Guest.PAGE, EptEntry.EXECUTE);
    plain.expectOk(FETCH);
    set(plain, Guest.PAGE, PWA);
    plain.access(FETCH);
    assertEquals(Translation.EPT_MISCONFIGURATION, plain.found.outcome);
    long entry = plain.eptEntry(1, Guest.PAGE);
    assertEquals(
        EptMisconfiguration.PAGING_WRITE_WITHOUT_READ,
        EptMisconfiguration.of(entry, 12, plain.context));
    assertNull(EptMisconfiguration.of(entry | 1, 12, plain.context));
    assertNull(EptMisconfiguration.of(4 | PWA, 21, plain.context), "no leaf");
    String text = WalkTrace.of(plain.memory, plain.context, Guest.LINEAR, FETCH).toString();
    assertTrue(text.contains("MISCONFIGURED: paging writes are allowed and reads are not"), text);
    plain.context.eptPagingWrite = false;
    plain.expectOk(FETCH);
    // An entry that allows nothing is not present, whatever it has besides.
    plain.context.eptPagingWrite = true;
    plain.eptRights(Guest.PAGE, 0);
    plain.expectViolation(FETCH, GPA, 0x4 | LINEAR);
  }

  /** What is remembered of a page with the control is not of use without it, nor the reverse. */
  @Test
  void cachedMappingsAreThoseOfTheControl() {
    clear(marked, Guest.TABLES[3], EptEntry.WRITE);
    set(marked, Guest.TABLES[3], PWA);
    TwoDimensionalWalk walk = new TwoDimensionalWalk(marked.memory, new GuestPhysicalCache());
    assertTrue(walk.walk(marked.context, Guest.LINEAR, READ, marked.found));
    assertTrue(walk.walk(marked.context, Guest.LINEAR, READ, marked.found));
    marked.context.eptPagingWrite = false;
    assertFalse(walk.walk(marked.context, Guest.LINEAR, READ, marked.found));
    marked.context.eptPagingWrite = true;
    assertTrue(walk.walk(marked.context, Guest.LINEAR, READ, marked.found));
  }

  // ---- Guest-paging verification

  private static void verifying(Guest g) {
    g.context.guestPagingVerification = true;
    for (long table : Guest.TABLES) {
      set(g, table, PWA);
    }
    set(g, Guest.PAGE, VERIFY);
  }

  @Test
  void aPageIsReachedOnlyThroughPagesWithPagingWriteAccess() {
    for (Guest g : new Guest[] {plain, marked}) {
      verifying(g);
      for (int access : new int[] {READ, WRITE, FETCH}) {
        g.expectOk(access);
        for (long table : Guest.TABLES) {
          clear(g, table, PWA);
          int kind = access == READ ? 1 : access == WRITE ? 2 : 4;
          g.expectViolation(access, GPA, kind | 0x38 | LINEAR | 0x8000);
          assertFalse(g.found.pagingStructureAccess);
          set(g, table, PWA);
        }
      }
    }
  }

  @Test
  void itNeedsBothControlsAndTheBit() {
    verifying(plain);
    clear(plain, Guest.TABLES[0], PWA);
    plain.context.guestPagingVerification = false;
    plain.expectOk(READ);
    plain.context.guestPagingVerification = true;
    plain.context.eptPagingWrite = false;
    plain.expectOk(READ);
    plain.context.eptPagingWrite = true;
    clear(plain, Guest.PAGE, VERIFY);
    plain.expectOk(READ);
    set(plain, Guest.PAGE, VERIFY);
    plain.access(READ);
    assertEquals(Translation.EPT_VIOLATION, plain.found.outcome);
  }

  /** A page fault comes first, and so does a violation for other reasons. */
  @Test
  void itComesLast() {
    verifying(plain);
    clear(plain, Guest.TABLES[0], PWA);
    plain.guestEntry(1, plain.guestEntry(1) & ~GuestEntry.WRITABLE);
    plain.expectFault(WRITE, 3);
    plain.guestEntry(1, plain.guestEntry(1) | GuestEntry.WRITABLE);
    clear(plain, Guest.PAGE, EptEntry.WRITE);
    plain.expectViolation(WRITE, GPA, 0x2 | 0x28 | LINEAR);
    plain.expectViolation(READ, GPA, 0x1 | 0x28 | LINEAR | 0x8000);
  }

  @Test
  void nothingIsMarkedOfAPageThatIsNotReached() {
    verifying(marked);
    clear(marked, Guest.TABLES[0], PWA);
    clear(marked, Guest.PAGE, EptEntry.ACCESSED | EptEntry.DIRTY);
    marked.access(WRITE);
    assertEquals(Translation.EPT_VIOLATION, marked.found.outcome);
    assertEquals(0, marked.eptEntry(1, Guest.PAGE) & (EptEntry.ACCESSED | EptEntry.DIRTY));
  }

  /** Without paging there are no structures, and of guest-physical accesses neither. */
  @Test
  void withoutGuestPagingStructuresThereIsNothingToVerify() {
    verifying(plain);
    clear(plain, Guest.TABLES[0], PWA);
    assertTrue(plain.walk.nested(plain.context, Guest.PAGE, READ, plain.found));
    plain.context.mode = PagingMode.NONE;
    assertTrue(plain.walk.walk(plain.context, Guest.PAGE, READ, plain.found));
  }

  /** What HLAT paging used before it was restarted is not part of the translation. */
  @Test
  void aRestartBeginsTheVerificationAnew() {
    verifying(plain);
    plain.context.hlat = true;
    plain.context.hlatp = 0x11000;
    long at = plain.ram + 0x11000 + (Guest.LINEAR >>> 39 & 0x1ff) * 8;
    plain.memory.writeLong(at, 0x27 | GuestEntry.RESTART);
    plain.expectOk(READ);
    plain.memory.writeLong(at, Guest.TABLES[1] | 0x27);
    plain.expectViolation(READ, GPA, 0x1 | 0x38 | LINEAR | 0x8000);
    set(plain, 0x11000, PWA);
    plain.expectOk(READ);
  }

  @Test
  void theCacheRemembersPagingWriteAccess() {
    verifying(plain);
    TwoDimensionalWalk walk = new TwoDimensionalWalk(plain.memory, new GuestPhysicalCache());
    clear(plain, Guest.TABLES[1], PWA);
    for (int k = 0; k < 2; k++) {
      assertFalse(walk.walk(plain.context, Guest.LINEAR, READ, plain.found));
      assertTrue((plain.found.qualification & 0x8000) != 0);
    }
  }

  @Test
  void theTraceNamesTheStructure() {
    verifying(plain);
    clear(plain, Guest.TABLES[2], PWA);
    WalkTrace trace = WalkTrace.of(plain.memory, plain.context, Guest.LINEAR, WRITE);
    String text = trace.toString();
    assertTrue(text.contains(", paging-write access"), text);
    assertTrue(text.contains(", verify guest paging"), text);
    assertTrue(text.contains("and the PDE is in a page without paging-write access"), text);
    assertTrue(trace.conclusion().contains("guest-paging verification failed"), text);
    clear(marked, Guest.TABLES[2], EptEntry.WRITE);
    marked.guestEntry(2, marked.guestEntry(2) & ~GuestEntry.ACCESSED);
    text = WalkTrace.of(marked.memory, marked.context, Guest.LINEAR, READ).toString();
    assertTrue(text.contains("WHICH EPT DOES NOT ALLOW"), text);
    set(marked, Guest.TABLES[2], PWA);
    text = WalkTrace.of(marked.memory, marked.context, Guest.LINEAR, READ).toString();
    assertFalse(text.contains("WHICH EPT DOES NOT ALLOW"), text);
    assertTrue(text.contains("to be set: A"), text);
  }
}
