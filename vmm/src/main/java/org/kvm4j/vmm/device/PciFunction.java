package org.kvm4j.vmm.device;

/** A function of a PCI device, as its configuration space. */
public interface PciFunction {

  /**
   * The guest reads configuration space.
   *
   * @param register 0 to 255
   * @param size 1, 2 or 4; the access does not cross a multiple of 4
   */
  int readConfig(int register, int size);

  /**
   * The guest writes configuration space.
   *
   * @param register 0 to 255
   * @param size 1, 2 or 4; the access does not cross a multiple of 4
   * @param value zero-extended
   */
  void writeConfig(int register, int size, int value);
}
