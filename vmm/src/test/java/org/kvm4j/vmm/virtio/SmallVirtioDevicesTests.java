package org.kvm4j.vmm.virtio;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The console and the source of random bytes. */
@Timeout(30)
class SmallVirtioDevicesTests {

  private static final int RECEIVE = 0;
  private static final int TRANSMIT = 1;

  private final StringBuilder sent = new StringBuilder();
  private final VirtioConsole console = new VirtioConsole(b -> sent.append((char) b), 80, 25);

  private void type(String text) throws InterruptedException {
    for (byte b : text.getBytes(US_ASCII)) {
      console.receive(b);
    }
  }

  @Test
  void the_console_sends_what_it_is_given() {
    DeviceRig rig = new DeviceRig(console, TRANSMIT, console.features());
    rig.driver.request(List.of("hello ".getBytes(US_ASCII), "world".getBytes(US_ASCII)));
    rig.kick();
    assertEquals("hello world", sent.toString());
    assertEquals(List.of(new TestDriver.Used(0, 0)), rig.driver.used());
  }

  @Test
  void input_waits_for_buffers_and_buffers_for_input() throws InterruptedException {
    type("ab");
    DeviceRig rig = new DeviceRig(console, RECEIVE, console.features());
    long[] room = rig.driver.request(List.of(), 8);
    rig.kick();
    assertEquals(List.of(new TestDriver.Used(0, 2)), rig.driver.used());
    assertEquals("ab", new String(rig.driver.memory.read(room[0], 2), US_ASCII));
    room = rig.driver.request(List.of(), 1);
    long[] next = rig.driver.request(List.of(), 8);
    rig.kick();
    assertEquals(List.of(), rig.driver.used());
    type("xy");
    assertEquals(List.of(new TestDriver.Used(1, 1), new TestDriver.Used(2, 1)), rig.driver.used());
    assertEquals('x', rig.driver.memory.getByte(room[0]));
    assertEquals('y', rig.driver.memory.getByte(next[0]));
  }

  @Test
  void the_console_has_a_size_that_may_change() {
    DeviceRig rig = new DeviceRig(console);
    assertEquals(80 | 25 << 16, rig.device.read(0x100, 4));
    console.resize(132, 50);
    assertEquals(132 | 50 << 16, rig.device.read(0x100, 4));
    assertEquals(2, rig.device.read(0x60, 4)); // an interrupt tells of it
  }

  @Test
  void a_byte_can_be_sent_without_a_queue() {
    DeviceRig rig = new DeviceRig(console);
    rig.device.write(0x108, 4, '!');
    assertEquals("!", sent.toString());
  }

  @Test
  void the_entropy_source_fills_buffers() {
    DeviceRig rig = new DeviceRig(new VirtioEntropy(new SplittableRandom(1)));
    byte[] first = rig.request(64);
    byte[] second = rig.request(64);
    assertEquals(64, rig.driver.used().get(1).written());
    assertFalse(Arrays.equals(new byte[64], first));
    DeviceRig again = new DeviceRig(new VirtioEntropy(new SplittableRandom(1)));
    assertArrayEquals(first, again.request(64));
    assertArrayEquals(second, again.request(64));
  }

  @Test
  void a_great_buffer_gets_a_part() {
    DeviceRig rig = new DeviceRig(new VirtioEntropy(new SplittableRandom(1)));
    rig.request(10_000);
    assertEquals(4096, rig.driver.used().get(0).written());
  }
}
