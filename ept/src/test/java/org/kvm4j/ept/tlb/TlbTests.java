package org.kvm4j.ept.tlb;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.Objects;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.kvm4j.ept.memory.CodeMark;
import org.kvm4j.ept.memory.HostMemory;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.ept.paging.PagingContext;
import org.kvm4j.ept.paging.PagingMode;
import org.kvm4j.ept.paging.Translation;

class TlbTests {
  private static final long EPT_A = 0x10_0000_001eL;
  private static final long EPT_B = 0x20_0000_001eL;
  private static final long LINEAR = 0x7fff_1234_5000L;

  private final PhysicalMemory memory = new PhysicalMemory(46);
  private final long ram = memory.map(16 << 20);
  private final Tlb tlb = new Tlb();

  private Translation translation(long offset, boolean global, int guestPageShift) {
    Translation t = new Translation();
    t.outcome = Translation.OK;
    t.hpa = ram + offset;
    t.gpa = 0x100_0000 + offset;
    t.pageShift = 12;
    t.guestPageShift = guestPageShift;
    t.global = global;
    t.mayRead = true;
    t.mayWrite = true;
    t.mayFetch = true;
    return t;
  }

  private TlbSpace fill(int vpid, long eptp, int pcid, long linear, boolean global) {
    TlbSpace space = tlb.select(vpid, eptp, pcid);
    tlb.fill(space, space.user(), linear, translation(0x3000, global, 12), memory);
    return space;
  }

  private static boolean hits(TlbSpace space, long linear) {
    TlbEntry e = space.user()[TlbSpace.index(linear)];
    return e.readTag == (linear & -0x1000L);
  }

  private boolean hits(int vpid, long eptp, int pcid, long linear) {
    return hits(tlb.select(vpid, eptp, pcid), linear);
  }

  // ---- Entries

  @Test
  void tagsAreInATableFromWhenItIsAskedFor() {
    TlbSpace space = fill(0, 0, 0, LINEAR, false);
    assertTrue(TagTable.isNone(space.tableIfAny(space.user())));
    long table = space.table(space.user());
    assertEquals(table, space.tableIfAny(space.user()));
    assertTrue(TagTable.isNone(space.tableIfAny(space.supervisor)));
    assertTrue(TagTable.isNone(space.table(TlbSpace.EMPTY)));
    if (HostMemory.IN_USE) {
      assertFalse(TagTable.isNone(table));
      assertEquals(LINEAR, HostMemory.getLong(TagTable.slot(table, LINEAR)));
      assertEquals(
          TlbEntry.INVALID, HostMemory.getLong(TagTable.slot(TagTable.EMPTY.address, LINEAR)));
    }
  }

  @Test
  void moreEntriesThanAtFirstHaveRoom() {
    TlbSpace space = tlb.select(0, 0, 0);
    for (int k = 0; k < TlbSpace.SIZE; k++) {
      tlb.fill(
          space, space.user(), LINEAR + 0x1000L * k, translation(0x1000L * k, false, 12), memory);
      assertEquals(k + 1, tlb.live());
    }
    for (int k = 0; k < TlbSpace.SIZE; k++) {
      assertTrue(hits(space, LINEAR + 0x1000L * k));
    }
    tlb.flushAll();
    assertEquals(0, tlb.live());
    for (int k = 0; k < TlbSpace.SIZE; k++) {
      assertFalse(hits(space, LINEAR + 0x1000L * k));
    }
  }

  @Test
  void everySlotHoldsAnEntryThatMatchesNothing() {
    TlbSpace space = tlb.select(0, 0, 0);
    for (TlbEntry[] array :
        new TlbEntry[][] {space.supervisor, space.supervisorAc(), space.user()}) {
      assertEquals(TlbSpace.SIZE + Slots.VICTIMS, array.length);
      for (TlbEntry e : array) {
        assertEquals(TlbEntry.INVALID, e.readTag);
        assertEquals(TlbEntry.INVALID, e.writeTag);
        assertEquals(TlbEntry.INVALID, e.fetchTag);
      }
    }
  }

  @Test
  void aFilledEntryLeadsToThePage() {
    TlbSpace space = tlb.select(0, 0, 0);
    memory.writeLong(ram + 0x3120, 0x1122334455667788L);
    Translation t = translation(0x3abc, true, 21);
    t.mayFetch = false;
    assertTrue(tlb.fill(space, space.supervisor, LINEAR + 0xabc, t, memory));
    TlbEntry e = space.supervisor[TlbSpace.index(LINEAR)];
    assertEquals(LINEAR, e.readTag);
    assertEquals(LINEAR, e.writeTag);
    assertEquals(TlbEntry.INVALID, e.fetchTag);
    assertEquals(0x1122334455667788L, e.bank.getLong(e.offset + 0x120));
    assertEquals(ram + 0x3000, e.hpa);
    assertEquals(0x100_3000, e.gpa);
    assertTrue(e.global);
    assertEquals(TlbEntry.INVALID, space.user()[TlbSpace.index(LINEAR)].readTag);
    assertEquals(1, tlb.live());
    assertEquals(1, tlb.fills());
  }

