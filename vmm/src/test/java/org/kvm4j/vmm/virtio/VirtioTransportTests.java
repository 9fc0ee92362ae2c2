package org.kvm4j.vmm.virtio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.kvm4j.vmm.pci.PciBus;
import org.kvm4j.vmm.pci.PciExpressConfig;

/** A device's life as its driver leads it, by both transports. */
class VirtioTransportTests {

  private static final int ACKNOWLEDGE = 1;
  private static final int DRIVER = 2;
  private static final int DRIVER_OK = 4;
  private static final int FEATURES_OK = 8;
  private static final int NEEDS_RESET = 64;

  private static final int ECHO_FEATURE = 1 << 3;

  enum Transport {
    PCI,
    MMIO
  }

  /** Gives back each chain with the bytes that it read; its second queue it leaves alone. */
  private static final class Echo extends VirtioDevice {
    private final byte[] config = {1, 2, 3, 4, 5, 6, 7, 8};
    private int resets;
    private long agreed;

    @Override
    int type() {
      return 42;
    }

    @Override
    int pciClass() {
      return 0xff_0000;
    }

    @Override
    public String name() {
      return "echo";
    }

    @Override
    long features() {
      return ECHO_FEATURE;
    }

    @Override
    int queues() {
      return 2;
    }

    @Override
    byte[] config() {
      return config;
    }

    @Override
    void writeConfig(int offset, int size, long value) {
      for (int i = 0; i < size; i++) {
        config[offset + i] = (byte) (value >>> (8 * i));
      }
    }

    @Override
    void start(long features) {
      agreed = features;
    }

    @Override
    void reset() {
      resets++;
    }

    void change() {
      config[0]++;
      configChanged();
    }

    @Override
    boolean process(int index, Virtqueue queue) throws DriverErrorException {
      while (queue.next()) {
        Chain chain = queue.chain();
        byte[] bytes = new byte[(int) chain.readableLength()];
        chain.read(0, bytes, 0, bytes.length);
        chain.write(0, bytes, 0, bytes.length);
        queue.complete(chain.head(), bytes.length);
      }
      return true;
    }
  }

  /** The registers that both transports have, under one name. */
  private abstract static class Registers {
    final TestDriver driver = new TestDriver();
    final Echo echo = new Echo();
    final List<String> interrupts = new ArrayList<>();

    abstract void status(int value);

    abstract int status();

    abstract long offered();

    abstract void choose(long features);

    abstract void queue(int index, int size, long descriptors, long available, long used);

    abstract void notifyQueue(int index);

    abstract long config(int offset, int length);

    abstract void config(int offset, int length, long value);

    abstract int generation();

    /** Why the device interrupted: bit 0 for a queue, bit 1 for configuration. */
    abstract int acknowledge();

    void start(long features) {
      status(ACKNOWLEDGE | DRIVER);
      choose(features);
      status(ACKNOWLEDGE | DRIVER | FEATURES_OK);
      queue(0, TestDriver.SIZE, TestDriver.DESCRIPTORS, TestDriver.AVAILABLE, TestDriver.USED);
      status(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    }
  }

  private static final long VERSION_1 = 1L << 32;

  private static Registers of(Transport transport) {
    return transport == Transport.PCI ? new Pci() : new Mmio();
  }

  private static final class Mmio extends Registers {
    private final VirtioMmio device =
        new VirtioMmio(
            echo, driver.memory, Runnable::run, level -> interrupts.add(level ? "up" : "down"));

    private int get(int offset) {
      return (int) device.read(offset, 4);
    }

    private void set(int offset, long value) {
      device.write(offset, 4, value);
    }

    @Override
    void status(int value) {
      set(0x70, value);
    }

    @Override
    int status() {
      return get(0x70);
    }

    @Override
    long offered() {
      set(0x14, 0);
      long low = get(0x10) & 0xffff_ffffL;
      set(0x14, 1);
      return low | (long) get(0x10) << 32;
    }

    @Override
    void choose(long features) {
      set(0x24, 0);
      set(0x20, (int) features);
      set(0x24, 1);
      set(0x20, features >>> 32);
    }

    @Override
    void queue(int index, int size, long descriptors, long available, long used) {
      set(0x30, index);
      set(0x38, size);
      set(0x80, (int) descriptors);
      set(0x84, descriptors >>> 32);
      set(0x90, (int) available);
      set(0x94, available >>> 32);
      set(0xa0, (int) used);
      set(0xa4, used >>> 32);
      set(0x44, 1);
    }

    @Override
    void notifyQueue(int index) {
      set(0x50, index);
    }

