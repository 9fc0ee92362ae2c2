package org.kvm4j.vmm.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/** Counter 0 of a timer that has an interrupt line. */
class PitInterruptTests {

  private static final int CONTROL = 3;
  private static final int HERTZ_100 = 11932;

  private final FakeClock clock = new FakeClock();
  private Runnable callback = () -> {};

  /** When the timer is to call back; -1 for never. */
  private long wanted = -1;

  private int interrupts;
  private final Pit8254 pit =
      new Pit8254(
          clock,
          level -> interrupts += level ? 1 : 0,
          run -> {
            callback = run;
            return delay -> wanted = delay < 0 ? -1 : clock.nanos() + delay;
          });

  private void program(int mode, int count) {
    pit.write(CONTROL, 1, 0x30 | mode << 1);
    pit.write(0, 1, count & 0xff);
    pit.write(0, 1, count >> 8 & 0xff);
  }

  /** Lets time pass, and the timer call back whenever it is to. */
  private void pass(long nanos) {
    long end = clock.now + nanos;
    while (wanted >= 0 && wanted <= end) {
      clock.now = wanted;
      wanted = -1;
      callback.run();
    }
    clock.now = end;
  }

  @Test
  void nothing_interrupts_before_it_is_programmed() {
    pass(1_000_000_000);
    assertEquals(0, interrupts);
  }

  @Test
  void periodic_modes_interrupt_once_a_period() {
    for (int mode : new int[] {2, 3}) {
      interrupts = 0;
      program(mode, HERTZ_100);
      pass(1_005_000_000);
      assertEquals(100, interrupts, "mode " + mode);
    }
  }

  @Test
  void one_shots_interrupt_once() {
    for (int mode : new int[] {0, 4}) {
      interrupts = 0;
      program(mode, HERTZ_100);
      pass(9_990_000);
      assertEquals(0, interrupts, "mode " + mode);
      pass(1_000_000_000);
      assertEquals(1, interrupts, "mode " + mode);
    }
  }

  @Test
  void a_new_mode_stops_what_was_under_way() {
    program(0, HERTZ_100);
    pit.write(CONTROL, 1, 0x30);
    assertEquals(-1, wanted);
    callback.run(); // it was on its way
    pass(1_000_000_000);
    assertEquals(0, interrupts);
  }

  @Test
  void modes_whose_gate_never_rises_do_not_interrupt() {
    for (int mode : new int[] {1, 5}) {
      program(mode, HERTZ_100);
      pass(1_000_000_000);
    }
    assertEquals(0, interrupts);
  }

  @Test
  void what_is_overdue_is_one_interrupt_and_the_shortest_periods_are_longer() {
    program(2, HERTZ_100);
    clock.advance(100_000_000);
    callback.run();
    assertEquals(1, interrupts);
    program(2, 2);
    interrupts = 0;
    pass(10_000_000);
    assertTrue(interrupts >= 45 && interrupts <= 50, interrupts + " in 10 ms");
  }
}
