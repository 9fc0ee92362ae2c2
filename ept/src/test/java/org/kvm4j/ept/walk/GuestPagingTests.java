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

  @Test
  void tablesWhereNoMemoryIsReadAsAllOnes() {
    flat.mapAt(0, 0x10000);
    context.mode = PagingMode.LEVEL4;
    context.cr3 = 0x20_0000;
    expectReserved(0);
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
