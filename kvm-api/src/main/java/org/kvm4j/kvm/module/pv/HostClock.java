package org.kvm4j.kvm.module.pv;

/** The host's clocks, as a VM's own time has them. */
public interface HostClock {
  /** CLOCK_MONOTONIC_RAW, in ns from any start; the host's time-stamp counter has as many ticks. */
  long now();

  /** CLOCK_REALTIME: ns since 1970. */
  long realTime();
}