  @Test
  void aRefilledSlotHoldsTheNewTranslationOnly() {
    TlbSpace space = fill(0, 0, 0, LINEAR, false);
    long other = LINEAR + ((long) TlbSpace.SIZE << 12);
    tlb.fill(space, space.user(), other, translation(0x5000, false, 12), memory);
    assertFalse(hits(space, LINEAR));
    assertTrue(hits(space, other));
    tlb.invalidateLinear(0, 0, other);
    assertFalse(hits(space, other));
    for (int i = 0; i < 5000; i++) {
      tlb.fill(space, space.user(), other, translation(0x5000, false, 12), memory);
      tlb.invalidateLinear(0, 0, other);
    }
    assertEquals(1, tlb.live(), "what gave way is kept");
    tlb.invalidateLinear(0, 0, LINEAR);
    assertEquals(0, tlb.live());
  }

  private static long sharing(int k) {
    return LINEAR + ((long) k * TlbSpace.SIZE << 12);
  }

  /** Pages that share a slot, one more than give way without being lost. */
  private TlbSpace fillSharing(int pages) {
    for (int k = 0; k < pages; k++) {
      fill(0, 0, 0, sharing(k), false);
    }
    return tlb.select(0, 0, 0);
  }

  private boolean recalls(TlbSpace space, long linear) {
    TlbEntry e = tlb.recall(space, space.user(), linear, memory);
    assertEquals(e != null, hits(space, linear) && e == space.user()[TlbSpace.index(linear)]);
    return e != null;
  }

  @Test
  void whatGaveWayComesBackToItsSlot() {
    TlbSpace space = fillSharing(Slots.VICTIMS + 1);
    assertEquals(Slots.VICTIMS + 1, tlb.live());
    for (int round = 0; round < 3; round++) {
      for (int k = 0; k < Slots.VICTIMS; k++) {
        assertTrue(recalls(space, sharing(k)));
      }
    }
    assertEquals(Slots.VICTIMS + 1, tlb.live());
    assertFalse(recalls(space, sharing(Slots.VICTIMS + 1)));
    fill(0, 0, 0, sharing(Slots.VICTIMS + 1), false);
    assertEquals(Slots.VICTIMS + 1, tlb.live(), "one is lost");
  }

  @Test
  void pagesThatShareASlotAreSeenSideBySide() {
    TlbSpace space = fillSharing(3);
    TlbEntry there = space.user()[TlbSpace.index(LINEAR)];
    for (int round = 0; round < 2; round++) {
      for (int k = 0; k < 3; k++) {
        assertEquals(sharing(k), Tlb.peek(space.user(), sharing(k) + 0x123).readTag);
      }
    }
    assertTrue(there == space.user()[TlbSpace.index(LINEAR)], "all is where it was");
    assertFalse(Tlb.peek(space.user(), sharing(3)).readTag == sharing(3));
  }

  @Test
  void fetchTagsAreThereForWhatCodeWasFetchedBy() {
    TlbSpace space = fillSharing(1);
    TlbEntry e = space.user()[TlbSpace.index(LINEAR)];
    assumeTrue(HostMemory.IN_USE);
    long slot = TagTable.slot(space.table(space.user()), sharing(0));
    assertEquals(TlbEntry.INVALID, HostMemory.getLong(slot + TagTable.FETCH_TAG));
    space.fetches(e);
    assertEquals(e.fetchTag, HostMemory.getLong(slot + TagTable.FETCH_TAG));
    int generation = space.generation();
    // Another page that may have been fetched from is dropped: all are to be told of anew.
    tlb.invalidateLinear(0, 0, sharing(0));
    assertTrue(space.generation() != generation);
    assertEquals(TlbEntry.INVALID, HostMemory.getLong(slot + TagTable.FETCH_TAG));
  }

  /** Fetches by a page of the current space. */
  private void fetch(TlbSpace space, long linear) {
    space.fetches(space.user()[TlbSpace.index(linear)]);
  }

  @Test
  void ofCodeInPagesThatAreNotGlobalOtherSpacesKnowNothing() {
    TlbSpace space = fill(1, 0, 2, LINEAR, false);
    fetch(space, LINEAR);
    int generation = space.generation();
    int globals = tlb.globalGeneration();
    tlb.pageFault(space, LINEAR + 0x1000);
    assertEquals(generation, space.generation(), "no code was there");
    tlb.pageFault(space, LINEAR);
    assertTrue(space.generation() != generation);
    assertEquals(globals, tlb.globalGeneration());
    fill(1, 0, 2, LINEAR, true);
    fetch(space, LINEAR);
    tlb.pageFault(space, LINEAR);
    assertTrue(tlb.globalGeneration() != globals, "a global page");
  }

  @Test
  void aFlushForgetsCodeButOfGlobalPages() {
    TlbSpace space = fill(1, 0, 2, LINEAR, false);
    fetch(space, LINEAR);
    fill(1, 0, 2, LINEAR + 0x1000, true);
    fetch(space, LINEAR + 0x1000);
    int generation = space.generation();
    int globals = tlb.globalGeneration();
    tlb.flushNonGlobal(1, 2);
    assertTrue(space.generation() != generation);
    generation = space.generation();
    tlb.pageFault(space, LINEAR);
    assertEquals(generation, space.generation(), "it was forgotten before");
    assertEquals(globals, tlb.globalGeneration());
    tlb.invalidateLinear(1, 3, LINEAR + 0x1000);
    assertTrue(tlb.globalGeneration() != globals, "from another PCID");
  }

