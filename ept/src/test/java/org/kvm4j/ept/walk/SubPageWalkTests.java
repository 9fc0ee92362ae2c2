package org.kvm4j.ept.walk;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.ept.paging.Access.READ;
import static org.kvm4j.ept.paging.Access.WRITE;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.kvm4j.ept.nested.EptEntry;
import org.kvm4j.ept.paging.Access;
import org.kvm4j.ept.paging.Translation;

/** SDM 29.3.4 "Sub-Page Write Permissions". */
class SubPageWalkTests {
  private static final long GPA = Guest.PAGE + 0x123;
  private static final int SUB_PAGE = 0x123 >> 7;

  private final Guest guest = new Guest(true);
  private final long[] tables = new long[4];

  @BeforeEach
  void table() {
    for (int k = 0; k < 4; k++) {
      tables[k] = guest.ram + 0x30_000 + 0x1000 * k;
    }
    for (int k = 0; k < 3; k++) {
      guest.memory.writeLong(tables[k], tables[k + 1] | 1);
    }
    vector(1L << 2 * SUB_PAGE);
    guest.context.subPageWrite = true;
    guest.context.sppTable = tables[0];
    guest.eptRights(Guest.PAGE, 5);
    guest.eptEntry(1, Guest.PAGE, guest.eptEntry(1, Guest.PAGE) | EptEntry.SUB_PAGE_WRITE);
  }

  private void vector(long value) {
    guest.memory.writeLong(tables[3] + 8 * (Guest.PAGE >> 12), value);
  }

  private void expectEvent(long qualification) {
    assertFalse(guest.access(WRITE));
    assertEquals(Translation.SPP_EVENT, guest.found.outcome, guest.found.toString());
    assertEquals(qualification, guest.found.qualification);
    assertEquals(GPA, guest.found.gpa);
    assertFalse(guest.found.pagingStructureAccess);
  }

  @Test
  void whatIsAllowedIsNotFreeFromThenOn() {
    guest.expectOk(WRITE);
    assertFalse(guest.found.mayWrite);
    assertTrue(guest.found.mayRead);
    assertTrue(guest.found.mayFetch);
    guest.expectOk(READ);
    assertFalse(guest.found.mayWrite);
  }

  @Test
  void flagsOfEptAreSet() {
    long flags = EptEntry.ACCESSED | EptEntry.DIRTY;
    guest.eptEntry(1, Guest.PAGE, guest.eptEntry(1, Guest.PAGE) & ~flags);
    vector(0);
    guest.expectViolation(WRITE, GPA, 0x1aa);
    assertEquals(0, guest.eptEntry(1, Guest.PAGE) & flags);
    vector(1L << 2 * SUB_PAGE);
    guest.expectOk(WRITE | Access.NO_SIDE_EFFECTS);
    assertEquals(0, guest.eptEntry(1, Guest.PAGE) & flags);
    guest.expectOk(WRITE);
    assertEquals(flags, guest.eptEntry(1, Guest.PAGE) & flags);
  }

  @Test
  void allSubPagesOfTheAccessCount() {
    guest.expectOk(Access.of(WRITE, 0x180 - 0x123));
    guest.expectViolation(Access.of(WRITE, 0x181 - 0x123), GPA, 0x1aa);
    vector(5L << 2 * SUB_PAGE);
    guest.expectOk(Access.of(WRITE, 0x181 - 0x123));
    guest.expectOk(Access.of(WRITE, 0x200 - 0x123));
    guest.expectViolation(Access.of(WRITE, 0x201 - 0x123), GPA, 0x1aa);
    vector(0x5555_5555_5555_5555L);
    guest.expectOk(Access.of(WRITE, 0x1000));
    vector(0x5555_5555_5555_5555L & ~(1L << 62));
    guest.expectViolation(Access.of(WRITE, 0x1000), GPA, 0x1aa);
    vector(0x5555_5555_5555_5555L & ~(1L << 2 * SUB_PAGE - 2));
    guest.expectOk(Access.of(WRITE, 0x1000));
    assertEquals(1, Access.length(WRITE));
    assertEquals(0x1000, Access.length(Access.of(WRITE, 0x1000)));
  }

