package org.kvm4j.kvm.module.irqchip;

import java.nio.ByteBuffer;

/**
 * The registers of a local APIC where its page has them: the first 1,024 bytes, which are {@code
 * struct kvm_lapic_state}, too. Source: SDM table 12-1 "Local APIC Register Address Map".
 */
final class ApicPage {
  static final int SIZE = 1024;

  static final int ID = 0x20;
  static final int VERSION = 0x30;
  static final int TPR = 0x80;
  static final int ARBITRATION_PRIORITY = 0x90;
  static final int PPR = 0xa0;
  static final int EOI = 0xb0;
  static final int LOGICAL_DESTINATION = 0xd0;
  static final int DESTINATION_FORMAT = 0xe0;
  static final int SPURIOUS = 0xf0;

  /** Eight registers of 32 vectors each, 16 bytes apart; so are TMR and IRR. */
  static final int ISR = 0x100;

  static final int TMR = 0x180;
  static final int IRR = 0x200;
  static final int ERROR_STATUS = 0x280;
  static final int LVT_CMCI = 0x2f0;
  static final int ICR = 0x300;
  static final int ICR_HIGH = 0x310;
  static final int LVT_TIMER = 0x320;
  static final int LVT_THERMAL = 0x330;
  static final int LVT_PERFORMANCE = 0x340;
  static final int LVT_LINT0 = 0x350;
  static final int LVT_LINT1 = 0x360;
  static final int LVT_ERROR = 0x370;
  static final int INITIAL_COUNT = 0x380;
  static final int CURRENT_COUNT = 0x390;
  static final int DIVIDE_CONFIGURATION = 0x3e0;

  /** x2APIC mode only. */
  static final int SELF_IPI = 0x3f0;

  /** No vector. */
  static final int NONE = -1;

  private final int[] words = new int[SIZE / 4];

  int get(int register) {
    return words[register >> 2];
  }

  void set(int register, int value) {
    words[register >> 2] = value;
  }

  /** The ICR of x2APIC mode, which is one register of 64 bits. */
  long wideIcr() {
    return (long) words[ICR + 4 >> 2] << 32 | words[ICR >> 2] & 0xffffffffL;
  }

  void setWideIcr(long value) {
    words[ICR >> 2] = (int) value;
    words[ICR + 4 >> 2] = (int) (value >>> 32);
  }

  // ---- sets of vectors: ISR, TMR, IRR ----

  private static int word(int base, int vector) {
    return (base >> 2) + (vector >> 5 << 2);
  }

  boolean has(int base, int vector) {
    return (words[word(base, vector)] & 1 << vector) != 0;
  }

  void add(int base, int vector) {
    words[word(base, vector)] |= 1 << vector;
  }

  void remove(int base, int vector) {
    words[word(base, vector)] &= ~(1 << vector);
  }

  /** The highest vector of a set; {@link #NONE} if it is empty. */
  int highest(int base) {
    for (int v = 224; v >= 0; v -= 32) {
      int bits = words[word(base, v)];
      if (bits != 0) {
        return v + 31 - Integer.numberOfLeadingZeros(bits);
      }
    }
    return NONE;
  }

  void clear(int base) {
    for (int v = 0; v < 256; v += 32) {
      words[word(base, v)] = 0;
    }
  }

  // ---- struct kvm_lapic_state ----

  void save(ByteBuffer b, int at) {
    for (int i = 0; i < words.length; i++) {
      b.putInt(at + i * 4, words[i]);
    }
  }

  void load(ByteBuffer b, int at) {
    for (int i = 0; i < words.length; i++) {
      words[i] = b.getInt(at + i * 4);
    }
  }
}
