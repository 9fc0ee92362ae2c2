package org.kvm4j.vmm.memory;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;

class GuestRamTests {

  @Test
  void memory_up_to_3_GB_lies_below_the_hole_and_the_rest_above() {
    long gigabyte = 1L << 30;
    assertEquals(gigabyte, GuestRam.lowSize(gigabyte));
    assertEquals(0, GuestRam.highSize(gigabyte));
    assertEquals(3 * gigabyte, GuestRam.lowSize(5 * gigabyte));
    assertEquals(2 * gigabyte, GuestRam.highSize(5 * gigabyte));
  }

  @Test
  void the_map_has_no_gap_and_reserves_the_end_of_the_first_megabyte() {
    assertEquals(
        List.of(
            new MemoryRange(0, 0x9fc00, MemoryRange.RAM),
            new MemoryRange(0x9fc00, 0x60400, MemoryRange.RESERVED),
            new MemoryRange(0x100000, 0x300000, MemoryRange.RAM)),
        HeapUserMemory.ram(4 << 20).map());
  }

  @Test
  void little_memory_has_a_little_map() {
    assertEquals(
        List.of(new MemoryRange(0, 0x10000, MemoryRange.RAM)), HeapUserMemory.ram(0x10000).map());
    assertEquals(
        List.of(
            new MemoryRange(0, 0x9fc00, MemoryRange.RAM),
            new MemoryRange(0x9fc00, 0x400, MemoryRange.RESERVED)),
        HeapUserMemory.ram(0xa0000).map());
  }

  @Test
  void memory_above_the_hole_is_written_by_its_guest_physical_address() {
    GuestRam ram = new GuestRam(new HeapUserMemory(0x10000), new HeapUserMemory(0x10000));
    ram.putInt(GuestRam.HOLE_END + 0x1000, 0x1234_5678);
    assertEquals(0x1234_5678, ram.getInt(GuestRam.HOLE_END + 0x1000));
    assertEquals(0, ram.getInt(0x1000));
    assertEquals(
        new MemoryRange(GuestRam.HOLE_END, 0x10000, MemoryRange.RAM),
        ram.map().get(ram.map().size() - 1));
  }

  @Test
  void addresses_in_the_hole_can_be_reserved() {
    GuestRam ram = new GuestRam(new HeapUserMemory(0x10000), new HeapUserMemory(0x10000));
    MemoryRange range = new MemoryRange(0xe000_0000L, 0x10_0000, MemoryRange.RESERVED);
    ram.reserve(range);
    assertEquals(range, ram.map().get(ram.map().size() - 2), "by address");
    assertThrows(
        IllegalArgumentException.class,
        () -> ram.reserve(new MemoryRange(0, 0x1000, MemoryRange.RESERVED)));
    assertThrows(
        IllegalArgumentException.class,
        () -> ram.reserve(new MemoryRange(0xffff_f000L, 0x2000, MemoryRange.RESERVED)));
  }

  @Test
  void values_are_little_endian() {
    GuestRam ram = HeapUserMemory.ram(0x1000);
    ram.putLong(8, 0x0807_0605_0403_0201L);
    assertArrayEquals(new byte[] {1, 2, 3, 4, 5, 6, 7, 8}, ram.read(8, 8));
    assertEquals(0x0201, ram.getShort(8));
    assertEquals(0x01, ram.getByte(8));
  }

  @Test
  void what_is_not_all_RAM_is_refused() {
    GuestRam ram = HeapUserMemory.ram(0x1000);
    assertTrue(ram.contains(0, 0x1000));
    assertTrue(ram.contains(0x1000, 0));
    assertFalse(ram.contains(0, 0x1001));
    assertFalse(ram.contains(-1, 1));
    assertFalse(ram.contains(Long.MAX_VALUE, 2));
    assertFalse(ram.contains(1, Long.MAX_VALUE));
    assertThrows(IndexOutOfBoundsException.class, () -> ram.putInt(0xffd, 0));
    assertThrows(IndexOutOfBoundsException.class, () -> ram.write(0xfff, new byte[2]));
    assertThrows(IndexOutOfBoundsException.class, () -> ram.getLong(GuestRam.HOLE_END));
  }
}
