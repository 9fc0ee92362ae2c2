package org.kvm4j.ept.walk;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.ept.paging.Access.AC;
import static org.kvm4j.ept.paging.Access.READ;
import static org.kvm4j.ept.paging.Access.SHADOW_STACK;
import static org.kvm4j.ept.paging.Access.USER;
import static org.kvm4j.ept.paging.Access.WRITE;

import org.junit.jupiter.api.Test;
import org.kvm4j.ept.nested.EptEntry;
import org.kvm4j.ept.nested.EptPointer;
import org.kvm4j.ept.tlb.Tlb;
import org.kvm4j.ept.tlb.TlbEntry;
import org.kvm4j.ept.tlb.TlbSpace;

/** Shadow-stack pages and accesses. SDM 4.6 "Access Rights", 29.3.3.2 "EPT Violations". */
class ShadowStackPagingTests {
  private static final long GPA = Guest.PAGE + 0x123;
  private static final long LINEAR = 0x180;

  private final Guest guest = new Guest(false);

  private void leaf(long clear, long set) {
    guest.guestEntry(1, guest.guestEntry(1) & ~clear | set);
  }

  @Test
  void aShadowStackPageHasDirtySetAndWritableClearInItsLeafAlone() {
    guest.expectFault(SHADOW_STACK | USER, 0x45);
    guest.expectFault(SHADOW_STACK | WRITE | USER, 0x47);
    leaf(2, 0);
    guest.expectOk(SHADOW_STACK | READ | USER);
    assertTrue(guest.found.mayWrite);
    assertFalse(guest.found.mayFetch);
    guest.expectOk(SHADOW_STACK | WRITE | USER);
    leaf(0x40, 0);
    guest.expectFault(SHADOW_STACK | USER, 0x45);
    leaf(0, 0x40);
    guest.guestEntry(3, guest.guestEntry(3) & ~2L);
    guest.expectFault(SHADOW_STACK | USER, 0x45);
  }

  @Test
  void eachPrivilegeHasPagesOfItsOwnWhateverSmapSays() {
    leaf(2, 0);
    guest.expectFault(SHADOW_STACK, 0x41);
    guest.expectFault(SHADOW_STACK | AC | WRITE, 0x43);
    guest.context.smap = true;
    guest.expectOk(SHADOW_STACK | WRITE | USER);
    leaf(4, 0);
    guest.expectOk(SHADOW_STACK);
    guest.expectOk(SHADOW_STACK | WRITE);
    guest.expectFault(SHADOW_STACK | USER, 0x45);
  }

  @Test
  void ordinaryAccessesMayReadShadowStackPages() {
    leaf(2, 0);
    guest.expectOk(READ | USER);
    guest.expectFault(WRITE | USER, 0x7);
    guest.expectFault(WRITE, 0x3);
  }

  @Test
  void protectionKeysApply() {
    leaf(2, 5L << 59);
    guest.context.pke = true;
    guest.context.pkru = 2 << 10;
    guest.expectOk(SHADOW_STACK | USER);
    assertFalse(guest.found.mayWrite);
    guest.expectFault(SHADOW_STACK | WRITE | USER, 0x67);
    guest.context.pkru = 1 << 10;
    guest.expectFault(SHADOW_STACK | USER, 0x65);
    guest.context.pke = false;
    guest.context.pks = true;
    guest.context.pkrs = 1 << 10;
    guest.expectOk(SHADOW_STACK | USER);
    leaf(4, 0);
    guest.expectFault(SHADOW_STACK, 0x61);
    // Key 0 is a key as well.
    leaf(15L << 59, 0);
    guest.expectOk(SHADOW_STACK | WRITE);
    guest.context.pkrs = 1;
    guest.expectFault(SHADOW_STACK, 0x61);
  }

  @Test
  void eptIsAskedAsForOtherAccesses() {
    leaf(2, 0);
    guest.eptRights(Guest.PAGE, 1);
    guest.expectOk(SHADOW_STACK | USER);
    assertFalse(guest.found.mayWrite);
    guest.expectViolation(SHADOW_STACK | WRITE | USER, GPA, 0x2 | 0x8 | 0x2000 | LINEAR);
    leaf(4, 0);
    guest.expectViolation(SHADOW_STACK | WRITE, GPA, 0x2 | 0x8 | 0x2000 | LINEAR);
  }

  @Test
  void underSupervisorShadowStackControlTheEptLeafSaysWhereSupervisorsHaveTheirs() {
    guest.context.eptp |= EptPointer.SUPERVISOR_SHADOW_STACK;
    leaf(2 | 4, 0);
    guest.expectViolation(SHADOW_STACK, GPA, 0x1 | 0x38 | 0x2000 | LINEAR);
    guest.expectViolation(SHADOW_STACK | WRITE, GPA, 0x2 | 0x38 | 0x2000 | LINEAR);
    long ept = guest.eptEntry(1, Guest.PAGE);
    guest.eptEntry(1, Guest.PAGE, ept | EptEntry.SUPERVISOR_SHADOW_STACK);
    guest.expectOk(SHADOW_STACK);
    assertTrue(guest.found.mayWrite);
    // The leaf need not allow writes; it must allow reads, and all entries above writes.
    guest.eptRights(Guest.PAGE, 1);
    guest.expectOk(SHADOW_STACK | WRITE);
    leaf(0, 2);
    guest.expectViolation(WRITE, GPA, 0x2 | 0x8 | 0x4000 | LINEAR);
    leaf(2, 0);
    guest.eptRights(Guest.PAGE, 4);
    guest.expectViolation(SHADOW_STACK, GPA, 0x1 | 0x20 | 0x2000 | 0x4000 | LINEAR);
    // The user's are as all other accesses.
    leaf(0, 4);
    guest.eptEntry(1, Guest.PAGE, ept);
    guest.expectOk(SHADOW_STACK | WRITE | USER);
  }

  @Test
  void withoutTheControlTheBitOfTheLeafMeansNothing() {
    leaf(2 | 4, 0);
    guest.eptEntry(1, Guest.PAGE, guest.eptEntry(1, Guest.PAGE) | 1L << 60);
    guest.eptRights(Guest.PAGE, 1);
    guest.expectViolation(SHADOW_STACK | WRITE, GPA, 0x2 | 0x8 | 0x2000 | LINEAR);
  }

  @Test
  void translationsOfShadowStackAccessesAreKeptApartAndInvalidatedWithTheOthers() {
    leaf(2, 0);
    guest.expectOk(SHADOW_STACK | USER);
    Tlb tlb = new Tlb();
    TlbSpace space = tlb.select(0, 0, guest.context);
    TlbEntry[] which = space.shadowStack(true);
    assertSame(which, space.shadowStack(true));
    assertNotSame(which, space.shadowStack(false));
    assertTrue(tlb.fill(space, which, Guest.LINEAR, guest.found, guest.memory));
    TlbEntry e = which[TlbSpace.index(Guest.LINEAR)];
    assertEquals(Guest.LINEAR, e.readTag);
    assertEquals(Guest.LINEAR, e.writeTag);
    assertEquals(1, tlb.live());
    tlb.invalidateLinear(0, 0, Guest.LINEAR);
    assertEquals(TlbEntry.INVALID, e.readTag);
    assertTrue(tlb.fill(space, which, Guest.LINEAR, guest.found, guest.memory));
    tlb.flushAll();
    assertEquals(0, tlb.live());
  }
}