  @Test
  void conditions() {
    guest.context.subPageWrite = false;
    guest.expectViolation(WRITE, GPA, 0x1aa);
    guest.context.subPageWrite = true;
    guest.eptEntry(1, Guest.PAGE, guest.eptEntry(1, Guest.PAGE) & ~EptEntry.SUB_PAGE_WRITE);
    guest.expectViolation(WRITE, GPA, 0x1aa);
    guest.eptEntry(1, Guest.PAGE, guest.eptEntry(1, Guest.PAGE) | EptEntry.SUB_PAGE_WRITE);
    guest.expectOk(WRITE);
    // Not of a guest-physical address that no linear one led to.
    assertFalse(guest.walk.nested(guest.context, GPA, WRITE, guest.found));
    assertEquals(Translation.EPT_VIOLATION, guest.found.outcome);
    assertEquals(0x2a, guest.found.qualification);
  }

  @Test
  void entriesAreCheckedFromTheTop() {
    for (int k = 2; k >= 0; k--) {
      long good = guest.memory.readLong(tables[k]);
      guest.memory.writeLong(tables[k], good & ~1L | 0xffe);
      expectEvent(Translation.SPP_MISS);
      assertTrue(guest.found.toString().startsWith("SPP miss at gpa 0x9123"));
      for (int bit : new int[] {1, 11, 46, 51, 52, 63}) {
        guest.memory.writeLong(tables[k], good | 1L << bit);
        expectEvent(0);
      }
      assertTrue(guest.found.toString().startsWith("SPP misconfiguration at gpa 0x9123"));
    }
  }

  @Test
  void oddBitsOfAVectorAreReserved() {
    for (int bit = 1; bit < 64; bit += 2) {
      vector(1L << bit | 1L << 2 * SUB_PAGE);
      expectEvent(0);
    }
    for (int bit = 0; bit < 64; bit += 2) {
      vector(1L << bit);
      assertEquals(bit == 2 * SUB_PAGE, guest.access(WRITE));
    }
  }

  /** The processor's own accesses to paging structures are not looked up. */
  @Test
  void pagingStructures() {
    guest.memory.writeLong(tables[3] + 8 * (Guest.TABLES[3] >> 12), -1L >>> 1);
    guest.eptRights(Guest.TABLES[3], 5);
    guest.eptEntry(
        1, Guest.TABLES[3], guest.eptEntry(1, Guest.TABLES[3]) | EptEntry.SUB_PAGE_WRITE);
    guest.expectViolation(WRITE, guest.guestEntryGpa(1), 0xab);
  }

  @Test
  void theTraceStopsWhereTheLookUpDoes() {
    String allowed = trace(WRITE);
    assertTrue(allowed.contains("sub-page 2: writes are allowed"), allowed);
    assertEquals(4, allowed.split("SPP .* at hpa", -1).length - 1, allowed);
    assertFalse(trace(READ).contains("SSPL"));
    guest.memory.writeLong(tables[1], 0);
    String missed = trace(WRITE);
    assertTrue(missed.contains("SSPL3E"), missed);
    assertTrue(missed.contains("not valid: SPP MISS"), missed);
    assertFalse(missed.contains("SSPL2E"), missed);
    guest.memory.writeLong(tables[1], tables[2] | 3);
    assertTrue(trace(WRITE).contains("SPP MISCONFIGURATION, reserved bits are set"));
    vector(0);
    guest.memory.writeLong(tables[1], tables[2] | 1);
    assertTrue(trace(WRITE).contains("sub-page 2: writes are not allowed"));
  }

  private String trace(int access) {
    return WalkTrace.of(guest.memory, guest.context, Guest.LINEAR + 0x123, access).toString();
  }
}
