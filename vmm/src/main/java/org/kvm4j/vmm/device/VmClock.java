package org.kvm4j.vmm.device;

/** The time that a machine's devices live in: the host's, or one that instructions drive. */
@FunctionalInterface
public interface VmClock {

  /** Nanoseconds since some moment before the machine started; never goes back. */
  long nanos();

  /** The host's time. */
  static VmClock host() {
    return System::nanoTime;
  }
}