  @Test
  void codeOfALargePageGoesByAnyOfItsAddresses() {
    TlbSpace space = tlb.select(0, 0, 0);
    tlb.fill(space, space.user(), LINEAR, translation(0x3000, false, 21), memory);
    fetch(space, LINEAR);
    int generation = space.generation();
    tlb.invalidateLinear(0, 0, LINEAR + 0x20_0000);
    assertEquals(generation, space.generation());
    tlb.invalidateLinear(0, 0, LINEAR / 0x20_0000 * 0x20_0000 + 0x12345);
    assertTrue(space.generation() != generation);
  }

  @Test
  void noCodeIsForgottenHoweverManyPagesItIsIn() {
    TlbSpace space = tlb.select(0, 0, 0);
    for (int k = 0; k < 5000; k++) {
      fill(0, 0, 0, LINEAR + 0x1000L * k, false);
      fetch(space, LINEAR + 0x1000L * k);
    }
    for (int k : new int[] {0, 1, 63, 64, 2500, 4999}) {
      int generation = space.generation();
      tlb.pageFault(space, LINEAR + 0x1000L * k);
      assertTrue(space.generation() != generation, "page " + k);
      for (int j = 0; j < 5000; j++) {
        fill(0, 0, 0, LINEAR + 0x1000L * j, false);
        fetch(space, LINEAR + 0x1000L * j);
      }
    }
  }

  @Test
  void whatGaveWayIsNotThereTwiceWhenItIsFilledAgain() {
    TlbSpace space = fillSharing(2);
    // The slot of both is empty now, and the first waits among those that gave way.
    tlb.invalidateLinear(0, 0, sharing(1));
    tlb.fill(space, space.user(), sharing(0), translation(0x7000, false, 12), memory);
    tlb.invalidateLinear(0, 0, sharing(0));
    assertFalse(recalls(space, sharing(0)));
  }

  @Test
  void whatGaveWayIsInvalidatedAsAllElse() {
    TlbSpace space = fillSharing(4);
    tlb.invalidateLinear(0, 0, sharing(1));
    assertFalse(recalls(space, sharing(1)));
    assertTrue(recalls(space, sharing(0)));
    tlb.flushNonGlobal(0, 0);
    assertEquals(0, tlb.live());
    for (int k = 0; k < 4; k++) {
      assertFalse(recalls(space, sharing(k)));
    }
  }

  @Test
  void aPageIsNeverCachedTwice() {
    TlbSpace space = fillSharing(2);
    tlb.fill(space, space.user(), sharing(0), translation(0x5000, false, 12), memory);
    assertEquals(2, tlb.live());
    assertEquals(ram + 0x5000, space.user()[TlbSpace.index(LINEAR)].hpa);
    assertTrue(recalls(space, sharing(1)));
    TlbEntry again = tlb.recall(space, space.user(), sharing(0), memory);
    assertEquals(ram + 0x5000, again == null ? 0 : again.hpa);
  }

  @Test
  void whatGaveWayLosesItsWriteTagWithTheOthers() {
    TlbSpace space = fillSharing(2);
    CodeMark mark = Objects.requireNonNull(memory.markCode(ram + 0x3000));
    tlb.dropWriteTags(ram + 0x3000);
    TlbEntry back = tlb.recall(space, space.user(), sharing(0), memory);
    assertEquals(TlbEntry.INVALID, back == null ? 0 : back.writeTag);
    mark.clear();
  }

  @Test
  void nothingIsCachedWhereThereIsNoMemory() {
    TlbSpace space = tlb.select(0, 0, 0);
    Translation t = translation(0, false, 12);
    t.hpa = 0xfee0_0000L;
    assertFalse(tlb.fill(space, space.user(), LINEAR, t, memory));
    assertFalse(hits(space, LINEAR));
  }

  @Test
  void anArrayOfAnotherSpaceIsRefused() {
    TlbSpace a = fill(0, 0, 0, LINEAR, false);
    TlbSpace b = tlb.select(0, 0, 1);
    assertThrows(
        IllegalArgumentException.class,
        () -> tlb.fill(a, b.user(), LINEAR, translation(0, false, 12), memory));
  }

  // ---- Large pages

  private static final long LARGE = 0x7f00_4020_0000L;

  /** A part of a large page is cached. */
  private TlbSpace fillLarge(int vpid, int pcid, boolean global, int key) {
    TlbSpace space = tlb.select(vpid, 0, pcid);
    Translation t = translation(0x3000, global, 21);
    t.hpa = (ram + (1 << 21) - 1 & -1L << 21) + 0x3000;
    t.gpa = 0x4020_3000L;
    t.pageShift = 21;
    t.key = key;
    t.mayFetch = false;
    assertTrue(tlb.fill(space, space.user(), LARGE + 0x3000, t, memory));
    return space;
  }

