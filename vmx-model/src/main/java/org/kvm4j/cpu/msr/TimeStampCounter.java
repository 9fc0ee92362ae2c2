package org.kvm4j.cpu.msr;

import org.kvm4j.cpu.core.Cpu;

/** The time-stamp counter. SDM Vol. 3, "Time-Stamp Counter". */
public final class TimeStampCounter {
  private TimeStampCounter() {}

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
