package org.kvm4j.vmm.virtio;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;

/** A device whose driver is ready, behind registers in memory, with work done where it is asked. */
final class DeviceRig {

  private static final int F_VERSION_1 = 1;

  final TestDriver driver = new TestDriver();
  final VirtioMmio device;

  /** With all the features that the device itself offers. */
  DeviceRig(VirtioDevice kind) {
    this(kind, 0, kind.features());
  }

  /**
   * @param queue the one that the driver uses
   * @param features bits 0 to 23 of what the driver chooses
   */
  DeviceRig(VirtioDevice kind, int queue, long features) {
    device = new VirtioMmio(kind, driver.memory, Runnable::run, level -> {});
    set(0x70, 3);
    set(0x24, 0);
    set(0x20, (int) features);
    set(0x24, 1);
    set(0x20, F_VERSION_1);
    set(0x70, 11);
    set(0x30, queue);
    set(0x38, TestDriver.SIZE);
    set(0x80, (int) TestDriver.DESCRIPTORS);
    set(0x90, (int) TestDriver.AVAILABLE);
    set(0xa0, (int) TestDriver.USED);
    set(0x44, 1);
    set(0x70, 15);
    this.queue = queue;
  }

  private final int queue;

  void set(int offset, int value) {
    device.write(offset, 4, value);
  }

  int status() {
    return (int) device.read(0x70, 4);
  }

  /** Tells the device that there is something in the queue. */
  void kick() {
    set(0x50, queue);
  }

  /** Has a request done; the bytes of its buffer to write. */
  byte[] request(int writable, byte[]... readable) {
    long[] room = driver.request(List.of(readable), writable);
    kick();
    return driver.memory.read(room[0], writable);
  }

  static byte[] bytes(int size, long... fields) {
    ByteBuffer buffer = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < fields.length; i += 2) {
      if (fields[i] == 8) {
        buffer.putLong(fields[i + 1]);
      } else {
        buffer.putInt((int) fields[i + 1]);
      }
    }
    return buffer.array();
  }
}
