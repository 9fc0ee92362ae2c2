package org.kvm4j.vmm.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class Pit8254Tests {

  private static final int CONTROL = 3;

  private final FakeClock clock = new FakeClock();
  private final Pit8254 pit = new Pit8254(clock);
  private final SystemControlPortB portB = new SystemControlPortB(pit, clock);

  private void ticks(long ticks) {
    // The least time after which so many ticks have passed.
    clock.advance((ticks * 1_000_000_000L + Pit8254.FREQUENCY - 1) / Pit8254.FREQUENCY);
  }

  private void program(int counter, int mode, int count) {
    pit.write(CONTROL, 1, counter << 6 | 0x30 | mode << 1);
    pit.write(counter, 1, count & 0xff);
    pit.write(counter, 1, count >> 8 & 0xff);
  }

  private int latched(int counter) {
    pit.write(CONTROL, 1, counter << 6);
    return pit.read(counter, 1) | pit.read(counter, 1) << 8;
  }

  @Test
  void one_shot_output_rises_at_the_end_as_calibrations_expect() {
    portB.write(0, 1, 0x01);
    program(2, 0, 11932); // 10 ms
    assertEquals(0, portB.read(0, 1) & 0x20);
    clock.advance(9_999_000);
    assertEquals(0, portB.read(0, 1) & 0x20);
    clock.advance(2_000);
    assertEquals(0x20, portB.read(0, 1) & 0x20);
  }

  @Test
  void setting_the_mode_alone_starts_nothing() {
    portB.write(0, 1, 0x01);
    pit.write(CONTROL, 1, 0xb0);
    ticks(100_000);
    assertFalse(pit.output(2));
    pit.write(2, 1, 100);
    ticks(1000);
    assertFalse(pit.output(2), "half of the count is no count");
    pit.write(2, 1, 0);
    ticks(100);
    assertTrue(pit.output(2));
  }

  @Test
  void without_its_gate_the_one_shot_stands_still() {
    portB.write(0, 1, 0x01);
    program(2, 0, 1000);
    ticks(400);
    portB.write(0, 1, 0x00);
    assertEquals(600, latched(2));
    ticks(10_000);
    assertEquals(600, latched(2));
    portB.write(0, 1, 0x01);
    ticks(599);
    assertFalse(pit.output(2));
    ticks(2);
    assertTrue(pit.output(2));
  }

  @Test
  void a_rising_gate_starts_the_square_wave_anew() {
    portB.write(0, 1, 0x01);
    program(2, 3, 1000);
    ticks(700);
    assertFalse(pit.output(2));
    portB.write(0, 1, 0x00);
    assertTrue(pit.output(2));
    portB.write(0, 1, 0x01);
    ticks(400);
    assertTrue(pit.output(2));
    ticks(200);
    assertFalse(pit.output(2));
  }

  @Test
  void the_rate_generator_counts_down_again_and_again() {
    program(0, 2, 100);
    assertEquals(100, latched(0));
    ticks(30);
    assertEquals(70, latched(0));
    ticks(100);
    assertEquals(70, latched(0));
    ticks(69);
    assertEquals(1, latched(0));
    assertFalse(pit.output(0));
    ticks(1);
    assertTrue(pit.output(0));
  }

  @Test
  void the_square_wave_counts_by_two() {
    program(0, 3, 1000);
    ticks(100);
    assertEquals(800, latched(0));
    assertTrue(pit.output(0));
    ticks(500);
    assertEquals(800, latched(0));
    assertFalse(pit.output(0));
  }

  @Test
  void a_count_of_0_is_65536() {
    program(0, 2, 0);
    assertEquals(0, latched(0));
    ticks(1);
    assertEquals(0xffff, latched(0));
  }

  @Test
  void a_latched_count_stays_until_it_is_read() {
    program(0, 2, 1000);
    pit.write(CONTROL, 1, 0x00);
    ticks(500);
    pit.write(CONTROL, 1, 0x00);
    assertEquals(1000, pit.read(0, 1) | pit.read(0, 1) << 8);
    assertEquals(500, pit.read(0, 1) | pit.read(0, 1) << 8);
  }

  @Test
  void one_byte_can_be_read_and_written_alone() {
    pit.write(CONTROL, 1, 0x14); // counter 0, low byte, mode 2
    pit.write(0, 1, 50);
    ticks(10);
    assertEquals(40, pit.read(0, 1));
    assertEquals(40, pit.read(0, 1));
    pit.write(CONTROL, 1, 0x24); // high byte
    pit.write(0, 1, 0x12);
    assertEquals(0x12, pit.read(0, 1));
  }

  @Test
  void counts_can_be_BCD() {
    pit.write(CONTROL, 1, 0x35);
    pit.write(0, 1, 0x00);
    pit.write(0, 1, 0x10); // 1000
    ticks(1);
    assertEquals(0x0999, latched(0));
  }

  @Test
  void read_back_gives_status_and_count() {
    program(0, 2, 1000);
    pit.write(CONTROL, 1, 0xc2); // status and count of counter 0
    assertEquals(0x80 | 0x30 | 2 << 1, pit.read(0, 1));
    assertEquals(1000, pit.read(0, 1) | pit.read(0, 1) << 8);
    pit.write(CONTROL, 1, 0x34);
    pit.write(CONTROL, 1, 0xe2); // status alone
    assertEquals(0x40, pit.read(0, 1) & 0x40, "no count yet");
  }

  @Test
  void refresh_toggles() {
    int first = portB.read(0, 1) & 0x10;
    clock.advance(15_085);
    assertEquals(first ^ 0x10, portB.read(0, 1) & 0x10);
  }

  @Test
  void gate_and_speaker_read_as_written() {
    portB.write(0, 1, 0x03);
    assertEquals(0x03, portB.read(0, 1) & 0x03);
    portB.write(0, 1, 0x00);
    assertEquals(0x00, portB.read(0, 1) & 0x03);
  }
}
