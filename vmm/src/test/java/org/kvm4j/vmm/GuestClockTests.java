package org.kvm4j.vmm;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class GuestClockTests {

  @Test
  void cycles_become_nanoseconds_without_overflow() {
    assertEquals(1_000_000_000L, GuestClock.nanos(2_600_000_000L, 2_600_000));
    assertEquals(1, GuestClock.nanos(3, 2_000_000));
    long tenYears = 10L * 365 * 86_400;
    assertEquals(tenYears * 1_000_000_000L, GuestClock.nanos(tenYears * 3_000_000_000L, 3_000_000));
  }
}
