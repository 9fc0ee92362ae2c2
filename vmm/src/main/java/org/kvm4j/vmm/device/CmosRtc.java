package org.kvm4j.vmm.device;

import java.time.DateTimeException;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.time.temporal.ChronoField;
import java.util.function.Function;
import java.util.function.LongConsumer;

/**
 * The CMOS memory and real-time clock, ports 0x70 (index) and 0x71 (data): the time in UTC, its
 * periodic, alarm and update-ended interrupts, and the sizes of memory that a BIOS leaves there.
 *
 * <p>Source: Motorola MC146818A data sheet, "Address Map" and "Registers"; the memory sizes as in
 * Ralf Brown's Interrupt List, CMOS.LST.
 */
public final class CmosRtc extends ByteDevice {

  /** The first of its two ports. */
  public static final int PORT = 0x70;

  /** How many ports it takes. */
  public static final int PORTS = 2;

  private static final int SECONDS = 0x00;
  private static final int SECONDS_ALARM = 0x01;
  private static final int MINUTES = 0x02;
  private static final int MINUTES_ALARM = 0x03;
  private static final int HOURS = 0x04;
  private static final int HOURS_ALARM = 0x05;
  private static final int DAY_OF_WEEK = 0x06;
  private static final int DAY_OF_MONTH = 0x07;
  private static final int MONTH = 0x08;
  private static final int YEAR = 0x09;
  private static final int STATUS_A = 0x0a;
  private static final int STATUS_B = 0x0b;
  private static final int STATUS_C = 0x0c;
  private static final int STATUS_D = 0x0d;
  private static final int CENTURY = 0x32;

  private static final int STATUS_A_UPDATING = 0x80;

  /** The enables of its interrupts, and of its square wave. */
  private static final int STATUS_B_RESET = 0x78;

  private static final int SHUTDOWN_CODE = 0x0f;
  private static final int STATUS_A_RATE = 0x0f;
  private static final int STATUS_B_24_HOURS = 0x02;
  private static final int STATUS_B_BINARY = 0x04;
  private static final int STATUS_B_SET = 0x80;
  private static final int STATUS_C_INTERRUPT = 0x80;

  // The same bits enable an interrupt in status B and tell of it in C.
  private static final int UPDATE_ENDED = 0x10;
  private static final int ALARM = 0x20;
  private static final int PERIODIC = 0x40;
  private static final int EVENTS = UPDATE_ENDED | ALARM | PERIODIC;

  /** In an alarm register: any value will do. */
  private static final int ANY = 0xc0;

  private static final int CRYSTAL = 32_768;
  private static final int STATUS_D_VALID = 0x80;

  private static final long SECOND = 1_000_000_000L;

  /** How long before each second the clock tells that it updates: 244 us. */
  private static final long UPDATE_WARNING = 244_000;

  private final byte[] memory = new byte[128];
  private final VmClock clock;
  private final Instant bootTime;
  private long bootNanos;
  private final InterruptLine interrupt;
  private final Timer timer;
  private int index;

  /** What happened since the guest last looked at status C. */
  private int events;

  /** Up to when that is known: in seconds of the date, and in periods since the machine started. */
  private long secondsSeen;

  private long periodsSeen;
  private boolean line;

  /** What the guest added by setting the clock, and what its date was when it stopped it. */
  private long offsetSeconds;

  private LocalDateTime stoppedAt = LocalDateTime.MIN;

  /**
   * @param clock how time goes
   * @param bootTime what the time is now
   * @param memoryBelow4G in bytes
   * @param memoryAbove4G in bytes
   * @param interrupt IRQ 8 of a PC
   * @param timers make what wakes the clock for its interrupts
   */
  public CmosRtc(
      VmClock clock,
      Instant bootTime,
      long memoryBelow4G,
      long memoryAbove4G,
      InterruptLine interrupt,
      Function<Runnable, Timer> timers) {
    this.clock = clock;
    this.interrupt = interrupt;
    this.bootTime = bootTime;
    this.bootNanos = clock.nanos();
    memory[STATUS_A] = 0x26; // 32.768 kHz, 1,024 Hz
    memory[STATUS_B] = STATUS_B_24_HOURS;
    memory[STATUS_D] = (byte) STATUS_D_VALID;
    putShort(0x15, Math.min(640, memoryBelow4G >> 10));
    long extended = Math.min(0xffff, Math.max(0, (memoryBelow4G >> 10) - 1024));
    putShort(0x17, extended);
    putShort(0x30, extended);
    putShort(0x34, Math.max(0, memoryBelow4G - (16 << 20)) >> 16);
    long high = memoryAbove4G >> 16;
    putShort(0x5b, high);
    memory[0x5d] = (byte) (high >> 16);
    checksum();
    secondsSeen = seconds();
    this.timer = timers.apply(this::wake);
  }

