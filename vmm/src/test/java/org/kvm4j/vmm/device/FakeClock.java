package org.kvm4j.vmm.device;

/** A clock that goes when it is told to. */
final class FakeClock implements VmClock {
  long now = 1_000_000_000L;

  @Override
  public long nanos() {
    return now;
  }

  void advance(long nanos) {
    now += nanos;
  }
}
