package org.kvm4j.ept.walk;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.kvm4j.ept.paging.Access;
import org.kvm4j.ept.paging.PagingContext;
import org.kvm4j.ept.paging.PagingMode;
import org.kvm4j.ept.paging.Translation;

/** What is known of a violation is what a walk finds, for as long as it is said to hold. */
class KnownViolationTests {
  private static final int SEEDS = 150;
  private static final int TABLES = RandomTables.PAGES * 4096;

  private int held;
  private int gone;

  private static @Nullable KnownViolation learn(
      RandomTables tables, long linear, int access, Translation found) {
    TwoDimensionalWalk walk = new TwoDimensionalWalk(tables.memory);
    if (walk.walk(tables.context, linear, access, found)
        || found.outcome != Translation.EPT_VIOLATION) {
      return null;
    }
    return new KnownViolation.Finder(tables.memory).of(tables.context, linear, access, found);
  }

  /** No control is on of those that make a violation depend on more than is compared. */
  private static void makePlain(PagingContext c) {
    c.hlat = false;
    c.eptPagingWrite = false;
    c.subPageWrite = false;
  }

  private static int access(RandomTables tables) {
    return tables.random.nextInt() & (Access.USER | Access.AC)
        | new int[] {0, Access.WRITE, Access.FETCH}[tables.random.nextInt(3)];
  }

  @Test
  void itHoldsWhileAWalkWouldEndTheSameAndSetNothing() {
    int known = 0;
    int unknown = 0;
    for (long seed = 0; seed < SEEDS; seed++) {
      RandomTables tables = new RandomTables(seed);
      PagingContext c = tables.context;
      makePlain(c);
      Translation found = new Translation();
      for (int k = 0; k < 20; k++) {
        long linear = tables.linear();
        int access = access(tables);
        KnownViolation violation = learn(tables, linear, access, found);
        if (found.outcome != Translation.EPT_VIOLATION) {
          continue;
        }
        if (violation == null) {
          // An entry was looked for where there is no memory.
          unknown++;
          continue;
        }
        known++;
        assertTrue(violation.holds(tables.memory, c, linear, access), "seed " + seed);
        for (int n = 0; n < 30; n++) {
          change(tables);
          long other = linear & -0x1000L | tables.random.nextInt(0x1000);
          compare(tables, violation, other, access, "seed " + seed + " " + k + " " + n);
        }
      }
    }
    assertTrue(known > 2 * SEEDS && known > 10 * unknown, known + " known, " + unknown + " not");
    assertTrue(held > SEEDS && gone > SEEDS, held + " held, " + gone + " gone");
  }

  /** An entry becomes another, or a register, or nothing does. */
  private static void change(RandomTables tables) {
    PagingContext c = tables.context;
    int at = tables.random.nextInt(TABLES / 8) * 8;
    switch (tables.random.nextInt(12)) {
      case 0 -> c.wp ^= true;
      case 1 -> c.smap ^= true;
      case 2 -> c.nxe ^= true;
      case 3 -> c.pkru ^= 1 << tables.random.nextInt(32);
      case 4 -> c.cr3 ^= 0x1000;
      case 5 -> c.eptp ^= 0x40;
      case 6, 7, 8 ->
          tables.memory.writeLong(at, tables.memory.readLong(at) ^ 1L << tables.random.nextInt(52));
      default -> {}
    }
  }

  private void compare(
      RandomTables tables, KnownViolation violation, long linear, int access, String what) {
    if (!violation.holds(tables.memory, tables.context, linear, access)) {
      gone++;
      return;
    }
    held++;
    byte[] before = tables.snapshot();
    Translation expected = new Translation();
    assertFalse(
        new TwoDimensionalWalk(tables.memory).walk(tables.context, linear, access, expected), what);
    assertArrayEquals(before, tables.snapshot(), what);
    Translation told = new Translation();
    violation.tell(linear, told);
    assertEquals(expected.outcome, told.outcome, what);
    assertEquals(expected.gpa, told.gpa, what);
    assertEquals(expected.pagingStructureAccess, told.pagingStructureAccess, what);
    assertEquals(expected.qualification, told.qualification, what);
    assertEquals(expected.suppressesVe, told.suppressesVe, what);
  }

  @Test
  void eachEntryOnTheWayCounts() {
    int changes = 0;
    for (long seed = 0; seed < SEEDS; seed++) {
      RandomTables tables = new RandomTables(seed);
      makePlain(tables.context);
      Translation found = new Translation();
      long linear = tables.linear();
      KnownViolation violation = learn(tables, linear, Access.WRITE, found);
      if (violation == null) {
        continue;
      }
      byte[] memory = tables.snapshot();
      if (!endsLike(tables, linear, found)) {
        // It comes of a flag that cannot be set.
        continue;
      }
      for (int at = 0; at < 20 * 4096; at += 8) {
        long value = tables.memory.readLong(at);
        tables.memory.writeLong(at, 0);
        boolean same = endsLike(tables, linear, found);
        if (!same) {
          changes++;
          assertFalse(
              violation.holds(tables.memory, tables.context, linear, Access.WRITE),
              "seed " + seed + " at " + at);
        }
        tables.memory.writeLong(at, value);
      }
      assertArrayEquals(memory, tables.snapshot());
      if (changes > 300) {
        return;
      }
    }
    assertTrue(changes > 100, "changes that matter: " + changes);
  }

  private static boolean endsLike(RandomTables tables, long linear, Translation found) {
    Translation now = new Translation();
    new TwoDimensionalWalk(tables.memory)
        .walk(tables.context, linear, Access.WRITE | Access.NO_SIDE_EFFECTS, now);
    return now.outcome == found.outcome
        && now.gpa == found.gpa
        && now.qualification == found.qualification;
  }

  @Test
  void whatDependsOnMoreIsNotKnown() {
    Translation found = new Translation();
    int violations = 0;
    for (long seed = 0; seed < SEEDS; seed++) {
      RandomTables tables = new RandomTables(seed);
      PagingContext c = tables.context;
      makePlain(c);
      long linear = tables.linear();
      if (learn(tables, linear, 0, found) == null) {
        continue;
      }
      violations++;
      c.apicPage = 0x5000;
      assertNull(learn(tables, linear, 0, found));
      c.apicPage = -1;
      KnownViolation violation = learn(tables, linear, 0, found);
      assertNotNull(violation);
      c.hlat = c.mode == PagingMode.LEVEL4 || c.mode == PagingMode.LEVEL5;
      c.subPageWrite = !c.hlat;
      assertFalse(violation.holds(tables.memory, c, linear, 0));
    }
    assertTrue(violations > 5);
  }

  @Test
  void memoryThatIsElsewhereIsNotWhatItWas() {
    for (long seed = 0; seed < SEEDS; seed++) {
      RandomTables tables = new RandomTables(seed);
      makePlain(tables.context);
      long linear = tables.linear();
      KnownViolation violation = learn(tables, linear, 0, new Translation());
      if (violation != null) {
        assertTrue(violation.holds(tables.memory, tables.context, linear, 0));
        tables.memory.mapAt(1L << 35, 0x1000);
        assertFalse(violation.holds(tables.memory, tables.context, linear, 0));
        return;
      }
    }
    throw new AssertionError("no violation");
  }
}
