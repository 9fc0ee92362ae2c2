package org.kvm4j.vmm.device;

import java.util.function.Function;

/**
 * An 8254 timer, ports 0x40 to 0x43: three counters at 1.193182 MHz that follow the machine's
 * clock. Counter 2's gate and output are at port 0x61 ({@link SystemControlPortB}); counter 0
 * interrupts when its output rises, if it is given a line to do so. Interrupts that are overdue are
 * one.
 *
 * <p>Source: Intel 8254 Programmable Interval Timer data sheet, order number 231164, "Mode
 * Definitions" and "Read Operations".
 */
public final class Pit8254 extends ByteDevice {

  /** The first of its ports. */
  public static final int PORT = 0x40;

  /** How many ports it takes. */
  public static final int PORTS = 4;

  /** In Hz. */
  public static final long FREQUENCY = 1_193_182;

  private static final long NANOS_PER_SECOND = 1_000_000_000L;

  /** How a counter's bytes go through its port. */
  private static final int ACCESS_LOW = 1;

  private static final int ACCESS_HIGH = 2;
  private static final int ACCESS_BOTH = 3;

  /** How soon an interrupt may follow another: no guest keeps the host busy with them. */
  private static final long LEAST_DELAY = 200_000;

  private final VmClock clock;
  private final InterruptLine interrupt;
  private final Timer timer;

  /** When counter 0's output rises next, in ns. */
  private long due;

  private final Counter[] counters = {new Counter(), new Counter(), new Counter()};

  private static final class Counter {
    int access = ACCESS_BOTH;
    int mode = 3;
    boolean bcd;
    boolean gate = true;

    /** The count to start from, 1 to 0x10000 (10,000 in BCD). */
    int reload = 0x10000;

    /** When the count was loaded, or the gate started it anew, in ns. */
    long start;

    /** With the gate low, how many ticks had passed when it fell. */
    long stoppedTicks;

    /** A mode was set, and no count yet: nothing counts. */
    boolean waitingForCount;

    int lowByte;
    boolean writeHighNext;
    boolean readHighNext;

    /** A latched count, or -1; with both bytes to read it goes when the high one is read. */
    int latchedCount = -1;

    int latchedStatus = -1;

    int period() {
      return bcd ? 10_000 : 0x10000;
    }
  }

  /**
   * @param clock what the counters follow
   */
  public Pit8254(VmClock clock) {
    this(clock, InterruptLine.NONE, Timer.NEVER);
  }

  /**
   * @param clock what the counters follow
   * @param interrupt what counter 0's output leads to
   * @param timers makes the timer for it
   */
  public Pit8254(VmClock clock, InterruptLine interrupt, Function<Runnable, Timer> timers) {
    this.clock = clock;
    this.interrupt = interrupt;
    this.timer = timers.apply(this::expired);
    long now = clock.nanos();
    for (Counter counter : counters) {
      counter.start = now;
    }
    counters[2].gate = false;
  }

  /** The level of a counter's output. */
  public synchronized boolean output(int counter) {
    return output(counters[counter]);
  }

  /** The level of counter 2's gate. */
  public synchronized boolean gate2() {
    return counters[2].gate;
  }

  /** Sets the level of counter 2's gate; the others' are high. */
  public synchronized void setGate2(boolean level) {
    Counter c = counters[2];
    if (level == c.gate) {
      return;
    }
    boolean stops = c.mode == 0 || c.mode == 4;
    if (level) {
      // A rising gate takes up counting in modes 0 and 4, and starts the others anew.
      c.gate = true;
      c.start = clock.nanos() - (stops ? nanos(c.stoppedTicks) : 0);
    } else {
      c.stoppedTicks = ticks(c);
      c.gate = false;
    }
  }

  /** Finds out when counter 0's output rises next. */
  private void schedule() {
    Counter c = counters[0];
    long next; // ticks after the start
    switch (c.waitingForCount ? -1 : c.mode) {
      case 0:
        next = c.reload;
        break;
      case 4: // low for one tick
        next = c.reload + 1L;
        break;
      case 2:
      case 3:
        next = (ticks(c) / c.reload + 1) * c.reload;
        break;
      default: // its gate never rises
        timer.set(-1);
        return;
    }
    due = c.start + nanos(next) + 1;
    timer.set(Math.max(due - clock.nanos(), LEAST_DELAY));
  }

  private synchronized void expired() {
    Counter c = counters[0];
    if (c.waitingForCount || clock.nanos() < due) {
      return; // it was set anew meanwhile
    }
    interrupt.set(true);
    interrupt.set(false);
    if (c.mode == 2 || c.mode == 3) {
      schedule();
    }
  }

