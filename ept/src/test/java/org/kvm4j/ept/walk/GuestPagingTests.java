package org.kvm4j.ept.walk;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.ept.paging.Access.AC;
import static org.kvm4j.ept.paging.Access.FETCH;
import static org.kvm4j.ept.paging.Access.IMPLICIT;
import static org.kvm4j.ept.paging.Access.READ;
import static org.kvm4j.ept.paging.Access.USER;
import static org.kvm4j.ept.paging.Access.WRITE;

import org.junit.jupiter.api.Test;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.ept.paging.Access;
import org.kvm4j.ept.paging.PageFault;
import org.kvm4j.ept.paging.PagingContext;
import org.kvm4j.ept.paging.PagingMode;
import org.kvm4j.ept.paging.Translation;

/** Rights and formats of guest paging, with the values worked out by hand. */
class GuestPagingTests {
  private final Guest guest = new Guest(false);

  private void leaf(long clear, long set) {
    guest.guestEntry(1, guest.guestEntry(1) & ~clear | set);
  }

  // ---- Rights (SDM 4.6.1 "Determination of Access Rights")

  @Test
  void userModeAccessesNeedUserModeAddresses() {
    leaf(4, 0);
    guest.expectFault(READ | USER, 0x5);
    guest.expectFault(WRITE | USER, 0x7);
    guest.expectFault(FETCH | USER, 0x15);
    guest.expectOk(READ);
    guest.expectOk(READ | USER | IMPLICIT);
  }

  @Test
  void writeProtectionAppliesToSupervisorsByWp() {
    leaf(2, 0);
    guest.expectFault(WRITE | USER, 0x7);
    guest.expectFault(WRITE, 0x3);
    guest.expectOk(READ);
    assertFalse(guest.found.mayWrite);
    guest.context.wp = false;
    guest.expectOk(WRITE);
    guest.expectFault(WRITE | USER, 0x7);
  }

  @Test
  void executeDisableNeedsNxe() {
    leaf(0, 1L << 63);
    guest.expectFault(FETCH, 0x11);
    guest.expectFault(FETCH | USER, 0x15);
    guest.expectOk(READ);
    assertFalse(guest.found.mayFetch);
    guest.context.nxe = false;
    guest.expectFault(READ, 0x9);
    guest.expectFault(FETCH | USER, 0xd);
    guest.context.smep = true;
    guest.expectFault(FETCH | USER, 0x1d);
  }

  @Test
  void smepKeepsSupervisorsFromFetchingFromUserPages() {
    guest.context.smep = true;
    guest.expectFault(FETCH, 0x11);
    guest.expectOk(FETCH | USER);
    leaf(4, 0);
    guest.expectOk(FETCH);
  }

  @Test
  void smapKeepsSupervisorsFromUserPagesUnlessAcAllows() {
    guest.context.smap = true;
    guest.expectFault(READ, 0x1);
    guest.expectFault(WRITE, 0x3);
    guest.expectFault(READ | IMPLICIT, 0x1);
    guest.expectFault(READ | IMPLICIT | AC, 0x1);
    guest.expectFault(WRITE | IMPLICIT | AC | USER, 0x3);
    guest.expectOk(READ | AC);
    guest.expectOk(WRITE | AC);
    guest.expectOk(READ | USER);
    guest.expectOk(FETCH);
    assertFalse(guest.found.mayRead);
  }

