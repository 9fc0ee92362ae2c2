package org.kvm4j.kvm.module.irqchip;

import static org.kvm4j.kvm.uapi.Uapi.KVM_IOAPIC_NUM_PINS;
import static org.kvm4j.kvm.uapi.Uapi.KVM_IRQCHIP_IOAPIC;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntPredicate;
import org.kvm4j.kvm.uapi.KvmIoapicState;

/**
 * The I/O APIC: 24 pins at 0xfec00000. Source: Intel 82093AA data sheet (290566), 3.0 "Register
 * Description"; what it tells of coalesced interrupts, Linux 6.1 arch/x86/kvm/ioapic.c.
 */
final class IoApic implements EoiListener {
  static final int PINS = KVM_IOAPIC_NUM_PINS;

  static final long DEFAULT_ADDRESS = 0xfec00000L;

  /** The bytes of its registers. */
  static final int LENGTH = 0x100;

  /** The pin of the real-time clock, whose interrupts user space wants to know the ends of. */
  private static final int RTC_PIN = 8;

  /** Fields of a redirection entry. */
  private static final long DELIVERY_STATUS = 1 << 12;

  private static final long REMOTE_IRR = 1 << 14;
  private static final long LEVEL = 1 << 15;
  private static final long MASK = 1 << 16;

  private static final int ID_REGISTER = 0;
  private static final int VERSION_REGISTER = 1;
  private static final int ARBITRATION_REGISTER = 2;
  private static final int VERSION = PINS - 1 << 16 | 0x11;

  /** An interrupt that comes back at each end this many times in a row is a storm. */
  private static final int STORM = 10_000;

  /** How long a storm's next interrupt waits, so that the guest gets on. */
  private static final long STORM_PAUSE = 10_000_000;

  private final ApicBus bus;
  private final PinListener listener;
  private final IntPredicate watched;
  private final TimerQueue queue;
  private final TimerQueue.Timer stormTimer;

  private long address;
  private int select;
  private int id;

  /** The levels of level-triggered pins, and edges not forgotten yet. */
  private int irr;

  /** Edges that were delivered. */
  private int delivered;

  private final long[] entries = new long[PINS];

  /** For each pin, a bit for each source that holds it up. */
  private final int[] lines = new int[PINS];

  /** For each pin, how often in a row its interrupt came back at its end. */
  private final int[] repeats = new int[PINS];

  /** Those that have not ended an interrupt of {@link #RTC_PIN}, and its vector with them. */
  private final List<LocalApic> rtcPending = new ArrayList<>();

  private int rtcVector;

  /**
   * @param watched whether someone waits for the ends of a pin's interrupts
   */
  IoApic(ApicBus bus, PinListener listener, IntPredicate watched, TimerQueue queue) {
    this.bus = bus;
    this.listener = listener;
    this.watched = watched;
    this.queue = queue;
    this.stormTimer = queue.timer(this::afterStorm);
    this.address = DEFAULT_ADDRESS;
    Arrays.fill(entries, MASK);
  }

  // ---- pins ----

  /**
   * A source's level at a pin; the pin is up while any source holds it up.
   *
   * @param source a number below 32
   * @param status whether the one who asks wants to know of interrupts of the real-time clock that
   *     are not ended yet
   * @return how many processors it went to; 0 if it was coalesced, -1 if it was ignored
   */
  int set(int pin, int source, boolean level, boolean status) {
    lines[pin] = level ? lines[pin] | 1 << source : lines[pin] & ~(1 << source);
    return set(pin, lines[pin] != 0, status);
  }

  private int set(int pin, boolean level, boolean status) {
    int bit = 1 << pin;
    if (!level) {
      irr &= ~bit;
      return 1;
    }
    if (pin == RTC_PIN && status && !rtcPending.isEmpty()) {
      return 0;
    }
    boolean was = (irr & bit) != 0;
    irr |= bit;
    if ((entries[pin] & LEVEL) == 0) {
      delivered &= ~bit;
      if (was) {
        return 0;
      }
    }
    return service(pin, status);
  }

  /** Sends a pin's interrupt, unless it is masked or waits for its end. */
  private int service(int pin, boolean status) {
    long e = entries[pin];
    boolean level = (e & LEVEL) != 0;
    if ((e & MASK) != 0 || (level && (e & REMOTE_IRR) != 0)) {
      return -1;
    }
    if (!level) {
      delivered |= 1 << pin;
    }
    ApicMessage m = ApicMessage.redirection(e);
    int r;
    if (pin == RTC_PIN && status) {
      rtcVector = m.vector();
      r = bus.deliver(null, m, rtcPending);
    } else {
      r = bus.deliver(null, m, null);
    }
    if (level && r != 0) {
      entries[pin] |= REMOTE_IRR;
    }
    return r;
  }

  // ---- ends of interrupts ----

  @Override
  public boolean wantsEnd(LocalApic apic, int vector) {
    if (vector == rtcVector && rtcPending.contains(apic)) {
      return true;
    }
    for (int pin = 0; pin < PINS; pin++) {
      long e = entries[pin];
      if ((e & 0xff) == vector
          && ((e & LEVEL) != 0 || pin == RTC_PIN || watched.test(pin))
          && (bus.matches(null, apic, ApicMessage.redirection(e)) || apic.isUnfinished(vector))) {
        return true;
      }
    }
    return false;
  }

  @Override
  public void ended(LocalApic apic, int vector, boolean level) {
    if (vector == rtcVector) {
      rtcPending.remove(apic);
    }
    for (int pin = 0; pin < PINS; pin++) {
      if ((entries[pin] & 0xff) == vector) {
        listener.acknowledged(KVM_IRQCHIP_IOAPIC, pin);
        if (level && !apic.suppressesEoi()) {
          endedLevel(pin);
        }
      }
    }
  }

