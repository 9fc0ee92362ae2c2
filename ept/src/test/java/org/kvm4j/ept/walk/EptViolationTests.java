package org.kvm4j.ept.walk;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.ept.paging.Access.FETCH;
import static org.kvm4j.ept.paging.Access.READ;
import static org.kvm4j.ept.paging.Access.USER;
import static org.kvm4j.ept.paging.Access.WRITE;

import org.junit.jupiter.api.Test;
import org.kvm4j.ept.nested.EptEntry;
import org.kvm4j.ept.nested.EptMisconfiguration;
import org.kvm4j.ept.nested.EptPointer;
import org.kvm4j.ept.paging.Access;
import org.kvm4j.ept.paging.PagingMode;
import org.kvm4j.ept.paging.Translation;

/**
 * EPT-induced outcomes case by case.
 *
 * <p>Source: SDM 28.2.1 "Basic VM-Exit Information", table "Exit Qualification for EPT Violations";
 * SDM 29.3.3 "EPT-Induced VM Exits"; SDM 29.3.5 "Accessed and Dirty Flags for EPT".
 */
class EptViolationTests {
  private static final long GPA = Guest.PAGE + 0x123;

  /** Bits 7 and 8: the linear address is valid, and the access was to its translation. */
  private static final long LINEAR = 0x180;

  private final Guest guest = new Guest(false);
  private final Guest marked = new Guest(true);

  // ---- The page itself

  @Test
  void aPageThatIsNotPresentReportsTheAccessAndNoRights() {
    for (int level = 4; level >= 1; level--) {
      Guest g = new Guest(false);
      // Only the page's own entry: the levels above serve the guest's tables too.
      if (level > 1) {
        long elsewhere = 1L << 12 + 9 * (level - 1);
        g.guestEntry(1, elsewhere | 0x67);
        g.expectViolation(READ, elsewhere + 0x123, 0x1 | LINEAR);
        g.expectViolation(WRITE, elsewhere + 0x123, 0x2 | LINEAR);
        g.expectViolation(FETCH, elsewhere + 0x123, 0x4 | LINEAR);
      } else {
        g.eptRights(Guest.PAGE, 0);
        g.expectViolation(READ, GPA, 0x1 | LINEAR);
        g.expectViolation(WRITE | USER, GPA, 0x2 | LINEAR);
        g.expectViolation(FETCH, GPA, 0x4 | LINEAR);
        assertFalse(g.found.pagingStructureAccess);
      }
    }
  }

  @Test
  void rightsOfThePageStandInBits5To3() {
    long[] rights = {1, 3, 4, 5, 7};
    for (long r : rights) {
      guest.eptRights(Guest.PAGE, r);
      if ((r & 1) != 0) {
        guest.expectOk(READ);
        assertEquals((r & 2) != 0, guest.found.mayWrite);
        assertEquals((r & 4) != 0, guest.found.mayFetch);
      } else {
        guest.expectViolation(READ, GPA, 0x1 | r << 3 | LINEAR);
      }
      if ((r & 2) != 0) {
        guest.expectOk(WRITE);
      } else {
        guest.expectViolation(WRITE, GPA, 0x2 | r << 3 | LINEAR);
      }
      if ((r & 4) != 0) {
        guest.expectOk(FETCH);
        assertEquals((r & 1) != 0, guest.found.mayRead);
      } else {
        guest.expectViolation(FETCH, GPA, 0x4 | r << 3 | LINEAR);
      }
    }
  }

  @Test
  void rightsAreTheConjunctionOfAllLevels() {
    long elsewhere = 1L << 21;
    guest.guestEntry(1, elsewhere | 0x67);
    guest.eptEntry(2, elsewhere, guest.ram & ~0x1f_ffffL | 0xb0 | 5);
    guest.eptEntry(3, elsewhere, guest.eptEntry(3, elsewhere) & ~4L);
    guest.expectViolation(FETCH, elsewhere + 0x123, 0x4 | 0x8 | LINEAR);
    guest.expectViolation(WRITE, elsewhere + 0x123, 0x2 | 0x8 | LINEAR);
  }

