package org.kvm4j.kvm.module;

import org.kvm4j.kvm.module.pv.HostClock;

/**
 * Which of a VM's time-stamp counters match: a processor whose counter is written with about what
 * the last one written has by now, or with 0 when it is made, is meant to match it, and gets the
 * same offset. Source: Linux 6.1 kvm_synchronize_tsc, kvm_track_tsc_matching.
 */
final class TscSync {
  private final HostClock host;

  /** Virtual CPUs that were ever made. */
  private int made;

  // The last write.
  private long lastTime;
  private long lastValue;
  private int lastKhz;
  private long lastOffset;

  /** The offset that those that match have, and how many do besides the first. */
  private long offset;

  private int matched;
  private int generation;

  TscSync(HostClock host) {
    this.host = host;
  }

  /** Whether all of them match. */
  synchronized boolean allMatch() {
    return matched + 1 == made;
  }

  /** A new virtual CPU's counter starts at 0. */
  synchronized void start(GuestTsc tsc) {
    made++;
    write(tsc, 0);
  }

  /** User space writes the counter. */
  synchronized void write(GuestTsc tsc, long value) {
    long time = host.now();
    boolean together = value == 0;
    if (!together) {
      long expected = lastValue + tsc.ticks(time - lastTime);
      long second = tsc.khz() * 1000L;
      together =
          Long.compareUnsigned(value, expected + second) < 0
              && Long.compareUnsigned(value + second, expected) > 0;
    }
    boolean matches = together && tsc.khz() == lastKhz;
    set(tsc, matches ? offset : value - tsc.scaled(time), value, time, matches);
  }

  /** User space sets the offset (KVM_VCPU_TSC_OFFSET). */
  synchronized void writeOffset(GuestTsc tsc, long value) {
    long time = host.now();
    boolean matches = lastKhz == tsc.khz() && lastOffset == value;
    set(tsc, value, tsc.scaled(time) + value, time, matches);
  }

  private void set(GuestTsc tsc, long newOffset, long value, long time, boolean matches) {
    lastTime = time;
    lastValue = value;
    lastKhz = tsc.khz();
    lastOffset = newOffset;
    tsc.setOffset(newOffset);
    if (!matches) {
      generation++;
      offset = newOffset;
      matched = 0;
    } else if (tsc.generation != generation) {
      matched++;
    }
    tsc.generation = generation;
  }
}
