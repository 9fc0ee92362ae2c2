package org.kvm4j.vmm.virtio;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;
import java.util.function.ToLongFunction;
import org.jspecify.annotations.Nullable;
import org.kvm4j.vmm.memory.GuestRam;

/**
 * What every transport of a virtio device has: status, features, and the queues' addresses. Its
 * lock is the device's.
 *
 * <p>A driver that breaks the rules stops its device, which then needs a reset and says so.
 *
 * <p>Source: Virtual I/O Device Version 1.2, section 2.1, "Device Status Field", 2.2, "Feature
 * Bits", and 3.1, "Device Initialization".
 */
final class VirtioCore {

  private static final Logger LOG = System.getLogger(VirtioCore.class.getName());

  private static final int STATUS_DRIVER_OK = 4;
  private static final int STATUS_FEATURES_OK = 8;
  private static final int STATUS_NEEDS_RESET = 64;

  private static final long F_INDIRECT_DESC = 1L << 28;
  private static final long F_EVENT_IDX = 1L << 29;
  private static final long F_VERSION_1 = 1L << 32;

  /** Stands for no message. */
  static final int NO_VECTOR = 0xffff;

  /** How a transport tells the driver that something happened. */
  interface Interrupts {
    /** Chains of a queue were given back. */
    void used(QueueSetup queue);

    /** Configuration space or the status has changed. */
    void configChanged();

    /** The driver has reset the device: nothing is to be told. */
    void reset();
  }

  /** What the driver says of a queue before it starts. */
  static final class QueueSetup {
    int size = VirtioDevice.QUEUE_SIZE;
    boolean ready;
    long descriptors;
    long available;
    long used;

    /** Of the message that tells of its used chains, for transports that have messages. */
    int vector = NO_VECTOR;
  }

  private final VirtioDevice device;
  private final GuestRam memory;
  private final Executor executor;
  private final Interrupts interrupts;
  private final long offered;

  private final QueueSetup[] setups;
  private final @Nullable Virtqueue[] queues;

  /** For each queue, whether work on it is under way to the executor. */
  private final AtomicBoolean[] scheduled;

  private int status;
  private long agreed;
  private int generation;

  /**
   * @param executor runs the device's work on its queues
   */
  VirtioCore(VirtioDevice device, GuestRam memory, Executor executor, Interrupts interrupts) {
    this.device = device;
    this.memory = memory;
    this.executor = executor;
    this.interrupts = interrupts;
    this.offered = device.features() | F_INDIRECT_DESC | F_EVENT_IDX | F_VERSION_1;
    this.setups = new QueueSetup[device.queues()];
    this.queues = new Virtqueue[device.queues()];
    this.scheduled = new AtomicBoolean[device.queues()];
    for (int i = 0; i < setups.length; i++) {
      setups[i] = new QueueSetup();
      scheduled[i] = new AtomicBoolean();
    }
    device.attach(this);
  }

  int queueCount() {
    return setups.length;
  }

  /**
   * Asks something about a queue.
   *
   * @return 0 if there is no such queue
   */
  synchronized long queue(int index, ToLongFunction<QueueSetup> question) {
    return exists(index) ? question.applyAsLong(setups[index]) : 0;
  }

  /** The driver says something of a queue; of one that there is not, nothing. */
  synchronized void changeQueue(int index, Consumer<QueueSetup> change) {
    if (exists(index)) {
      change.accept(setups[index]);
    }
  }

  private boolean exists(int index) {
    return index >= 0 && index < setups.length;
  }

  /** 32 bits of the features offered. */
  int offeredFeatures(int word) {
    return word == 0 ? (int) offered : word == 1 ? (int) (offered >>> 32) : 0;
  }

  /** 32 bits of the features that the driver has chosen. */
  synchronized int chosenFeatures(int word) {
    return word == 0 ? (int) agreed : word == 1 ? (int) (agreed >>> 32) : 0;
  }

