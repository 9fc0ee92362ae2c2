package org.kvm4j.vmm.virtio;

import org.jspecify.annotations.Nullable;

/**
 * What one kind of virtio device is and does; how a guest reaches it is a transport's business.
 *
 * <p>All methods but {@link #notifySelf} and {@link #configChanged} are called with the device's
 * lock held.
 *
 * <p>Source: Virtual I/O Device Version 1.2, section 5, "Device Types".
 */
public abstract class VirtioDevice {

  /** How many descriptors the driver may give a queue. */
  static final int QUEUE_SIZE = 256;

  private @Nullable VirtioCore core;

  /** For devices. */
  protected VirtioDevice() {}

  /** The kind of device, as the specification numbers them. */
  abstract int type();

  /** PCI's class, sub-class and programming interface. */
  abstract int pciClass();

  /** What it is called in messages. */
  public abstract String name();

  /** The features that it offers, bits 0 to 23. */
  abstract long features();

  /** How many queues it has. */
  abstract int queues();

  /** Its configuration space as the guest reads it. */
  abstract byte[] config();

  /** The guest writes configuration space: {@code size} is 1, 2 or 4. */
  void writeConfig(int offset, int size, long value) {}

  /**
   * The driver is ready.
   *
   * @param agreed the features that both sides have
   */
  void start(long agreed) {}

  /**
   * Works on what is in a queue.
   *
   * @param index its number
   * @return whether it took all there was; if not, it will ask for the rest with {@link
   *     #notifySelf}
   * @throws DriverErrorException if the driver broke the rules
   */
  abstract boolean process(int index, Virtqueue queue) throws DriverErrorException;

  /** The driver resets the device. */
  void reset() {}

  final void attach(VirtioCore to) {
    core = to;
  }

  /** Has {@link #process} called for a queue, since there is something for it to do. */
  final void notifySelf(int queue) {
    VirtioCore to = core;
    if (to != null) {
      to.notify(queue);
    }
  }

  /** Tells the driver that configuration space has changed. */
  final void configChanged() {
    VirtioCore to = core;
    if (to != null) {
      to.configChanged();
    }
  }
}
