package org.kvm4j.vmm.device;

/**
 * Port 0x92: the fast A20 gate, which is kept and changes nothing, since no address line is ever
 * masked here; and the fast reset.
 *
 * <p>Source: IBM Personal System/2 Hardware Interface Technical Reference, "System Control Port A".
 */
public final class SystemControlPortA extends ByteDevice {

  /** Its port. */
  public static final int PORT = 0x92;

  private static final int RESET = 0x01;
  private static final int A20 = 0x02;

  private final Runnable reset;
  private volatile int value = A20;

  /**
   * @param reset what happens when the guest resets the processor
   */
  public SystemControlPortA(Runnable reset) {
    this.reset = reset;
  }

  /** What the guest has written. */
  public int value() {
    return value;
  }

  /** Gives it what another had, without resetting anything. */
  public void restore(int before) {
    value = before;
  }

  @Override
  protected int readByte(int offset) {
    return value;
  }

  @Override
  protected void writeByte(int offset, int newValue) {
    boolean resets = (newValue & RESET) != 0 && (value & RESET) == 0;
    value = newValue;
    if (resets) {
      reset.run();
    }
  }
}