  /** The driver chooses features; too late once it has said that it has. */
  synchronized void chooseFeatures(int word, int bits) {
    if ((status & STATUS_FEATURES_OK) != 0) {
      return;
    }
    if (word == 0) {
      agreed = Words.low(agreed, bits);
    } else if (word == 1) {
      agreed = Words.high(agreed, bits);
    } else if (bits != 0) {
      agreed |= 1L << 63; // a feature that nobody offers
    }
  }

  synchronized int status() {
    return status;
  }

  synchronized int generation() {
    return generation;
  }

  /** The driver writes the status. */
  synchronized void setStatus(int value) {
    if (value == 0) {
      reset();
      return;
    }
    int before = status;
    int next = value & ~STATUS_NEEDS_RESET & 0xff | before & STATUS_NEEDS_RESET;
    boolean acceptable = (agreed & ~offered) == 0 && (agreed & F_VERSION_1) != 0;
    if (!acceptable) {
      next &= ~STATUS_FEATURES_OK;
    }
    if ((next & STATUS_FEATURES_OK) == 0) {
      next &= ~STATUS_DRIVER_OK;
    }
    status = next;
    if ((next & ~before & STATUS_DRIVER_OK) != 0) {
      start();
    }
  }

  private void start() {
    device.start(agreed);
    for (int i = 0; i < setups.length; i++) {
      QueueSetup setup = setups[i];
      if (!setup.ready) {
        continue;
      }
      try {
        queues[i] =
            new Virtqueue(
                memory,
                setup.size,
                setup.descriptors,
                setup.available,
                setup.used,
                (agreed & F_EVENT_IDX) != 0,
                (agreed & F_INDIRECT_DESC) != 0);
      } catch (DriverErrorException e) {
        needReset(e);
        return;
      }
      notify(i);
    }
  }

  private void reset() {
    status = 0;
    agreed = 0;
    for (int i = 0; i < setups.length; i++) {
      setups[i] = new QueueSetup();
      queues[i] = null;
    }
    device.reset();
    interrupts.reset();
  }

  private void needReset(DriverErrorException why) {
    LOG.log(Level.DEBUG, () -> device.name() + " needs a reset: " + why.getMessage());
    status |= STATUS_NEEDS_RESET;
    interrupts.configChanged();
  }

  /** There is work in a queue. A number that is no queue's is none. */
  void notify(int index) {
    if (exists(index) && scheduled[index].compareAndSet(false, true)) {
      executor.execute(() -> process(index));
    }
  }

  private synchronized void process(int index) {
    scheduled[index].set(false);
    Virtqueue queue = queues[index];
    int running = status & (STATUS_DRIVER_OK | STATUS_NEEDS_RESET);
    if (queue == null || running != STATUS_DRIVER_OK) {
      return;
    }
    try {
      boolean tookAll;
      do {
        queue.stopNotifications();
        tookAll = device.process(index, queue);
      } while (tookAll && !queue.wantNotifications());
    } catch (DriverErrorException e) {
      needReset(e);
    }
    if (queue.interruptDue()) {
      interrupts.used(setups[index]);
    }
  }

  /** The device has changed its configuration space. */
  synchronized void configChanged() {
    generation = generation + 1 & 0xff;
    if ((status & STATUS_DRIVER_OK) != 0) {
      interrupts.configChanged();
    }
  }

  /**
   * The guest reads configuration space.
   *
   * @param length 1, 2, 4 or 8; past its end there are zeros
   */
  synchronized long readConfig(long offset, int length) {
    byte[] config = device.config();
    long value = 0;
    for (int i = 0; i < length && offset + i < config.length; i++) {
      value |= (config[(int) offset + i] & 0xffL) << (8 * i);
    }
    return value;
  }

  /** The guest writes configuration space. */
  synchronized void writeConfig(long offset, int length, long value) {
    if (offset + length <= device.config().length) {
      device.writeConfig((int) offset, length, value);
    }
  }
}
