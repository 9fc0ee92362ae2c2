package org.kvm4j.vmm.acpi;

/**
 * What a device takes of the machine's addresses and interrupts, as resource descriptors.
 *
 * <p>Source: ACPI Specification 6.4, section 6.4, "Resource Data Types for ACPI".
 */
final class Resources {

  private static final int IO = 0x47;
  private static final int IRQ = 0x22;
  private static final int FIXED_MEMORY = 0x86;
  private static final int DWORD_SPACE = 0x87;
  private static final int WORD_SPACE = 0x88;
  private static final int INTERRUPT = 0x89;
  private static final int END = 0x79;

  private static final int MEMORY = 0;
  private static final int PORTS = 1;
  private static final int BUSES = 2;

  /** A range that a bridge hands down: both of its ends are fixed. */
  private static final int PRODUCED = 0x0c;

  private static final int READ_WRITE = 1;
  private static final int ENTIRE_RANGE = 3;

  private static final int LEVEL_HIGH_CONSUMED = 0x01;

  private Resources() {}

  /** {@code ResourceTemplate () {descriptors}}. */
  static byte[] template(byte[]... descriptors) {
    // A checksum of 0 is one that is not checked.
    return Aml.buffer(Aml.join(Aml.join(descriptors), Aml.bytes(END, 0)));
  }

  /** Ports, 16 bits of the address decoded. */
  static byte[] ports(int first, int count) {
    byte[] start = Aml.littleEndian(first, 2);
    return Aml.join(Aml.bytes(IO, 1), start, start, Aml.bytes(1, count));
  }

  /** An interrupt of the ISA bus: edge-triggered, active high. */
  static byte[] isaInterrupt(int irq) {
    return Aml.join(Aml.bytes(IRQ), Aml.littleEndian(1L << irq, 2));
  }

  /** A global system interrupt: level-triggered, active high. */
  static byte[] levelInterrupt(int gsi) {
    return Aml.join(Aml.bytes(INTERRUPT), word(6), Aml.bytes(LEVEL_HIGH_CONSUMED, 1), dword(gsi));
  }

  /** Addresses below 4 GB. */
  static byte[] memory(long address, long size) {
    return Aml.join(
        Aml.bytes(FIXED_MEMORY), word(9), Aml.bytes(READ_WRITE), dword(address), dword(size));
  }

  /** The bus numbers behind a bridge. */
  static byte[] busRange(int first, int last) {
    return Aml.join(
        Aml.bytes(WORD_SPACE),
        word(13),
        Aml.bytes(BUSES, PRODUCED, 0),
        word(0),
        word(first),
        word(last),
        word(0),
        word(last - first + 1));
  }

  /** The ports behind a bridge. */
  static byte[] portRange(int first, int last) {
    return Aml.join(
        Aml.bytes(WORD_SPACE),
        word(13),
        Aml.bytes(PORTS, PRODUCED, ENTIRE_RANGE),
        word(0),
        word(first),
        word(last),
        word(0),
        word(last - first + 1));
  }

  /** The addresses below 4 GB behind a bridge. */
  static byte[] memoryRange(long address, long size) {
    return Aml.join(
        Aml.bytes(DWORD_SPACE),
        word(23),
        Aml.bytes(MEMORY, PRODUCED, READ_WRITE),
        dword(0),
        dword(address),
        dword(address + size - 1),
        dword(0),
        dword(size));
  }

  private static byte[] word(int value) {
    return Aml.littleEndian(value, 2);
  }

  private static byte[] dword(long value) {
    return Aml.littleEndian(value, 4);
  }
}
