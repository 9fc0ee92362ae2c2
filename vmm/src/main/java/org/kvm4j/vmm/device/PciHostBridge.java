package org.kvm4j.vmm.device;

/**
 * The host bridge, 00:00.0: it does nothing, and its being there tells a guest that there is a PCI
 * bus.
 *
 * <p>Source: PCI Local Bus Specification 3.0, section 6.1, "Configuration Space Organization".
 */
public final class PciHostBridge implements PciFunction {

  /** Intel's id for the host bridge of a virtual machine. */
  private static final int VENDOR_AND_DEVICE = 0x0d57_8086;

  private static final int CLASS_AND_REVISION = 0x0600_0000;

  @Override
  public int readConfig(int register, int size) {
    int word;
    switch (register & ~3) {
      case 0x00:
        word = VENDOR_AND_DEVICE;
        break;
      case 0x08:
        word = CLASS_AND_REVISION;
        break;
      default:
        word = 0;
        break;
    }
    return word >>> (8 * (register & 3));
  }

  @Override
  public void writeConfig(int register, int size, int value) {
    // Nothing in it can be set.
  }
}