  @Test
  void protectionKeysApplyToDataOfTheirKind() {
    leaf(0, 5L << 59);
    guest.context.pkru = 1 << 10;
    guest.expectOk(READ | USER);
    guest.context.pke = true;
    guest.expectFault(READ | USER, 0x25);
    guest.expectFault(WRITE, 0x23);
    guest.expectOk(FETCH | USER);
    assertFalse(guest.found.mayRead);
    assertEquals(5, guest.found.key);
    guest.context.pkru = 2 << 10;
    guest.expectOk(READ | USER);
    assertFalse(guest.found.mayWrite);
    guest.expectFault(WRITE | USER, 0x27);
    guest.expectFault(WRITE, 0x23);
    guest.context.wp = false;
    guest.expectOk(WRITE);
    guest.expectFault(WRITE | USER, 0x27);
    // Supervisor-mode addresses have keys of their own register.
    guest.context.wp = true;
    leaf(4, 0);
    guest.expectOk(WRITE);
    guest.context.pks = true;
    guest.context.pkrs = 2 << 10;
    guest.expectFault(WRITE, 0x23);
    guest.expectOk(READ);
    assertEquals(Translation.SUPERVISOR_KEYS + 5, guest.found.key);
    // The key is reported beside another reason.
    leaf(2, 4);
    guest.expectFault(WRITE | USER, 0x27);
  }

  /** SDM 4.6.2 "Protection Keys": two bits for each of 16 keys, key 0 like the others. */
  @Test
  void everyKeyHasBitsOfItsOwn() {
    guest.context.pke = true;
    guest.context.pks = true;
    for (long user : new long[] {4, 0}) {
      leaf(4, user);
      for (int key = 0; key < 16; key++) {
        leaf(15L << 59, (long) key << 59);
        int own = 3 << 2 * key;
        guest.context.pkru = user != 0 ? ~own : -1;
        guest.context.pkrs = user != 0 ? -1 : ~own;
        guest.expectOk(WRITE);
        assertTrue(guest.found.mayRead);
        assertEquals(user != 0 ? key : Translation.SUPERVISOR_KEYS + key, guest.found.key);
        guest.context.pkru ^= -1;
        guest.context.pkrs ^= -1;
        guest.expectFault(READ, 0x21);
        guest.expectOk(FETCH);
      }
    }
  }

  /** SDM 4.7 "Page-Fault Exceptions": bit 5 is set if the key denies the access, whatever else. */
  @Test
  void aReadThatTheKeyAllowsFaultsWithoutBit5() {
    leaf(4, 5L << 59);
    guest.context.pks = true;
    guest.context.pkrs = 2 << 10;
    guest.expectFault(READ | USER, 0x5);
    guest.expectFault(WRITE | USER, 0x27);
    guest.context.pkrs = 1 << 10;
    guest.expectFault(READ | USER, 0x25);
  }

  @Test
  void anEntryThatIsNotPresentSaysNothingElse() {
    for (int level = 4; level >= 1; level--) {
      long entry = guest.guestEntry(level);
      guest.guestEntry(level, ~1L);
      guest.expectFault(READ, 0x0);
      guest.expectFault(WRITE | USER, 0x6);
      guest.expectFault(FETCH, 0x10);
      guest.guestEntry(level, entry);
    }
    guest.context.nxe = false;
    guest.guestEntry(1, 0);
    guest.expectFault(FETCH, 0x0);
  }

  @Test
  void reservedBitsOfEveryLevelFault() {
    for (int level = 4; level >= 1; level--) {
      long entry = guest.guestEntry(level);
      for (int bit = 46; bit < 52; bit++) {
        guest.guestEntry(level, entry | 1L << bit);
        guest.expectFault(READ, 0x9);
      }
      for (int bit = 52; bit < 63; bit++) {
        guest.guestEntry(level, entry | 1L << bit);
        guest.expectOk(READ);
      }
      guest.guestEntry(level, entry);
    }
    guest.guestEntry(4, guest.guestEntry(4) | 0x80);
    guest.expectFault(READ, 0x9);
    guest.guestEntry(4, guest.guestEntry(4) & ~0x80);
    guest.context.pages1g = false;
    guest.guestEntry(3, guest.guestEntry(3) | 0x80);
    guest.expectFault(READ, 0x9);
  }

  @Test
  void globalPagesNeedPge() {
    leaf(0, 0x100);
    guest.expectOk(READ);
    assertFalse(guest.found.global);
    guest.context.pge = true;
    guest.expectOk(READ);
    assertTrue(guest.found.global);
    leaf(0x100, 0);
    guest.expectOk(READ);
    assertFalse(guest.found.global);
  }

