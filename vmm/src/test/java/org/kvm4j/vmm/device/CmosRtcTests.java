package org.kvm4j.vmm.device;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class CmosRtcTests {

  private static final long MEGABYTE = 1 << 20;

  private static final int STATUS_A = 0x0a;
  private static final int STATUS_B = 0x0b;
  private static final int STATUS_C = 0x0c;
  private static final int PERIODIC = 0x40;
  private static final int ALARM = 0x20;
  private static final int UPDATE_ENDED = 0x10;

  private final FakeClock clock = new FakeClock();
  private final List<Boolean> interrupts = new ArrayList<>();
  private Runnable wake = () -> {};
  private long delay;
  private final CmosRtc cmos = cmos("2024-02-28T23:59:58Z", 64 * MEGABYTE, 0);

  private CmosRtc cmos(String time, long below4G, long above4G) {
    return new CmosRtc(
        clock,
        Instant.parse(time),
        below4G,
        above4G,
        interrupts::add,
        callback -> {
          wake = callback;
          return delay -> this.delay = delay;
        });
  }

  /** Lets the time pass until the clock has asked to be woken. */
  private void pass() {
    clock.advance(delay);
    wake.run();
  }

  private static int get(CmosRtc cmos, int register) {
    cmos.write(0, 1, register);
    return cmos.read(1, 1);
  }

  private static void set(CmosRtc cmos, int register, int value) {
    cmos.write(0, 1, register);
    cmos.write(1, 1, value);
  }

  private String time() {
    return String.format(
        "%02x%02x-%02x-%02x %02x:%02x:%02x day %x",
        get(cmos, 0x32),
        get(cmos, 9),
        get(cmos, 8),
        get(cmos, 7),
        get(cmos, 4),
        get(cmos, 2),
        get(cmos, 0),
        get(cmos, 6));
  }

  @Test
  void where_no_time_passes_by_itself_it_passes_to_the_next_alarm() {
    long begun = clock.nanos();
    cmos.passToInterrupt(clock::advance);
    assertEquals(begun, clock.nanos(), "nothing is enabled");
    set(cmos, 1, 0x01); // second 1 of any minute
    set(cmos, 3, 0xc0);
    set(cmos, 5, 0xc0);
    set(cmos, 0x0b, 0x22);
    cmos.passToInterrupt(clock::advance);
    assertEquals(List.of(true), interrupts);
    assertEquals("2024-02-29 00:00:01 day 5", time());
    assertEquals(begun + 3_000_000_000L, clock.nanos());
  }

  @Test
  void the_time_is_in_BCD_and_goes_on() {
    assertEquals("2024-02-28 23:59:58 day 4", time());
    clock.advance(3_000_000_000L);
    assertEquals("2024-02-29 00:00:01 day 5", time());
    clock.advance(24 * 3600 * 1_000_000_000L);
    assertEquals("2024-03-01 00:00:01 day 6", time());
  }

  @Test
  void binary_and_12_hours_can_be_chosen() {
    set(cmos, 0x0b, 0x06);
    assertEquals(58, get(cmos, 0));
    assertEquals(23, get(cmos, 4));
    set(cmos, 0x0b, 0x04);
    assertEquals(11 | 0x80, get(cmos, 4));
    clock.advance(2_000_000_000L);
    assertEquals(12, get(cmos, 4), "midnight is 12 AM");
    set(cmos, 0x0b, 0x00);
    assertEquals(0x12, get(cmos, 4));
  }

  @Test
  void the_guest_sets_it() {
    set(cmos, 0x0b, 0x82); // stop
    set(cmos, 0, 0x30);
    set(cmos, 2, 0x15);
    set(cmos, 4, 0x08);
    set(cmos, 7, 0x01);
    set(cmos, 8, 0x06);
    set(cmos, 9, 0x31);
    clock.advance(10_000_000_000L);
    assertEquals("2031-06-01 08:15:30 day 1", time());
    set(cmos, 0x0b, 0x02); // go
    clock.advance(1_000_000_000L);
    assertEquals("2031-06-01 08:15:31 day 1", time());
    set(cmos, 2, 0x59); // while it runs
    assertEquals("2031-06-01 08:59:31 day 1", time());
  }

  @Test
  void a_date_that_there_is_not_changes_nothing() {
    set(cmos, 8, 0x99);
    set(cmos, 7, 0x31); // of February
    set(cmos, 0, 0xff);
    assertEquals("2024-02-28 23:59:58 day 4", time());
  }

  @Test
  void it_warns_before_it_updates() {
    assertEquals(0x26, get(cmos, 0x0a));
    clock.advance(999_900_000);
    assertEquals(0xa6, get(cmos, 0x0a));
    clock.advance(200_000);
    assertEquals(0x26, get(cmos, 0x0a));
    assertEquals(0x80, get(cmos, 0x0d), "the battery is good");
  }

  @Test
  void memory_sizes_are_where_a_BIOS_leaves_them() {
    assertEquals(640, get(cmos, 0x15) | get(cmos, 0x16) << 8);
    assertEquals(63 * 1024, get(cmos, 0x30) | get(cmos, 0x31) << 8);
    assertEquals(48 * 16, get(cmos, 0x34) | get(cmos, 0x35) << 8);
    assertEquals(0, get(cmos, 0x5b));
    CmosRtc great = cmos("2024-01-01T00:00:00Z", 3072 * MEGABYTE, 5120 * MEGABYTE);
    assertEquals(0xffff, get(great, 0x30) | get(great, 0x31) << 8);
    assertEquals(3056 * 16, get(great, 0x34) | get(great, 0x35) << 8);
    assertEquals(5120 * 16, get(great, 0x5b) | get(great, 0x5c) << 8 | get(great, 0x5d) << 16);
    int sum = 0;
    for (int i = 0x10; i <= 0x2d; i++) {
      sum += get(great, i);
    }
    assertEquals(sum, get(great, 0x2e) << 8 | get(great, 0x2f));
  }

  @Test
  void other_bytes_are_memory_and_bit_7_of_the_index_is_not_one() {
    set(cmos, 0x80 | 0x40, 0x77);
    assertEquals(0x77, get(cmos, 0x40));
    assertEquals(0xff, cmos.read(0, 1));
  }

  private void enable(int bits) {
    set(cmos, STATUS_B, get(cmos, STATUS_B) | bits);
  }

  @Test
  void the_update_ended_interrupt_comes_with_each_second() {
    enable(UPDATE_ENDED);
    assertEquals(1_000_000_000L, delay);
    clock.advance(400_000_000L);
    wake.run();
    assertEquals(600_000_000L, delay);
    assertEquals(List.of(), interrupts);
    pass();
    assertEquals(List.of(true), interrupts);
    assertEquals(-1, delay, "nothing more until it is acknowledged");
    assertEquals(0x80 | UPDATE_ENDED, get(cmos, STATUS_C) & ~PERIODIC);
    assertEquals(List.of(true, false), interrupts);
    assertEquals(0, get(cmos, STATUS_C));
    pass();
    assertEquals(List.of(true, false, true), interrupts);
  }

  @Test
  void the_alarm_comes_when_all_its_parts_match() {
    set(cmos, 1, 0x00);
    set(cmos, 3, 0x00);
    set(cmos, 5, 0x00);
    enable(ALARM);
    pass();
    assertEquals(List.of(), interrupts);
    pass(); // midnight
    assertEquals(List.of(true), interrupts);
    assertEquals(ALARM, get(cmos, STATUS_C) & ALARM);
    pass();
    assertEquals(List.of(true, false), interrupts);
  }

  @Test
  void a_part_of_the_alarm_may_be_any() {
    set(cmos, 1, 0xff);
    set(cmos, 3, 0xc0);
    set(cmos, 5, 0xc5);
    enable(ALARM);
    pass();
    assertEquals(List.of(true), interrupts);
  }

  @Test
  void an_alarm_that_passed_unseen_is_found() {
    set(cmos, 1, 0x30);
    set(cmos, 3, 0x00);
    set(cmos, 5, 0x00);
    clock.advance(100_000_000_000L);
    assertEquals(ALARM, get(cmos, STATUS_C) & ALARM);
    assertEquals(List.of(), interrupts, "it was not enabled");
  }

  @Test
  void the_periodic_interrupt_has_the_rate_of_status_A() {
    enable(PERIODIC);
    assertEquals(976_562, delay, "1,024 Hz");
    set(cmos, STATUS_A, 0x2f); // 2 Hz
    assertEquals(500_000_000L, delay);
    pass();
    assertEquals(List.of(true), interrupts);
    assertEquals(0x80 | PERIODIC, get(cmos, STATUS_C));
    set(cmos, STATUS_A, 0x21); // as 8: 256 Hz
    assertEquals(0, delay % 3_906_250);
    set(cmos, STATUS_A, 0x20);
    assertEquals(-1, delay, "no rate");
  }

  @Test
  void setting_the_date_is_no_update() {
    enable(UPDATE_ENDED);
    set(cmos, 4, 0x05);
    assertEquals(0, get(cmos, STATUS_C));
    enable(0x80);
    set(cmos, 2, 0x05);
    set(cmos, STATUS_B, 0x02 | UPDATE_ENDED);
    assertEquals(0, get(cmos, STATUS_C));
    assertEquals(List.of(), interrupts);
  }
}