  private boolean knows(TlbSpace space, long linear) {
    Translation found = new Translation();
    if (!tlb.findLarge(space, space.user(), linear, found)) {
      return false;
    }
    assertEquals(Translation.OK, found.outcome);
    assertEquals(0x4020_0000L + (linear - LARGE), found.gpa);
    assertEquals((linear - LARGE), found.hpa & (1 << 21) - 1);
    assertTrue(found.mayRead && found.mayWrite && !found.mayFetch);
    assertEquals(21, found.pageShift);
    return true;
  }

  @Test
  void allPartsOfALargePageAreKnownByOne() {
    TlbSpace space = fillLarge(0, 0, false, -1);
    assertTrue(knows(space, LARGE));
    assertTrue(knows(space, LARGE + 0x1f_ffff));
    assertFalse(knows(space, LARGE - 1));
    assertFalse(knows(space, LARGE + 0x20_0000));
    assertFalse(knows(space, LARGE + (32L << 21)), "the same slot");
    assertFalse(tlb.findLarge(space, space.supervisor, LARGE, new Translation()));
    // What is smaller for EPT is not known by a part.
    tlb.fill(space, space.user(), LARGE + 0x40_0000, translation(0, false, 21), memory);
    assertFalse(knows(space, LARGE + 0x40_1000));
  }

  @Test
  void aLargePageGoesWithItsParts() {
    TlbSpace space = fillLarge(0, 0, false, -1);
    tlb.invalidateLinear(0, 0, LARGE + 0x1f_f000);
    assertFalse(knows(space, LARGE), "INVLPG");
    fillLarge(0, 0, false, -1);
    tlb.flushNonGlobal(0, 0);
    assertFalse(knows(space, LARGE), "CR3");
    fillLarge(0, 0, true, -1);
    tlb.flushNonGlobal(0, 0);
    assertTrue(knows(space, LARGE), "CR3 and a global page");
    tlb.invpcid(0, Tlb.INVPCID_ADDRESS, 0, LARGE);
    assertTrue(knows(space, LARGE), "INVPCID leaves a global page");
    tlb.invpcid(0, Tlb.INVPCID_ALL, 0, 0);
    assertFalse(knows(space, LARGE), "INVPCID of all");
    fillLarge(0, 0, true, -1);
    tlb.pageFault(space, LARGE + 0x5000);
    assertFalse(knows(space, LARGE), "a page fault");
    fillLarge(0, 0, true, -1);
    tlb.eptViolation(space, 0x4020_1000L, true, LARGE + 0x1000);
    assertFalse(knows(space, LARGE), "an EPT violation");
    fillLarge(0, 0, true, -1);
    tlb.flushAll();
    assertFalse(knows(space, LARGE), "all");
  }

  @Test
  void aGlobalLargePageIsFoundByInvlpgWhenNoEntryIsLeft() {
    TlbSpace space = fillLarge(0, 0, true, -1);
    for (int part = 0; part < TlbSpace.SIZE + Slots.VICTIMS; part++) {
      tlb.fill(
          space, space.user(), LINEAR + ((long) part << 12), translation(0, false, 12), memory);
    }
    tlb.flushNonGlobal(0, 0);
    assertTrue(knows(space, LARGE));
    tlb.invalidateLinear(0, 0, LARGE + 0x7000);
    assertFalse(knows(space, LARGE));
  }

  // ---- Contexts

  @Test
  void contextsDoNotLeakIntoOneAnother() {
    int[] vpids = {0, 1, 2};
    long[] roots = {0, EPT_A, EPT_B};
    int[] pcids = {0, 1};
    for (int vpid : vpids) {
      for (long root : roots) {
        for (int pcid : pcids) {
          fill(vpid, root, pcid, LINEAR, true);
          for (int v : vpids) {
            for (long r : roots) {
              for (int p : pcids) {
                assertEquals(
                    v == vpid && r == root && p == pcid,
                    hits(v, r, p, LINEAR),
                    v + " " + r + " " + p);
              }
            }
          }
          tlb.flushAll();
        }
      }
    }
  }

  @Test
  void aContextKeepsItsTranslationsWhileOthersAreCurrent() {
    TlbSpace space = fill(1, EPT_A, 3, LINEAR, false);
    tlb.select(0, 0, 0);
    tlb.select(1, EPT_A, 4);
    assertSame(space, tlb.select(1, EPT_A, 3));
    assertTrue(hits(space, LINEAR));
    assertSame(space, tlb.select(1, EPT_A | 0x40, 3), "only the root's address is a tag");
  }

  @Test
  void theContextUsedLeastRecentlyGivesWayEmptied() {
    Tlb small = new Tlb(3);
    TlbSpace[] filled = new TlbSpace[4];
    for (int vpid = 1; vpid < 4; vpid++) {
      filled[vpid] = small.select(vpid, 0, 0);
      small.fill(filled[vpid], filled[vpid].user(), LINEAR, translation(0, true, 21), memory);
    }
    TlbSpace a = filled[1];
    TlbSpace b = filled[2];
    TlbSpace c = filled[3];
    small.select(2, 0, 0);
    TlbSpace d = small.select(4, 0, 0);
    assertSame(a, d);
    assertFalse(hits(d, LINEAR));
    small.fill(d, d.user(), LINEAR, translation(0, true, 21), memory);
    assertSame(b, small.select(2, 0, 0));
    assertSame(c, small.select(3, 0, 0));
    assertNotSame(b, small.select(1, 0, 0));
    assertEquals(3, small.contexts());
  }