  private void endedLevel(int pin) {
    entries[pin] &= ~REMOTE_IRR;
    if ((entries[pin] & MASK) != 0 || (irr & 1 << pin) == 0) {
      repeats[pin] = 0;
    } else if (++repeats[pin] < STORM) {
      service(pin, false);
    } else {
      repeats[pin] = 0;
      stormTimer.arm(queue.now() + STORM_PAUSE);
    }
  }

  private void afterStorm() {
    for (int pin = 0; pin < PINS; pin++) {
      if ((entries[pin] & (LEVEL | REMOTE_IRR)) == LEVEL && (irr & 1 << pin) != 0) {
        service(pin, false);
      }
    }
  }

  // ---- registers ----

  /** Whether a guest-physical address is in its registers. */
  boolean has(long gpa, int size) {
    return gpa >= DEFAULT_ADDRESS
        && gpa + size <= DEFAULT_ADDRESS + LENGTH
        && gpa >= address
        && gpa < address + LENGTH;
  }

  /** A read; the upper half of 8 bytes is 0. */
  long read(long gpa, int size) {
    int value =
        switch ((int) gpa & 0xff) {
          case 0 -> select;
          case 0x10 -> readSelected();
          default -> 0;
        };
    return size >= 4 ? value & 0xffffffffL : value & (1L << size * 8) - 1;
  }

  private int readSelected() {
    switch (select) {
      case ID_REGISTER, ARBITRATION_REGISTER:
        return id << 24;
      case VERSION_REGISTER:
        return VERSION;
      default:
        int pin = select - 0x10 >> 1;
        long e = pin >= 0 && pin < PINS ? entries[pin] : -1;
        return (int) ((select & 1) != 0 ? e >>> 32 : e);
    }
  }

  /** A write: the lowest four bytes at most. */
  void write(long gpa, int size, long value) {
    int data = size >= 4 ? (int) value : (int) value & (1 << size * 8) - 1;
    switch ((int) gpa & 0xff) {
      case 0 -> select = data & 0xff;
      case 0x10 -> writeSelected(data);
      default -> {}
    }
  }

  private void writeSelected(int value) {
    if (select == ID_REGISTER) {
      id = value >>> 24 & 15;
    }
    int pin = select - 0x10 >> 1;
    if (select < 0x10 || pin >= PINS) {
      return;
    }
    long old = entries[pin];
    long e =
        (select & 1) != 0
            ? old & 0xffffffffL | (long) value << 32
            : old & ~0xffffffffL | value & 0xffffffffL;
    long readOnly = DELIVERY_STATUS | REMOTE_IRR;
    e = e & ~readOnly | old & readOnly;
    if ((e & LEVEL) == 0) {
      // So guests end interrupts of an I/O APIC that has no register for it.
      e &= ~REMOTE_IRR;
    }
    entries[pin] = e;
    if (((old ^ e) & MASK) != 0) {
      listener.masked(KVM_IRQCHIP_IOAPIC, pin, (e & MASK) != 0);
    }
    if ((e & LEVEL) != 0 && (irr & 1 << pin) != 0) {
      service(pin, false);
    }
  }

  // ---- struct kvm_ioapic_state ----

  void save(ByteBuffer b, int at) {
    b.putLong(at + KvmIoapicState.BASE_ADDRESS, address);
    b.putInt(at + KvmIoapicState.IOREGSEL, select);
    b.putInt(at + KvmIoapicState.ID, id);
    b.putInt(at + KvmIoapicState.IRR, irr & ~delivered);
    b.putInt(at + KvmIoapicState.PAD, 0);
    for (int pin = 0; pin < PINS; pin++) {
      b.putLong(at + KvmIoapicState.REDIRTBL + pin * 8, entries[pin]);
    }
  }

  /** Pins that are up in the state interrupt anew. */
  void load(ByteBuffer b, int at) {
    address = b.getLong(at + KvmIoapicState.BASE_ADDRESS);
    select = b.getInt(at + KvmIoapicState.IOREGSEL) & 0xff;
    id = b.getInt(at + KvmIoapicState.ID) & 15;
    for (int pin = 0; pin < PINS; pin++) {
      entries[pin] = b.getLong(at + KvmIoapicState.REDIRTBL + pin * 8);
    }
    irr = 0;
    delivered = 0;
    rtcPending.clear();
    int up = b.getInt(at + KvmIoapicState.IRR);
    for (int pin = 0; pin < PINS; pin++) {
      if ((up & 1 << pin) != 0) {
        set(pin, true, true);
      }
    }
    restoreRtc();
  }

  /** Finds out who has still to end an interrupt of the real-time clock. */
  private void restoreRtc() {
    rtcPending.clear();
    long e = entries[RTC_PIN];
    rtcVector = (int) e & 0xff;
    for (LocalApic a : bus.apics()) {
      restoreRtc(a);
    }
  }

  /** The state of a local APIC was set. */
  void restoreRtc(LocalApic a) {
    long e = entries[RTC_PIN];
    int vector = (int) e & 0xff;
    if (!bus.matches(null, a, ApicMessage.redirection(e))) {
      return;
    }
    rtcPending.remove(a);
    if (a.isUnfinished(vector)) {
      rtcVector = vector;
      rtcPending.add(a);
    }
  }

  /** A processor is gone. */
  void forget(LocalApic a) {
    rtcPending.remove(a);
  }
}