  @Test
  void modeBasedExecuteControlTellsUserAndSupervisorAddressesApart() {
    guest.context.modeBasedExecute = true;
    // Execution from supervisor-mode linear addresses only; the page is a user-mode one.
    guest.eptRights(Guest.PAGE, 0x5);
    guest.expectViolation(FETCH | USER, GPA, 0x4 | 0x28 | LINEAR);
    guest.expectViolation(FETCH, GPA, 0x4 | 0x28 | LINEAR);
    guest.expectOk(READ);
    assertFalse(guest.found.mayFetch);
    guest.guestEntry(1, guest.guestEntry(1) & ~4L);
    guest.expectOk(FETCH);
    // Execution from user-mode linear addresses only: bit 6 of the qualification.
    guest.eptRights(Guest.PAGE, 0x401);
    guest.expectViolation(FETCH, GPA, 0x4 | 0x48 | LINEAR);
    guest.guestEntry(1, guest.guestEntry(1) | 4);
    guest.expectOk(FETCH | USER);
    // Bit 10 alone is present, and execute-only.
    guest.eptRights(Guest.PAGE, 0x400);
    guest.expectViolation(READ, GPA, 0x1 | 0x40 | LINEAR);
    guest.context.eptExecuteOnly = false;
    guest.access(READ);
    assertEquals(Translation.EPT_MISCONFIGURATION, guest.found.outcome);
    guest.context.modeBasedExecute = false;
    guest.expectViolation(READ, GPA, 0x1 | LINEAR);
  }

  @Test
  void withoutPagingAddressesAreUserModeOnes() {
    guest.context.mode = PagingMode.NONE;
    guest.context.modeBasedExecute = true;
    guest.eptRights(Guest.PAGE, 0x5);
    assertFalse(guest.walk.walk(guest.context, GPA, FETCH, guest.found));
    assertEquals(0x4 | 0x28 | LINEAR, guest.found.qualification);
    guest.context.eptAdvancedInformation = true;
    assertFalse(guest.walk.walk(guest.context, GPA, WRITE, guest.found));
    assertEquals(0x2 | 0x28 | LINEAR | 0x600, guest.found.qualification);
  }

  @Test
  void advancedInformationDescribesTheLinearAddress() {
    guest.context.eptAdvancedInformation = true;
    guest.eptRights(Guest.PAGE, 0);
    guest.expectViolation(READ, GPA, 0x1 | LINEAR | 0x600);
    guest.guestEntry(2, guest.guestEntry(2) & ~2L);
    guest.expectViolation(READ, GPA, 0x1 | LINEAR | 0x200);
    guest.guestEntry(3, guest.guestEntry(3) & ~4L);
    guest.expectViolation(READ, GPA, 0x1 | LINEAR);
    guest.guestEntry(4, guest.guestEntry(4) | 1L << 63);
    guest.expectViolation(READ, GPA, 0x1 | LINEAR | 0x800);
    // Not for accesses to paging-structure entries.
    guest.eptRights(Guest.TABLES[3], 0);
    guest.expectViolation(READ, guest.guestEntryGpa(1), 0x1 | 0x80);
  }

  @Test
  void addressesBeyondThePageWalkLengthViolate() {
    guest.context.physicalBits = 52;
    guest.guestEntry(1, 1L << 48 | Guest.PAGE | 0x67);
    guest.expectViolation(READ, 1L << 48 | GPA, 0x1 | LINEAR);
  }

  /** SDM 29.3.2 "EPT Translation Mechanism": a fifth table, indexed by bits 56:48. */
  @Test
  void fiveLevelsTranslate57Bits() {
    Guest g = new Guest(true);
    g.context.physicalBits = 52;
    long pml5 = g.ram + 0x20_000;
    long pml4 = g.context.eptp & EptEntry.ADDRESS;
    g.context.eptp = EptPointer.of(pml5, 5, EptPointer.WRITE_BACK, true);
    g.memory.writeLong(pml5, pml4 | 0x507);
    g.memory.writeLong(pml5 + 8, pml4 | 0x407);
    g.expectOk(READ);
    g.guestEntry(1, 1L << 48 | Guest.PAGE | 0x67);
    g.expectOk(READ);
    assertEquals(pml4 | 0x507, g.memory.readLong(pml5 + 8), "used");
    g.memory.writeLong(pml5 + 8, pml4 | 0x587);
    g.access(READ);
    assertEquals(Translation.EPT_MISCONFIGURATION, g.found.outcome);
    g.memory.writeLong(pml5 + 8, 0);
    g.expectViolation(READ, 1L << 48 | GPA, 0x1 | LINEAR);
  }

