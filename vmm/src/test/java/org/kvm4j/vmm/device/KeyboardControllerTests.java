package org.kvm4j.vmm.device;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class KeyboardControllerTests {

  private int resets;
  private final KeyboardController controller = new KeyboardController(() -> resets++);
  private final PortDevice data = controller.dataPort();
  private final PortDevice command = controller.commandPort();

  private int status() {
    return command.read(0, 1);
  }

  private int next() {
    assertEquals(1, status() & 1, "there is a byte");
    return data.read(0, 1);
  }

  @Test
  void nobody_types() {
    assertEquals(0, status() & 1);
    assertEquals(0, data.read(0, 1));
  }

  @Test
  void the_self_tests_pass() {
    command.write(0, 1, 0xaa);
    assertEquals(0x55, next());
    command.write(0, 1, 0xab);
    assertEquals(0x00, next());
    assertEquals(0, status() & 1);
  }

  @Test
  void the_status_tells_whether_a_command_was_last() {
    command.write(0, 1, 0xae);
    assertEquals(0x08, status() & 0x08);
    data.write(0, 1, 0xf4);
    assertEquals(0x00, status() & 0x08);
  }

  @Test
  void the_command_byte_is_kept() {
    command.write(0, 1, 0x60);
    data.write(0, 1, 0x47);
    command.write(0, 1, 0x20);
    assertEquals(0x47, next());
    command.write(0, 1, 0xad);
    command.write(0, 1, 0x20);
    assertEquals(0x57, next());
  }

  @ParameterizedTest
  @ValueSource(ints = {0xf0, 0xfc, 0xfe})
  void a_pulse_of_line_0_resets(int pulse) {
    command.write(0, 1, pulse);
    assertEquals(1, resets);
  }

  @ParameterizedTest
  @ValueSource(ints = {0xff, 0xfd, 0xf1})
  void a_pulse_of_other_lines_does_not(int pulse) {
    command.write(0, 1, pulse);
    assertEquals(0, resets);
  }

  @Test
  void the_output_ports_bit_0_resets() {
    command.write(0, 1, 0xd1);
    data.write(0, 1, 0x03);
    assertEquals(0, resets);
    command.write(0, 1, 0xd0);
    assertEquals(0x03, next());
    command.write(0, 1, 0xd1);
    data.write(0, 1, 0x02);
    assertEquals(1, resets);
  }

  @Test
  void the_keyboard_answers() {
    data.write(0, 1, 0xff);
    assertEquals(0xfa, next());
    assertEquals(0xaa, next());
    data.write(0, 1, 0xf2);
    assertEquals(0xfa, next());
    assertEquals(0xab, next());
    assertEquals(0x83, next());
    data.write(0, 1, 0xed);
    assertEquals(0xfa, next());
    data.write(0, 1, 0x07);
    assertEquals(0xfa, next());
    data.write(0, 1, 0xee);
    assertEquals(0xee, next());
    data.write(0, 1, 0x01);
    assertEquals(0xfe, next());
  }

  @Test
  void there_is_no_mouse() {
    command.write(0, 1, 0xd4);
    data.write(0, 1, 0xf4);
    assertEquals(0xfe, next());
  }

  @Test
  void a_guest_that_never_reads_fills_nothing_up() {
    for (int i = 0; i < 10_000; i++) {
      data.write(0, 1, 0xee);
    }
    int waiting = 0;
    while ((status() & 1) != 0) {
      data.read(0, 1);
      waiting++;
    }
    assertEquals(16, waiting);
  }
}
