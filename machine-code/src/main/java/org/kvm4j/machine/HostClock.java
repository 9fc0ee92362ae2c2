package org.kvm4j.machine;

import com.sun.jna.NativeLibrary;
import com.sun.jna.Pointer;

/**
 * The clock of {@link System#nanoTime}, for machine code: on Linux the JVM asks the C library for
 * CLOCK_MONOTONIC.
 */
public final class HostClock {
  /** CLOCK_MONOTONIC. Source: clock_gettime(2), linux/time.h. */
  public static final int MONOTONIC = 1;

  private HostClock() {}

  /**
   * Where {@code clock_gettime} is, a function by the System V calling convention that takes the
   * clock and the address of two longs, for seconds and nanoseconds.
   *
   * @return 0 if there is none
   */
  public static long function() {
    try {
      return Pointer.nativeValue(NativeLibrary.getProcess().getFunction("clock_gettime"));
    } catch (LinkageError e) {
      return 0;
    }
  }
}