  @Override
  protected synchronized int readByte(int offset) {
    if (offset == 3) {
      return 0xff; // the control word is for writing
    }
    Counter c = counters[offset];
    if (c.latchedStatus >= 0) {
      int status = c.latchedStatus;
      c.latchedStatus = -1;
      return status;
    }
    int count = c.latchedCount >= 0 ? c.latchedCount : count(c);
    boolean high = c.access == ACCESS_HIGH || (c.access == ACCESS_BOTH && c.readHighNext);
    c.readHighNext = c.access == ACCESS_BOTH && !c.readHighNext;
    if (high || c.access == ACCESS_LOW) {
      c.latchedCount = -1;
    }
    return high ? count >> 8 & 0xff : count & 0xff;
  }

  @Override
  protected synchronized void writeByte(int offset, int value) {
    if (offset == 3) {
      control(value);
      return;
    }
    Counter c = counters[offset];
    switch (c.access) {
      case ACCESS_LOW:
        load(c, value);
        break;
      case ACCESS_HIGH:
        load(c, value << 8);
        break;
      default:
        if (c.writeHighNext) {
          c.writeHighNext = false;
          load(c, value << 8 | c.lowByte);
        } else {
          c.lowByte = value;
          c.writeHighNext = true;
        }
        break;
    }
  }

  private void control(int value) {
    int select = value >> 6;
    if (select == 3) {
      readBack(value);
      return;
    }
    Counter c = counters[select];
    int access = value >> 4 & 3;
    if (access == 0) {
      latchCount(c);
      return;
    }
    c.access = access;
    int mode = value >> 1 & 7;
    c.mode = mode > 5 ? mode & 3 : mode; // modes 6 and 7 are 2 and 3
    c.bcd = (value & 1) != 0;
    c.waitingForCount = true;
    c.writeHighNext = false;
    c.readHighNext = false;
    c.latchedCount = -1;
    c.latchedStatus = -1;
    if (select == 0) {
      schedule();
    }
  }

  private void readBack(int value) {
    for (int i = 0; i < counters.length; i++) {
      if ((value & 2 << i) == 0) {
        continue;
      }
      Counter c = counters[i];
      if ((value & 0x20) == 0) {
        latchCount(c);
      }
      if ((value & 0x10) == 0 && c.latchedStatus < 0) {
        c.latchedStatus =
            (output(c) ? 0x80 : 0)
                | (c.waitingForCount ? 0x40 : 0)
                | c.access << 4
                | c.mode << 1
                | (c.bcd ? 1 : 0);
      }
    }
  }

  /** A count that is latched stays so until it is read. */
  private void latchCount(Counter c) {
    if (c.latchedCount < 0) {
      c.latchedCount = count(c);
    }
  }

  private void load(Counter c, int value) {
    int count = c.bcd ? fromBcd(value) : value;
    c.reload = count == 0 ? c.period() : count;
    c.start = clock.nanos();
    c.stoppedTicks = 0;
    c.waitingForCount = false;
    if (c == counters[0]) {
      schedule();
    }
  }

  /** Ticks since the count was loaded. */
  private long ticks(Counter c) {
    if (!c.gate) {
      return c.stoppedTicks;
    }
    long elapsed = Math.max(0, clock.nanos() - c.start);
    long seconds = elapsed / NANOS_PER_SECOND;
    return seconds * FREQUENCY + elapsed % NANOS_PER_SECOND * FREQUENCY / NANOS_PER_SECOND;
  }

  private static long nanos(long ticks) {
    return ticks / FREQUENCY * NANOS_PER_SECOND + ticks % FREQUENCY * NANOS_PER_SECOND / FREQUENCY;
  }

  private int count(Counter c) {
    long ticks = c.waitingForCount ? 0 : ticks(c);
    int count;
    switch (c.mode) {
      case 2:
        count = (int) (c.reload - ticks % c.reload);
        break;
      case 3:
        {
          // Counts down by two, twice for each period; of an odd count the first half is one tick
          // longer.
          long inPeriod = ticks % c.reload;
          long half = (c.reload + 1L) / 2;
          long inHalf = inPeriod < half ? inPeriod : inPeriod - half;
          count = (int) ((c.reload & ~1) - 2 * inHalf);
          count = count <= 0 ? c.reload & ~1 : count;
          break;
        }
      default:
        count = Math.floorMod(c.reload - ticks, c.period());
        break;
    }
    count %= c.period();
    return c.bcd ? toBcd(count) : count;
  }

  private boolean output(Counter c) {
    if (c.waitingForCount) {
      return c.mode != 0;
    }
    long ticks = ticks(c);
    switch (c.mode) {
      case 0:
      case 1:
        return ticks >= c.reload;
      case 2:
        return !c.gate || ticks % c.reload != c.reload - 1;
      case 3:
        return !c.gate || ticks % c.reload < (c.reload + 1) / 2;
      default:
        return ticks != c.reload;
    }
  }

  private static int fromBcd(int value) {
    return (value >> 12 & 0xf) * 1000
        + (value >> 8 & 0xf) * 100
        + (value >> 4 & 0xf) * 10
        + (value & 0xf);
  }

  private static int toBcd(int value) {
    return (value / 1000) << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 | value % 10;
  }
}
