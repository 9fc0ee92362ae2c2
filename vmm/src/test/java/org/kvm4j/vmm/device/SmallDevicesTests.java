package org.kvm4j.vmm.device;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The devices that are little more than a register. */
class SmallDevicesTests {

  @Test
  void the_POST_port_keeps_the_last_code() {
    PostPort post = new PostPort();
    assertEquals(-1, post.lastCode());
    post.write(0, 1, 0x12);
    post.write(0, 1, 0xd1);
    assertEquals(0xd1, post.lastCode());
    assertEquals(0xd1, post.read(0, 1));
  }

  @Test
  void the_debug_exit_takes_a_code_of_any_size() {
    List<Integer> codes = new ArrayList<>();
    DebugExitPort port = new DebugExitPort(codes::add);
    port.write(0, 1, 7);
    port.write(0, 4, 0x1_0001);
    assertEquals(List.of(7, 0x1_0001), codes);
  }

  @Test
  void the_debug_console_tells_that_it_is_there() {
    StringBuilder sent = new StringBuilder();
    DebugConsolePort port = new DebugConsolePort(b -> sent.append((char) b));
    assertEquals(0xe9, port.read(0, 1));
    port.write(0, 1, 'k');
    port.write(0, 1, 'v');
    assertEquals("kv", sent.toString());
  }

  @Test
  void port_92_resets_on_a_rising_bit_0_and_keeps_A20() {
    int[] resets = {0};
    SystemControlPortA port = new SystemControlPortA(() -> resets[0]++);
    assertEquals(0x02, port.read(0, 1));
    port.write(0, 1, 0x00);
    assertEquals(0x00, port.read(0, 1));
    port.write(0, 1, 0x03);
    port.write(0, 1, 0x03);
    assertEquals(1, resets[0]);
  }

  @Test
  void the_echo_device_gives_back_what_it_was_given() {
    EchoDevice echo = new EchoDevice();
    assertEquals(EchoDevice.IDENTITY, echo.read(0, 4));
    assertEquals(0x4f48, echo.read(2, 2));
    echo.write(8, 8, 0x0807_0605_0403_0201L);
    echo.write(8, 1, 9);
    assertEquals(9, echo.read(0x10, 4));
    assertEquals(0x0201, echo.read(8, 2));
    assertEquals(0x0908_0706_0504_03L, echo.read(8, 8));
    assertEquals(0, echo.read(8, 8));
    echo.write(8, 4, -1);
    echo.write(0x10, 4, 0);
    assertEquals(0, echo.read(0x10, 4));
  }

  @Test
  void the_echo_device_holds_256_bytes() {
    EchoDevice echo = new EchoDevice();
    for (int i = 0; i < 100; i++) {
      echo.write(8, 8, i);
    }
    assertEquals(256, echo.read(0x10, 4));
    assertEquals(0, echo.read(8, 8));
    assertEquals(1, echo.read(8, 8));
  }
}
