package org.kvm4j.vmm.pci;

import org.jspecify.annotations.Nullable;
import org.kvm4j.vmm.device.MmioDevice;

/**
 * PCI bus 0: its functions by device and function number, and the window of addresses that the host
 * bridge hands down to them. Where in it a function's memory lies is the guest's choice: an address
 * of the window that no function has reads as ones, and of two functions that claim one, the lower
 * has it.
 *
 * <p>Functions are attached before the machine runs.
 *
 * <p>Source: PCI Local Bus Specification 3.0, section 3.2.2.3, "Configuration Space Decoding".
 */
public final class PciBus implements MmioDevice {

  /** How many functions fit on a bus: 32 devices of 8. */
  static final int FUNCTIONS = 256;

  private final @Nullable PciFunction[] functions = new PciFunction[FUNCTIONS];
  private final long windowStart;
  private final long windowSize;

  /**
   * @param windowStart guest-physical, a multiple of its size or at least of 1 MB
   * @param windowSize in bytes
   */
  public PciBus(long windowStart, long windowSize) {
    this.windowStart = windowStart;
    this.windowSize = windowSize;
  }

  /** The first address of the window. */
  public long windowStart() {
    return windowStart;
  }

  /** The size of the window in bytes. */
  public long windowSize() {
    return windowSize;
  }

  /**
   * Puts a function on the bus.
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

  /**
   * Gives every function addresses of the window, as a firmware does.
   *
   * @throws IllegalStateException if they do not fit
   */
  public void assignAddresses() {
    long next = windowStart;
    for (PciFunction function : functions) {
      if (function != null) {
        next = function.assignAddresses(next);
      }
    }
    if (next > windowStart + windowSize) {
      throw new IllegalStateException("the PCI functions do not fit into their window");
    }
  }

  /**
   * Reads configuration space.
   *
   * @param function device number in bits 3 to 7, function number in bits 0 to 2
   * @param register 0 to 255
   * @param size 1, 2 or 4
   * @return ones if there is no such function, or the access crosses a multiple of 4
   */
  int readConfig(int function, int register, int size) {
    PciFunction target = functions[function];
    return target == null || (register & 3) + size > 4 ? -1 : target.readConfig(register, size);
  }

  /** Writes configuration space, as {@link #readConfig} reads it. */
  void writeConfig(int function, int register, int size, int value) {
    PciFunction target = functions[function];
    if (target != null && (register & 3) + size <= 4) {
      target.writeConfig(register, size, value);
    }
  }

  @Override
  public long read(long offset, int length) {
    long address = windowStart + offset;
    for (PciFunction function : functions) {
      if (function != null) {
        int bar = function.barAt(address, length);
        if (bar >= 0) {
          return function.readBar(bar, address, length);
        }
      }
    }
    return -1;
  }

  @Override
  public void write(long offset, int length, long value) {
    long address = windowStart + offset;
    for (PciFunction function : functions) {
      if (function != null) {
        int bar = function.barAt(address, length);
        if (bar >= 0) {
          function.writeBar(bar, address, length, value);
          return;
        }
      }
    }
  }
}
