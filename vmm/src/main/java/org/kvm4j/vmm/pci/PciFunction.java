package org.kvm4j.vmm.pci;

import org.jspecify.annotations.Nullable;
import org.kvm4j.vmm.device.InterruptLine;
import org.kvm4j.vmm.device.MmioDevice;

/**
 * A function of a PCI device: its configuration space, the memory behind its base address
 * registers, and its interrupts, by message (MSI-X) or by pin.
 *
 * <p>It is put together before the machine runs; after that it is for use by several threads.
 *
 * <p>Source: PCI Local Bus Specification 3.0, section 6.2, "Configuration Space Functions", and
 * 6.2.5, "Base Addresses".
 */
public class PciFunction {

  /** How many base address registers there are. */
  static final int BARS = 6;

  private static final int COMMAND_MEMORY = 1 << 1;
  private static final int COMMAND_MASTER = 1 << 2;
  private static final int COMMAND_NO_INTX = 1 << 10;
  private static final int STATUS_INTX = 1 << 3;

  private static final int PIN_A = 1;

  private static final long DISABLED = -1;

  private final ConfigSpace config = new ConfigSpace();
  private final @Nullable Bar[] bars = new Bar[BARS];
  private @Nullable Msix msix;
  private InterruptLine line = InterruptLine.NONE;

  private boolean pinAsserted;
  private boolean lineLevel;

  /** Memory behind a base address register, and where the guest has put it. */
  private static final class Bar {
    final int register;
    final int size;
    final MmioDevice device;
    volatile long base = DISABLED;

    Bar(int register, int size, MmioDevice device) {
      this.register = register;
      this.size = size;
      this.device = device;
    }

    boolean holds(long address, int length) {
      long start = base;
      return start != DISABLED && address >= start && address + length <= start + size;
    }
  }

  /**
   * @param vendor its vendor's number, 16 bits
   * @param device its number by that vendor, 16 bits
   * @param classCode class, sub-class and programming interface, 24 bits
   */
  public PciFunction(int vendor, int device, int classCode) {
    config.set(ConfigSpace.VENDOR, 2, vendor);
    config.set(ConfigSpace.DEVICE, 2, device);
    config.set(ConfigSpace.CLASS, 3, classCode);
  }

  /** What the vendor of a board calls it: 16 bits each. */
  protected final void setSubsystem(int vendor, int device) {
    config.set(ConfigSpace.SUBSYSTEM_VENDOR, 2, vendor);
    config.set(ConfigSpace.SUBSYSTEM, 2, device);
  }

  /** The device's revision, 8 bits. */
  protected final void setRevision(int revision) {
    config.set(ConfigSpace.REVISION, 1, revision);
  }

  /**
   * Puts a device behind a base address register, in 32-bit memory that is not prefetchable.
   *
   * @param index 0 to 5
   * @param size in bytes, a power of two from 16 on
   */
  protected final void addBar(int index, int size, MmioDevice device) {
    if (Integer.bitCount(size) != 1 || size < 16) {
      throw new IllegalArgumentException("a base address register of " + size + " bytes");
    }
    int register = ConfigSpace.BAR_0 + 4 * index;
    bars[index] = new Bar(register, size, device);
    // What cannot be written tells the size: the guest writes ones and looks.
    config.allow(register, 4, -size);
    config.allow(ConfigSpace.COMMAND, 2, COMMAND_MEMORY | COMMAND_MASTER);
  }

  /**
   * Adds a capability.
   *
   * @param id its number, 8 bits
   * @param body what follows its number and the pointer to the next
   * @return the register that it starts at
   */
  protected final int addCapability(int id, byte[] body) {
    return config.addCapability(id, body);
  }

  /** Makes bits of configuration space writable for the guest. */
  protected final void allowWrite(int register, int size, int bits) {
    config.allow(register, size, bits);
  }

  /**
   * Gives it message-signalled interrupts.
   *
   * @param table whose memory is behind a base address register
   * @param bar the register's number
   */
  protected final void addMsix(Msix table, int bar) {
    msix = table;
    addBar(bar, Msix.SIZE, table);
    int capability = addCapability(Msix.CAPABILITY, table.capability(bar));
    table.setControlRegister(capability + 2);
    allowWrite(capability + 2, 2, Msix.CONTROL_WRITABLE);
  }

