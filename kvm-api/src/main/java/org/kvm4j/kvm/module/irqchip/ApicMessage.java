package org.kvm4j.kvm.module.irqchip;

/**
 * An interrupt message on its way to local APICs: from an I/O APIC's redirection entry, a
 * message-signalled interrupt, or the ICR of a local APIC. Source: SDM 12.6.1 "Interrupt Command
 * Register (ICR)", 12.11.1 "Message Address Register Format", 12.11.2 "Message Data Register
 * Format".
 *
 * @param vector 0 to 255
 * @param mode {@link #FIXED} to {@link #EXTINT}
 * @param logical whether the destination is a logical one
 * @param level assert; INIT only: de-assert if false
 * @param levelTriggered whether the local APIC tells of its end (TMR)
 * @param shorthand {@link #NO_SHORTHAND} to {@link #ALL_BUT_SELF}
 * @param destination physical or logical ID, 8 bits or 32
 * @param redirectionHint whether one of the destinations is enough, of a message-signalled one
 */
record ApicMessage(
    int vector,
    int mode,
    boolean logical,
    boolean level,
    boolean levelTriggered,
    int shorthand,
    int destination,
    boolean redirectionHint) {

  static final int FIXED = 0;
  static final int LOWEST_PRIORITY = 1;
  static final int SMI = 2;
  static final int REMOTE_READ = 3;
  static final int NMI = 4;
  static final int INIT = 5;
  static final int STARTUP = 6;
  static final int EXTINT = 7;

  static final int NO_SHORTHAND = 0;
  static final int SELF = 1;
  static final int ALL = 2;
  static final int ALL_BUT_SELF = 3;

  /** Of a message-signalled interrupt. */
  static ApicMessage msi(int addressLow, int addressHigh, int data, boolean wideIds) {
    int destination = addressLow >>> 12 & 0xff;
    if (wideIds) {
      destination |= addressHigh & ~0xff;
    }
    return new ApicMessage(
        data & 0xff,
        data >>> 8 & 7,
        (addressLow & 4) != 0,
        true,
        (data & 0x8000) != 0,
        NO_SHORTHAND,
        destination,
        (addressLow & 8) != 0);
  }

  /** Of the ICR. */
  static ApicMessage command(int low, int destination) {
    return new ApicMessage(
        low & 0xff,
        low >>> 8 & 7,
        (low & 0x800) != 0,
        (low & 0x4000) != 0,
        (low & 0x8000) != 0,
        low >>> 18 & 3,
        destination,
        false);
  }

  /** Of a redirection entry of an I/O APIC. */
  static ApicMessage redirection(long entry) {
    int low = (int) entry;
    return new ApicMessage(
        low & 0xff,
        low >>> 8 & 7,
        (low & 0x800) != 0,
        true,
        (low & 0x8000) != 0,
        NO_SHORTHAND,
        (int) (entry >>> 56),
        false);
  }

  /** Whether one of the processors that the destination names is to get it. */
  boolean toOne() {
    return mode == LOWEST_PRIORITY || redirectionHint;
  }

  ApicMessage withMode(int other) {
    return new ApicMessage(
        vector, other, logical, level, levelTriggered, shorthand, destination, redirectionHint);
  }
}
