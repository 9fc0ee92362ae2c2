package org.kvm4j.ept.nested;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.TreeSet;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;
import org.kvm4j.ept.memory.FrameAllocator;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.ept.paging.Access;
import org.kvm4j.ept.paging.PagingContext;
import org.kvm4j.ept.paging.Translation;
import org.kvm4j.ept.walk.TwoDimensionalWalk;

class EptBuilderProperties {
  private static final long PAGE = 4096;
  private static final long LARGE = 2 << 20;
  private static final long HUGE = 1 << 30;

  private final PhysicalMemory memory = new PhysicalMemory(46);
  private final FrameAllocator frames = new FrameAllocator(memory);
  private final TwoDimensionalWalk walk = new TwoDimensionalWalk(memory);
  private final PagingContext context = new PagingContext();
  private final Translation found = new Translation();

  private record Page(long hpa, long rights, int type) {}

  /** What a sequence of operations leaves is what the walk finds, page by page. */
  @Property(tries = 60)
  void theWalkFindsWhatWasBuilt(@ForAll long seed) {
    Random random = new Random(seed);
    int levels = 4 + random.nextInt(2);
    int largest = new int[] {12, 21, 30}[random.nextInt(3)];
    boolean flags = random.nextBoolean();
    int framesBefore = frames.allocated();
    EptBuilder ept = new EptBuilder(frames, levels, flags, largest);
    context.eptp = ept.eptp();
    // Eight windows of 4 MBytes around boundaries of every size, told apart page by page.
    TreeMap<Long, Page> model = new TreeMap<>();
    long[] windows = {
      0, HUGE - LARGE, 3 * HUGE, 511 * HUGE, (1L << 39) - LARGE, (1L << 47) - LARGE
    };
    for (int i = 0; i < 30; i++) {
      long window = windows[random.nextInt(windows.length)];
      long from = window + random.nextInt(1024) * PAGE;
      long bytes = (1 + random.nextInt(1023)) * PAGE;
      if (random.nextInt(3) == 0) {
        from = window + random.nextInt(2) * LARGE;
        bytes = LARGE;
      }
      bytes = Math.min(bytes, window + 2 * LARGE - from);
      switch (random.nextInt(6)) {
        case 0, 1, 2 -> {
          long hpa =
              random.nextBoolean()
                  ? from + 5 * HUGE & (1L << 46) - 1
                  : random.nextInt(1 << 20) * PAGE;
          long rights =
              new long[] {
                    EptEntry.READ, EptEntry.READ | EptEntry.WRITE, EptEntry.ALL, EptEntry.EXECUTE
                  }
                  [random.nextInt(4)];
          int type = new int[] {0, 1, 4, 5, 6}[random.nextInt(5)];
          ept.map(from, hpa, bytes, rights, type);
          for (long at = 0; at < bytes; at += PAGE) {
            model.put(from + at, new Page(hpa + at, rights, type));
          }
        }
        case 3 -> {
          boolean any = !model.subMap(from, from + bytes).isEmpty();
          assertEquals(any, ept.unmap(from, bytes));
          model.subMap(from, from + bytes).clear();
        }
        case 4 -> {
          long rights = random.nextBoolean() ? EptEntry.READ : EptEntry.ALL;
          boolean any = false;
          for (Map.Entry<Long, Page> e : model.subMap(from, from + bytes).entrySet()) {
            Page p = e.getValue();
            any |= (p.rights & ~rights) != 0;
            e.setValue(new Page(p.hpa, rights, p.type));
          }
          assertEquals(any, ept.protect(from, bytes, rights));
        }
        default -> {
          if (random.nextBoolean()) {
            ept.merge(from, bytes);
          } else {
            boolean any = false;
            for (Map.Entry<Long, Page> e : model.subMap(from, from + bytes).entrySet()) {
              Page p = e.getValue();
              any |= (p.rights & EptEntry.WRITE) != 0;
              e.setValue(new Page(p.hpa, p.rights & ~EptEntry.WRITE, p.type));
            }
            assertEquals(any, ept.writeProtect(from, bytes));
          }
        }
      }
      if (random.nextBoolean()) {
        ept.reclaim();
      }
      if (i % 10 == 9) {
        check(ept, model, windows, random);
      }
    }
    ept.unmap(0, 1L << ept.addressBits());
    ept.reclaim();
    assertEquals(1, ept.tables());
    ept.close();
    assertEquals(framesBefore, frames.allocated());
  }

