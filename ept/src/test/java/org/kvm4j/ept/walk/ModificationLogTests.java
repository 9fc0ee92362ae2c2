package org.kvm4j.ept.walk;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.kvm4j.ept.paging.Access.READ;
import static org.kvm4j.ept.paging.Access.WRITE;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.kvm4j.ept.nested.EptEntry;
import org.kvm4j.ept.paging.Access;
import org.kvm4j.ept.paging.PagingContext;
import org.kvm4j.ept.paging.Translation;

/** What is logged, and when a full log stops an access. SDM 29.3.6 "Page-Modification Logging". */
class ModificationLogTests {
  private static final long FLAGS = EptEntry.ACCESSED | EptEntry.DIRTY;

  private final Guest guest = new Guest(true);
  private final List<Long> logged = new ArrayList<>();
  private boolean full;

  ModificationLogTests() {
    guest.context.log =
        new PagingContext.ModificationLog() {
          @Override
          public boolean isFull() {
            return full;
          }

          @Override
          public void add(long gpa) {
            logged.add(gpa);
          }
        };
  }

  private void clear(long page, long flags) {
    guest.eptEntry(1, page, guest.eptEntry(1, page) & ~flags);
  }

  private void stops(int access) {
    assertFalse(guest.access(access));
    assertEquals(Translation.LOG_FULL, guest.found.outcome, guest.found.toString());
  }

  @Test
  void aPageIsLoggedWhenItsDirtyFlagIsSet() {
    guest.expectOk(WRITE);
    assertEquals(List.of(), logged, "it was set already");
    clear(Guest.PAGE, FLAGS);
    guest.expectOk(WRITE | Access.NO_SIDE_EFFECTS);
    guest.expectOk(READ);
    assertEquals(List.of(), logged, "no dirty flag is set");
    guest.expectOk(WRITE);
    guest.expectOk(WRITE);
    assertEquals(List.of(Guest.PAGE), logged);
  }

  /** Accesses to guest paging structures are writes with A/D flags for EPT. */
  @Test
  void soIsAPageOfGuestPagingStructures() {
    for (long table : Guest.TABLES) {
      clear(table, EptEntry.DIRTY);
    }
    guest.expectOk(READ);
    assertEquals(
        List.of(Guest.TABLES[0], Guest.TABLES[1], Guest.TABLES[2], Guest.TABLES[3]), logged);
  }

  /** The processor looks at the index before it sets a flag, be it the accessed flag alone. */
  @Test
  void aFullLogStopsWhatWouldSetAFlag() {
    full = true;
    guest.expectOk(WRITE);
    clear(Guest.PAGE, EptEntry.DIRTY);
    guest.expectOk(READ);
    stops(WRITE);
    clear(Guest.PAGE, EptEntry.ACCESSED);
    stops(READ);
    guest.expectOk(READ | Access.NO_SIDE_EFFECTS);
    assertEquals(0, guest.eptEntry(1, Guest.PAGE) & FLAGS);
    full = false;
    guest.expectOk(WRITE);
    assertEquals(FLAGS, guest.eptEntry(1, Guest.PAGE) & FLAGS);
    full = true;
    clear(Guest.TABLES[2], EptEntry.DIRTY);
    stops(READ);
    assertEquals(List.of(Guest.PAGE), logged);
  }
}
