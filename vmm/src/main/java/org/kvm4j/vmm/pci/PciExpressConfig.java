package org.kvm4j.vmm.pci;

import org.kvm4j.vmm.device.MmioDevice;

/**
 * The configuration space of bus 0 as memory, 4 KB for each function (ECAM). The functions are
 * conventional ones: past their 256 bytes there are ones.
 *
 * <p>Source: PCI Express Base Specification 3.0, section 7.2.2, "PCI Express Enhanced Configuration
 * Access Mechanism (ECAM)".
 */
public final class PciExpressConfig implements MmioDevice {

  /** The size of one bus in bytes. */
  public static final long SIZE = (long) PciBus.FUNCTIONS << 12;

  private final PciBus bus;

  /**
   * @param bus whose configuration this is
   */
  public PciExpressConfig(PciBus bus) {
    this.bus = bus;
  }

  private static boolean valid(long offset, int length) {
    return length <= 4 && length != 3 && (offset & 0xfff) < ConfigSpace.SIZE;
  }

  @Override
  public long read(long offset, int length) {
    return valid(offset, length)
        ? bus.readConfig((int) (offset >> 12), (int) offset & 0xff, length)
        : -1;
  }

  @Override
  public void write(long offset, int length, long value) {
    if (valid(offset, length)) {
      bus.writeConfig((int) (offset >> 12), (int) offset & 0xff, length, (int) value);
    }
  }
}