  /** SDM 26.5.7.1 "Convertible EPT Violations": bit 63 of the entry that ended the walk. */
  @Test
  void suppressVeIsThatOfTheEntryThatViolates() {
    long suppress = EptEntry.SUPPRESS_VE;
    for (long page : new long[] {Guest.PAGE, Guest.TABLES[3]}) {
      Guest g = new Guest(false);
      g.eptRights(page, 0);
      g.access(READ);
      assertEquals(page == Guest.TABLES[3], g.found.pagingStructureAccess);
      assertFalse(g.found.suppressesVe);
      g.eptEntry(1, page, g.eptEntry(1, page) | suppress);
      g.access(READ);
      assertTrue(g.found.suppressesVe);
      g.eptEntry(1, page, g.eptEntry(1, page) & ~suppress);
      g.access(READ);
      assertFalse(g.found.suppressesVe);
      g.eptEntry(2, page, suppress);
      g.access(READ);
      assertTrue(g.found.suppressesVe);
    }
  }

  /**
   * SDM 30.4.6.1 "Guest-Physical Accesses to the APIC-Access Page": not virtualized, and the exit
   * says that it was for a paging structure.
   */
  @Test
  void pagingStructuresInTheApicAccessPageExit() {
    for (int level = 4; level >= 1; level--) {
      guest.context.apicPage = guest.ram + Guest.TABLES[4 - level];
      for (int access : new int[] {READ, WRITE, FETCH}) {
        guest.access(access);
        assertEquals(Translation.APIC_ACCESS, guest.found.outcome);
        assertEquals(guest.guestEntryGpa(level), guest.found.gpa);
        assertEquals(Translation.GUEST_PHYSICAL_ACCESS, guest.found.qualification);
        assertTrue(guest.found.pagingStructureAccess);
      }
    }
    guest.context.apicPage = guest.ram + 0xa000;
    guest.expectOk(READ);
    guest.context.mode = PagingMode.PAE;
    assertFalse(guest.walk.loadPdptes(guest.context, 0xa020, new long[4], guest.found));
    assertEquals(Translation.APIC_ACCESS, guest.found.outcome);
    assertEquals(0xa020, guest.found.gpa);
  }

  @Test
  void aPageFaultComesBeforeAViolationOfThePage() {
    guest.eptRights(Guest.PAGE, 0);
    guest.guestEntry(1, guest.guestEntry(1) & ~2L);
    guest.expectFault(WRITE, 0x3);
    guest.expectViolation(READ, GPA, 0x1 | LINEAR);
  }

  // ---- The guest's paging-structure entries

  @Test
  void anEntryThatCannotBeReadIsReportedAsARead() {
    for (int level = 4; level >= 1; level--) {
      Guest g = new Guest(false);
      g.eptRights(Guest.TABLES[4 - level], 0);
      for (int access : new int[] {READ, WRITE, FETCH | USER}) {
        g.expectViolation(access, g.guestEntryGpa(level), 0x1 | 0x80);
        assertTrue(g.found.pagingStructureAccess);
      }
      g.eptRights(Guest.TABLES[4 - level], 4);
      g.expectViolation(FETCH, g.guestEntryGpa(level), 0x1 | 0x20 | 0x80);
    }
  }

  @Test
  void withEptFlagsEveryAccessToAnEntryIsAWrite() {
    for (int level = 4; level >= 1; level--) {
      Guest g = new Guest(true);
      g.eptRights(Guest.TABLES[4 - level], 0);
      g.expectViolation(READ, g.guestEntryGpa(level), 0x3 | 0x80);
      g.eptRights(Guest.TABLES[4 - level], 1);
      g.expectViolation(READ, g.guestEntryGpa(level), 0x3 | 0x8 | 0x80);
      g.eptRights(Guest.TABLES[4 - level], 5);
      g.expectViolation(FETCH, g.guestEntryGpa(level), 0x3 | 0x28 | 0x80);
      g.eptRights(Guest.TABLES[4 - level], 3);
      g.expectOk(READ);
    }
  }

