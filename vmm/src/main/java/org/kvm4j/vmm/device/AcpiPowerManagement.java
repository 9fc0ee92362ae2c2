package org.kvm4j.vmm.device;

/**
 * The fixed registers of ACPI at ports 0x600 to 0x60b: the PM1a event block, which keeps what is
 * written and tells of nothing; the PM1a control register, which powers the machine off; and the
 * power management timer, 24 bits at 3.579545 MHz.
 *
 * <p>Source: ACPI Specification 6.4, section 4.8.3, "PM1 Control Registers" and "PM Timer".
 */
public final class AcpiPowerManagement implements PortDevice {

  /** The first of its ports. */
  public static final int PORT = 0x600;

  /** How many ports it takes. */
  public static final int PORTS = 12;

  /** In Hz. */
  public static final long TIMER_FREQUENCY = 3_579_545;

  private static final int ENABLE = 2;
  private static final int CONTROL = 4;
  private static final int TIMER = 8;

  private static final int SLP_EN = 1 << 13;
  private static final int SLP_TYP_SHIFT = 10;
  private static final int SLP_TYP_MASK = 7;

  /** The sleep type that stands for S5; the tables of the machine will say so. */
  private static final int SLP_TYP_S5 = 0;

  private static final long NANOS_PER_SECOND = 1_000_000_000L;

  private final VmClock clock;
  private final Runnable powerOff;
  private int enable;
  private int control;

  /**
   * @param clock what the timer follows
   * @param powerOff what happens when the guest powers the machine off
   */
  public AcpiPowerManagement(VmClock clock, Runnable powerOff) {
    this.clock = clock;
    this.powerOff = powerOff;
  }

  @Override
  public synchronized int read(int offset, int size) {
    switch (offset) {
      case ENABLE:
        return enable;
      case CONTROL:
        return control | 1; // SCI_EN: ACPI mode
      case TIMER:
        return timer();
      default:
        return 0;
    }
  }

  @Override
  public synchronized void write(int offset, int size, int value) {
    switch (offset) {
      case ENABLE:
        enable = value & 0xffff;
        break;
      case CONTROL:
        control = value & 0xffff & ~SLP_EN;
        if ((value & SLP_EN) != 0 && (value >> SLP_TYP_SHIFT & SLP_TYP_MASK) == SLP_TYP_S5) {
          powerOff.run();
        }
        break;
      default:
        break;
    }
  }

  private int timer() {
    long now = clock.nanos();
    long ticks =
        now / NANOS_PER_SECOND * TIMER_FREQUENCY
            + now % NANOS_PER_SECOND * TIMER_FREQUENCY / NANOS_PER_SECOND;
    return (int) (ticks & 0xff_ffff);
  }
}
