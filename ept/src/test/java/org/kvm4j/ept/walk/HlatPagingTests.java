package org.kvm4j.ept.walk;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.ept.paging.Access.FETCH;
import static org.kvm4j.ept.paging.Access.READ;
import static org.kvm4j.ept.paging.Access.USER;
import static org.kvm4j.ept.paging.Access.WRITE;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.ept.paging.Access;
import org.kvm4j.ept.paging.GuestEntry;
import org.kvm4j.ept.paging.PagingMode;
import org.kvm4j.ept.paging.Translation;

/**
 * HLAT paging: SDM 4.5.1 "Ordinary Paging and HLAT Paging", 4.5.5 "Restart of HLAT Paging", 4.7
 * "Page-Fault Exceptions", 4.8 "Accessed and Dirty Flags".
 */
class HlatPagingTests {
  /** Guest-physical addresses of the hypervisor's tables, from the PML4 table to the page table. */
  private static final long[] TABLES = {0x11000, 0x12000, 0x13000, 0x14000};

  /** The page that HLAT paging leads to. */
  private static final long PAGE = 0x15000;

  private static final long FLAGS = GuestEntry.ACCESSED | GuestEntry.DIRTY;

  private final Guest guest = new Guest(false);

  HlatPagingTests() {
    guest.context.hlat = true;
    guest.context.hlatp = TABLES[0] | 0x18;
    for (int level = 4; level >= 1; level--) {
      entry(level, (level == 1 ? PAGE : TABLES[4 - level + 1]) | 0x67);
    }
  }

  private long entryAt(int level) {
    return guest.ram + TABLES[4 - level] + (Guest.LINEAR >>> 12 + 9 * (level - 1) & 0x1ff) * 8;
  }

  private long entry(int level) {
    return guest.memory.readLong(entryAt(level));
  }

  private void entry(int level, long value) {
    guest.memory.writeLong(entryAt(level), value);
  }

  private void leadsTo(long page, int access) {
    assertTrue(guest.access(access), guest.found.toString());
    assertEquals(guest.ram + page + 0x123, guest.found.hpa);
  }

  @Test
  void theHlatPointerTakesThePlaceOfCr3() {
    leadsTo(PAGE, WRITE);
    guest.context.cr3 = 0;
    leadsTo(PAGE, FETCH | USER);
    guest.context.hlat = false;
    guest.context.cr3 = Guest.TABLES[0];
    leadsTo(Guest.PAGE, READ);
  }

  @Test
  void fiveLevelsBeginThereToo() {
    guest.context.mode = PagingMode.LEVEL5;
    guest.context.hlatp = 0x16000;
    long at = guest.ram + 0x16000 + (Guest.LINEAR >>> 48 & 0x1ff) * 8;
    guest.memory.writeLong(at, TABLES[0] | 0x27);
    leadsTo(PAGE, READ);
  }

  @Test
  void aPrefixSizeSelectsAddressesWithBit63Set() {
    guest.context.hlatPrefixSize = 1;
    leadsTo(Guest.PAGE, READ);
    long high = 0xffff_8000_0000_0000L | Guest.LINEAR & 0x3f_ffff_ffffL;
    long top = guest.ram + TABLES[0] + (high >>> 39 & 0x1ff) * 8;
    guest.memory.writeLong(top, TABLES[1] | 0x67);
    long middle = guest.ram + TABLES[1] + (high >>> 30 & 0x1ff) * 8;
    guest.memory.writeLong(middle, TABLES[2] | 0x67);
    assertTrue(guest.walk.walk(guest.context, high, READ, guest.found), guest.found.toString());
    assertEquals(guest.ram + PAGE, guest.found.hpa);
    guest.context.hlatPrefixSize = 0;
    leadsTo(PAGE, READ);
  }

  @Test
  void otherPagingModesHaveNone() {
    guest.context.mode = PagingMode.PAE;
    guest.context.pdpte[1] = 0x3001;
    long linear = 0x5678_9000L & 0x7fff_ffffL | 1L << 30;
    guest.memory.writeLong(guest.ram + 0x3000 + (linear >>> 21 & 0x1ff) * 8, 0x4027);
    guest.memory.writeLong(guest.ram + 0x4000 + (linear >>> 12 & 0x1ff) * 8, Guest.PAGE | 0x67);
    assertTrue(guest.walk.walk(guest.context, linear, READ, guest.found), guest.found.toString());
    assertEquals(guest.ram + Guest.PAGE, guest.found.hpa);
    guest.context.mode = PagingMode.NONE;
    assertTrue(guest.walk.walk(guest.context, 0x7000, READ, guest.found));
    assertEquals(guest.ram + 0x7000, guest.found.hpa);
  }

  @ParameterizedTest
  @ValueSource(ints = {4, 3, 2, 1})
  void restartTranslatesAnewByCr3(int level) {
    entry(level, entry(level) | GuestEntry.RESTART);
    leadsTo(Guest.PAGE, WRITE);
    assertEquals(12, guest.found.guestPageShift);
    // Bit 11 means nothing to ordinary paging.
    guest.guestEntry(level, guest.guestEntry(level) | GuestEntry.RESTART);
    leadsTo(Guest.PAGE, WRITE);
  }