  @Test
  void aContextWithoutTranslationsGivesWayToTheNextOne() {
    TlbSpace empty = tlb.select(0, 0, Tlb.UNPAGED);
    int generation = empty.generation();
    TlbSpace next = tlb.select(1, EPT_A, 3);
    assertSame(empty, next);
    assertTrue(next.generation() != generation, "what was known of it is forgotten");
    fill(1, EPT_A, 3, LINEAR, false);
    assertNotSame(next, tlb.select(0, 0, 0));
    assertTrue(hits(next, LINEAR));
    assertEquals(2, tlb.contexts());
  }

  @Test
  void withoutPagingTheVpidIsNoTagAndTheEptRootIs() {
    TlbSpace space = fill(1, EPT_A, Tlb.UNPAGED, LINEAR, false);
    assertSame(space, tlb.select(2, EPT_A, Tlb.UNPAGED));
    tlb.invvpid(Tlb.INVVPID_ALL, 0, 0);
    tlb.invvpid(Tlb.INVVPID_CONTEXT, 1, 0);
    tlb.flushAll(0);
    tlb.invpcid(0, Tlb.INVPCID_ALL, 0, 0);
    assertTrue(hits(space, LINEAR), "guest-physical mappings are INVEPT's");
    tlb.invept(Tlb.INVEPT_CONTEXT, EPT_A);
    assertFalse(hits(space, LINEAR));
  }

  @Test
  void aChangeOfRightsDropsWhatWasComputedWithTheOldOnes() {
    PagingContext context = new PagingContext();
    context.mode = PagingMode.LEVEL4;
    TlbSpace space = tlb.select(1, 0, context);
    tlb.fill(space, space.user(), LINEAR, translation(0, false, 12), memory);
    assertSame(space, tlb.select(1, 0, context));
    assertTrue(hits(space, LINEAR));
    context.pkru = 4;
    tlb.select(1, 0, context);
    assertTrue(hits(space, LINEAR), "PKRU does not matter while CR4.PKE is clear");
    context.wp = true;
    tlb.select(1, 0, context);
    assertFalse(hits(space, LINEAR));
    tlb.fill(space, space.user(), LINEAR, translation(0, false, 12), memory);
    context.pke = true;
    tlb.select(1, 0, context);
    assertFalse(hits(space, LINEAR));
    context.mode = PagingMode.NONE;
    assertEquals(Tlb.UNPAGED, tlb.select(1, 0, context).pcid());
  }

  @Test
  void aChangeOfAProtectionKeysRightsDropsThePagesOfThatKeyAlone() {
    PagingContext context = new PagingContext();
    context.mode = PagingMode.LEVEL4;
    context.pke = true;
    context.pks = true;
    TlbSpace space = tlb.select(1, 0, context);
    int[] keys = {-1, 0, 3, 15, 16, 16 + 3, 16 + 15};
    for (int i = 0; i < keys.length; i++) {
      Translation t = translation(0x1000 * i, i == 2, 12);
      t.key = keys[i];
      tlb.fill(space, space.user(), LINEAR + 0x1000 * i, t, memory);
    }
    context.pkru = 1 << 2 * 5;
    assertEquals(keys.length, live(context));
    context.pkru |= 2 << 2 * 3;
    assertEquals(keys.length - 1, live(context));
    assertFalse(hits(space, LINEAR + 0x2000));
    context.pkrs = 1 << 2 * 15;
    assertEquals(keys.length - 2, live(context));
    assertFalse(hits(space, LINEAR + 0x6000));
    context.pkru = 1 << 2 * 15;
    assertEquals(keys.length - 3, live(context));
    assertFalse(hits(space, LINEAR + 0x3000));
    context.pkru |= 3;
    context.pkrs = 3 | 3 << 2 * 3;
    assertEquals(1, live(context));
    assertTrue(hits(space, LINEAR), "a page without a key");
  }

  private int live(PagingContext context) {
    tlb.select(1, 0, context);
    return tlb.live();
  }

  // ---- Staleness

  @Test
  void translationsStayUntilTheyAreInvalidated() {
    TlbSpace space = fill(0, 0, 0, LINEAR, false);
    tlb.invalidateLinear(0, 0, LINEAR + 0x1000);
    tlb.invalidateLinear(1, 0, LINEAR);
    tlb.invalidateLinear(0, 1, LINEAR);
    tlb.flushNonGlobal(0, 1);
    tlb.flushAll(1);
    tlb.invvpid(Tlb.INVVPID_ALL, 0, 0);
    tlb.invvpid(Tlb.INVVPID_CONTEXT, 1, 0);
    tlb.invept(Tlb.INVEPT_ALL, 0);
    tlb.invpcid(0, Tlb.INVPCID_CONTEXT, 1, 0);
    tlb.invpcid(1, Tlb.INVPCID_ALL, 0, 0);
    tlb.movToCr3(0, 5L | 1L << 63, true);
    tlb.movToCr4(0, 0, 0, 1 << 9);
    tlb.movToCr0(0, 0x8000_0001L, 0x8001_0001L);
    assertTrue(hits(space, LINEAR));
  }

