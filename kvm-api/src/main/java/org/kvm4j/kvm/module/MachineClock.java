package org.kvm4j.kvm.module;

/**
 * The clock that a machine is made with. All time of the machine comes from here.
 *
 * <p>The time-stamp counter runs at {@link #TSC_KHZ}: one tick a nanosecond.
 */
public enum MachineClock {
  /** The host's monotonic clock. */
  HOST,

  /**
   * One nanosecond, or as many as are asked for, for each instruction that the VM's virtual CPUs
   * retire, which take turns; while all halt, time jumps from timer to timer. A run is reproducible
   * bit for bit.
   */
  VIRTUAL;

  /** Frequency of the emulated processor's time-stamp counter, in kHz. */
  public static final int TSC_KHZ = 1_000_000;
}