  @Test
  void restartSetsTheAccessedFlagAndNeverTheDirtyFlag() {
    for (int level = 4; level >= 1; level--) {
      entry(level, entry(level) & ~FLAGS | GuestEntry.RESTART);
      leadsTo(Guest.PAGE, WRITE);
      assertEquals(GuestEntry.ACCESSED, entry(level) & FLAGS, "level " + level);
      entry(level, entry(level) & ~GuestEntry.RESTART);
    }
    entry(1, entry(1) & ~FLAGS | GuestEntry.RESTART);
    leadsTo(Guest.PAGE, WRITE | Access.NO_SIDE_EFFECTS);
    assertEquals(0, entry(1) & FLAGS);
    entry(1, entry(1) & ~GuestEntry.RESTART);
    leadsTo(PAGE, WRITE);
    assertEquals(FLAGS, entry(1) & FLAGS);
  }

  /** The rights of the entries that HLAT paging used before the restart do not apply. */
  @Test
  void restartForgetsTheRightsUntilThen() {
    entry(4, entry(4) & ~(GuestEntry.WRITABLE | GuestEntry.USER) | GuestEntry.EXECUTE_DISABLE);
    entry(3, entry(3) | GuestEntry.RESTART);
    for (int access : new int[] {WRITE, USER, FETCH}) {
      leadsTo(Guest.PAGE, access);
    }
    entry(3, entry(3) & ~GuestEntry.RESTART);
    guest.expectFault(WRITE, 0x3);
    guest.expectFault(USER, 0x5);
    guest.expectFault(FETCH, 0x11);
  }

  /** SDM 4.10.2.1 "Page Numbers, Page Frames, and Page Offsets". */
  @Test
  void restartLimitsTheSizeOfThePage() {
    guest.guestEntry(3, 0xe7);
    guest.eptEntry(2, Guest.LINEAR & 0x3fe0_0000L, guest.ram & -(1L << 21) | 0xb7);
    guest.context.hlat = false;
    guest.access(READ);
    assertEquals(30, guest.found.guestPageShift, guest.found.toString());
    guest.context.hlat = true;
    int[] shifts = {30, 30, 21, 12};
    for (int level = 4; level >= 1; level--) {
      entry(level, entry(level) | GuestEntry.RESTART);
      guest.access(READ);
      assertEquals(shifts[4 - level], guest.found.guestPageShift, "level " + level);
      assertTrue(guest.found.pageShift <= shifts[4 - level]);
      entry(level, entry(level) & ~GuestEntry.RESTART);
    }
  }

  /** Bit 7 of the error code: no translation by HLAT paging, and nothing else. */
  @Test
  void pageFaultsTellOfHlatPaging() {
    for (int level = 4; level >= 1; level--) {
      long good = entry(level);
      // Not present comes first, whatever bit 11 is; then reserved bits; then the restart.
      entry(level, GuestEntry.RESTART);
      guest.expectFault(WRITE | USER, 0x86);
      entry(level, good | 1L << 50 | GuestEntry.RESTART);
      guest.expectFault(READ, 0x89);
      entry(level, good & ~GuestEntry.WRITABLE);
      guest.expectFault(WRITE, 0x3);
      entry(level, good | GuestEntry.RESTART);
      guest.guestEntry(1, 0);
      guest.expectFault(READ, 0);
      guest.guestEntry(1, Guest.PAGE | 1L << 50 | 0x67);
      guest.expectFault(READ, 9);
      guest.guestEntry(1, Guest.PAGE | 0x67);
      entry(level, good);
    }
    assertTrue(guest.found.toString().contains("page fault"));
  }

  /** The structures are at guest-physical addresses. */
  @Test
  void eptTranslatesTheStructures() {
    guest.eptRights(TABLES[2], 0);
    guest.expectViolation(READ, TABLES[2] + (Guest.LINEAR >>> 21 & 0x1ff) * 8, 0x81);
    assertTrue(guest.found.pagingStructureAccess);
    guest.eptRights(TABLES[2], 1);
    leadsTo(PAGE, WRITE);
    entry(2, entry(2) & ~GuestEntry.ACCESSED);
    guest.expectViolation(READ, TABLES[2] + (Guest.LINEAR >>> 21 & 0x1ff) * 8, 0x8b);
    assertFalse(guest.found.outcome == Translation.PAGE_FAULT);
  }

  @Test
  void theTraceShowsTheHlatPointerAndTheRestart() {
    entry(2, entry(2) | GuestEntry.RESTART);
    WalkTrace trace = WalkTrace.of(guest.memory, guest.context, Guest.LINEAR, READ);
    String text = trace.toString();
    assertTrue(text.contains("HLATP 0x11018 for all addresses"), text);
    assertTrue(text.contains(", restart)"), text);
    assertTrue(text.contains("HLAT paging is restarted as ordinary paging, CR3 0x1000"), text);
    assertEquals(guest.ram + Guest.PAGE, trace.result().hpa);
    entry(2, 0);
    guest.context.hlatPrefixSize = 0;
    text = WalkTrace.of(guest.memory, guest.context, Guest.LINEAR, READ).toString();
    assertTrue(text.contains("error code 0x80 (not present, read, supervisor, HLAT paging)"), text);
  }
}
