package org.kvm4j.vmm.pci;

/**
 * The host bridge, 00:00.0: it does nothing, and its being there tells a guest that there is a PCI
 * bus.
 */
public final class PciHostBridge extends PciFunction {

  private static final int INTEL = 0x8086;

  /** Intel's id for the host bridge of a virtual machine. */
  private static final int DEVICE = 0x0d57;

  private static final int HOST_BRIDGE = 0x06_0000;

  /** A host bridge. */
  public PciHostBridge() {
    super(INTEL, DEVICE, HOST_BRIDGE);
  }
}
