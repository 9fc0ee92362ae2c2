package org.kvm4j.vmm.virtio;

import java.util.concurrent.Executor;
import org.kvm4j.vmm.device.InterruptLine;
import org.kvm4j.vmm.device.MmioDevice;
import org.kvm4j.vmm.memory.GuestRam;

/**
 * A virtio device behind memory-mapped registers, with an interrupt line of its own.
 *
 * <p>Source: Virtual I/O Device Version 1.2, section 4.2.2, "MMIO Device Register Layout".
 */
public final class VirtioMmio implements MmioDevice {

  /** Size of its range in bytes. */
  public static final int SIZE = 0x200;

  private static final int MAGIC = 0x7472_6976; // "virt"
  private static final int VERSION = 2;
  private static final int VENDOR = 0x344d_564b; // "KVM4"

  private static final int CONFIG = 0x100;

  private final VirtioDevice device;
  private final VirtioCore core;
  private final InterruptStatus interrupts;

  // What the driver has selected. Drivers do not select from two processors at once; one that did
  // would confuse itself.
  private volatile int offeredWord;
  private volatile int chosenWord;
  private volatile int queue;

  /**
   * @param memory the guest's
   * @param executor runs the device's work
   * @param line level-triggered
   */
  public VirtioMmio(VirtioDevice device, GuestRam memory, Executor executor, InterruptLine line) {
    this.device = device;
    this.interrupts = new InterruptStatus(line);
    this.core =
        new VirtioCore(
            device,
            memory,
            executor,
            new VirtioCore.Interrupts() {
              @Override
              public void used(VirtioCore.QueueSetup queue) {
                interrupts.raise(InterruptStatus.USED);
              }

              @Override
              public void configChanged() {
                interrupts.raise(InterruptStatus.CONFIG);
              }

              @Override
              public void reset() {
                interrupts.acknowledge(-1);
              }
            });
  }

  @Override
  public long read(long offset, int length) {
    if (offset >= CONFIG) {
      return core.readConfig(offset - CONFIG, length);
    }
    return length == 4 && offset % 4 == 0 ? register((int) offset) : 0;
  }

  private int register(int offset) {
    switch (offset) {
      case 0x000:
        return MAGIC;
      case 0x004:
        return VERSION;
      case 0x008:
        return device.type();
      case 0x00c:
        return VENDOR;
      case 0x010:
        return core.offeredFeatures(offeredWord);
      case 0x034:
        return (int) core.queue(queue, q -> VirtioDevice.QUEUE_SIZE);
      case 0x044:
        return (int) core.queue(queue, q -> q.ready ? 1 : 0);
      case 0x060:
        return interrupts.status();
      case 0x070:
        return core.status();
      case 0x0b0: // the length of a shared memory region, of which there are none
      case 0x0b4:
      case 0x0b8: // and where it is
      case 0x0bc:
        return -1;
      case 0x0fc:
        return core.generation();
      default:
        return 0;
    }
  }

  @Override
  public void write(long offset, int length, long value) {
    if (offset >= CONFIG) {
      core.writeConfig(offset - CONFIG, length, value);
    } else if (length == 4 && offset % 4 == 0) {
      setRegister((int) offset, (int) value);
    }
  }

  private void setRegister(int offset, int value) {
    switch (offset) {
      case 0x014:
        offeredWord = value;
        break;
      case 0x020:
        core.chooseFeatures(chosenWord, value);
        break;
      case 0x024:
        chosenWord = value;
        break;
      case 0x030:
        queue = value;
        break;
      case 0x038:
        core.changeQueue(queue, q -> q.size = value);
        break;
      case 0x044:
        core.changeQueue(queue, q -> q.ready = value == 1);
        break;
      case 0x050:
        core.notify(value);
        break;
      case 0x064:
        interrupts.acknowledge(value);
        break;
      case 0x070:
        core.setStatus(value);
        break;
      case 0x080:
        core.changeQueue(queue, q -> q.descriptors = Words.low(q.descriptors, value));
        break;
      case 0x084:
        core.changeQueue(queue, q -> q.descriptors = Words.high(q.descriptors, value));
        break;
      case 0x090:
        core.changeQueue(queue, q -> q.available = Words.low(q.available, value));
        break;
      case 0x094:
        core.changeQueue(queue, q -> q.available = Words.high(q.available, value));
        break;
      case 0x0a0:
        core.changeQueue(queue, q -> q.used = Words.low(q.used, value));
        break;
      case 0x0a4:
        core.changeQueue(queue, q -> q.used = Words.high(q.used, value));
        break;
      default:
        break;
    }
  }
}
