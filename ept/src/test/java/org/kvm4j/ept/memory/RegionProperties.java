package org.kvm4j.ept.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;

class RegionProperties {
  /**
   * Regions come and go in any order: they never overlap, keep what is theirs, and begin zeroed.
   */
  @Property(tries = 40)
  void regionsNeverOverlapAndBeginZeroed(@ForAll long seed) {
    Random random = new Random(seed);
    PhysicalMemory memory = new PhysicalMemory(34 + random.nextInt(8));
    TreeMap<Long, Long> model = new TreeMap<>();
    for (int i = 0; i < 120; i++) {
      if (!model.isEmpty() && random.nextInt(3) == 0) {
        Object[] bases = model.keySet().toArray();
        long base = (long) bases[random.nextInt(bases.length)];
        memory.unmap(base);
        model.remove(base);
        assertFalse(memory.isBacked(base, 1));
        continue;
      }
      long size = 4096L << random.nextInt(random.nextInt(10) == 0 ? 14 : 8);
      size += 4096L * random.nextInt(4);
      long base;
      if (random.nextInt(4) == 0) {
        base = (random.nextLong() & (1L << 34) - 1) & -4096L;
        Map.Entry<Long, Long> below = model.lowerEntry(base + size);
        if (base + size > 1L << 34 || below != null && below.getKey() + below.getValue() > base) {
          continue;
        }
        try {
          memory.mapAt(base, size);
        } catch (IllegalArgumentException e) {
          // The bank is a region of its own.
          assertTrue(String.valueOf(e.getMessage()).contains("one region"), e.getMessage());
          continue;
        }
      } else {
        base = memory.map(size);
      }
      Map.Entry<Long, Long> below = model.lowerEntry(base + size);
      assertTrue(below == null || below.getKey() + below.getValue() <= base);
      for (long at = base; at < base + size; at += 4096) {
        assertEquals(0, memory.readLong(at));
        memory.writeLong(at, base + 1);
      }
      assertTrue(memory.isBacked(base, (int) size));
      model.put(base, size);
    }
    model.forEach(
        (base, size) -> {
          for (long at = base; at < base + size; at += 4096) {
            assertEquals(base + 1, memory.readLong(at));
          }
        });
  }
}
