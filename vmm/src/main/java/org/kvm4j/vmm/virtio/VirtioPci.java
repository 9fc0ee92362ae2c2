package org.kvm4j.vmm.virtio;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.concurrent.Executor;
import org.kvm4j.vmm.device.InterruptLine;
import org.kvm4j.vmm.device.MmioDevice;
import org.kvm4j.vmm.memory.GuestRam;
import org.kvm4j.vmm.pci.Msix;
import org.kvm4j.vmm.pci.PciFunction;

/**
 * A virtio device on the PCI bus, without the legacy interface: its registers in four structures
 * behind base address register 0, MSI-X behind register 1, and pin A for drivers without MSI-X.
 *
 * <p>Source: Virtual I/O Device Version 1.2, section 4.1, "Virtio Over PCI Bus".
 */
public final class VirtioPci extends PciFunction {

  private static final int VENDOR = 0x1af4;
  private static final int DEVICE_BASE = 0x1040;

  /** Not transitional: at least 1, and a subsystem of at least 0x40. */
  private static final int REVISION = 1;

  private static final int SUBSYSTEM = 0x40;

  private static final int REGISTERS_BAR = 0;
  private static final int MSIX_BAR = 1;
  private static final int REGISTERS_SIZE = 0x4000;

  // The structures behind register 0, each in 4 KB.
  private static final int COMMON = 0x0000;
  private static final int COMMON_SIZE = 0x38;
  private static final int ISR = 0x1000;
  private static final int DEVICE = 0x2000;
  private static final int NOTIFY = 0x3000;

  private static final int VENDOR_CAPABILITY = 0x09;
  private static final int NOTIFY_MULTIPLIER = 4;
  private static final int CONFIG_ACCESS_DATA = 16;

  private final VirtioCore core;
  private final Msix msix;
  private final InterruptStatus interrupts;
  private final int configAccess;

  // What the driver has selected. Drivers do not select from two processors at once; one that did
  // would confuse itself.
  private volatile int offeredWord;
  private volatile int chosenWord;
  private volatile int queue;
  private volatile int configVector = VirtioCore.NO_VECTOR;

  /**
   * @param memory the guest's
   * @param executor runs the device's work
   * @param signaller takes its messages
   * @param pin where pin A leads
   */
  public VirtioPci(
      VirtioDevice device,
      GuestRam memory,
      Executor executor,
      Msix.Signaller signaller,
      InterruptLine pin) {
    super(VENDOR, DEVICE_BASE + device.type(), device.pciClass());
    core = new VirtioCore(device, memory, executor, new Told());
    msix = new Msix(core.queueCount() + 1, signaller);
    interrupts = new InterruptStatus(this::setPinLevel);
    setRevision(REVISION);
    setSubsystem(VENDOR, SUBSYSTEM);
    setPin(pin);
    addBar(REGISTERS_BAR, REGISTERS_SIZE, new Registers());
    addMsix(msix, MSIX_BAR);
    addStructure(1, COMMON, COMMON_SIZE);
    addStructure(2, NOTIFY, NOTIFY_MULTIPLIER * core.queueCount(), NOTIFY_MULTIPLIER);
    addStructure(3, ISR, 1);
    if (device.config().length > 0) {
      addStructure(4, DEVICE, device.config().length);
    }
    configAccess = addStructure(5, 0, 0, 0);
    allowWrite(configAccess + 4, 1, 0xff);
    allowWrite(configAccess + 8, 4, -1);
    allowWrite(configAccess + 12, 4, -1);
  }

  /** Adds a capability that tells where a structure is. */
  private int addStructure(int type, int offset, int length, int... more) {
    ByteBuffer body = ByteBuffer.allocate(14 + 4 * more.length).order(ByteOrder.LITTLE_ENDIAN);
    body.put((byte) (16 + 4 * more.length)).put((byte) type).put((byte) REGISTERS_BAR);
    body.position(6);
    body.putInt(offset).putInt(length);
    for (int word : more) {
      body.putInt(word);
    }
    return addCapability(VENDOR_CAPABILITY, body.array());
  }

  /** The window on the structures for those who have configuration space alone. */
  @Override
  public int readConfig(int register, int size) {
    if (register == configAccess + CONFIG_ACCESS_DATA && size == accessSize()) {
      return (int) readBarAt(accessBar(), accessOffset(), size);
    }
    return super.readConfig(register, size);
  }

  // Not under the function's lock, under which the device's may not be taken.
  @Override
  public void writeConfig(int register, int size, int value) {
    super.writeConfig(register, size, value);
    if (register == configAccess + CONFIG_ACCESS_DATA && size == accessSize()) {
      writeBarAt(accessBar(), accessOffset(), size, Integer.toUnsignedLong(value));
    }
  }

  private int accessBar() {
    return super.readConfig(configAccess + 4, 1);
  }

  private long accessOffset() {
    return Integer.toUnsignedLong(super.readConfig(configAccess + 8, 4));
  }