  @Test
  void thePatEntryIsChosenByThreeBits() {
    guest.context.pat = 0x0706_0504_0301_0001L;
    int[] expected = {1, 0, 1, 3, 4, 5, 6, 7};
    for (int i = 0; i < 8; i++) {
      leaf(0x98, (i & 3) << 3 | (i >> 2) << 7);
      guest.expectOk(READ);
      assertEquals(expected[i], guest.found.guestMemoryType);
    }
  }

  // ---- Formats

  private final PhysicalMemory flat = new PhysicalMemory(46);
  private final PagingContext context = new PagingContext();
  private final Translation found = new Translation();

  private void expect(long linear, long hpa, int shift) {
    assertTrue(new TwoDimensionalWalk(flat).walk(context, linear, READ, found), found.toString());
    assertEquals(Long.toHexString(hpa), Long.toHexString(found.hpa));
    assertEquals(shift, found.pageShift);
    assertEquals(shift, found.guestPageShift);
  }

  private void expectReserved(long linear) {
    assertFalse(new TwoDimensionalWalk(flat).walk(context, linear, READ, found));
    assertEquals(PageFault.PRESENT | PageFault.RESERVED, found.errorCode);
  }

  @Test
  void in32BitPaging() {
    flat.mapAt(0, 0x10000);
    context.mode = PagingMode.BITS32;
    context.cr3 = 0xffff_ffff_0000_1018L;
    flat.writeInt(0x1000 + 0x3ff * 4, 0x2007);
    flat.writeInt(0x2000 + 0x155 * 4, 0xabcd_e007);
    expect(0xffd5_5123L, 0xabcd_e123L, 12);
    // A PDE with PS: a page table without CR4.PSE, a page of 4 MBytes with it.
    flat.writeInt(0x1000, 0x2087);
    flat.writeInt(0x2000 + 5 * 4, 0x7007);
    expect(0x5008, 0x7008, 12);
    context.pse = true;
    context.physicalBits = 40;
    expect(0xffd5_5123L, 0xabcd_e123L, 12);
    flat.writeInt(0x1000, 0x8040_0087 | 0xa5 << 13);
    expect(0x12_3456, 0xa5_8052_3456L, 22);
    flat.writeInt(0x1000, 0x8040_0087 | 1 << 21);
    expectReserved(0);
    flat.writeInt(0x1000, 0x8040_1087);
    expect(0, 0x8040_0000L, 22);
    context.physicalBits = 36;
    flat.writeInt(0x1000, 0x8040_0087 | 0xf << 13);
    expect(0, 0xf_8040_0000L, 22);
    flat.writeInt(0x1000, 0x8040_0087 | 0x10 << 13);
    expectReserved(0);
    context.pse36 = false;
    flat.writeInt(0x1000, 0x8040_0087 | 1 << 13);
    expectReserved(0);
    assertEquals(0, flat.readInt(0x1000) & 0x60, "no flag is set by a fault");
  }

  @Test
  void inPaePaging() {
    flat.mapAt(0, 0x10000);
    context.mode = PagingMode.PAE;
    context.nxe = true;
    context.pdpte[2] = 0x1001;
    flat.writeLong(0x1000 + 0x1ff * 8, 0x2027);
    flat.writeLong(0x2000 + 0x12 * 8, 0x12_3456_7067L);
    expect(0xbfe1_2345L, 0x12_3456_7345L, 12);
    flat.writeLong(0x1000, 0x12_3460_00a7L);
    expect(0x8001_2345L, 0x12_3461_2345L, 21);
    flat.writeLong(0x1000, 0x12_3462_00a7L);
    expectReserved(0x8000_0000L);
    flat.writeLong(0x1000, 1L << 52 | 0x2027);
    expectReserved(0x8000_0000L);
    assertFalse(new TwoDimensionalWalk(flat).walk(context, 0, WRITE | USER, found));
    assertEquals(6, found.errorCode, "PDPTE0 is not present");
    context.pdpte[0] = 0x1000;
    flat.writeLong(0x1000, 0x12_3460_00a7L);
    assertFalse(new TwoDimensionalWalk(flat).walk(context, 0, READ, found));
    assertEquals(0, found.errorCode, "nor is it now");
    context.pdpte[0] = 0x1001;
    expect(0, 0x12_3460_0000L, 21);
  }

