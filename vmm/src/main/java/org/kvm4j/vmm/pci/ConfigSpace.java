package org.kvm4j.vmm.pci;

import java.util.Arrays;

/**
 * The 256 bytes of a function's configuration space: what is in them, and which of their bits the
 * guest can change. Capabilities are added behind one another.
 *
 * <p>Source: PCI Local Bus Specification 3.0, section 6.1, "Configuration Space Organization", and
 * 6.7, "Capabilities List".
 */
final class ConfigSpace {

  static final int SIZE = 256;

  static final int VENDOR = 0x00;
  static final int DEVICE = 0x02;
  static final int COMMAND = 0x04;
  static final int STATUS = 0x06;
  static final int REVISION = 0x08;
  static final int CLASS = 0x09; // 3 bytes: interface, sub-class, class
  static final int BAR_0 = 0x10;
  static final int SUBSYSTEM_VENDOR = 0x2c;
  static final int SUBSYSTEM = 0x2e;
  static final int CAPABILITIES = 0x34;
  static final int INTERRUPT_LINE = 0x3c;
  static final int INTERRUPT_PIN = 0x3d;

  private static final int FIRST_CAPABILITY = 0x40;
  private static final int STATUS_CAPABILITIES = 0x10;

  private final byte[] contents = new byte[SIZE];
  private final byte[] writable = new byte[SIZE];

  /** Where the next capability goes, and the byte that will name it. */
  private int capabilityEnd = FIRST_CAPABILITY;

  private int lastPointer = CAPABILITIES;

  /**
   * Reads.
   *
   * @param register 0 to 255
   * @param size 1, 2 or 4; what lies past the end reads as 0
   */
  int get(int register, int size) {
    int value = 0;
    for (int i = 0; i < size && register + i < SIZE; i++) {
      value |= (contents[register + i] & 0xff) << (8 * i);
    }
    return value;
  }

  /** Sets what the guest may or may not be able to set. */
  void set(int register, int size, int value) {
    for (int i = 0; i < size; i++) {
      contents[register + i] = (byte) (value >>> (8 * i));
    }
  }

  /** Makes bits writable for the guest. */
  void allow(int register, int size, int bits) {
    for (int i = 0; i < size; i++) {
      writable[register + i] |= (byte) (bits >>> (8 * i));
    }
  }

  /** The guest writes: changes what it may. */
  void write(int register, int size, int value) {
    for (int i = 0; i < size && register + i < SIZE; i++) {
      int at = register + i;
      int mask = writable[at] & 0xff;
      contents[at] = (byte) ((contents[at] & ~mask) | (value >>> (8 * i) & mask));
    }
  }

  /**
   * Adds a capability.
   *
   * @param id its number
   * @param body what follows the number and the pointer to the next
   * @return the register that it starts at
   */
  int addCapability(int id, byte[] body) {
    int at = capabilityEnd;
    int end = at + 2 + body.length + 3 & ~3;
    if (end > SIZE) {
      throw new IllegalArgumentException("capability " + id + " does not fit");
    }
    set(at, 1, id);
    System.arraycopy(body, 0, contents, at + 2, body.length);
    set(lastPointer, 1, at);
    set(STATUS, 1, get(STATUS, 1) | STATUS_CAPABILITIES);
    lastPointer = at + 1;
    capabilityEnd = end;
    return at;
  }

  @Override
  public String toString() {
    return Arrays.toString(contents);
  }
}
