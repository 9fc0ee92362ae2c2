package org.kvm4j.vmm.pci;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.kvm4j.vmm.device.MmioDevice;

/** A function's configuration space, and where the guest puts its memory. */
class PciFunctionTests {

  private static final long WINDOW = 0xe000_0000L;

  private static final int COMMAND = 0x04;
  private static final int STATUS = 0x06;
  private static final int BAR_0 = 0x10;
  private static final int BAR_2 = 0x18;

  private final List<Boolean> pin = new ArrayList<>();
  private final PciBus bus = new PciBus(WINDOW, 0x100_0000);
  private final TestFunction function = new TestFunction();

  /** Memory that tells where it was read, and keeps what was written. */
  private static final class Memory implements MmioDevice {
    private final long name;
    private final List<String> writes = new ArrayList<>();

    Memory(long name) {
      this.name = name;
    }

    @Override
    public long read(long offset, int length) {
      return name + offset;
    }

    @Override
    public void write(long offset, int length, long value) {
      writes.add(offset + "/" + length + "=" + value);
    }
  }

  private final class TestFunction extends PciFunction {
    private final Memory first = new Memory(0x1000_0000);
    private final Memory second = new Memory(0x2000_0000);

    TestFunction() {
      super(0x1234, 0x5678, 0x01_8002);
      setRevision(3);
      setSubsystem(0xabcd, 0xef01);
      addBar(0, 0x4000, first);
      addBar(2, 0x20, second);
      setPin(pin::add);
      addCapability(0x09, new byte[] {5, 6, 7});
      addCapability(0x05, new byte[] {1});
    }

    void pull(boolean level) {
      setPinLevel(level);
    }
  }

  @BeforeEach
  void attach() {
    bus.attach(1, 0, function);
  }

  private void place(int register, long address) {
    function.writeConfig(register, 4, (int) address);
  }

  private long at(long address) {
    return bus.read(address - WINDOW, 4);
  }

  @Test
  void its_identity_cannot_be_written() {
    for (int register = 0; register < 0x100; register += 4) {
      if (register != COMMAND && (register < BAR_0 || register >= 0x28) && register != 0x3c) {
        function.writeConfig(register, 4, -1);
      }
    }
    assertEquals(0x5678_1234, function.readConfig(0, 4));
    assertEquals(0x0180_0203, function.readConfig(8, 4));
    assertEquals(0xef01_abcd, function.readConfig(0x2c, 4));
    assertEquals(0x01, function.readConfig(0x3d, 1)); // pin A
  }

  @Test
  void ones_written_to_a_base_address_register_tell_its_size() {
    function.writeConfig(BAR_0, 4, -1);
    assertEquals(-0x4000, function.readConfig(BAR_0, 4));
    function.writeConfig(BAR_2, 4, -1);
    assertEquals(-0x20, function.readConfig(BAR_2, 4));
    function.writeConfig(0x14, 4, -1); // one that is not there
    assertEquals(0, function.readConfig(0x14, 4));
  }

  @Test
  void memory_is_where_the_guest_puts_it_and_only_when_it_is_on() {
    place(BAR_0, WINDOW + 0x8000);
    assertEquals(-1, at(WINDOW + 0x8010));
    function.writeConfig(COMMAND, 2, 2);
    assertEquals(0x1000_0010, at(WINDOW + 0x8010));
    place(BAR_0, WINDOW + 0x1_0000);
    assertEquals(-1, at(WINDOW + 0x8010));
    assertEquals(0x1000_3ffc, at(WINDOW + 0x1_3ffc));
    bus.write(0x1_0008, 2, 7);
    assertEquals(List.of("8/2=7"), function.first.writes);
    function.writeConfig(COMMAND, 2, 0);
    assertEquals(-1, at(WINDOW + 0x1_0000));
  }

  @Test
  void an_access_that_ends_past_the_memory_finds_none() {
    place(BAR_2, WINDOW + 0x100);
    function.writeConfig(COMMAND, 2, 2);
    assertEquals(0x2000_001c, at(WINDOW + 0x11c));
    assertEquals(-1, at(WINDOW + 0x11d));
  }

  @Test
  void of_two_memories_at_one_address_the_first_has_it() {
    place(BAR_0, WINDOW);
    place(BAR_2, WINDOW);
    function.writeConfig(COMMAND, 2, 2);
    assertEquals(0x1000_0000, at(WINDOW));
  }

  @Test
  void memory_outside_the_window_is_out_of_reach() {
    place(BAR_0, 0);
    function.writeConfig(COMMAND, 2, 2);
    assertEquals(-1, at(WINDOW));
  }

  @Test
  void a_firmware_gives_addresses_that_do_not_overlap() {
    bus.assignAddresses();
    assertEquals((int) WINDOW, function.readConfig(BAR_0, 4));
    assertEquals((int) WINDOW + 0x4000, function.readConfig(BAR_2, 4));
    assertEquals(0x06, function.readConfig(COMMAND, 2));
    assertEquals(0x1000_0000, at(WINDOW));
    assertEquals(0x2000_0004, at(WINDOW + 0x4004));
  }

  @Test
  void what_does_not_fit_into_the_window_is_told() {
    PciBus small = new PciBus(WINDOW, 0x4000);
    small.attach(1, 0, function);
    assertThrows(IllegalStateException.class, small::assignAddresses);
  }

  @Test
  void capabilities_are_linked() {
    assertEquals(0x10, function.readConfig(STATUS, 2));
    assertEquals(0x40, function.readConfig(0x34, 1));
    assertEquals(0x0605_4809, function.readConfig(0x40, 4));
    assertEquals(0x07, function.readConfig(0x44, 1));
    assertEquals(0x01_0005, function.readConfig(0x48, 4));
  }

  @Test
  void the_pin_shows_in_the_status_and_can_be_turned_off() {
    function.pull(true);
    assertEquals(List.of(true), pin);
    assertEquals(0x18, function.readConfig(STATUS, 2));
    function.writeConfig(COMMAND, 2, 0x400);
    assertEquals(List.of(true, false), pin);
    assertEquals(0x18, function.readConfig(STATUS, 2));
    function.writeConfig(COMMAND, 2, 0);
    function.pull(false);
    assertEquals(List.of(true, false, true, false), pin);
    assertEquals(0x10, function.readConfig(STATUS, 2));
  }
}
