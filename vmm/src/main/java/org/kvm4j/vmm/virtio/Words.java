package org.kvm4j.vmm.virtio;

/** The two halves of a 64-bit register that is written by 32 bits. */
final class Words {

  private static final long LOW = 0xffff_ffffL;

  private Words() {}

  static long low(long register, int value) {
    return register & ~LOW | value & LOW;
  }

  static long high(long register, int value) {
    return register & LOW | (long) value << 32;
  }
}