  private int accessSize() {
    return super.readConfig(configAccess + 12, 4);
  }

  /** What the device tells becomes messages, or a level on the pin. */
  private final class Told implements VirtioCore.Interrupts {
    @Override
    public void used(VirtioCore.QueueSetup queue) {
      tell(queue.vector, InterruptStatus.USED);
    }

    @Override
    public void configChanged() {
      tell(configVector, InterruptStatus.CONFIG);
    }

    private void tell(int vector, int reason) {
      if (msix.enabled()) {
        msix.raise(vector);
      } else {
        interrupts.raise(reason);
      }
    }

    @Override
    public void reset() {
      configVector = VirtioCore.NO_VECTOR;
      interrupts.acknowledge(-1);
    }
  }

  /** What is behind base address register 0. */
  private final class Registers implements MmioDevice {
    @Override
    public long read(long offset, int length) {
      if (offset >= NOTIFY) {
        return 0;
      }
      if (offset >= DEVICE) {
        return core.readConfig(offset - DEVICE, length);
      }
      if (offset >= ISR) {
        return offset == ISR ? interrupts.take() : 0;
      }
      long word = common((int) offset & ~3) & 0xffff_ffffL;
      if (length == 8) {
        word |= (long) common(((int) offset & ~3) + 4) << 32;
      }
      return word >>> (8 * (offset & 3));
    }

    @Override
    public void write(long offset, int length, long value) {
      if (offset >= NOTIFY) {
        core.notify((int) (offset - NOTIFY) / NOTIFY_MULTIPLIER);
      } else if (offset >= DEVICE) {
        core.writeConfig(offset - DEVICE, length, value);
      } else if (offset < ISR) {
        setCommon((int) offset, (int) value);
        if (length == 8) {
          setCommon((int) offset + 4, (int) (value >>> 32));
        }
      }
    }
  }

  /** A double word of the common configuration structure. */
  private int common(int offset) {
    switch (offset) {
      case 0x00:
        return offeredWord;
      case 0x04:
        return core.offeredFeatures(offeredWord);
      case 0x08:
        return chosenWord;
      case 0x0c:
        return core.chosenFeatures(chosenWord);
      case 0x10:
        return configVector | core.queueCount() << 16;
      case 0x14:
        return core.status() | core.generation() << 8 | queue << 16;
      case 0x18:
        return (int) core.queue(queue, q -> q.size | q.vector << 16);
      case 0x1c: // what to write to notify is the queue's number
        return (int) core.queue(queue, q -> q.ready ? 1 : 0) | queue << 16;
      case 0x20:
        return (int) core.queue(queue, q -> q.descriptors);
      case 0x24:
        return (int) core.queue(queue, q -> q.descriptors >>> 32);
      case 0x28:
        return (int) core.queue(queue, q -> q.available);
      case 0x2c:
        return (int) core.queue(queue, q -> q.available >>> 32);
      case 0x30:
        return (int) core.queue(queue, q -> q.used);
      case 0x34:
        return (int) core.queue(queue, q -> q.used >>> 32);
      default:
        return 0;
    }
  }

  /** Sets a field of the common configuration structure; others are read only, or between. */
  private void setCommon(int offset, int value) {
    switch (offset) {
      case 0x00:
        offeredWord = value;
        break;
      case 0x08:
        chosenWord = value;
        break;
      case 0x0c:
        core.chooseFeatures(chosenWord, value);
        break;
      case 0x10:
        configVector = vector(value);
        break;
      case 0x14:
        core.setStatus(value & 0xff);
        break;
      case 0x16:
        queue = value & 0xffff;
        break;
      case 0x18:
        core.changeQueue(queue, q -> q.size = value & 0xffff);
        break;
      case 0x1a:
        core.changeQueue(queue, q -> q.vector = vector(value));
        break;
      case 0x1c:
        core.changeQueue(queue, q -> q.ready |= (value & 0xffff) == 1);
        break;
      case 0x20:
        core.changeQueue(queue, q -> q.descriptors = Words.low(q.descriptors, value));
        break;
      case 0x24:
        core.changeQueue(queue, q -> q.descriptors = Words.high(q.descriptors, value));
        break;
      case 0x28:
        core.changeQueue(queue, q -> q.available = Words.low(q.available, value));
        break;
      case 0x2c:
        core.changeQueue(queue, q -> q.available = Words.high(q.available, value));
        break;
      case 0x30:
        core.changeQueue(queue, q -> q.used = Words.low(q.used, value));
        break;
      case 0x34:
        core.changeQueue(queue, q -> q.used = Words.high(q.used, value));
        break;
      default:
        break;
    }
  }

  /** A vector as it can be used: one that there is not becomes none, by which a driver sees it. */
  private int vector(int value) {
    int wanted = value & 0xffff;
    return wanted < msix.vectors() ? wanted : VirtioCore.NO_VECTOR;
  }
}