  // ---- Paging's invalidations

  @Test
  void invlpgDropsThePageInTheCurrentPcidAndGlobalsInAll() {
    fill(1, EPT_A, 1, LINEAR, false);
    fill(1, EPT_B, 1, LINEAR, false);
    fill(1, EPT_A, 2, LINEAR, false);
    fill(1, EPT_A, 3, LINEAR, true);
    fill(2, EPT_A, 1, LINEAR, true);
    tlb.invalidateLinear(1, 1, LINEAR + 0x123);
    assertFalse(hits(1, EPT_A, 1, LINEAR));
    assertFalse(hits(1, EPT_B, 1, LINEAR), "combined mappings of all EPT roots");
    assertTrue(hits(1, EPT_A, 2, LINEAR));
    assertFalse(hits(1, EPT_A, 3, LINEAR));
    assertTrue(hits(2, EPT_A, 1, LINEAR));
  }

  @Test
  void invlpgDropsThePageForEveryPrivilege() {
    TlbSpace space = tlb.select(0, 0, 0);
    for (TlbEntry[] array :
        new TlbEntry[][] {space.supervisor, space.supervisorAc(), space.user()}) {
      tlb.fill(space, array, LINEAR, translation(0, false, 12), memory);
    }
    tlb.invalidateLinear(0, 0, LINEAR);
    assertEquals(0, tlb.live());
    assertEquals(TlbEntry.INVALID, space.supervisor[TlbSpace.index(LINEAR)].writeTag);
    assertEquals(TlbEntry.INVALID, space.supervisorAc()[TlbSpace.index(LINEAR)].fetchTag);
  }

  @Test
  void invlpgDropsAllPartsOfALargePage() {
    for (int shift : new int[] {21, 22, 30}) {
      TlbSpace space = tlb.select(0, 0, 0);
      long base = 0x40_0000_0000L;
      long size = 1L << shift;
      long[] parts = {base, base + 0x5000, base + size - 0x1000};
      for (long part : parts) {
        tlb.fill(space, space.user(), part, translation(0x1000, false, shift), memory);
      }
      tlb.fill(space, space.user(), base + size + 0x7000, translation(0, false, shift), memory);
      tlb.fill(space, space.user(), base - 0x9000, translation(0, false, 12), memory);
      tlb.invalidateLinear(0, 0, base + 0x8765);
      for (long part : parts) {
        assertFalse(hits(space, part), "page of 2^" + shift);
      }
      assertTrue(hits(space, base + size + 0x7000));
      assertTrue(hits(space, base - 0x9000));
      tlb.flushAll();
    }
  }

  @Test
  void invlpgFindsLargePagesHoweverManyThereWere() {
    TlbSpace space = tlb.select(0, 0, 0);
    for (int i = 0; i < 1000; i++) {
      tlb.fill(space, space.user(), (long) i << 21, translation(0, false, 21), memory);
    }
    for (int i = 0; i < 1000; i++) {
      long base = (long) i << 21;
      tlb.fill(space, space.user(), base + 0x3000, translation(0, false, 21), memory);
      tlb.invalidateLinear(0, 0, base + 0x1f_f000);
      assertFalse(hits(space, base + 0x3000));
    }
  }

  @Test
  void aWriteOfCr3KeepsGlobalsAndOtherPcids() {
    long other = LINEAR + 0x1000;
    fill(0, 0, 0, LINEAR, false);
    fill(0, 0, 0, other, true);
    fill(0, 0, 7, LINEAR, false);
    assertEquals(0, tlb.movToCr3(0, 0x1007, false));
    assertFalse(hits(0, 0, 0, LINEAR));
    assertTrue(hits(0, 0, 0, other));
    assertTrue(hits(0, 0, 7, LINEAR));
    assertEquals(7, tlb.movToCr3(0, 0x1007L | 1L << 63, true));
    assertTrue(hits(0, 0, 7, LINEAR), "bit 63 keeps them");
    assertEquals(7, tlb.movToCr3(0, 0x1007L, true));
    assertFalse(hits(0, 0, 7, LINEAR));
    assertTrue(hits(0, 0, 0, other));
  }