    @Override
    long config(int offset, int length) {
      return device.read(0x100 + offset, length);
    }

    @Override
    void config(int offset, int length, long value) {
      device.write(0x100 + offset, length, value);
    }

    @Override
    int generation() {
      return get(0xfc);
    }

    @Override
    int acknowledge() {
      int why = get(0x60);
      set(0x64, why);
      return why;
    }
  }

  private static final class Pci extends Registers {
    private static final long WINDOW = 0xe000_0000L;
    private final PciBus bus = new PciBus(WINDOW, 0x10_0000);
    private final PciExpressConfig space = new PciExpressConfig(bus);
    private final List<String> messages = new ArrayList<>();

    Pci() {
      bus.attach(
          0,
          0,
          new VirtioPci(
              echo,
              driver.memory,
              Runnable::run,
              (address, data) -> messages.add(Long.toHexString(address) + ":" + data),
              level -> interrupts.add(level ? "up" : "down")));
      bus.assignAddresses();
    }

    private void set(int offset, int size, long value) {
      bus.write(offset, size, value);
    }

    @Override
    void status(int value) {
      set(0x14, 1, value);
    }

    @Override
    int status() {
      return (int) bus.read(0x14, 1) & 0xff;
    }

    @Override
    long offered() {
      set(0, 4, 0);
      long low = bus.read(4, 4) & 0xffff_ffffL;
      set(0, 4, 1);
      return low | bus.read(4, 4) << 32;
    }

    @Override
    void choose(long features) {
      set(8, 4, 0);
      set(12, 4, features & 0xffff_ffffL);
      set(8, 4, 1);
      set(12, 4, features >>> 32);
    }

    @Override
    void queue(int index, int size, long descriptors, long available, long used) {
      set(0x16, 2, index);
      set(0x18, 2, size);
      set(0x20, 4, descriptors & 0xffff_ffffL);
      set(0x24, 4, descriptors >>> 32);
      set(0x28, 8, available);
      set(0x30, 8, used);
      set(0x1c, 2, 1);
    }

    @Override
    void notifyQueue(int index) {
      set(0x3000 + 4 * index, 2, index);
    }

    @Override
    long config(int offset, int length) {
      return bus.read(0x2000 + offset, length);
    }

    @Override
    void config(int offset, int length, long value) {
      set(0x2000 + offset, length, value);
    }

    @Override
    int generation() {
      return (int) bus.read(0x15, 1) & 0xff;
    }

    @Override
    int acknowledge() {
      return (int) bus.read(0x1000, 1) & 0xff;
    }

    int capability(int type) {
      return capability(space, type);
    }

    /** Where a structure's capability is; 0 if it has none. */
    static int capability(PciExpressConfig space, int type) {
      int at = (int) space.read(0x34, 1);
      while (at != 0 && (space.read(at, 1) != 9 || space.read(at + 3, 1) != type)) {
        at = (int) space.read(at + 1, 1);
      }
      return at;
    }
  }

  @ParameterizedTest
  @EnumSource
  void a_request_goes_there_and_back_with_an_interrupt(Transport transport) {
    Registers r = of(transport);
    r.start(VERSION_1);
    assertEquals(15, r.status());
    assertEquals(VERSION_1, r.echo.agreed);
    long[] room = r.driver.request(List.of(new byte[] {1, 2, 3}), 3);
    r.notifyQueue(0);
    assertEquals(List.of(new TestDriver.Used(0, 3)), r.driver.used());
    assertEquals(0x0201, r.driver.memory.getShort(room[0]));
    assertEquals(List.of("up"), r.interrupts);
    assertEquals(1, r.acknowledge());
    assertEquals(List.of("up", "down"), r.interrupts);
    assertEquals(0, r.acknowledge());
  }

  @ParameterizedTest
  @EnumSource
  void what_was_queued_before_the_start_is_done_then(Transport transport) {
    Registers r = of(transport);
    r.driver.request(List.of(new byte[1]), 1);
    r.start(VERSION_1);
    assertEquals(1, r.driver.used().size());
  }

  @ParameterizedTest
  @EnumSource
  void features_are_the_devices_and_the_rings(Transport transport) {
    Registers r = of(transport);
    assertEquals(VERSION_1 | 1 << 28 | 1 << 29 | ECHO_FEATURE, r.offered());
  }

