package org.kvm4j.vmm.device;

/**
 * A device behind memory-mapped registers. A bus calls it from the threads of all vCPUs: a device
 * that has state guards it.
 */
public interface MmioDevice {

  /**
   * The guest reads.
   *
   * @param offset from the first address of the device's range
   * @param length 1 to 8 bytes
   * @return the bytes, little endian; what is above {@code length} bytes is dropped
   */
  long read(long offset, int length);

  /**
   * The guest writes.
   *
   * @param offset from the first address of the device's range
   * @param length 1 to 8 bytes
   * @param value the bytes, little endian, zero-extended
   */
  void write(long offset, int length, long value);
}
