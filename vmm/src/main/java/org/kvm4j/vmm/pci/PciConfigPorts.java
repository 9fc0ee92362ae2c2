package org.kvm4j.vmm.pci;

import org.kvm4j.vmm.device.PortDevice;

/**
 * PCI configuration mechanism #1, ports 0xcf8 (address) and 0xcfc (data), for bus 0. A function
 * that is not there reads as ones. A byte at 0xcf9, which only double words at 0xcf8 would reach
 * otherwise, is the reset control register that PC chip sets have there.
 *
 * <p>Source: PCI Local Bus Specification 3.0, section 3.2.2.3.2, "Software Generation of
 * Configuration Transactions"; Intel 82371SB (PIIX3) data sheet, "RC: Reset Control Register".
 */
public final class PciConfigPorts implements PortDevice {

  /** The first of its ports. */
  public static final int PORT = 0xcf8;

  /** How many ports it takes. */
  public static final int PORTS = 8;

  /** The port of the reset control register. */
  public static final int RESET_PORT = 0xcf9;

  /** What a guest writes there to reset the machine. */
  public static final int RESET_VALUE = 0x06;

  private static final int DATA = 4;
  private static final int RESET_CONTROL = 1;
  private static final int RESET_SYSTEM = 0x02;
  private static final int RESET_CPU = 0x04;
  private static final int ENABLE = 0x8000_0000;

  private final PciBus bus;
  private final Runnable softReset;
  private final Runnable hardReset;
  private int address;
  private int resetControl;

  /**
   * @param bus bus 0
   * @param softReset what happens when the guest resets the processors through port 0xcf9
   * @param hardReset what happens when it resets the whole machine so
   */
  public PciConfigPorts(PciBus bus, Runnable softReset, Runnable hardReset) {
    this.bus = bus;
    this.softReset = softReset;
    this.hardReset = hardReset;
  }

  @Override
  public synchronized int read(int offset, int size) {
    if (offset >= DATA) {
      return selected() ? bus.readConfig(function(), register(offset), size) : -1;
    }
    if (offset == RESET_CONTROL && size == 1) {
      return resetControl;
    }
    return address >>> (8 * offset);
  }

  @Override
  public synchronized void write(int offset, int size, int value) {
    if (offset >= DATA) {
      if (selected()) {
        bus.writeConfig(function(), register(offset), size, value);
      }
    } else if (offset == RESET_CONTROL && size == 1) {
      boolean resets = (value & RESET_CPU) != 0 && (resetControl & RESET_CPU) == 0;
      resetControl = value & ~RESET_CPU;
      if (resets) {
        ((value & RESET_SYSTEM) != 0 ? hardReset : softReset).run();
      }
    } else if (offset == 0 && size == 4) {
      // Only a double word sets the address; a lesser access goes past the register.
      address = value;
    }
  }

  private boolean selected() {
    boolean bus0 = (address & 0x00ff_0000) == 0;
    return (address & ENABLE) != 0 && bus0;
  }

  private int function() {
    return address >> 8 & 0xff;
  }

  private int register(int offset) {
    return (address & 0xfc) | (offset & 3);
  }
}