  @ParameterizedTest
  @EnumSource
  void a_choice_that_was_not_offered_is_not_accepted(Transport transport) {
    Registers r = of(transport);
    r.start(VERSION_1 | 2);
    assertEquals(3, r.status());
    r.status(0);
    r.start(ECHO_FEATURE); // the legacy interface
    assertEquals(3, r.status());
    r.status(0);
    r.start(VERSION_1 | ECHO_FEATURE);
    assertEquals(15, r.status());
    assertEquals(VERSION_1 | ECHO_FEATURE, r.echo.agreed);
  }

  @ParameterizedTest
  @EnumSource
  void nothing_is_done_before_the_driver_is_ready(Transport transport) {
    Registers r = of(transport);
    r.status(ACKNOWLEDGE | DRIVER);
    r.choose(VERSION_1);
    r.status(ACKNOWLEDGE | DRIVER | FEATURES_OK);
    r.queue(0, 8, TestDriver.DESCRIPTORS, TestDriver.AVAILABLE, TestDriver.USED);
    r.driver.request(List.of(new byte[1]), 1);
    r.notifyQueue(0);
    assertEquals(List.of(), r.driver.used());
    r.notifyQueue(1); // a queue that was not set up, and numbers that are none
    r.notifyQueue(2);
    r.notifyQueue(0xff);
  }

  @ParameterizedTest
  @EnumSource
  void a_broken_rule_stops_the_device_until_it_is_reset(Transport transport) {
    Registers r = of(transport);
    r.start(VERSION_1);
    r.driver.offer(99);
    r.notifyQueue(0);
    assertEquals(15 | NEEDS_RESET, r.status());
    assertEquals(2, r.acknowledge());
    r.driver.request(List.of(new byte[1]), 1);
    r.notifyQueue(0);
    assertEquals(List.of(), r.driver.used());
    r.status(15);
    assertEquals(15 | NEEDS_RESET, r.status(), "not by writing");
    r.status(0);
    assertEquals(0, r.status());
    assertEquals(1, r.echo.resets);
  }

  @ParameterizedTest
  @EnumSource
  void a_queue_that_is_not_in_ram_stops_the_device(Transport transport) {
    Registers r = of(transport);
    r.status(ACKNOWLEDGE | DRIVER);
    r.choose(VERSION_1);
    r.status(ACKNOWLEDGE | DRIVER | FEATURES_OK);
    r.queue(0, 8, -16, TestDriver.AVAILABLE, TestDriver.USED);
    r.status(15);
    assertEquals(15 | NEEDS_RESET, r.status());
  }

  @ParameterizedTest
  @EnumSource
  void after_a_reset_a_driver_begins_anew(Transport transport) {
    Registers r = of(transport);
    r.start(VERSION_1);
    r.status(0);
    r.notifyQueue(0);
    assertEquals(0, r.acknowledge());
    r.start(VERSION_1);
    r.driver.request(List.of(new byte[2]), 2);
    r.notifyQueue(0);
    assertEquals(1, r.driver.used().size());
  }

  @ParameterizedTest
  @EnumSource
  void configuration_is_read_and_written_in_parts(Transport transport) {
    Registers r = of(transport);
    assertEquals(0x0403_0201, r.config(0, 4));
    assertEquals(0x0605, r.config(4, 2));
    assertEquals(8, r.config(7, 1));
    assertEquals(0x0807_0605_0403_0201L, r.config(0, 8));
    assertEquals(8, r.config(7, 4), "zeros behind it");
    assertEquals(0, r.config(0x80, 4));
    r.config(2, 2, 0xbbaa);
    assertEquals(0xbbaa_0201, (int) r.config(0, 4));
    r.config(6, 4, -1); // past the end
    r.config(0x80, 4, -1);
    assertEquals(0x0807, r.config(6, 2));
  }

  @ParameterizedTest
  @EnumSource
  void a_change_of_configuration_is_told_once_the_driver_is_ready(Transport transport) {
    Registers r = of(transport);
    r.echo.change();
    assertEquals(0, r.acknowledge());
    assertEquals(1, r.generation());
    r.start(VERSION_1);
    r.echo.change();
    assertEquals(2, r.acknowledge());
    assertEquals(2, r.generation());
  }

  @Test
  void registers_in_memory_name_the_device() {
    Mmio r = new Mmio();
    assertEquals(0x7472_6976, r.get(0));
    assertEquals(2, r.get(4));
    assertEquals(42, r.get(8));
    r.set(0x30, 1);
    assertEquals(256, r.get(0x34));
    assertEquals(0, r.get(0x44));
    r.set(0x44, 1);
    assertEquals(1, r.get(0x44));
    r.set(0x30, 2);
    assertEquals(0, r.get(0x34), "there is no such queue");
    r.set(0x44, 1);
    assertEquals(0, r.get(0x44));
    assertEquals(-1, r.get(0xb0), "no shared memory");
    assertEquals(0, r.device.read(1, 1), "only whole registers");
  }

