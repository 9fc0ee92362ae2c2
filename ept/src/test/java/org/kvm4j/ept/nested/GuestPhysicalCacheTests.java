package org.kvm4j.ept.nested;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import org.junit.jupiter.api.Test;
import org.kvm4j.ept.tlb.Tlb;
import org.kvm4j.ept.tlb.TlbSpace;

/** What is cached of EPT goes when a violation says that it may not be so any more. */
class GuestPhysicalCacheTests {
  private static final long EPTP = 0x5000;
  private static final long GPA = 0x12_3000;

  @Test
  void eachEptViolationDropsItsPageHoweverOftenItComes() {
    Tlb tlb = new Tlb();
    TlbSpace space = tlb.select(1, EPTP, 0);
    GuestPhysicalCache cache = tlb.guestPhysical();
    for (int times = 0; times < 3; times++) {
      cache.put(GPA, EPTP, 0x7000, 7);
      cache.put(GPA + 0x1000, EPTP, 0x8000, 7);
      tlb.eptViolation(space, GPA + 8, true, 0x40_0000);
      assertEquals(-1, cache.find(GPA, EPTP, 1));
      assertNotEquals(-1, cache.find(GPA + 0x1000, EPTP, 1));
    }
  }
}