  /**
   * Takes over what the battery keeps of another: time and memory. A reset switches its interrupts
   * off. Source: Motorola MC146818 data sheet, "RESET".
   */
  public void keep(CmosRtc before) {
    synchronized (before) {
      synchronized (this) {
        System.arraycopy(before.memory, 0, memory, 0, memory.length);
        memory[STATUS_B] &= (byte) ~STATUS_B_RESET;
        bootNanos = before.bootNanos;
        offsetSeconds = before.offsetSeconds;
        stoppedAt = before.stoppedAt;
        secondsSeen = seconds();
        periodsSeen = before.periodsSeen;
      }
    }
  }

  /** The code at 0x0f that tells firmware why the processor was reset; it is 0 from now on. */
  public synchronized int takeShutdownCode() {
    int code = memory[SHUTDOWN_CODE] & 0xff;
    memory[SHUTDOWN_CODE] = 0;
    return code;
  }

  /** The same, without a change. */
  public synchronized int shutdownCode() {
    return memory[SHUTDOWN_CODE] & 0xff;
  }

  private void putShort(int at, long value) {
    memory[at] = (byte) value;
    memory[at + 1] = (byte) (value >> 8);
  }

  /** The sum of 0x10 to 0x2d, which a BIOS keeps in 0x2e and 0x2f. */
  private void checksum() {
    int sum = 0;
    for (int i = 0x10; i <= 0x2d; i++) {
      sum += memory[i] & 0xff;
    }
    memory[0x2e] = (byte) (sum >> 8);
    memory[0x2f] = (byte) sum;
  }

  @Override
  protected synchronized int readByte(int offset) {
    // The index port is for writing.
    return offset == 0 ? 0xff : register(index);
  }

  @Override
  protected synchronized void writeByte(int offset, int value) {
    if (offset == 0) {
      // Bit 7 masks NMIs, of which there are none.
      index = value & 0x7f;
    } else {
      lookForEvents();
      setRegister(index, value);
      secondsSeen = seconds();
      periodsSeen = periods();
      update();
    }
  }

  private int register(int register) {
    switch (register) {
      case SECONDS:
        return encode(now().getSecond());
      case MINUTES:
        return encode(now().getMinute());
      case HOURS:
        return encodeHour(now().getHour());
      case DAY_OF_WEEK:
        return encode(now().getDayOfWeek().getValue() % 7 + 1); // Sunday is 1
      case DAY_OF_MONTH:
        return encode(now().getDayOfMonth());
      case MONTH:
        return encode(now().getMonthValue());
      case YEAR:
        return encode(Math.floorMod(now().getYear(), 100));
      case CENTURY:
        return encode(Math.floorMod(Math.floorDiv(now().getYear(), 100), 100));
      case STATUS_A:
        return (memory[STATUS_A] & 0x7f) | (updating() ? STATUS_A_UPDATING : 0);
      case STATUS_C:
        return takeEvents();
      default:
        return memory[register] & 0xff;
    }
  }

  private void setRegister(int register, int value) {
    switch (register) {
      case SECONDS:
      case MINUTES:
      case HOURS:
      case DAY_OF_MONTH:
      case MONTH:
      case YEAR:
      case CENTURY:
        setTime(register, value);
        break;
      case STATUS_A:
        memory[STATUS_A] = (byte) (value & 0x7f);
        break;
      case STATUS_B:
        if ((value & STATUS_B_SET) != 0 && (memory[STATUS_B] & STATUS_B_SET) == 0) {
          stoppedAt = now();
        } else if ((value & STATUS_B_SET) == 0 && (memory[STATUS_B] & STATUS_B_SET) != 0) {
          offsetSeconds +=
              stoppedAt.toEpochSecond(ZoneOffset.UTC) - running().toEpochSecond(ZoneOffset.UTC);
        }
        memory[STATUS_B] = (byte) value;
        break;
      case DAY_OF_WEEK: // follows from the date
      case STATUS_C:
      case STATUS_D:
        break;
      case SECONDS_ALARM:
      case MINUTES_ALARM:
      case HOURS_ALARM:
      default:
        memory[register] = (byte) value;
        break;
    }
  }

  /** Sets a part of the date; a value that no clock shows is dropped. */
  private void setTime(int register, int value) {
    LocalDateTime before = now();
    LocalDateTime after;
    try {
      switch (register) {
        case SECONDS:
          after = before.withSecond(decode(value));
          break;
        case MINUTES:
          after = before.withMinute(decode(value));
          break;
        case HOURS:
          after = before.withHour(decodeHour(value));
          break;
        case DAY_OF_MONTH:
          after = before.withDayOfMonth(decode(value));
          break;
        case MONTH:
          after = before.withMonth(decode(value));
          break;
        case YEAR:
          after = before.withYear(before.getYear() / 100 * 100 + decode(value) % 100);
          break;
        default:
          after = before.withYear(decode(value) % 100 * 100 + before.getYear() % 100);
          break;
      }
    } catch (DateTimeException e) {
      return;
    }
    if ((memory[STATUS_B] & STATUS_B_SET) != 0) {
      stoppedAt = after;
    } else {
      offsetSeconds += after.toEpochSecond(ZoneOffset.UTC) - before.toEpochSecond(ZoneOffset.UTC);
    }
  }

