package org.kvm4j.ept.walk;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.kvm4j.ept.paging.Access;
import org.kvm4j.ept.paging.Translation;
import org.kvm4j.ept.tlb.Tlb;

/** Where guest paging structures are is cached as guest-physical mappings are, and as stale. */
class GuestPhysicalCacheTests {
  private final Tlb tlb = new Tlb();
  private final Guest guest = new Guest(false);
  private final TwoDimensionalWalk walk = new TwoDimensionalWalk(guest.memory, tlb.guestPhysical());
  private final Translation found = new Translation();

  /** Moves the guest's page table by EPT, to a copy that maps another page. */
  @BeforeEach
  void moveThePageTable() {
    expect(Guest.PAGE);
    long copy = 0x20_000;
    byte[] table = new byte[4096];
    guest.memory.read(guest.ram + Guest.TABLES[3], table);
    guest.memory.write(guest.ram + copy, table);
    guest.memory.writeLong(guest.ram + copy + (guest.guestEntryAt(1) & 0xfff), 0xa067);
    guest.eptEntry(1, Guest.TABLES[3], guest.ram + copy | 0x37);
    expect(Guest.PAGE);
  }

  private void expect(long page) {
    assertEquals(
        true, walk.walk(guest.context, Guest.LINEAR, Access.READ, found), found.toString());
    assertEquals(page, found.gpa);
  }

  @Test
  void inveptOfTheRootOrOfAllReachesIt() {
    tlb.invept(Tlb.INVEPT_CONTEXT, guest.context.eptp + 0x1000);
    expect(Guest.PAGE);
    tlb.invept(Tlb.INVEPT_CONTEXT, guest.context.eptp);
    expect(0xa000);
  }

  @Test
  void inveptOfAllReachesIt() {
    tlb.invept(Tlb.INVEPT_ALL, 0);
    expect(0xa000);
  }

  @Test
  void invalidationsOfLinearAddressesDoNotReachIt() {
    tlb.flushAll(0);
    tlb.invalidateLinear(0, 0, Guest.LINEAR);
    tlb.invvpid(Tlb.INVVPID_ALL, 0, 0);
    tlb.invpcid(0, Tlb.INVPCID_ALL, 0, 0);
    expect(Guest.PAGE);
  }

  @Test
  void anEptViolationOfThePageReachesIt() {
    tlb.eptViolation(tlb.select(0, guest.context.eptp, 0), Guest.TABLES[3] + 8, false, 0);
    expect(0xa000);
  }

  @Test
  void anotherEptpIsAnotherContext() {
    guest.context.eptp |= 0x40;
    expect(0xa000);
  }

  /** SDM 30.4.6.1: setting a flag in the APIC-access page is an access to it. */
  @Test
  void theApicAccessPageIsSeenWhenAFlagIsSet() {
    tlb.flushAll();
    guest.eptRights(Guest.TABLES[3], 1);
    expect(0xa000);
    guest.memory.writeLong(guest.ram + 0x20_000 + (guest.guestEntryAt(1) & 0xfff), 0xa007);
    guest.eptEntry(1, Guest.TABLES[3], guest.ram + 0x21_000 | 0x37);
    guest.context.apicPage = guest.ram + 0x21_000;
    assertEquals(false, walk.walk(guest.context, Guest.LINEAR, Access.READ, found));
    assertEquals(Translation.APIC_ACCESS, found.outcome);
    assertEquals(Guest.TABLES[3] + (guest.guestEntryAt(1) & 0xfff), found.gpa);
  }

  @Test
  void rightsThatWereGivenSinceAreSeen() {
    tlb.flushAll();
    guest.eptRights(Guest.TABLES[3], 1);
    expect(0xa000);
    guest.eptRights(Guest.TABLES[3], 3);
    guest.memory.writeLong(guest.ram + 0x20_000 + (guest.guestEntryAt(1) & 0xfff), 0xa007);
    expect(0xa000);
    assertEquals(
        0xa027, guest.memory.readLong(guest.ram + 0x20_000 + (guest.guestEntryAt(1) & 0xfff)));
  }
}
