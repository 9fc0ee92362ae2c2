package org.kvm4j.vmm.device;

/**
 * The fixed registers of ACPI at ports 0x600 to 0x60b: the PM1a event block, status and enable; the
 * PM1a control register, which powers the machine off or has it sleep in S3; and the power
 * management timer, 24 bits at 3.579545 MHz. An event that is enabled holds the system control
 * interrupt up until its status is cleared, and wakes the machine from S3.
 *
 * <p>The timer's carry shows in the status but gives no interrupt: nobody counts on it who reads a
 * better clock.
 *
 * <p>Source: ACPI Specification 6.4, section 4.8.3, "Fixed Hardware Registers", 4.8.3.3, "Power
 * Management Timer (PM_TMR)" and 7.4.2.4, "System \_S3 State".
 */
public final class AcpiPowerManagement implements PortDevice {

  /** The first of its ports. */
  public static final int PORT = 0x600;

  /** How many ports it takes. */
  public static final int PORTS = 12;

  /** Of the event block, in bytes; it is the first. */
  public static final int EVENT_SIZE = 4;

  /** The offset of the control register. */
  public static final int CONTROL = 4;

  /** Its size in bytes. */
  public static final int CONTROL_SIZE = 2;

  /** The offset of the timer. */
  public static final int TIMER = 8;

  /** Its size in bytes. */
  public static final int TIMER_SIZE = 4;

  /** In Hz. */
  public static final long TIMER_FREQUENCY = 3_579_545;

  /** The sleep type that stands for S3, in which memory alone keeps its contents. */
  public static final int SLP_TYP_S3 = 1;

  /** The sleep type that stands for S5, powered off; the DSDT says so. */
  public static final int SLP_TYP_S5 = 0;

  private static final int STATUS = 0;
  private static final int ENABLE = 2;

  private static final int TMR_STS = 1 << 0;
  private static final int PWRBTN_STS = 1 << 8;
  private static final int RTC_STS = 1 << 10;
  private static final int WAK_STS = 1 << 15;

  /** The timer, global lock, power button, sleep button and real-time clock. */
  private static final int EVENTS = TMR_STS | 1 << 5 | PWRBTN_STS | 1 << 9 | RTC_STS;

  private static final int SCI_EN = 1;
  private static final int SLP_EN = 1 << 13;
  private static final int SLP_TYP_SHIFT = 10;
  private static final int SLP_TYP_MASK = 7;

  private static final int TIMER_BITS = 24;
  private static final long NANOS_PER_SECOND = 1_000_000_000L;

  private final VmClock clock;
  private final InterruptLine sci;
  private final SleepStates states;
  private int status;
  private int enable;
  private int control;
  private boolean sciLevel;
  private boolean asleep;

  /** How often the timer's highest bit had changed when the guest last cleared that. */
  private long carriesSeen;

  /** What the machine does in sleep states. */
  public interface SleepStates {
    /** The guest powers the machine off: S5. */
    void powerOff();

    /** The guest goes to S3. */
    void suspend();

    /** What is to wake it has happened. */
    void wake();
  }

  /**
   * @param clock what the timer follows
   * @param sci the system control interrupt, level-triggered
   * @param states what happens when the guest asks for a sleep state
   */
  public AcpiPowerManagement(VmClock clock, InterruptLine sci, SleepStates states) {
    this.clock = clock;
    this.sci = sci;
    this.states = states;
    this.carriesSeen = carries();
  }

  /** Asks the guest to power off, or wakes it, as one who presses the button for a moment. */
  public synchronized void pressPowerButton() {
    status |= PWRBTN_STS;
    update();
  }

  /** The real-time clock interrupts. */
  public synchronized void clockAlarm() {
    status |= RTC_STS;
    update();
  }

  @Override
  public synchronized int read(int offset, int size) {
    switch (offset) {
      case STATUS:
        return status() | enable << 16;
      case ENABLE:
        return enable;
      case CONTROL:
        return control | SCI_EN;
      case TIMER:
        return (int) (ticks() & (1 << TIMER_BITS) - 1);
      default:
        return 0;
    }
  }

  @Override
  public synchronized void write(int offset, int size, int value) {
    switch (offset) {
      case STATUS:
        status &= ~value; // a 1 clears
        if ((value & TMR_STS) != 0) {
          carriesSeen = carries();
        }
        if (size == 4) {
          enable = value >>> 16 & EVENTS;
        }
        update();
        break;
      case ENABLE:
        enable = value & EVENTS;
        update();
        break;
      case CONTROL:
        control = value & 0xffff & ~(SLP_EN | SCI_EN);
        if ((value & SLP_EN) != 0) {
          enter(value >> SLP_TYP_SHIFT & SLP_TYP_MASK);
        }
        break;
      default:
        break;
    }
  }

  private void enter(int type) {
    if (type == SLP_TYP_S5) {
      states.powerOff();
    } else if (type == SLP_TYP_S3) {
      asleep = true;
      states.suspend();
      update();
    }
  }

  private int status() {
    return status | (carries() != carriesSeen ? TMR_STS : 0);
  }

  private void update() {
    boolean level = (status & enable) != 0;
    if (level != sciLevel) {
      sciLevel = level;
      sci.set(level);
    }
    // ACPI 4.8.3.1.1: the power button wakes without being enabled.
    if (asleep && (level || (status & PWRBTN_STS) != 0)) {
      asleep = false;
      status |= WAK_STS;
      states.wake();
    }
  }

  private long ticks() {
    long now = clock.nanos();
    return now / NANOS_PER_SECOND * TIMER_FREQUENCY
        + now % NANOS_PER_SECOND * TIMER_FREQUENCY / NANOS_PER_SECOND;
  }

  private long carries() {
    return ticks() >> TIMER_BITS - 1;
  }
}
