package org.kvm4j.vmm.device;

import java.util.function.Function;

/** Calls a device back after a time. */
@FunctionalInterface
public interface Timer {

  /** Makes timers that never fire, for machines in which no time passes by itself. */
  Function<Runnable, Timer> NEVER = callback -> delay -> {};

  /**
   * Sets the time, in place of what was set before.
   *
   * @param delayNanos from now, in ns; negative for never
   */
  void set(long delayNanos);
}