  @Test
  void withoutEptFlagsOnlySettingAFlagIsAWrite() {
    guest.eptRights(Guest.TABLES[3], 5);
    guest.expectOk(READ);
    guest.expectOk(WRITE);
    guest.guestEntry(1, guest.guestEntry(1) & ~0x40L);
    guest.expectOk(READ);
    assertFalse(guest.found.mayWrite);
    guest.expectViolation(WRITE, guest.guestEntryGpa(1), 0x3 | 0x28 | 0x80);
    guest.guestEntry(1, guest.guestEntry(1) & ~0x20L);
    guest.expectViolation(READ, guest.guestEntryGpa(1), 0x3 | 0x28 | 0x80);
    guest.expectViolation(FETCH, guest.guestEntryGpa(1), 0x3 | 0x28 | 0x80);
    guest.expectOk(READ | Access.NO_SIDE_EFFECTS);
    assertEquals(Guest.PAGE | 0x7, guest.guestEntry(1));
  }

  @Test
  void aPageFaultComesBeforeTheViolationOfSettingAFlag() {
    guest.eptRights(Guest.TABLES[3], 1);
    guest.guestEntry(1, Guest.PAGE | 0x5);
    guest.expectFault(WRITE, 0x3);
  }

  // ---- Accessed and dirty flags

  @Test
  void guestFlagsAreSetAsEntriesAreUsed() {
    for (int level = 4; level >= 1; level--) {
      guest.guestEntry(level, guest.guestEntry(level) & ~0x60L);
    }
    guest.expectOk(READ);
    for (int level = 4; level >= 1; level--) {
      assertEquals(0x20, guest.guestEntry(level) & 0x60);
    }
    guest.expectOk(WRITE);
    assertEquals(0, guest.guestEntry(2) & 0x40, "only the leaf has a dirty flag");
    assertEquals(0x60, guest.guestEntry(1) & 0x60);
    // An access that faults sets flags of the entries that led on, and none of the leaf's.
    for (int level = 4; level >= 1; level--) {
      guest.guestEntry(level, guest.guestEntry(level) & ~0x62L);
    }
    guest.expectFault(WRITE, 0x3);
    assertEquals(0x20, guest.guestEntry(2) & 0x60);
    assertEquals(0, guest.guestEntry(1) & 0x60);
  }

  @Test
  void eptFlagsAreSetAsEntriesAreUsed() {
    long[] pages = {Guest.TABLES[0], Guest.TABLES[1], Guest.TABLES[2], Guest.TABLES[3], Guest.PAGE};
    for (long page : pages) {
      for (int level = 4; level >= 1; level--) {
        marked.eptEntry(level, page, marked.eptEntry(level, page) & ~0x300L);
      }
    }
    marked.expectOk(READ);
    assertFalse(marked.found.mayWrite, "the dirty flag is not set yet");
    for (long page : pages) {
      for (int level = 4; level >= 1; level--) {
        boolean dirty = level == 1 && page != Guest.PAGE;
        assertEquals(dirty ? 0x300 : 0x100, marked.eptEntry(level, page) & 0x300);
      }
    }
    marked.expectOk(WRITE);
    assertTrue(marked.found.mayWrite);
    assertEquals(0x300, marked.eptEntry(1, Guest.PAGE) & 0x300);
  }

  @Test
  void withoutEptFlagsNoneIsTouched() {
    guest.eptEntry(1, Guest.PAGE, guest.eptEntry(1, Guest.PAGE) & ~0x300L);
    guest.eptEntry(1, Guest.TABLES[0], guest.eptEntry(1, Guest.TABLES[0]) & ~0x300L);
    guest.expectOk(WRITE);
    assertTrue(guest.found.mayWrite);
    assertEquals(0, guest.eptEntry(1, Guest.PAGE) & 0x300);
    assertEquals(0, guest.eptEntry(1, Guest.TABLES[0]) & 0x300);
  }

  // ---- Misconfigurations