  @Test
  void in5LevelPagingWithAPageOf1G() {
    flat.mapAt(0, 0x10000);
    context.mode = PagingMode.LEVEL5;
    context.cr3 = 0x1000;
    flat.writeLong(0x1000 + 0x1aa * 8, 0x2027);
    flat.writeLong(0x2000 + 0x101 * 8, 0x3027);
    flat.writeLong(0x3000 + 0x0cc * 8, 0x1f_c000_00a7L);
    long linear = 0x1aaL << 48 | 0x101L << 39 | 0xccL << 30 | 0x1234_5678L;
    linear = linear << 7 >> 7;
    expect(linear, 0x1f_d234_5678L, 30);
    flat.writeLong(0x3000 + 0x0cc * 8, 0x1f_c000_10a7L);
    expect(linear, 0x1f_d234_5678L, 30);
    flat.writeLong(0x3000 + 0x0cc * 8, 0x1f_c000_20a7L);
    expectReserved(linear);
  }

  private void expectRights(int access, boolean read, boolean write, boolean fetch) {
    assertTrue(new TwoDimensionalWalk(flat).walk(context, 0x123, access, found), found.toString());
    assertEquals(read, found.mayRead);
    assertEquals(write, found.mayWrite);
    assertEquals(fetch, found.mayFetch);
  }

  /** SDM 4.6.1 "Determination of Access Rights": what else the page may be used for. */
  @Test
  void withoutEptTheRightsAreThoseOfGuestPaging() {
    expectRights(READ, true, true, true);
    flat.mapAt(0, 0x10000);
    context.mode = PagingMode.PAE;
    context.nxe = true;
    context.wp = true;
    context.pdpte[0] = 0x1001;
    flat.writeLong(0x1000, 0x2027);
    flat.writeLong(0x2000, 0x5067);
    expectRights(READ, true, true, true);
    flat.writeLong(0x2000, 0x5065);
    expectRights(READ, true, false, true);
    flat.writeLong(0x2000, 1L << 63 | 0x5067);
    expectRights(READ, true, true, false);
    context.smap = true;
    flat.writeLong(0x2000, 0x5067);
    expectRights(FETCH, false, false, true);
    assertEquals(-1, found.key);
    context.smap = false;
    flat.writeLong(0x2000, 0x5007);
    expectRights(READ, true, false, true);
    assertEquals(0x5027, flat.readLong(0x2000), "a write has to set the dirty flag first");
    expectRights(WRITE, true, true, true);
    assertEquals(0x5067, flat.readLong(0x2000));
  }

  @Test
  void tablesWhereNoMemoryIsReadAsAllOnes() {
    flat.mapAt(0, 0x10000);
    context.mode = PagingMode.LEVEL4;
    context.cr3 = 0x20_0000;
    expectReserved(0);
  }

  /** Memory that comes or goes is seen at the next walk. */
  @Test
  void tablesGoWithTheirMemory() {
    flat.mapAt(0, 1L << 30);
    context.mode = PagingMode.PAE;
    context.pdpte[0] = 0x1001;
    flat.writeLong(0x1000, 0x20_0000 | 0xa7);
    long[] pdptes = new long[4];
    TwoDimensionalWalk walk = new TwoDimensionalWalk(flat);
    assertTrue(walk.walk(context, 0, READ, found));
    flat.unmap(0);
    flat.mapAt(0, 1L << 30);
    assertFalse(walk.walk(context, 0, READ, found), "the new memory is empty");
    assertTrue(walk.loadPdptes(context, 0x2000, pdptes, found));
    flat.unmap(0);
    assertFalse(walk.loadPdptes(context, 0x2000, pdptes, found), "all ones");
  }

