package org.kvm4j.vmm.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.kvm4j.vmm.Thrown;

class MmioBusTests {

  private final MmioBus bus = new MmioBus();

  /** Reads as the offset, by which it is known who answered. */
  private static MmioDevice offsets(long tag) {
    return new MmioDevice() {
      @Override
      public long read(long offset, int length) {
        return tag + offset;
      }

      @Override
      public void write(long offset, int length, long value) {}
    };
  }

  @Test
  void each_address_finds_its_device() {
    bus.attach(0x3000, 0x1000, offsets(0x30_0000), "third");
    bus.attach(0x1000, 0x1000, offsets(0x10_0000), "first");
    bus.attach(0x2000, 0x800, offsets(0x20_0000), "second");
    assertEquals(0x10_0000, bus.read(0x1000, 4));
    assertEquals(0x10_0ffc, bus.read(0x1ffc, 4));
    assertEquals(0x20_0000, bus.read(0x2000, 8));
    assertEquals(0x30_0010, bus.read(0x3010, 4));
    assertEquals("second", bus.nameOf(0x27ff));
    assertEquals("no device", bus.nameOf(0x2800));
  }

  @Test
  void addresses_that_nobody_claims_read_as_ones() {
    bus.attach(0x1000, 0x10, offsets(0), "device");
    assertEquals(0xff, bus.read(0xfff, 1));
    assertEquals(0xffff_ffffL, bus.read(0x100e, 4)); // goes past its end
    assertEquals(-1, bus.read(0x5000, 8));
    bus.write(0x5000, 8, 1);
    assertEquals(4, bus.unclaimedAccesses());
  }

  @Test
  void values_are_cut_to_the_length_of_the_access() {
    bus.attach(0, 0x10, offsets(-1), "device");
    assertEquals(0xff, bus.read(0, 1));
    assertEquals(0xff_ffffL, bus.read(0, 3));
  }

  @Test
  void devices_do_not_overlap() {
    bus.attach(0x1000, 0x1000, offsets(0), "first");
    assertEquals(
        "second at [0x1fff, 0x2fff) overlaps first at [0x1000, 0x2000)",
        Thrown.message(
            IllegalArgumentException.class,
            () -> bus.attach(0x1fff, 0x1000, offsets(0), "second")));
    assertThrows(
        IllegalArgumentException.class,
        () -> bus.attach(Long.MAX_VALUE, 0x1000, offsets(0), "last"));
  }
}
