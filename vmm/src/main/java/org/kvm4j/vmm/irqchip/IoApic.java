package org.kvm4j.vmm.irqchip;

import java.util.Arrays;
import org.kvm4j.vmm.device.MmioDevice;

/**
 * An I/O APIC of 24 pins at 0xfec00000. What it sends goes to the kernel's local APICs as
 * message-signalled interrupts; the ends of level-triggered ones come back as {@link #ended}.
 *
 * <p>A pin's message is told to the bus before it is sent for the first time, masked or not
 * thereafter: a kernel that knows which messages are level-triggered tells of their ends.
 *
 * <p>Source: Intel 82093AA data sheet, order number 290566, 3.0 "Register Description"; Intel 82801
 * (ICH9) data sheet, 13.5 "I/O Advanced Programmable Interrupt Controller", for version 20H's EOI
 * register; SDM 12.11.1 "Message Address Register Format".
 */
public final class IoApic implements MmioDevice {

  /** Where its registers are. */
  public static final long ADDRESS = 0xfec0_0000L;

  /** How many bytes they take. */
  public static final int SIZE = 0x100;

  /** How many pins it has. */
  public static final int PINS = 24;

  private static final int SELECT = 0x00;
  private static final int WINDOW = 0x10;
  private static final int EOI = 0x40;

  private static final int ID = 0;
  private static final int VERSION = 1;
  private static final int ARBITRATION = 2;
  private static final int FIRST_ENTRY = 0x10;

  private static final int VERSION_VALUE = PINS - 1 << 16 | 0x20;

  /** Fields of a redirection entry. */
  private static final long VECTOR = 0xff;

  private static final long DELIVERY_STATUS = 1 << 12;
  private static final long REMOTE_IRR = 1 << 14;
  private static final long LEVEL = 1 << 15;
  private static final long MASK = 1 << 16;
  private static final long WRITABLE = 0xff00_0000_0001_afffL;

  private static final int EXTINT = 7;

  private static final long MESSAGE_ADDRESS = 0xfee0_0000L;

  private final Bus bus;
  private final long[] entries = new long[PINS];
  private int lines;
  private int select;
  private int id;

  /** Where its messages go. Called with the chip's lock held. */
  public interface Bus {
    /**
     * A pin's message is this from now on.
     *
     * @param pin 0 to 23
     * @param address what the message is written to
     * @param data what is written
     */
    void route(int pin, long address, int data);

    /**
     * Sends a pin's message, as it was last told.
     *
     * @return whether somebody took it
     */
    boolean send(int pin);
  }

  /**
   * @param bus to the local APICs
   */
  public IoApic(Bus bus) {
    this.bus = bus;
    reset();
  }

  /** As after a reset: all pins are masked. */
  public synchronized void reset() {
    Arrays.fill(entries, MASK);
    select = 0;
    id = 0;
  }

  /** Sets the level at a pin, 0 to 23. */
  public synchronized void set(int pin, boolean level) {
    int bit = 1 << pin;
    boolean rises = level && (lines & bit) == 0;
    lines = level ? lines | bit : lines & ~bit;
    if (rises) {
      service(pin);
    }
  }

  /**
   * A processor has ended an interrupt.
   *
   * @param vector of a level-triggered one
   */
  public synchronized void ended(int vector) {
    for (int pin = 0; pin < PINS; pin++) {
      long e = entries[pin];
      if ((e & VECTOR) == vector && (e & (LEVEL | REMOTE_IRR)) == (LEVEL | REMOTE_IRR)) {
        entries[pin] = e & ~REMOTE_IRR;
        if ((lines & 1 << pin) != 0) {
          service(pin);
        }
      }
    }
  }

  /** Sends a pin's interrupt, unless it is masked or has not ended; an edge is lost then. */
  private void service(int pin) {
    long e = entries[pin];
    if ((e & (MASK | REMOTE_IRR)) == 0 && ((int) e >> 8 & 7) != EXTINT && bus.send(pin)) {
      if ((e & LEVEL) != 0) {
        entries[pin] |= REMOTE_IRR;
      }
    }
  }

  @Override
  public synchronized long read(long offset, int length) {
    switch ((int) offset) {
      case SELECT:
        return select;
      case WINDOW:
        return readSelected() & 0xffff_ffffL;
      default:
        return 0;
    }
  }

  private int readSelected() {
    switch (select) {
      case ID:
      case ARBITRATION:
        return id << 24;
      case VERSION:
        return VERSION_VALUE;
      default:
        int pin = select - FIRST_ENTRY >> 1;
        if (select < FIRST_ENTRY || pin >= PINS) {
          return -1;
        }
        return (int) ((select & 1) != 0 ? entries[pin] >>> 32 : entries[pin]);
    }
  }

  @Override
  public synchronized void write(long offset, int length, long value) {
    switch ((int) offset) {
      case SELECT:
        select = (int) value & 0xff;
        break;
      case WINDOW:
        writeSelected((int) value);
        break;
      case EOI:
        ended((int) value & 0xff);
        break;
      default:
        break;
    }
  }

  private void writeSelected(int value) {
    if (select == ID) {
      id = value >>> 24 & 15;
    }
    int pin = select - FIRST_ENTRY >> 1;
    if (select < FIRST_ENTRY || pin >= PINS) {
      return;
    }
    long old = entries[pin];
    long e =
        (select & 1) != 0
            ? old & 0xffff_ffffL | (long) value << 32
            : old & ~0xffff_ffffL | value & 0xffff_ffffL;
    e = e & WRITABLE | old & (DELIVERY_STATUS | REMOTE_IRR);
    if ((e & LEVEL) == 0) {
      // So a guest ends the interrupt of a pin without the EOI register.
      e &= ~REMOTE_IRR;
    }
    entries[pin] = e;
    if ((e & MASK) == 0) {
      long before = (old & MASK) == 0 ? old : -1;
      if (((before ^ e) & WRITABLE) != 0) {
        bus.route(pin, address(e), data(e));
      }
      if ((e & LEVEL) != 0 && (lines & 1 << pin) != 0) {
        service(pin);
      }
    }
  }

  /** Bits 19 to 12 of a message's address are the destination, bit 2 says that it is logical. */
  private static long address(long entry) {
    return MESSAGE_ADDRESS | (entry >>> 56) << 12 | (entry >>> 11 & 1) << 2;
  }

  /** Vector and delivery mode are where they are in the entry; bits 15 and 14 are the trigger. */
  private static int data(long entry) {
    int level = (entry & LEVEL) != 0 ? 0xc000 : 0;
    return (int) entry & 0x7ff | level;
  }
}
