package org.kvm4j.kvm.module.pv;

/**
 * Guest-physical memory as the module shares it with a guest. What is written is dirty. Source:
 * Linux 6.1 kvm_read_guest, kvm_write_guest.
 */
public interface SharedMemory {
  /** Whether all of these bytes are memory that can be written. */
  boolean has(long gpa, int length);

  /** Reads bytes, which may be of two pages; false if there is no memory. */
  boolean read(long gpa, byte[] into);

  /** Writes bytes, which may be of two pages; false if there is no memory that can be written. */
  boolean write(long gpa, byte[] from);

  /**
   * Sets a byte, atomically with what the guest's locked instructions do.
   *
   * @param value its lowest 8 bits
   * @return what it was, 0 to 255; -1 if there is no memory that can be written
   */
  int exchangeByte(long gpa, int value);

  /** A byte, 0 to 255; -1 if there is no memory. */
  int readByte(long gpa);
}
