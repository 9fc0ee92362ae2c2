package org.kvm4j.ept.paging;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Which bits of guest paging-structure entries are reserved, and how entries are described.
 *
 * <p>Source: SDM 4.3 "32-Bit Paging", 4.4 "PAE Paging", 4.5 "4-Level Paging and 5-Level Paging",
 * the tables of the formats.
 */
class GuestEntryTests {
  /** Bits 51:40 of an address. */
  private static final long BEYOND = 0x000f_ff00_0000_0000L;

  private static final long XD = 1L << 63;

  private final PagingContext context = new PagingContext();

  private void expectReserved(long bits, int shift, boolean leaf) {
    assertEquals(
        Long.toHexString(bits), Long.toHexString(GuestEntry.reserved(context, shift, leaf)));
  }

  @Test
  void reservedBitsOf4And5LevelPaging() {
    context.mode = PagingMode.LEVEL5;
    context.physicalBits = 40;
    context.nxe = true;
    // Bit 7 where no page can be mapped.
    expectReserved(BEYOND | 0x80, 48, false);
    expectReserved(BEYOND | 0x80, 39, false);
    expectReserved(BEYOND | 0x80, 30, false);
    expectReserved(BEYOND, 21, false);
    // Address bits below the size of the page, but for bit 12, which is PAT.
    expectReserved(BEYOND | 0x3fff_e000, 30, true);
    expectReserved(BEYOND | 0x1f_e000, 21, true);
    expectReserved(BEYOND, 12, true);
    context.nxe = false;
    expectReserved(XD | BEYOND | 0x80, 39, false);
    expectReserved(XD | BEYOND, 12, true);
  }

  @Test
  void paePagingReservesBits62To52Too() {
    context.mode = PagingMode.PAE;
    context.physicalBits = 40;
    expectReserved(0xffff_ff00_0000_0000L, 21, false);
    context.nxe = true;
    expectReserved(0x7fff_ff00_0000_0000L, 21, false);
    expectReserved(0x7fff_ff00_0000_0000L, 12, true);
    expectReserved(0x7fff_ff00_001f_e000L, 21, true);
    assertEquals(0xffff_ff00_0000_01e6L, GuestEntry.reservedPdpte(context));
  }

  @ParameterizedTest
  @CsvSource({"true, 52, 200000", "true, 40, 200000", "true, 36, 3e0000", "false, 40, 3fe000"})
  void pagesOf4MBytesReachAsFarAsPse36AndTheWidthOfAddresses(
      boolean pse36, int physicalBits, String reserved) {
    context.pse36 = pse36;
    context.physicalBits = physicalBits;
    assertEquals(reserved, Integer.toHexString(GuestEntry.reserved4m(context)));
  }

  @ParameterizedTest
  @CsvSource({
    "fffffffffffffffe, true, true, not present",
    "1, false, true, P RO S",
    "3, false, true, P RW S",
    "5, false, true, P RO US",
    "9, false, true, P RO S PWT",
    "11, false, true, P RO S PCD",
    "21, false, true, P RO S A",
    // D and G say nothing of an entry that references a table, XD nothing of one of 4 bytes.
    "141, false, true, P RO S",
    "8000000000000001, false, true, P RO S XD",
    "8000000000000001, false, false, P RO S",
    "1, true, true, 'P RO S, page'",
    "41, true, true, 'P RO S D, page'",
    "101, true, true, 'P RO S G, page'",
    "800000000000017f, true, true, 'P RW US PWT PCD A D G XD, page'"
  })
  void descriptionsNameWhatIsSet(String entry, boolean leaf, boolean wide, String text) {
    assertEquals(text, GuestEntry.describe(Long.parseUnsignedLong(entry, 16), leaf, wide));
  }
}
