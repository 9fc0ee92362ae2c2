package org.kvm4j.vmm.device;

/**
 * Port 0x61: the gate and the output of the timer's counter 2, the speaker's switch, and a bit that
 * toggles with each refresh of memory, every 15 us.
 *
 * <p>Source: IBM Personal System/2 Hardware Interface Technical Reference, "System Control Port B".
 */
public final class SystemControlPortB extends ByteDevice {

  /** Its port. */
  public static final int PORT = 0x61;

  private static final int GATE_2 = 0x01;
  private static final int SPEAKER = 0x02;
  private static final int REFRESH = 0x10;
  private static final int OUTPUT_2 = 0x20;

  private static final long REFRESH_NANOS = 15_085;

  private final Pit8254 timer;
  private final VmClock clock;
  private volatile boolean speaker;

  /**
   * @param timer whose counter 2 this is about
   * @param clock what refresh follows
   */
  public SystemControlPortB(Pit8254 timer, VmClock clock) {
    this.timer = timer;
    this.clock = clock;
  }

  @Override
  protected int readByte(int offset) {
    return (timer.gate2() ? GATE_2 : 0)
        | (speaker ? SPEAKER : 0)
        | ((clock.nanos() / REFRESH_NANOS & 1) != 0 ? REFRESH : 0)
        | (timer.output(2) ? OUTPUT_2 : 0);
  }

  @Override
  protected void writeByte(int offset, int value) {
    timer.setGate2((value & GATE_2) != 0);
    speaker = (value & SPEAKER) != 0;
  }
}