  @Test
  void writesOfCr4InvalidateByTheBitsThatChange() {
    record Case(long before, long after, boolean own, boolean others) {}
    long pae = 1 << 5;
    long pge = 1 << 7;
    long pcide = 1 << 17;
    long smep = 1 << 20;
    for (Case c :
        new Case[] {
          new Case(0, pge, true, true),
          new Case(pge, 0, true, true),
          new Case(pcide, 0, true, true),
          new Case(0, pcide, false, false),
          new Case(0, pae, true, false),
          new Case(pae, 0, true, false),
          new Case(0, smep, true, false),
          new Case(smep, 0, false, false),
          new Case(0, 1 << 4, false, false)
        }) {
      fill(0, 0, 0, LINEAR, true);
      fill(0, 0, 5, LINEAR, true);
      tlb.movToCr4(0, 0, c.before, c.after);
      assertEquals(!c.own, hits(0, 0, 0, LINEAR), c.toString());
      assertEquals(!c.others, hits(0, 0, 5, LINEAR), c.toString());
      tlb.flushAll();
    }
    fill(0, 0, 5, LINEAR, true);
    tlb.movToCr0(0, 0x8000_0001L, 1);
    assertFalse(hits(0, 0, 5, LINEAR));
  }

  @Test
  void invpcidByType() {
    long other = LINEAR + 0x2000;
    long global = LINEAR + 0x4000;
    for (int type = 0; type <= 3; type++) {
      for (int pcid = 1; pcid <= 2; pcid++) {
        fill(0, 0, pcid, LINEAR, false);
        fill(0, 0, pcid, other, false);
        fill(0, 0, pcid, global, true);
      }
      fill(9, 0, 1, LINEAR, false);
      tlb.invpcid(0, type, 1, LINEAR);
      tlb.invpcid(0, type == 0 ? 0 : type, 1, type == 0 ? global : 0);
      assertFalse(hits(0, 0, 1, LINEAR), "type " + type);
      assertEquals(type == 0, hits(0, 0, 1, other), "type " + type);
      assertEquals(type != 2, hits(0, 0, 1, global), "type " + type);
      assertEquals(type < 2, hits(0, 0, 2, LINEAR), "type " + type);
      assertEquals(type != 2, hits(0, 0, 2, global), "type " + type);
      assertTrue(hits(9, 0, 1, LINEAR));
      tlb.flushAll();
    }
    assertThrows(IllegalArgumentException.class, () -> tlb.invpcid(0, 4, 0, 0));
  }

  @Test
  void aPageFaultDropsTheAddress() {
    TlbSpace space = fill(0, 0, 0, LINEAR, true);
    fill(0, 0, 0, LINEAR + 0x1000, true);
    tlb.pageFault(space, LINEAR + 5);
    assertFalse(hits(space, LINEAR));
    assertTrue(hits(space, LINEAR + 0x1000));
  }

  // ---- Invalidations of VMX operation

  @Test
  void invvpidByType() {
    long other = LINEAR + 0x2000;
    long global = LINEAR + 0x4000;
    for (int type = 0; type <= 3; type++) {
      for (int vpid = 0; vpid <= 2; vpid++) {
        for (int pcid = 0; pcid <= 1; pcid++) {
          fill(vpid, EPT_A, pcid, LINEAR, false);
          fill(vpid, EPT_A, pcid, other, false);
          fill(vpid, EPT_A, pcid, global, true);
        }
        fill(vpid, 0, 0, LINEAR, false);
      }
      tlb.invvpid(type, 1, LINEAR + 0xfff);
      String what = "type " + type;
      for (int pcid = 0; pcid <= 1; pcid++) {
        assertFalse(hits(1, EPT_A, pcid, LINEAR), what);
        assertEquals(type == 0, hits(1, EPT_A, pcid, other), what);
        assertEquals(type == 0 || type == 3, hits(1, EPT_A, pcid, global), what);
        assertEquals(type != 2, hits(2, EPT_A, pcid, LINEAR), what);
        assertTrue(hits(0, EPT_A, pcid, LINEAR), what + " leaves VPID 0");
      }
      assertFalse(hits(1, 0, 0, LINEAR), what + " reaches linear mappings");
      tlb.flushAll();
    }
    fill(1, EPT_A, 0, LINEAR, true);
    tlb.invvpid(Tlb.INVVPID_ADDRESS, 1, LINEAR);
    assertFalse(hits(1, EPT_A, 0, LINEAR), "globals too");
    assertThrows(IllegalArgumentException.class, () -> tlb.invvpid(4, 1, 0));
  }

  @Test
  void inveptByType() {
    for (int type = 1; type <= 2; type++) {
      for (int vpid = 0; vpid <= 1; vpid++) {
        fill(vpid, EPT_A, 0, LINEAR, true);
        fill(vpid, EPT_B, 3, LINEAR, true);
        fill(vpid, 0, 0, LINEAR, true);
      }
      fill(0, EPT_A, Tlb.UNPAGED, LINEAR, false);
      tlb.invept(type, EPT_A | 0x40);
      for (int vpid = 0; vpid <= 1; vpid++) {
        assertFalse(hits(vpid, EPT_A, 0, LINEAR));
        assertEquals(type == 1, hits(vpid, EPT_B, 3, LINEAR));
        assertTrue(hits(vpid, 0, 0, LINEAR), "linear mappings are not INVEPT's");
      }
      assertFalse(hits(0, EPT_A, Tlb.UNPAGED, LINEAR));
      tlb.flushAll();
    }
    assertThrows(IllegalArgumentException.class, () -> tlb.invept(0, EPT_A));
  }

