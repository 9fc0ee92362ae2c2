package org.kvm4j.vmm.virtio;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.kvm4j.vmm.pci.PciBus;
import org.kvm4j.vmm.pci.PciExpressConfig;

/**
 * Whatever a driver puts into rings, descriptors and registers, a device goes on or needs a reset.
 */
class HostileQueueProperties {

  private static final class Nothing implements Storage {
    @Override
    public String name() {
      return "nothing";
    }

    @Override
    public long size() {
      return 1 << 20;
    }

    @Override
    public boolean readOnly() {
      return false;
    }

    @Override
    public void read(long position, byte[] target, int length) {
      assertTrue(position >= 0 && position + length <= size());
    }

    @Override
    public void write(long position, byte[] source, int length) {
      assertTrue(position >= 0 && position + length <= size());
    }

    @Override
    public void flush() {}

    @Override
    public void close() {}
  }

  /** Numbers as they hurt: small ones, and those at the ends of ranges. */
  private static long number(Random random) {
    switch (random.nextInt(5)) {
      case 0:
        return random.nextInt(20);
      case 1:
        return TestDriver.MEMORY - random.nextInt(20);
      case 2:
        return -random.nextInt(20);
      case 3:
        return TestDriver.DATA + random.nextInt(0x1000);
      default:
        return random.nextLong();
    }
  }

  @Property(tries = 300)
  void rings_and_descriptors_of_any_kind(@ForAll long seed) {
    Random random = new Random(seed);
    VirtioDevice kind =
        random.nextBoolean()
            ? new VirtioBlock(new Nothing(), "")
            : new VirtioConsole(b -> {}, 0, 0);
    DeviceRig rig = new DeviceRig(kind, random.nextInt(kind.queues()), kind.features());
    for (int round = 0; round < 10; round++) {
      for (int i = 0; i < TestDriver.SIZE; i++) {
        rig.driver.descriptor(
            i,
            number(random),
            random.nextInt(4) == 0 ? number(random) : random.nextInt(600),
            random.nextInt(16),
            random.nextInt(10));
      }
      rig.driver.memory.putLong(TestDriver.DATA, random.nextInt(16));
      rig.driver.offer(random.nextInt(9));
      if (random.nextInt(4) == 0) {
        rig.driver.memory.putShort(TestDriver.AVAILABLE + 2, (int) number(random));
      }
      rig.kick();
      if ((rig.status() & 64) != 0) {
        rig.set(0x70, 0);
        rig = new DeviceRig(kind, 0, kind.features());
      }
    }
  }

  @Property(tries = 300)
  void registers_of_any_kind(@ForAll long seed) {
    Random random = new Random(seed);
    TestDriver driver = new TestDriver();
    VirtioMmio mmio =
        new VirtioMmio(new VirtioBlock(new Nothing(), ""), driver.memory, Runnable::run, l -> {});
    for (int i = 0; i < 200; i++) {
      int length = List.of(1, 2, 4, 8).get(random.nextInt(4));
      int offset = random.nextInt(VirtioMmio.SIZE);
      if (random.nextBoolean()) {
        offset &= ~3;
        length = 4;
      }
      if (random.nextInt(3) == 0) {
        mmio.read(offset, length);
      } else {
        mmio.write(offset, length, number(random));
      }
    }
  }

  @Property(tries = 300)
  void pci_registers_of_any_kind(@ForAll long seed) {
    Random random = new Random(seed);
    TestDriver driver = new TestDriver();
    PciBus bus = new PciBus(0xe000_0000L, 0x10_0000);
    bus.attach(
        0,
        0,
        new VirtioPci(
            new VirtioBlock(new Nothing(), ""),
            driver.memory,
            Runnable::run,
            (a, d) -> {},
            l -> {}));
    bus.assignAddresses();
    PciExpressConfig config = new PciExpressConfig(bus);
    for (int i = 0; i < 200; i++) {
      int length = List.of(1, 2, 4, 8).get(random.nextInt(4));
      int offset = random.nextInt(4) == 0 ? random.nextInt(0x5000) : random.nextInt(0x40);
      if (random.nextInt(10) == 0) {
        config.write(random.nextInt(0x100), Math.min(4, length), number(random));
      } else if (random.nextInt(3) == 0) {
        bus.read(offset, length);
      } else {
        bus.write(offset, length, number(random));
      }
    }
  }
}
