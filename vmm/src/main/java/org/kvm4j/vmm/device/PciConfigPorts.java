package org.kvm4j.vmm.device;

import org.jspecify.annotations.Nullable;

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

  private static final int DATA = 4;
  private static final int RESET_CONTROL = 1;
  private static final int RESET_CPU = 0x04;
  private static final int ENABLE = 0x8000_0000;

  private final @Nullable PciFunction[] functions = new PciFunction[32 * 8];
  private final Runnable reset;
  private int address;
  private int resetControl;

  /**
   * @param reset what happens when the guest resets the machine through port 0xcf9
   */
  public PciConfigPorts(Runnable reset) {
    this.reset = reset;
  }

  /**
   * Puts a function on bus 0.
   *
   * @param device 0 to 31
   * @param function 0 to 7
   */
  public void attach(int device, int function, PciFunction target) {
    int index = device << 3 | function;
    if (functions[index] != null) {
      throw new IllegalArgumentException(
          String.format("PCI device 00:%02x.%d is there already", device, function));
    }
    functions[index] = target;
  }

  @Override
  public synchronized int read(int offset, int size) {
    if (offset >= DATA) {
      PciFunction target = target();
      int register = (address & 0xfc) | (offset & 3);
      return target == null || (register & 3) + size > 4 ? -1 : target.readConfig(register, size);
    }
    if (offset == RESET_CONTROL && size == 1) {
      return resetControl;
    }
    return address >>> (8 * offset);
  }

  @Override
  public synchronized void write(int offset, int size, int value) {
    if (offset >= DATA) {
      PciFunction target = target();
      int register = (address & 0xfc) | (offset & 3);
      if (target != null && (register & 3) + size <= 4) {
        target.writeConfig(register, size, value);
      }
    } else if (offset == RESET_CONTROL && size == 1) {
      boolean resets = (value & RESET_CPU) != 0 && (resetControl & RESET_CPU) == 0;
      resetControl = value & ~RESET_CPU;
      if (resets) {
        reset.run();
      }
    } else if (offset == 0 && size == 4) {
      // Only a double word sets the address; a lesser access goes past the register.
      address = value;
    }
  }

  private @Nullable PciFunction target() {
    boolean bus0 = (address & 0x00ff_0000) == 0;
    return (address & ENABLE) != 0 && bus0 ? functions[address >> 8 & 0xff] : null;
  }
}
