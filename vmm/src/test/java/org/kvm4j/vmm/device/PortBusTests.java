package org.kvm4j.vmm.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.kvm4j.vmm.Thrown;

class PortBusTests {

  private final PortBus bus = new PortBus();

  /** Remembers what it was asked. */
  private static final class Recorder implements PortDevice {
    final List<String> log = new ArrayList<>();
    int value;

    @Override
    public int read(int offset, int size) {
      log.add("r" + offset + "/" + size);
      return value;
    }

    @Override
    public void write(int offset, int size, int written) {
      log.add(String.format("w%d/%d=%x", offset, size, written));
    }
  }

  @Test
  void a_device_sees_offsets_from_its_first_port() {
    Recorder device = new Recorder();
    device.value = 0x1122_3344;
    bus.attach(0x100, 8, device, "recorder");
    assertEquals(0x3344, bus.in(0x102, 2));
    bus.out(0x104, 4, 0xaabb_ccdd);
    assertEquals(List.of("r2/2", "w4/4=aabbccdd"), device.log);
    assertEquals("recorder", bus.nameOf(0x107));
    assertEquals("no device", bus.nameOf(0x108));
  }

  @Test
  void values_are_cut_to_the_size_of_the_access() {
    Recorder device = new Recorder();
    device.value = -1;
    bus.attach(0x100, 4, device, "recorder");
    assertEquals(0xff, bus.in(0x100, 1));
    assertEquals(0xffff, bus.in(0x100, 2));
    assertEquals(-1, bus.in(0x100, 4));
    bus.out(0x100, 1, 0xabcd);
    assertEquals("w0/1=cd", device.log.get(3));
  }

  @Test
  void ports_that_nobody_claims_read_as_ones_and_are_counted() {
    assertEquals(0xff, bus.in(0x200, 1));
    assertEquals(0xffff, bus.in(0x200, 2));
    assertEquals(-1, bus.in(0x200, 4));
    bus.out(0x200, 4, 0);
    assertEquals(11, bus.unclaimedAccesses());
  }

  @Test
  void an_access_past_a_devices_last_port_is_split_into_bytes() {
    Recorder device = new Recorder();
    device.value = 0x55;
    bus.attach(0x100, 2, device, "recorder");
    assertEquals(0xffff_5555, bus.in(0x100, 4));
    assertEquals(0x5555_ffff, bus.in(0xfe, 4));
    bus.out(0x101, 2, 0x1234);
    assertEquals("w1/1=34", device.log.get(device.log.size() - 1));
  }

  @Test
  void the_last_port_wraps_to_the_first() {
    assertEquals(-1, bus.in(0xffff, 4));
    bus.out(0xffff, 4, 0);
  }

  @Test
  void two_devices_cannot_have_one_port() {
    bus.attach(0x100, 8, new Recorder(), "first");
    assertEquals(
        "second: port 0x107 belongs to first already",
        Thrown.message(
            IllegalArgumentException.class, () -> bus.attach(0x107, 2, new Recorder(), "second")));
    assertTrue(
        Thrown.message(
                IllegalArgumentException.class,
                () -> bus.attach(0xffff, 2, new Recorder(), "third"))
            .contains("third"));
  }

  @Test
  void a_byte_device_takes_a_wide_access_byte_for_byte() {
    List<String> log = new ArrayList<>();
    bus.attach(
        0x10,
        4,
        new ByteDevice() {
          @Override
          protected int readByte(int offset) {
            return 0x10 + offset;
          }

          @Override
          protected void writeByte(int offset, int value) {
            log.add(offset + "=" + Integer.toHexString(value));
          }
        },
        "bytes");
    assertEquals(0x1312_1110, bus.in(0x10, 4));
    bus.out(0x11, 2, 0xbeef);
    assertEquals(List.of("1=ef", "2=be"), log);
  }
}