  @Test
  void modesFollowTheControlBits() {
    assertEquals(PagingMode.NONE, PagingMode.of(false, true, true, true));
    assertEquals(PagingMode.BITS32, PagingMode.of(true, false, false, true));
    assertEquals(PagingMode.PAE, PagingMode.of(true, true, false, true));
    assertEquals(PagingMode.LEVEL4, PagingMode.of(true, true, true, false));
    assertEquals(PagingMode.LEVEL5, PagingMode.of(true, true, true, true));
    assertEquals(5, PagingMode.LEVEL5.levels());
  }

  // ---- 32-bit paging through EPT

  private static final int LINEAR32 = 0x0040_3123;

  /** A guest in 32-bit paging with a page directory and a page table in two of its pages. */
  private void in32BitPagingThroughEpt() {
    guest.context.mode = PagingMode.BITS32;
    pde(0x27);
    pte(0x67);
  }

  private void pde(int flags) {
    guest.memory.writeInt(guest.ram + Guest.TABLES[0] + 4, (int) Guest.TABLES[1] | flags);
  }

  private void pte(int flags) {
    guest.memory.writeInt(guest.ram + Guest.TABLES[1] + 3 * 4, (int) Guest.PAGE | flags);
  }

  private int flagsOf(long gpa) {
    return guest.memory.readInt(guest.ram + gpa) & 0xfff;
  }

  private boolean access32(int access) {
    return guest.walk.walk(guest.context, LINEAR32, access, guest.found);
  }

  private void expect32(int access, long qualification, long gpa) {
    assertFalse(access32(access));
    assertEquals(Translation.EPT_VIOLATION, guest.found.outcome);
    assertEquals(Long.toHexString(qualification), Long.toHexString(guest.found.qualification));
    assertEquals(gpa, guest.found.gpa);
  }

  @Test
  void entriesOf4BytesAreFoundThroughEpt() {
    in32BitPagingThroughEpt();
    assertTrue(access32(WRITE));
    assertEquals(guest.ram + Guest.PAGE + 0x123, guest.found.hpa);
    assertEquals(-1, guest.found.key);
    guest.eptRights(Guest.TABLES[1], 0);
    expect32(READ, 0x81, Guest.TABLES[1] + 12);
    guest.eptRights(Guest.TABLES[0], 0);
    expect32(WRITE, 0x81, Guest.TABLES[0] + 4);
    assertTrue(guest.found.pagingStructureAccess);
  }

  /** SDM 4.8 "Accessed and Dirty Flags"; SDM 29.3.3.2 "EPT Violations" of setting one. */
  @Test
  void flagsOfEntriesOf4BytesAreSetWhereEptAllowsWrites() {
    in32BitPagingThroughEpt();
    pde(7);
    pte(7);
    assertTrue(access32(READ | Access.NO_SIDE_EFFECTS));
    assertFalse(guest.found.mayWrite);
    assertEquals(7, flagsOf(Guest.TABLES[0] + 4));
    assertEquals(7, flagsOf(Guest.TABLES[1] + 12));
    guest.eptRights(Guest.TABLES[0], 1);
    expect32(READ, 0x8b, Guest.TABLES[0] + 4);
    guest.eptRights(Guest.TABLES[0], 3);
    guest.eptRights(Guest.TABLES[1], 1);
    expect32(READ, 0x8b, Guest.TABLES[1] + 12);
    assertEquals(0x27, flagsOf(Guest.TABLES[0] + 4));
    guest.eptRights(Guest.TABLES[1], 3);
    assertTrue(access32(READ));
    assertFalse(guest.found.mayWrite);
    assertEquals(0x27, flagsOf(Guest.TABLES[1] + 12));
    assertTrue(access32(WRITE));
    assertTrue(guest.found.mayWrite);
    assertEquals(0x67, flagsOf(Guest.TABLES[1] + 12));
    assertEquals(0x27, flagsOf(Guest.TABLES[0] + 4));
    guest.eptRights(Guest.TABLES[0], 1);
    guest.eptRights(Guest.TABLES[1], 1);
    assertTrue(access32(WRITE), "no flag is left to be set");
  }