  /**
   * Gives it an interrupt pin.
   *
   * @param wire where pin A leads, level-triggered
   */
  protected final void setPin(InterruptLine wire) {
    line = wire;
    config.set(ConfigSpace.INTERRUPT_PIN, 1, PIN_A);
    config.allow(ConfigSpace.INTERRUPT_LINE, 1, 0xff);
    config.set(ConfigSpace.INTERRUPT_LINE, 1, 0xff); // a firmware's word for: not known
    config.allow(ConfigSpace.COMMAND, 2, COMMAND_NO_INTX);
  }

  /** Sets its interrupt pin. */
  protected final synchronized void setPinLevel(boolean level) {
    pinAsserted = level;
    updatePin();
  }

  private void updatePin() {
    int status = config.get(ConfigSpace.STATUS, 1) & ~STATUS_INTX;
    config.set(ConfigSpace.STATUS, 1, pinAsserted ? status | STATUS_INTX : status);
    boolean level = pinAsserted && (config.get(ConfigSpace.COMMAND, 2) & COMMAND_NO_INTX) == 0;
    if (level != lineLevel) {
      lineLevel = level;
      line.set(level);
    }
  }

  /**
   * The guest reads configuration space.
   *
   * @param register 0 to 255
   * @param size 1, 2 or 4; the access does not cross a multiple of 4
   */
  public synchronized int readConfig(int register, int size) {
    return config.get(register, size);
  }

  /**
   * The guest writes configuration space.
   *
   * @param register 0 to 255
   * @param size 1, 2 or 4; the access does not cross a multiple of 4
   * @param value zero-extended
   */
  public synchronized void writeConfig(int register, int size, int value) {
    config.write(register, size, value);
    updateBars();
    updatePin();
    if (msix != null) {
      msix.setControl(config.get(msix.controlRegister(), 2));
    }
  }

  private void updateBars() {
    boolean enabled = (config.get(ConfigSpace.COMMAND, 2) & COMMAND_MEMORY) != 0;
    for (Bar bar : bars) {
      if (bar != null) {
        bar.base = enabled ? config.get(bar.register, 4) & 0xffff_fff0L & -bar.size : DISABLED;
      }
    }
  }

  /**
   * Does what a firmware does: gives each base address register an address, and turns memory and
   * bus mastering on.
   *
   * @param next the first address that is free
   * @return the first address that is free after that
   */
  synchronized long assignAddresses(long next) {
    for (Bar bar : bars) {
      if (bar != null) {
        long base = next + bar.size - 1 & -bar.size;
        config.set(bar.register, 4, (int) base);
        next = base + bar.size;
      }
    }
    config.write(ConfigSpace.COMMAND, 2, COMMAND_MEMORY | COMMAND_MASTER);
    updateBars();
    return next;
  }

  /** The base address register whose memory holds all of an access; negative if none does. */
  final int barAt(long address, int length) {
    for (int i = 0; i < BARS; i++) {
      Bar bar = bars[i];
      if (bar != null && bar.holds(address, length)) {
        return i;
      }
    }
    return -1;
  }

  final long readBar(int index, long address, int length) {
    Bar bar = bars[index];
    // The guest may have moved it since it was found: what is left is an offset within it.
    return bar == null ? -1 : bar.device.read(address & bar.size - 1, length);
  }

  final void writeBar(int index, long address, int length, long value) {
    Bar bar = bars[index];
    if (bar != null) {
      bar.device.write(address & bar.size - 1, length, value);
    }
  }

  /**
   * Reads memory behind a base address register by its offset, wherever the guest has put it.
   *
   * @return 0 if there is no such register, or the access does not lie within it
   */
  protected final long readBarAt(int index, long offset, int length) {
    Bar bar = index >= 0 && index < BARS ? bars[index] : null;
    return bar == null || offset < 0 || offset > bar.size - length
        ? 0
        : bar.device.read(offset, length);
  }

  /** Writes as {@link #readBarAt} reads. */
  protected final void writeBarAt(int index, long offset, int length, long value) {
    Bar bar = index >= 0 && index < BARS ? bars[index] : null;
    if (bar != null && offset >= 0 && offset <= bar.size - length) {
      bar.device.write(offset, length, value);
    }
  }
}
