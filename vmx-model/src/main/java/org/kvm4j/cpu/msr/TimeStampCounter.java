package org.kvm4j.cpu.msr;

import org.kvm4j.cpu.core.Cpu;

/** The time-stamp counter. SDM Vol. 3, "Time-Stamp Counter". */
public final class TimeStampCounter {
  private TimeStampCounter() {}

  /**
   * Whether RDTSC, at the current privilege level, does nothing but read a counter that is {@link
   * System#nanoTime} and {@link #beyondHost}.
   */
  public static boolean isHostClock(Cpu cpu) {
    return cpu.platform.isTscOfHost() && (cpu.guest == null || cpu.guest.isTscPlain());
  }

  /** Whether RDTSCP is, too, then, and also reads IA32_TSC_AUX. */
  public static boolean hasAux(Cpu cpu) {
    return cpu.guest == null || cpu.guest.hasTscAux();
  }

  /** By how much RDTSC is beyond {@link System#nanoTime}, if {@link #isHostClock}. */
  public static long beyondHost(Cpu cpu) {
    long beyond = cpu.msr.tscOffset - cpu.platform.tscEpoch();
    return cpu.guest != null ? cpu.guest.guestTsc(beyond) : beyond;
  }

  /** The counter in the current operation: a guest's has its offset and scale. */
  public static long read(Cpu cpu) {
    long host = cpu.platform.tsc() + cpu.msr.tscOffset;
    return cpu.guest != null ? cpu.guest.guestTsc(host) : host;
  }

  /** WRMSR to IA32_TIME_STAMP_COUNTER: IA32_TSC_ADJUST moves by the same amount. */
  static void write(Cpu cpu, long value) {
    long delta = value - (cpu.platform.tsc() + cpu.msr.tscOffset);
    cpu.msr.tscOffset += delta;
    cpu.msr.tscAdjust += delta;
  }

  /** WRMSR to IA32_TSC_ADJUST: the counter moves by the same amount. */
  static void adjust(Cpu cpu, long value) {
    cpu.msr.tscOffset += value - cpu.msr.tscAdjust;
    cpu.msr.tscAdjust = value;
  }
}