  @Test
  void everyRuleOfAnEntryIsChecked() {
    record Case(int level, long set, long clear, EptMisconfiguration rule) {}
    Case[] cases = {
      new Case(1, 0x2, 0x5, EptMisconfiguration.WRITE_WITHOUT_READ),
      new Case(1, 0x6, 0x1, EptMisconfiguration.WRITE_WITHOUT_READ),
      new Case(2, 0x6, 0x1, EptMisconfiguration.WRITE_WITHOUT_READ),
      new Case(1, 0x4, 0x3, EptMisconfiguration.EXECUTE_WITHOUT_READ),
      new Case(1, 1L << 46, 0, EptMisconfiguration.ADDRESS_WIDTH),
      new Case(1, 1L << 51, 0, EptMisconfiguration.ADDRESS_WIDTH),
      new Case(2, 1L << 46, 0, EptMisconfiguration.ADDRESS_WIDTH),
      new Case(4, 1L << 51, 0, EptMisconfiguration.ADDRESS_WIDTH),
      new Case(4, 0x80, 0, EptMisconfiguration.PAGE_SIZE),
      new Case(4, 0x08, 0, EptMisconfiguration.TABLE_RESERVED),
      new Case(3, 0x10, 0, EptMisconfiguration.TABLE_RESERVED),
      new Case(2, 0x40, 0, EptMisconfiguration.TABLE_RESERVED),
      new Case(1, 0x10, 0x28, EptMisconfiguration.MEMORY_TYPE),
      new Case(1, 0x18, 0x20, EptMisconfiguration.MEMORY_TYPE),
      new Case(1, 0x38, 0, EptMisconfiguration.MEMORY_TYPE),
    };
    for (Case c : cases) {
      for (boolean flags : new boolean[] {false, true}) {
        Guest g = new Guest(flags);
        g.context.eptExecuteOnly = false;
        long page = c.level == 1 ? Guest.PAGE : Guest.TABLES[0];
        g.eptEntry(c.level, page, g.eptEntry(c.level, page) & ~c.clear | c.set);
        for (int access : new int[] {READ, WRITE, FETCH}) {
          assertFalse(g.access(access));
          assertEquals(Translation.EPT_MISCONFIGURATION, g.found.outcome, c.toString());
          assertEquals(c.level == 1 ? GPA : g.guestEntryGpa(4), g.found.gpa);
        }
        assertEquals(
            c.rule,
            EptMisconfiguration.of(g.eptEntry(c.level, page), 12 + 9 * (c.level - 1), g.context));
        // A bit that is reserved is ignored in an entry that is not present.
        g.eptEntry(c.level, page, g.eptEntry(c.level, page) & ~7L);
        assertFalse(g.access(READ));
        assertEquals(Translation.EPT_VIOLATION, g.found.outcome, c.toString());
      }
    }
  }

  @Test
  void largePagesNeedAlignmentAndTheCapability() {
    long large = 1L << 21;
    long huge = 1L << 30;
    for (boolean is1g : new boolean[] {false, true}) {
      Guest g = new Guest(false);
      long gpa = is1g ? huge : large;
      int level = is1g ? 3 : 2;
      g.guestEntry(1, gpa + 0x5000 | 0x67);
      g.eptEntry(level, gpa, 5 * huge | 0xb7);
      assertTrue(g.access(READ));
      assertEquals(5 * huge + 0x5123, g.found.hpa);
      assertEquals(12, g.found.pageShift, "the guest's page is the smaller one");
      for (int bit = 12; bit < (is1g ? 30 : 21); bit++) {
        g.eptEntry(level, gpa, 5 * huge | 0xb7 | 1L << bit);
        assertFalse(g.access(READ));
        assertEquals(Translation.EPT_MISCONFIGURATION, g.found.outcome);
        assertEquals(
            EptMisconfiguration.PAGE_ALIGNMENT,
            EptMisconfiguration.of(g.eptEntry(level, gpa), is1g ? 30 : 21, g.context));
      }
      g.eptEntry(level, gpa, 5 * huge | 0xb7);
      g.context.eptPages1g = !is1g;
      g.context.eptPages2m = is1g;
      assertFalse(g.access(READ));
      assertEquals(Translation.EPT_MISCONFIGURATION, g.found.outcome);
      assertEquals(
          EptMisconfiguration.PAGE_SIZE,
          EptMisconfiguration.of(g.eptEntry(level, gpa), is1g ? 30 : 21, g.context));
    }
  }