  @Test
  void transitionsWithoutVpidDropThoseOfVpid0() {
    fill(0, 0, 0, LINEAR, true);
    fill(0, EPT_A, 2, LINEAR, true);
    fill(1, EPT_A, 2, LINEAR, true);
    tlb.vmTransitionWithoutVpid();
    assertFalse(hits(0, 0, 0, LINEAR));
    assertFalse(hits(0, EPT_A, 2, LINEAR));
    assertTrue(hits(1, EPT_A, 2, LINEAR));
  }

  @Test
  void anEptViolationDropsTheAddressItCameFrom() {
    TlbSpace unpaged = fill(0, EPT_A, Tlb.UNPAGED, 0x100_3000, false);
    TlbSpace space = fill(1, EPT_A, 0, LINEAR, false);
    fill(1, EPT_A, 0, LINEAR + 0x1000, false);
    tlb.eptViolation(space, 0x100_3abc, true, LINEAR + 0xabc);
    assertFalse(hits(space, LINEAR));
    assertTrue(hits(space, LINEAR + 0x1000));
    assertFalse(hits(unpaged, 0x100_3000));
  }

  @Test
  void theSameEptViolationAgainDropsWhatHasBeenCachedSince() {
    TlbSpace space = fill(1, EPT_A, 0, LINEAR, false);
    for (int times = 0; times < 3; times++) {
      tlb.eptViolation(space, 0x100_3abc, true, LINEAR + 0xabc);
      assertFalse(hits(space, LINEAR));
      tlb.eptViolation(space, 0x100_3abc, true, LINEAR + 0xabc);
      assertFalse(hits(space, LINEAR));
      fill(1, EPT_A, 0, LINEAR, false);
    }
    // Others that nothing has been cached before.
    fill(1, EPT_A, 0, LINEAR + 0x1000, false);
    tlb.eptViolation(space, 0x100_3abc, true, LINEAR);
    tlb.eptViolation(space, 0x100_4abc, true, LINEAR + 0x1000);
    assertFalse(hits(space, LINEAR + 0x1000));
    TlbSpace unpaged = fill(0, EPT_A, Tlb.UNPAGED, 0x100_3000, false);
    tlb.eptViolation(space, 0x100_4abc, true, LINEAR);
    assertTrue(hits(unpaged, 0x100_3000));
    tlb.eptViolation(space, 0x100_3abc, true, LINEAR);
    assertFalse(hits(unpaged, 0x100_3000));
  }

  // ---- Code

  @Test
  void storesToPagesWithCodeStayOffTheFastPath() {
    CodeMark mark = Objects.requireNonNull(memory.markCode(ram + 0x3000));
    TlbSpace space = fill(0, 0, 0, LINEAR, false);
    TlbEntry e = space.user()[TlbSpace.index(LINEAR)];
    assertEquals(LINEAR, e.readTag);
    assertEquals(TlbEntry.INVALID, e.writeTag);
    mark.clear();
    fill(0, 0, 0, LINEAR, false);
    assertEquals(LINEAR, e.writeTag);
    TlbSpace other = fill(4, EPT_B, 2, LINEAR + 0x8000, true);
    memory.markCode(ram + 0x3000);
    tlb.dropWriteTags(ram + 0x4000);
    assertEquals(LINEAR, e.writeTag);
    tlb.dropWriteTags(ram + 0x3000);
    assertEquals(TlbEntry.INVALID, e.writeTag);
    assertEquals(LINEAR, e.readTag);
    assertEquals(TlbEntry.INVALID, other.user()[TlbSpace.index(LINEAR + 0x8000)].writeTag);
  }

  /** Marking on one thread and filling on another: whoever is second sees the other. */
  @Test
  void aMarkIsNeverMissedByAFillOnAnotherThread() throws InterruptedException {
    AtomicBoolean stop = new AtomicBoolean();
    AtomicLong turn = new AtomicLong();
    AtomicLong done = new AtomicLong();
    long[] missed = new long[1];
    Thread filler =
        new Thread(
            () -> {
              long seen = 0;
              while (!stop.get()) {
                long now = turn.get();
                if (now == seen) {
                  Thread.yield();
                  continue;
                }
                seen = now;
                fill(0, 0, 0, LINEAR, false);
                done.set(seen);
              }
            });
    filler.start();
    fillWait(turn, done);
    CodeMark mark = Objects.requireNonNull(memory.markCode(ram + 0x3000));
    for (int i = 0; i < 2_000; i++) {
      mark.clear();
      long t = turn.incrementAndGet();
      mark = Objects.requireNonNull(memory.markCode(ram + 0x3000));
      tlb.dropWriteTags(ram + 0x3000);
      while (done.get() != t) {
        Thread.yield();
      }
      TlbEntry e = tlb.select(0, 0, 0).user()[TlbSpace.index(LINEAR)];
      if (e.writeTag != TlbEntry.INVALID) {
        missed[0]++;
      }
    }
    stop.set(true);
    filler.join();
    assertEquals(0, missed[0]);
  }

  private static void fillWait(AtomicLong turn, AtomicLong done) {
    long t = turn.incrementAndGet();
    while (done.get() != t) {
      Thread.yield();
    }
  }
}
