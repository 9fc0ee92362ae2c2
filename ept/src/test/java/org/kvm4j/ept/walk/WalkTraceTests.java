package org.kvm4j.ept.walk;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;
import org.kvm4j.ept.paging.Access;
import org.kvm4j.ept.paging.PagingMode;
import org.kvm4j.ept.paging.Translation;
import org.kvm4j.ept.walk.WalkTrace.Dimension;
import org.kvm4j.ept.walk.WalkTrace.Step;

class WalkTraceTests {
  private final Guest guest = new Guest(false);

  private WalkTrace trace(int access) {
    return WalkTrace.of(guest.memory, guest.context, Guest.LINEAR, access);
  }

  @Test
  void aFullWalkShowsTwentyFourEntries() {
    WalkTrace trace = trace(Access.USER | Access.WRITE);
    List<Step> steps = trace.steps();
    assertEquals(24, steps.size(), trace.toString());
    int[] guestSteps = {4, 9, 14, 19};
    String[] names = {"PML4E", "PDPTE", "PDE", "PTE"};
    for (int i = 0; i < 4; i++) {
      Step step = steps.get(guestSteps[i]);
      assertEquals(Dimension.GUEST, step.dimension());
      assertEquals(names[i], step.name());
      assertEquals(guest.guestEntryGpa(4 - i), step.address());
      assertEquals(guest.guestEntry(4 - i), step.value());
      assertEquals(names[i], steps.get(i).name());
      assertEquals(Dimension.EPT, steps.get(i).dimension());
    }
    assertEquals(guest.ram + Guest.PAGE, trace.result().hpa);
    assertTrue(trace.toString().contains("user write"), trace.toString());
    assertTrue(trace.toString().contains("P RW US A D"), trace.toString());
  }

  @Test
  void theReasonOfAFailureIsNamed() {
    guest.eptRights(Guest.PAGE, 1);
    assertConclusion(Access.WRITE, "EPT violation at gpa 0x9000");
    assertConclusion(Access.WRITE, "write of a page that is r--, translated linear address");
    guest.eptEntry(1, Guest.PAGE, guest.eptEntry(1, Guest.PAGE) | 0x38);
    assertText(Access.READ, "MISCONFIGURED: the EPT memory type is 2, 3 or 7");
    assertConclusion(Access.READ, "EPT misconfiguration at gpa 0x9000");
    guest.guestEntry(1, guest.guestEntry(1) & ~2L);
    assertConclusion(Access.WRITE | Access.USER, "error code 0x7 (present, write, user)");
    guest.guestEntry(2, guest.guestEntry(2) | 1L << 50);
    assertText(Access.READ, "RESERVED BITS SET: 0x4000000000000");
    assertConclusion(Access.READ, "reserved bit set");
    guest.guestEntry(2, guest.guestEntry(2) & ~0x20L & ~(1L << 50));
    guest.eptRights(Guest.TABLES[2], 1);
    assertText(Access.READ, "to be set: A, WHICH EPT DOES NOT ALLOW");
    guest.eptEntry(3, 0, 0x7fff_ffff_f007L & ~(1L << 46));
    assertText(Access.READ, "NO MEMORY THERE");
    guest.context.mode = PagingMode.NONE;
    assertText(Access.READ, "paging NONE");
  }

  private void assertConclusion(int access, String text) {
    assertTrue(trace(access).conclusion().contains(text), trace(access).toString());
  }

  private void assertText(int access, String text) {
    assertTrue(trace(access).toString().contains(text), trace(access).toString());
  }

  @Test
  void guestPhysicalAddressesAreTracedToo() {
    WalkTrace trace = WalkTrace.ofGuestPhysical(guest.memory, guest.context, 0xa123, Access.FETCH);
    assertEquals(4, trace.steps().size());
    assertEquals(guest.ram + 0xa123, trace.result().hpa);
  }

  /**
   * Whatever the tables are, a trace ends, changes nothing, and comes to what the walk comes to.
   */
  @Property(tries = 150)
  void aTraceOfAnyTablesEndsAndChangesNothing(@ForAll long seed) {
    RandomTables tables = new RandomTables(seed);
    byte[] before = tables.snapshot();
    TwoDimensionalWalk walk = new TwoDimensionalWalk(tables.memory);
    Translation found = new Translation();
    for (int i = 0; i < 10; i++) {
      long linear = tables.linear();
      int access = tables.random.nextInt() & (Access.USER | Access.WRITE | Access.AC);
      WalkTrace trace = WalkTrace.of(tables.memory, tables.context, linear, access);
      walk.walk(tables.context, linear, access | Access.NO_SIDE_EFFECTS, found);
      assertEquals(found.outcome, trace.result().outcome);
      assertTrue(trace.toString().endsWith("  => " + trace.conclusion() + "\n"));
      // HLAT's walk and CR3's, each entry of both behind EPT's; the page's own, and those of SPP.
      assertTrue(trace.steps().size() <= 2 * 5 * (1 + 5) + 5 + 4, trace::toString);
      for (Step step : trace.steps()) {
        if (step.dimension() == Dimension.EPT) {
          assertEquals(step.value(), tables.memory.readLong(step.address()));
        }
      }
    }
    assertArrayEquals(before, tables.snapshot());
  }
}