  private void check(EptBuilder ept, TreeMap<Long, Page> model, long[] windows, Random random) {
    for (long window : windows) {
      List<Long> seen = new ArrayList<>();
      ept.forEach(
          window,
          2 * LARGE,
          (gpa, shift, entry) -> {
            for (long at = gpa; at < gpa + (1L << shift); at += PAGE) {
              seen.add(at);
            }
          });
      assertEquals(new ArrayList<>(model.subMap(window, window + 2 * LARGE).keySet()), seen);
      for (int i = 0; i < 100; i++) {
        long gpa = window + random.nextInt(1024) * PAGE;
        Page page = model.get(gpa);
        int offset = random.nextInt(4096);
        for (int access : new int[] {0, Access.WRITE, Access.FETCH}) {
          boolean ok = walk.nested(context, gpa + offset, access, found);
          long need = access == 0 ? 1 : access == Access.WRITE ? 2 : 4;
          assertEquals(page != null && (page.rights & need) != 0, ok);
          if (ok && page != null) {
            assertEquals(page.hpa + offset, found.hpa);
            assertEquals(page.type, found.eptMemoryType);
          } else {
            assertEquals(Translation.EPT_VIOLATION, found.outcome);
            assertEquals(need | (page == null ? 0 : page.rights << 3), found.qualification);
          }
        }
        EptBuilder.Mapping mapping = ept.find(gpa + offset);
        if (page == null) {
          assertNull(mapping);
        } else {
          assertNotNull(mapping);
          assertEquals(page.hpa, mapping.hpa() + gpa - mapping.gpa());
          assertEquals(page.rights, mapping.rights());
          assertEquals(page.type, mapping.memoryType());
        }
      }
    }
  }

  @Test
  void theLargestPagesThatFitAreUsed() {
    EptBuilder ept = new EptBuilder(frames, 4, true, 30);
    ept.map(LARGE - PAGE, HUGE + LARGE - PAGE, 3 * HUGE, EptEntry.ALL, EptEntry.WRITE_BACK);
    TreeMap<Integer, Integer> sizes = new TreeMap<>();
    ept.forEach(0, 8 * HUGE, (gpa, shift, entry) -> sizes.merge(shift, 1, Integer::sum));
    assertEquals(Map.of(12, 512, 21, 511, 30, 2), sizes);
    EptBuilder small = new EptBuilder(frames, 4, true, 30);
    small.map(0, 0, HUGE, EptEntry.ALL, EptEntry.WRITE_BACK, 21);
    small.forEach(0, HUGE, (gpa, shift, entry) -> assertEquals(21, shift));
  }

  @Test
  void splittingAndMergingKeepTheTranslationAndTheFlags() {
    EptBuilder ept = new EptBuilder(frames, 4, true, 21);
    context.eptp = ept.eptp();
    ept.map(0, 4 * HUGE, LARGE, EptEntry.ALL, EptEntry.WRITE_BACK);
    assertTrue(walk.nested(context, 0x5000, Access.WRITE, found));
    assertEquals(21, found.pageShift);
    assertTrue(ept.writeProtect(0x7000, PAGE));
    assertTrue(walk.nested(context, 0x5123, Access.READ, found));
    assertEquals(4 * HUGE + 0x5123, found.hpa);
    assertEquals(12, found.pageShift);
    assertTrue(found.mayWrite, "the parts of a dirty page are dirty");
    assertFalse(walk.nested(context, 0x7000, Access.WRITE, found));
    assertEquals(0, ept.merge(0, LARGE));
    assertFalse(ept.protect(0x7000, PAGE, EptEntry.ALL));
    assertEquals(1, ept.merge(0, LARGE));
    ept.reclaim();
    assertEquals(3, ept.tables());
    assertTrue(walk.nested(context, 0x1f_f000, Access.WRITE, found));
    assertEquals(21, found.pageShift);
    assertFalse(ept.map(0, 4 * HUGE, LARGE, EptEntry.ALL, EptEntry.WRITE_BACK));
    ept.map(0, 5 * HUGE, PAGE, EptEntry.ALL, EptEntry.WRITE_BACK);
    assertTrue(walk.nested(context, 0, Access.READ, found));
    assertEquals(5 * HUGE, found.hpa);
  }

