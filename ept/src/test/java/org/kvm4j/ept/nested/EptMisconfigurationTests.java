package org.kvm4j.ept.nested;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.util.Arrays;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.kvm4j.ept.paging.PagingContext;

/** Which rule an entry breaks, and which it does not. SDM 29.3.3.1 "EPT Misconfigurations". */
class EptMisconfigurationTests {
  private static final int[] SHIFTS = {48, 39, 30, 21, 12};

  private final PagingContext context = new PagingContext();

  private void breaks(EptMisconfiguration rule, long entry, int... shifts) {
    for (int shift : shifts) {
      assertEquals(rule, EptMisconfiguration.of(entry, shift, context), "shift " + shift);
    }
  }

  private void breaksNone(long entry, int... shifts) {
    for (int shift : shifts) {
      assertNull(EptMisconfiguration.of(entry, shift, context), "shift " + shift);
    }
  }

  @Test
  void rights() {
    for (int rights : new int[] {1, 3, 4, 5, 7}) {
      breaksNone(rights, SHIFTS);
    }
    breaks(EptMisconfiguration.WRITE_WITHOUT_READ, 2, SHIFTS);
    breaks(EptMisconfiguration.WRITE_WITHOUT_READ, 6, SHIFTS);
    context.eptExecuteOnly = false;
    breaks(EptMisconfiguration.EXECUTE_WITHOUT_READ, 4, SHIFTS);
    breaksNone(5, SHIFTS);
    // Bit 10 is a right with mode-based execute control alone.
    breaksNone(0x400, SHIFTS);
    context.modeBasedExecute = true;
    breaks(EptMisconfiguration.EXECUTE_WITHOUT_READ, 0x400, SHIFTS);
    breaksNone(0x401, SHIFTS);
    context.eptExecuteOnly = true;
    breaksNone(0x400, SHIFTS);
  }

  @Test
  void pagingWritesNeedReadsInALeaf() {
    long entry = EptEntry.PAGING_WRITE | EptEntry.EXECUTE;
    breaksNone(entry, SHIFTS);
    context.eptPagingWrite = true;
    breaks(EptMisconfiguration.PAGING_WRITE_WITHOUT_READ, entry, 12);
    breaks(EptMisconfiguration.PAGING_WRITE_WITHOUT_READ, entry | EptEntry.PAGE, 21, 30);
    breaksNone(entry, 21, 30, 39, 48);
    breaksNone(entry | EptEntry.READ, SHIFTS);
    breaksNone(EptEntry.EXECUTE, SHIFTS);
  }

  @Test
  void addressesAreAsWideAsThePhysicalOnes() {
    context.physicalBits = 46;
    breaks(EptMisconfiguration.ADDRESS_WIDTH, 1L << 46 | 7, SHIFTS);
    breaks(EptMisconfiguration.ADDRESS_WIDTH, 1L << 51 | 7, SHIFTS);
    breaksNone(1L << 45 | 7, SHIFTS);
    breaksNone(0xfffL << 52 | 7, SHIFTS);
    context.physicalBits = 52;
    breaksNone(1L << 51 | 7, SHIFTS);
  }

  @Test
  void pagesAreOfTheSizesThatTheProcessorHas() {
    breaks(EptMisconfiguration.PAGE_SIZE, 0x87, 39, 48);
    breaksNone(0x87, 12, 21, 30);
    context.eptPages2m = false;
    breaks(EptMisconfiguration.PAGE_SIZE, 0x87, 21);
    breaksNone(0x87, 12, 30);
    breaksNone(7, SHIFTS);
    context.eptPages2m = true;
    context.eptPages1g = false;
    breaks(EptMisconfiguration.PAGE_SIZE, 0x87, 30);
    breaksNone(0x87, 12, 21);
    breaksNone(7, SHIFTS);
  }

  @Test
  void bits6To3AreReservedInAReferenceToATable() {
    for (int bit = 3; bit <= 6; bit++) {
      breaks(EptMisconfiguration.TABLE_RESERVED, 1L << bit | 7, 21, 30, 39, 48);
    }
    breaksNone(0x40 | 7, 12);
    breaksNone(0x40 | 0x87, 21, 30);
  }

  @Test
  void largePagesAreAligned() {
    for (int bit = 12; bit < 30; bit++) {
      breaks(EptMisconfiguration.PAGE_ALIGNMENT, 1L << bit | 0x87, 30);
      if (bit < 21) {
        breaks(EptMisconfiguration.PAGE_ALIGNMENT, 1L << bit | 0x87, 21);
      } else {
        breaksNone(1L << bit | 0x87, 21);
      }
      breaksNone(1L << bit | 0x87, 12);
      breaksNone(1L << bit | 7, SHIFTS);
    }
    breaksNone(1L << 30 | 0x87, 12, 21, 30);
  }

  @Test
  void memoryTypes2And3And7AreReservedInALeaf() {
    for (int type = 0; type < 8; type++) {
      long page = (long) type << EptEntry.MEMORY_TYPE_SHIFT | 0x87;
      if (type == 2 || type == 3 || type == 7) {
        breaks(EptMisconfiguration.MEMORY_TYPE, page, 12, 21, 30);
      } else {
        breaksNone(page, 12, 21, 30);
      }
    }
  }

  @Test
  void everyRuleHasWordsOfItsOwn() {
    EptMisconfiguration[] rules = EptMisconfiguration.values();
    assertEquals(
        rules.length,
        Arrays.stream(rules)
            .map(EptMisconfiguration::text)
            .filter(text -> !text.isBlank())
            .collect(Collectors.toSet())
            .size());
  }
}
