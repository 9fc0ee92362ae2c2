package org.kvm4j.vmm.device;

/**
 * A device behind a range of I/O ports. A bus calls it from the threads of all vCPUs: a device that
 * has state guards it.
 */
public interface PortDevice {

  /**
   * The guest reads.
   *
   * @param offset from the first port of the device's range
   * @param size 1, 2 or 4 bytes
   * @return the value; what is above {@code size} bytes is dropped
   */
  int read(int offset, int size);

  /**
   * The guest writes.
   *
   * @param offset from the first port of the device's range
   * @param size 1, 2 or 4 bytes
   * @param value zero-extended
   */
  void write(int offset, int size, int value);
}