  @Test
  void rightsOf32BitPagingAreThoseOfBothEntries() {
    in32BitPagingThroughEpt();
    guest.context.eptAdvancedInformation = true;
    guest.eptRights(Guest.PAGE, 0);
    expect32(READ, 0x781, Guest.PAGE + 0x123);
    pde(0x25);
    expect32(READ, 0x381, Guest.PAGE + 0x123);
    pde(0x23);
    expect32(READ, 0x581, Guest.PAGE + 0x123);
    guest.eptRights(Guest.PAGE, 7);
    assertFalse(access32(READ | USER));
    assertEquals(5, guest.found.errorCode);
    assertTrue(access32(WRITE));
    pte(0x65);
    assertFalse(access32(WRITE));
    assertEquals(3, guest.found.errorCode);
    assertTrue(access32(READ));
    assertFalse(guest.found.mayWrite);
    // A fetch is told of with SMEP alone, as there is no XD.
    pde(0x26);
    assertFalse(access32(FETCH));
    assertEquals(0, guest.found.errorCode);
    guest.context.smep = true;
    assertFalse(access32(FETCH));
    assertEquals(0x10, guest.found.errorCode);
  }

  @Test
  void globalPagesAndMemoryTypesOf32BitPaging() {
    in32BitPagingThroughEpt();
    guest.context.pat = 0x0706_0504_0301_0001L;
    pte(0x167);
    assertTrue(access32(READ));
    assertFalse(guest.found.global);
    guest.context.pge = true;
    int[] expected = {1, 0, 1, 3, 4, 5, 6, 7};
    for (int i = 0; i < 8; i++) {
      pte(0x167 | (i & 3) << 3 | (i >> 2) << 7);
      assertTrue(access32(READ));
      assertTrue(guest.found.global);
      assertEquals(expected[i], guest.found.guestMemoryType);
    }
    pte(0x67);
    assertTrue(access32(READ));
    assertFalse(guest.found.global);
  }

  /** Two processors that use the same tables lose none of each other's flags. */
  @Test
  void flagsOfTwoProcessorsAreBothKept() throws InterruptedException {
    Guest shared = new Guest(true);
    Thread[] threads = new Thread[2];
    for (int t = 0; t < 2; t++) {
      int access = t == 0 ? READ : WRITE;
      threads[t] =
          new Thread(
              () -> {
                TwoDimensionalWalk walk = new TwoDimensionalWalk(shared.memory);
                Translation own = new Translation();
                for (int i = 0; i < 20_000; i++) {
                  walk.walk(shared.context, Guest.LINEAR, access, own);
                  if (access == WRITE) {
                    assertEquals(0x60, shared.guestEntry(1) & 0x60);
                    assertEquals(0x300, shared.eptEntry(1, Guest.PAGE) & 0x300);
                    shared.memory.compareAndSetLong(
                        shared.guestEntryAt(1), Guest.PAGE | 0x67, Guest.PAGE | 0x7);
                    shared.memory.compareAndSetLong(
                        shared.eptEntryAt(1, Guest.PAGE),
                        shared.ram + Guest.PAGE | 0x737,
                        shared.ram + Guest.PAGE | 0x437);
                  }
                }
              });
    }
    Throwable[] failure = new Throwable[1];
    for (Thread thread : threads) {
      thread.setUncaughtExceptionHandler((t, e) -> failure[0] = e);
      thread.start();
    }
    for (Thread thread : threads) {
      thread.join();
    }
    assertEquals(null, failure[0]);
  }
}
