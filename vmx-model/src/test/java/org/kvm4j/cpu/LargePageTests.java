package org.kvm4j.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.testing.SystemMachine;

/** A page of 2 MBytes is one translation: SDM Vol. 3, "Caching Translation Information". */
final class LargePageTests {
  private static final long HERE = SystemMachine.DATA;
  private static final long FAR = SystemMachine.DATA + 0x6000;
  private static final long OTHER = 2 << 20;
  private static final int ACCESSED = 1 << 5;
  private static final int DIRTY = 1 << 6;
  private static final int LARGE = 0x80;

  private final SystemMachine m = SystemMachine.long64(0);
  private final Cpu c = m.cpu;

  /** Where the page directory's first entry is. */
  private final long entry;

  LargePageTests() {
    long pointers = m.memory.readLong(c.cr3) & -0x1000L;
    entry = m.memory.readLong(pointers) & -0x1000L;
    m.memory.writeLong(FAR, 1);
    m.memory.writeLong(OTHER + FAR, 2);
    lead(0, 7);
    c.mmu.flushAll();
  }

  /** What the large page at 0 leads to; invalidates nothing. */
  private void lead(long to, int rights) {
    m.memory.writeLong(entry, to | LARGE | rights);
  }

  private boolean has(int flag) {
    return (m.memory.readLong(entry) & flag) != 0;
  }

  @Test
  void all_of_it_is_translated_as_the_first_part_was_until_it_is_invalidated() {
    c.mmu.read64(HERE);
    lead(OTHER, 7);
    assertEquals(1, c.mmu.read64(FAR), "the translation of the page is stale");
    c.mmu.tlb.invalidateLinear(c.mmu.space.vpid(), c.mmu.space.pcid(), HERE + 0x3000);
    assertEquals(2, c.mmu.read64(FAR), "INVLPG of any of its addresses drops it");
    lead(0, 7);
    c.mmu.tlb.flushNonGlobal(c.mmu.space.vpid(), c.mmu.space.pcid());
    assertEquals(1, c.mmu.read64(FAR), "and so does a write of CR3");
  }

  @Test
  void a_store_to_a_part_sets_the_dirty_flag_that_a_load_of_another_left() {
    c.mmu.read64(HERE);
    assertTrue(has(ACCESSED));
    assertFalse(has(DIRTY));
    c.mmu.read64(FAR);
    assertFalse(has(DIRTY));
    c.mmu.write64(FAR, 3);
    assertTrue(has(DIRTY));
    assertEquals(3, m.memory.readLong(FAR));
  }

  @Test
  void rights_that_one_part_has_not_no_part_has() {
    lead(0, 5);
    c.cr0 |= 1 << 16; // WP
    c.updateMode();
    c.mmu.read64(HERE);
    assertThrows(CpuException.class, () -> c.mmu.write64(FAR, 3));
    lead(0, 7);
    c.mmu.write64(FAR, 3);
    assertEquals(3, m.memory.readLong(FAR), "the fault has dropped the translation");
  }

  @Test
  void the_privilege_levels_have_translations_of_their_own() {
    c.mmu.read64(HERE);
    lead(0, 3);
    c.mmu.tlb.invalidateLinear(c.mmu.space.vpid(), c.mmu.space.pcid(), HERE);
    c.mmu.read64(HERE);
    assertThrows(CpuException.class, () -> c.mmu.readAs(3, FAR, 8), "it is a supervisor's page");
    assertEquals(1, c.mmu.read64(FAR));
  }
}