  @Test
  void dirtyPagesAreHarvestedOnce() {
    EptBuilder ept = new EptBuilder(frames, 4, true, 21);
    context.eptp = ept.eptp();
    ept.map(0, 4 * HUGE, 64 * PAGE, EptEntry.ALL, EptEntry.WRITE_BACK);
    ept.map(LARGE, 4 * HUGE + LARGE, LARGE, EptEntry.ALL, EptEntry.WRITE_BACK);
    for (long gpa : new long[] {0x3000, 0x3008, 0x9000, LARGE + 0x5000}) {
      assertTrue(walk.nested(context, gpa, Access.WRITE, found));
    }
    assertTrue(walk.nested(context, 0x4000, Access.READ, found));
    TreeSet<Long> dirty = new TreeSet<>();
    ept.harvestDirty(0, 2 * LARGE, (gpa, shift, entry) -> dirty.add(gpa));
    assertEquals(new TreeSet<>(List.of(0x3000L, 0x9000L, LARGE)), dirty);
    dirty.clear();
    ept.harvestDirty(0, 2 * LARGE, (gpa, shift, entry) -> dirty.add(gpa));
    assertEquals(new TreeSet<>(), dirty);
    TreeSet<Long> accessed = new TreeSet<>();
    ept.harvestAccessed(0, LARGE, (gpa, shift, entry) -> accessed.add(gpa));
    assertEquals(new TreeSet<>(List.of(0x3000L, 0x4000L, 0x9000L)), accessed);
    assertTrue(walk.nested(context, 0x9000, Access.WRITE, found));
    ept.harvestDirty(0x9000, PAGE, (gpa, shift, entry) -> dirty.add(gpa));
    assertEquals(new TreeSet<>(List.of(0x9000L)), dirty);
  }

  /** Flags that processors set while entries change are not lost, and none is reported twice. */
  @Test
  void noDirtyFlagIsLostWhileEntriesChange() throws InterruptedException {
    EptBuilder ept = new EptBuilder(frames, 4, true, 12);
    int pages = 64;
    ept.map(0, 4 * HUGE, pages * PAGE, EptEntry.ALL, EptEntry.WRITE_BACK);
    int[] writes = new int[pages];
    Thread writer =
        new Thread(
            () -> {
              PagingContext own = new PagingContext();
              own.eptp = ept.eptp();
              TwoDimensionalWalk ownWalk = new TwoDimensionalWalk(memory);
              Translation ownFound = new Translation();
              Random random = new Random(1);
              for (int i = 0; i < 30_000; i++) {
                int page = random.nextInt(pages);
                if (ownWalk.nested(own, page * PAGE, Access.READ, ownFound)
                    && !ownFound.mayWrite
                    && ownWalk.nested(own, page * PAGE, Access.WRITE, ownFound)) {
                  writes[page]++;
                }
              }
            });
    writer.start();
    int[] harvested = new int[pages];
    while (writer.isAlive()) {
      ept.harvestDirty(0, pages * PAGE, (gpa, shift, entry) -> harvested[(int) (gpa / PAGE)]++);
      ept.protect(0, pages * PAGE, EptEntry.READ | EptEntry.WRITE);
      ept.protect(0, pages * PAGE, EptEntry.ALL);
      Thread.yield();
    }
    writer.join();
    ept.harvestDirty(0, pages * PAGE, (gpa, shift, entry) -> harvested[(int) (gpa / PAGE)]++);
    for (int i = 0; i < pages; i++) {
      assertTrue(harvested[i] <= writes[i] && (writes[i] == 0 || harvested[i] > 0));
    }
  }

  @Test
  void whatCannotBeMappedIsRefused() {
    EptBuilder ept = new EptBuilder(frames, 4, false, 30);
    for (Runnable bad :
        new Runnable[] {
          () -> ept.map(0x10, 0, PAGE, EptEntry.ALL, 6),
          () -> ept.map(0, 0x10, PAGE, EptEntry.ALL, 6),
          () -> ept.map(0, 0, 0x10, EptEntry.ALL, 6),
          () -> ept.map(1L << 48, 0, PAGE, EptEntry.ALL, 6),
          () -> ept.map((1L << 48) - PAGE, 0, 2 * PAGE, EptEntry.ALL, 6),
          () -> ept.map(-PAGE, 0, PAGE, EptEntry.ALL, 6),
          () -> ept.map(0, 1L << 52, PAGE, EptEntry.ALL, 6),
          () -> ept.map(0, 0, PAGE, 0, 6),
          () -> ept.map(0, 0, PAGE, 8, 6),
          () -> ept.map(0, 0, PAGE, EptEntry.ALL, 2),
          () -> ept.protect(0, PAGE, 0),
          () -> new EptBuilder(frames, 3, false, 12),
          () -> new EptBuilder(frames, 4, false, 39)
        }) {
      assertThrows(IllegalArgumentException.class, bad::run);
    }
    ept.close();
    ept.close();
    assertThrows(IllegalStateException.class, () -> ept.unmap(0, PAGE));
  }
}