  @Test
  void ignoredBitsAreIgnored() {
    for (int bit : new int[] {8, 9, 10, 11, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63}) {
      for (int level = 4; level >= 1; level--) {
        Guest g = new Guest(false);
        g.eptEntry(level, Guest.PAGE, g.eptEntry(level, Guest.PAGE) ^ 1L << bit);
        g.expectOk(READ);
        g.expectOk(WRITE);
        g.expectOk(FETCH);
      }
    }
    guest.eptEntry(1, Guest.PAGE, guest.eptEntry(1, Guest.PAGE) | 0xc0);
    guest.expectOk(READ);
    assertTrue(guest.found.eptIgnorePat);
    guest.eptEntry(1, Guest.PAGE, guest.eptEntry(1, Guest.PAGE) & ~0x40L);
    guest.expectOk(READ);
    assertFalse(guest.found.eptIgnorePat);
    assertEquals(EptEntry.WRITE_BACK, guest.found.eptMemoryType);
  }

  // ---- Without a linear address

  @Test
  void guestPhysicalAccessesHaveNoLinearAddress() {
    guest.eptRights(0xa000, 1);
    assertFalse(guest.walk.nested(guest.context, 0xa008, WRITE, guest.found));
    assertEquals(0x2 | 0x8, guest.found.qualification);
    assertEquals(0xa008, guest.found.gpa);
    assertTrue(guest.walk.nested(guest.context, 0xa008, READ, guest.found));
    assertEquals(guest.ram + 0xa008, guest.found.hpa);
    guest.context.eptp = 0;
    assertTrue(guest.walk.nested(guest.context, 0xa008, WRITE, guest.found));
    assertEquals(0xa008, guest.found.hpa);
  }

  @Test
  void pdptesAreLoadedThroughEptAndChecked() {
    for (Guest g : new Guest[] {guest, marked}) {
      g.context.mode = PagingMode.PAE;
      long[] pdptes = new long[4];
      long at = g.ram + 0xa020;
      long[] values = {0x1001, 0, 0x5e19, 0x3001};
      for (int i = 0; i < 4; i++) {
        g.memory.writeLong(at + 8 * i, values[i]);
      }
      assertTrue(g.walk.loadPdptes(g.context, 0xf_0000_a03fL, pdptes, g.found));
      for (int i = 0; i < 4; i++) {
        assertEquals(values[i], pdptes[i]);
      }
      long[] before = pdptes.clone();
      for (int bit : new int[] {1, 2, 5, 6, 7, 8, 46, 51, 52, 62, 63}) {
        g.memory.writeLong(at + 16, 0x1001 | 1L << bit);
        g.memory.writeLong(at, 0x7001);
        assertFalse(g.walk.loadPdptes(g.context, 0xa020, pdptes, g.found), "bit " + bit);
        assertEquals(Translation.PAGE_FAULT, g.found.outcome);
        assertEquals(0xa030, g.found.gpa);
        assertEquals(before[0], pdptes[0]);
        g.memory.writeLong(at + 16, 1L << bit);
        assertTrue(g.walk.loadPdptes(g.context, 0xa020, pdptes, g.found), "bit " + bit);
        before = pdptes.clone();
      }
      g.eptRights(0xa000, 0);
      assertFalse(g.walk.loadPdptes(g.context, 0xa020, pdptes, g.found));
      assertEquals(Translation.EPT_VIOLATION, g.found.outcome);
      assertEquals(0xa020, g.found.gpa);
      assertEquals(1, g.found.qualification, "a read, whatever the EPTP");
    }
  }

  /** SDM 29.3.3.2 "EPT Violations": the loads of PDPTEs are no writes even with A/D flags. */
  @Test
  void pdptesAreReadFromPagesThatMayNotBeWritten() {
    marked.context.mode = PagingMode.PAE;
    marked.eptRights(0xa000, 1);
    marked.eptEntry(1, 0xa000, marked.eptEntry(1, 0xa000) & ~(EptEntry.ACCESSED | EptEntry.DIRTY));
    assertTrue(marked.walk.loadPdptes(marked.context, 0xa020, new long[4], marked.found));
    assertEquals(
        EptEntry.ACCESSED, marked.eptEntry(1, 0xa000) & (EptEntry.ACCESSED | EptEntry.DIRTY));
  }
}