  private LocalDateTime now() {
    return (memory[STATUS_B] & STATUS_B_SET) != 0 ? stoppedAt : running();
  }

  private LocalDateTime running() {
    return LocalDateTime.ofInstant(
        bootTime.plusNanos(clock.nanos() - bootNanos).plusSeconds(offsetSeconds), ZoneOffset.UTC);
  }

  /** The date in seconds, which stands while the guest sets it. */
  private long seconds() {
    return now().toEpochSecond(ZoneOffset.UTC);
  }

  /** How many periods there have been; 0 if the periodic interrupt has no rate. */
  private long periods() {
    long period = period();
    return period == 0 ? 0 : (clock.nanos() - bootNanos) / period;
  }

  /** The time between periodic interrupts in ns; 0 for none. */
  private long period() {
    int rate = memory[STATUS_A] & STATUS_A_RATE;
    if (rate == 0) {
      return 0;
    }
    // The two fastest rates are those of 8 and 9 again.
    int divider = rate <= 2 ? rate + 7 : rate;
    return SECOND * (1 << divider - 1) / CRYSTAL;
  }

  private synchronized void wake() {
    lookForEvents();
    update();
  }

  /**
   * For a machine in which no time passes by itself: lets it pass until the clock interrupts.
   *
   * @param pass lets so many ns pass
   */
  public synchronized void passToInterrupt(LongConsumer pass) {
    // The longest that an alarm can be away.
    for (int i = 0; i <= 86_400 && !line && (enabled() & EVENTS) != 0; i++) {
      long delay = delay();
      if (delay < 0) {
        return;
      }
      pass.accept(delay);
      wake();
    }
  }

  /** Adds what has happened since this was last called. */
  private void lookForEvents() {
    long second = seconds();
    if (second != secondsSeen) {
      events |= UPDATE_ENDED;
      // A day has every time that an alarm can be set to.
      for (long s = Math.max(secondsSeen + 1, second - 86_399); s <= second; s++) {
        if (alarmAt(LocalDateTime.ofEpochSecond(s, 0, ZoneOffset.UTC))) {
          events |= ALARM;
          break;
        }
      }
      secondsSeen = second;
    }
    long period = periods();
    if (period != periodsSeen) {
      events |= PERIODIC;
      periodsSeen = period;
    }
  }

  private boolean alarmAt(LocalDateTime time) {
    return matches(SECONDS_ALARM, encode(time.getSecond()))
        && matches(MINUTES_ALARM, encode(time.getMinute()))
        && matches(HOURS_ALARM, encodeHour(time.getHour()));
  }

  private boolean matches(int register, int value) {
    return (memory[register] & ANY) == ANY || (memory[register] & 0xff) == value;
  }

  private int takeEvents() {
    lookForEvents();
    int taken = events | ((events & enabled()) != 0 ? STATUS_C_INTERRUPT : 0);
    events = 0;
    update();
    return taken;
  }

  private int enabled() {
    return memory[STATUS_B] & EVENTS;
  }

  /** Sets the interrupt line, and the timer for what can still happen to set it. */
  private void update() {
    boolean level = (events & enabled()) != 0;
    if (level != line) {
      line = level;
      interrupt.set(level);
    }
    timer.set(delay());
  }

  /** In how many ns there may be an event that interrupts; negative for never. */
  private long delay() {
    long delay = Long.MAX_VALUE;
    if (!line && (enabled() & PERIODIC) != 0 && period() != 0) {
      delay = period() - (clock.nanos() - bootNanos) % period();
    }
    if (!line && (enabled() & (ALARM | UPDATE_ENDED)) != 0) {
      delay = Math.min(delay, SECOND - running().get(ChronoField.NANO_OF_SECOND));
    }
    return delay == Long.MAX_VALUE ? -1 : delay;
  }

  private boolean updating() {
    return (memory[STATUS_B] & STATUS_B_SET) == 0
        && running().get(ChronoField.NANO_OF_SECOND) >= SECOND - UPDATE_WARNING;
  }

  private boolean binary() {
    return (memory[STATUS_B] & STATUS_B_BINARY) != 0;
  }

  private int encode(int value) {
    return binary() ? value : (value / 10) << 4 | value % 10;
  }

  private int decode(int value) {
    return binary() ? value : (value >> 4) * 10 + (value & 0x0f);
  }

  private int encodeHour(int hour) {
    if ((memory[STATUS_B] & STATUS_B_24_HOURS) != 0) {
      return encode(hour);
    }
    return encode(hour % 12 == 0 ? 12 : hour % 12) | (hour >= 12 ? 0x80 : 0);
  }

  private int decodeHour(int value) {
    if ((memory[STATUS_B] & STATUS_B_24_HOURS) != 0) {
      return decode(value);
    }
    return decode(value & 0x7f) % 12 + ((value & 0x80) != 0 ? 12 : 0);
  }
}
