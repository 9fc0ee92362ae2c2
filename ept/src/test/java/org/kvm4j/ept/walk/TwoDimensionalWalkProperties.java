package org.kvm4j.ept.walk;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashSet;
import java.util.Set;
import java.util.TreeMap;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;
import org.kvm4j.ept.nested.GuestPhysicalCache;
import org.kvm4j.ept.paging.Access;
import org.kvm4j.ept.paging.Translation;
import org.kvm4j.ept.walk.ReferenceWalker.Result;

/** The walk against an independent one, over random tables in every mode. */
class TwoDimensionalWalkProperties {
  private static final int WALKS = 40;

  private static final String[] OUTCOMES = {
    "OK", "PAGE_FAULT", "EPT_VIOLATION", "EPT_MISCONFIGURATION", "", "", "SPP_EVENT"
  };

  @Property(tries = 300)
  void findsWhatTheReferenceFindsAndLeavesTheSameMemory(@ForAll long seed) {
    compare(seed, new TreeMap<>());
  }

  /** The property above would hold of tables that always fault. */
  @Test
  void theRandomTablesReachEveryOutcomeInEveryMode() {
    TreeMap<String, Integer> seen = new TreeMap<>();
    for (long seed = 0; seed < 400; seed++) {
      compare(seed, seen);
    }
    for (String mode : new String[] {"BITS32", "PAE", "LEVEL4", "LEVEL5"}) {
      for (String kind :
          new String[] {
            "OK",
            "OK ept",
            "PAGE_FAULT",
            "PAGE_FAULT ept",
            "EPT_VIOLATION ept",
            "EPT_VIOLATION structure ept",
            "EPT_MISCONFIGURATION ept"
          }) {
        assertTrue(seen.getOrDefault(mode + " " + kind, 0) > 2, mode + " " + kind + ": " + seen);
      }
      for (String kind : new String[] {"OK", "OK ept", "PAGE_FAULT", "PAGE_FAULT ept"}) {
        assertTrue(seen.getOrDefault(mode + " shadow " + kind, 0) > 0, mode + kind + ": " + seen);
      }
    }
    for (String mode : new String[] {"LEVEL4", "LEVEL5"}) {
      for (String kind :
          new String[] {
            "PAGE_FAULT hlat", "PAGE_FAULT hlat ept", "OK restarted ept", "OK by hlat ept"
          }) {
        assertTrue(seen.getOrDefault(mode + " " + kind, 0) > 2, mode + " " + kind + ": " + seen);
      }
    }
    for (String kind : new String[] {"SPP_EVENT ept", "SPP_EVENT miss ept", "OK sub-pages ept"}) {
      assertTrue(seen.getOrDefault("NONE " + kind, 0) > 2, kind + ": " + seen);
    }
    for (String mode : new String[] {"BITS32", "LEVEL4"}) {
      String kind = mode + " EPT_VIOLATION verification ept";
      assertTrue(seen.getOrDefault(kind, 0) > 2, kind + ": " + seen);
    }
  }

  static void compare(long seed, TreeMap<String, Integer> seen) {
    RandomTables tables = new RandomTables(seed);
    GuestPhysicalCache cache = (seed & 1) == 0 ? null : new GuestPhysicalCache();
    TwoDimensionalWalk walk = new TwoDimensionalWalk(tables.memory, cache);
    Set<Long> eptEntries = new HashSet<>();
    Translation found = new Translation();
    for (int i = 0; i < WALKS; i++) {
      long linear = tables.linear();
      int access =
          tables.random.nextInt() & (Access.USER | Access.AC | Access.IMPLICIT)
              | new int[] {0, Access.WRITE, Access.FETCH}[tables.random.nextInt(3)];
      if (!tables.chance(25)) {
        access &= ~Access.IMPLICIT;
      }
      if (tables.chance(10)) {
        access |= Access.NO_SIDE_EFFECTS;
      }
      boolean shadowStack = tables.chance(20);
      if (shadowStack) {
        access = access & ~(Access.FETCH | Access.IMPLICIT) | Access.SHADOW_STACK;
      }
      access = Access.of(access, 1 << tables.random.nextInt(9));
      byte[] ram = tables.snapshot();
      ReferenceWalker reference = new ReferenceWalker(ram, tables.context, eptEntries);
      Result expected = reference.walk(linear, access);
      if (cache != null && reference.changesEpt()) {
        // Software's turn, which has to invalidate before it counts on the change.
        tables.memory.write(0, ram);
        cache.invalidateAll();
        eptEntries.clear();
        continue;
      }
      boolean bySubPages = reference.bySubPages();
      boolean ok = walk.walk(tables.context, linear, access, found);

      String what =
          "seed %d walk %d: %s at %#x, %s"
              .formatted(seed, i, Access.describe(access), linear, tables.context.mode);
      assertEquals(expected, result(found), what);
      assertEquals(found.outcome == Translation.OK, ok, what);
      assertArrayEquals(ram, tables.snapshot(), what);
      if (ok && (access & Access.NO_SIDE_EFFECTS) == 0) {
        int privilege = access & ~(Access.WRITE | Access.FETCH);
        assertEquals(reference.isFree(linear, privilege), found.mayRead, what + " read");
        assertEquals(
            reference.isFree(linear, privilege | Access.WRITE), found.mayWrite, what + " write");
        if (!shadowStack) {
          assertEquals(
              reference.isFree(linear, privilege | Access.FETCH), found.mayFetch, what + " fetch");
        }
      }
      String key =
          tables.context.mode
              + (shadowStack ? " shadow " : " ")
              + expected.outcome()
              + ((expected.errorCode() & 0x80) != 0 ? " hlat" : "")
              + ((expected.qualification() & 0x8000) != 0 ? " verification" : "")
              + (expected.outcome().equals("SPP_EVENT") && expected.qualification() != 0
                  ? " miss"
                  : "")
              + (ok ? bySubPages ? " sub-pages" : reference.by() : "")
              + (expected.structure() ? " structure" : "")
              + (tables.context.eptp != 0 ? " ept" : "");
      seen.merge(key, 1, Integer::sum);
    }
  }

  private static Result result(Translation t) {
    return switch (t.outcome) {
      case Translation.OK ->
          new Result(
              OUTCOMES[t.outcome],
              t.hpa,
              t.gpa,
              t.pageShift,
              t.guestPageShift,
              t.global,
              0,
              0,
              t.pagingStructureAccess,
              t.guestMemoryType,
              t.eptMemoryType);
      case Translation.PAGE_FAULT -> Result.pageFault(t.errorCode);
      case Translation.SPP_EVENT -> Result.sppEvent(t.gpa, t.qualification);
      case Translation.EPT_VIOLATION ->
          Result.violation(t.gpa, t.qualification, t.pagingStructureAccess);
      default -> Result.misconfiguration(t.gpa, t.pagingStructureAccess);
    };
  }
}