  @Test
  void pci_structures_are_where_the_capabilities_say() {
    Pci r = new Pci();
    assertEquals(0x106a_1af4, r.space.read(0, 4));
    assertEquals(1, r.space.read(8, 1));
    int[] offsets = {0, 0x3000, 0x1000, 0x2000};
    int[] lengths = {0x38, 8, 1, 8};
    for (int type = 1; type <= 4; type++) {
      int at = r.capability(type);
      assertEquals(0, r.space.read(at + 4, 1), "bar");
      assertEquals(offsets[type - 1], r.space.read(at + 8, 4));
      assertEquals(lengths[type - 1], r.space.read(at + 12, 4));
    }
    assertEquals(20, r.space.read(r.capability(2) + 2, 1));
    assertEquals(4, r.space.read(r.capability(2) + 16, 4), "notify multiplier");
    assertEquals(2, r.bus.read(0x12, 2) & 0xffff, "queues");
    r.set(0x16, 2, 1);
    assertEquals(256, r.bus.read(0x18, 2) & 0xffff);
    assertEquals(1, r.bus.read(0x1e, 2) & 0xffff, "where to notify");
    r.set(0x16, 2, 2);
    assertEquals(0, r.bus.read(0x18, 2) & 0xffff, "there is no such queue");
  }

  @Test
  void a_device_without_configuration_has_no_structure_for_it() {
    PciBus bus = new PciBus(Pci.WINDOW, 0x10_0000);
    bus.attach(
        0,
        0,
        new VirtioPci(
            new VirtioEntropy(new SplittableRandom(1)),
            new TestDriver().memory,
            Runnable::run,
            (address, data) -> {},
            level -> {}));
    PciExpressConfig space = new PciExpressConfig(bus);
    assertEquals(0, Pci.capability(space, 4));
    assertNotEquals(0, Pci.capability(space, 1));
  }

  @Test
  void pci_registers_can_be_reached_through_configuration_space() {
    Pci r = new Pci();
    int window = r.capability(5);
    r.space.write(window + 4, 1, 0);
    r.space.write(window + 8, 4, 0x14);
    r.space.write(window + 12, 4, 1);
    r.space.write(window + 16, 1, 3);
    assertEquals(3, r.status());
    assertEquals(3, r.space.read(window + 16, 1) & 0xff);
    r.space.write(window + 8, 4, 0xffff_fff0L); // out of it
    r.space.write(window + 16, 1, 7);
    r.space.write(window + 4, 1, 9); // no such register
    r.space.write(window + 16, 1, 7);
    r.space.write(window + 12, 4, 4); // another size than is used
    r.space.write(window + 16, 1, 7);
    assertEquals(3, r.status());
  }

  @Test
  void messages_replace_the_pin() {
    Pci r = new Pci();
    int msix = 0;
    for (int at = (int) r.space.read(0x34, 1); at != 0; at = (int) r.space.read(at + 1, 1)) {
      msix = r.space.read(at, 1) == 0x11 ? at : msix;
    }
    assertTrue(msix != 0);
    assertEquals(2, r.space.read(msix + 2, 2), "three vectors");
    int table = (int) (r.space.read(0x14, 4) - Pci.WINDOW);
    for (int vector = 0; vector < 2; vector++) {
      r.set(table + 16 * vector, 8, 0xfee0_0000L);
      r.set(table + 16 * vector + 8, 4, 0x40 + vector);
      r.set(table + 16 * vector + 12, 4, 0);
    }
    r.space.write(msix + 2, 2, 0x8000);
    r.set(0x10, 2, 0);
    r.set(0x16, 2, 0);
    r.set(0x1a, 2, 1);
    assertEquals(0, r.bus.read(0x10, 2) & 0xffff);
    assertEquals(1, r.bus.read(0x1a, 2) & 0xffff);
    r.set(0x1a, 2, 3);
    assertEquals(0xffff, r.bus.read(0x1a, 2) & 0xffff, "there is no such vector");
    r.set(0x1a, 2, 1);
    r.start(VERSION_1);
    r.driver.request(List.of(new byte[1]), 1);
    r.notifyQueue(0);
    assertEquals(List.of("fee00000:65"), r.messages);
    r.echo.change();
    assertEquals(List.of("fee00000:65", "fee00000:64"), r.messages);
    assertEquals(List.of(), r.interrupts);
  }
}
