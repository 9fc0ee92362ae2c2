package org.kvm4j.vmm.virtio;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.vmm.virtio.TestDriver.INDIRECT;
import static org.kvm4j.vmm.virtio.TestDriver.NEXT;
import static org.kvm4j.vmm.virtio.TestDriver.WRITE;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Split queues: what a driver may do, and what it may not. */
class VirtqueueTests {

  private final TestDriver driver = new TestDriver();

  private static byte[] readAll(Chain chain) {
    byte[] bytes = new byte[(int) chain.readableLength()];
    chain.read(0, bytes, 0, bytes.length);
    return bytes;
  }

  @Test
  void a_chain_is_one_run_of_bytes_to_read_and_one_to_write() throws DriverErrorException {
    Virtqueue queue = driver.queue(false, false);
    assertFalse(queue.next());
    long[] room = driver.request(List.of(new byte[] {1, 2, 3}, new byte[] {4, 5}), 2, 3);
    assertTrue(queue.next());
    Chain chain = queue.chain();
    assertArrayEquals(new byte[] {1, 2, 3, 4, 5}, readAll(chain));
    assertEquals(5, chain.writableLength());
    chain.write(1, new byte[] {9, 7, 8}, 1, 2);
    assertArrayEquals(new byte[] {0, 7}, driver.memory.read(room[0], 2));
    assertArrayEquals(new byte[] {8, 0, 0}, driver.memory.read(room[1], 3));
    queue.complete(chain.head(), 3);
    assertEquals(List.of(new TestDriver.Used(0, 3)), driver.used());
    assertFalse(queue.next());
  }

  @Test
  void more_than_a_chain_has_cannot_be_read_or_written() throws DriverErrorException {
    Virtqueue queue = driver.queue(false, false);
    driver.request(List.of(new byte[] {1, 2}), 2);
    assertTrue(queue.next());
    byte[] three = new byte[3];
    assertThrows(IndexOutOfBoundsException.class, () -> queue.chain().read(0, three, 0, 3));
    assertThrows(IndexOutOfBoundsException.class, () -> queue.chain().write(1, three, 0, 2));
  }

  @Test
  void indices_wrap_at_65536() throws DriverErrorException {
    Virtqueue queue = driver.queue(false, false);
    for (int i = 0; i < 0x1_0004; i++) {
      driver.descriptor(i % 8, TestDriver.DATA, 1, 0, 0);
      driver.offer(i % 8);
      assertTrue(queue.next());
      assertEquals(i % 8, queue.chain().head());
      queue.complete(queue.chain().head(), 0);
      assertEquals(List.of(new TestDriver.Used(i % 8, 0)), driver.used());
    }
  }

  @Test
  void an_indirect_table_holds_the_chain() throws DriverErrorException {
    long table = driver.room(0x100);
    long text = driver.put((byte) 'h', (byte) 'i');
    driver.descriptor(table, 0, text, 2, NEXT, 2);
    driver.descriptor(table, 2, driver.room(4), 4, WRITE, 0);
    driver.descriptor(3, table, 48, INDIRECT, 0);
    driver.offer(3);
    Virtqueue queue = driver.queue(false, true);
    assertTrue(queue.next());
    assertEquals(3, queue.chain().head());
    assertArrayEquals(new byte[] {'h', 'i'}, readAll(queue.chain()));
    assertEquals(4, queue.chain().writableLength());
  }

  @Test
  void an_indirect_table_may_follow_other_descriptors() throws DriverErrorException {
    long table = driver.room(16);
    driver.descriptor(table, 0, driver.put((byte) 2), 1, 0, 0);
    driver.descriptor(0, driver.put((byte) 1), 1, NEXT, 1);
    driver.descriptor(1, table, 16, INDIRECT, 0);
    driver.offer(0);
    Virtqueue queue = driver.queue(false, true);
    assertTrue(queue.next());
    assertArrayEquals(new byte[] {1, 2}, readAll(queue.chain()));
  }

  private void refused(boolean indirect) throws DriverErrorException {
    driver.offer(0);
    Virtqueue queue = driver.queue(false, indirect);
    assertThrows(DriverErrorException.class, queue::next);
  }

  @Test
  void a_chain_that_loops_is_refused() throws DriverErrorException {
    driver.descriptor(0, TestDriver.DATA, 1, NEXT, 1);
    driver.descriptor(1, TestDriver.DATA, 1, NEXT, 0);
    refused(false);
  }

  @Test
  void an_indirect_table_that_loops_is_refused() throws DriverErrorException {
    long table = driver.room(16);
    driver.descriptor(table, 0, TestDriver.DATA, 1, NEXT, 0);
    driver.descriptor(0, table, 16, INDIRECT, 0);
    refused(true);
  }

  @ParameterizedTest
  @ValueSource(longs = {TestDriver.MEMORY, TestDriver.MEMORY - 1, -1, -2, Long.MIN_VALUE})
  void a_buffer_that_is_not_ram_is_refused(long address) throws DriverErrorException {
    driver.descriptor(0, address, 2, 0, 0);
    refused(false);
  }

  @Test
  void a_buffer_of_4_gb_is_refused() throws DriverErrorException {
    driver.descriptor(0, TestDriver.DATA, -1, 0, 0);
    refused(false);
  }

  @Test
  void a_next_that_there_is_not_is_refused() throws DriverErrorException {
    driver.descriptor(0, TestDriver.DATA, 1, NEXT, 8);
    refused(false);
  }

  @Test
  void a_head_that_there_is_not_is_refused() throws DriverErrorException {
    driver.offer(8);
    Virtqueue queue = driver.queue(false, false);
    assertThrows(DriverErrorException.class, queue::next);
  }

  @Test
  void a_buffer_to_read_behind_one_to_write_is_refused() throws DriverErrorException {
    driver.descriptor(0, TestDriver.DATA, 1, WRITE | NEXT, 1);
    driver.descriptor(1, TestDriver.DATA, 1, 0, 0);
    refused(false);
  }

  @Test
  void an_indirect_table_is_refused_if_it_was_not_agreed_on() throws DriverErrorException {
    driver.descriptor(0, driver.room(16), 16, INDIRECT, 0);
    refused(false);
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 15, 17, -16})
  void an_indirect_table_of_no_descriptors_is_refused(int length) throws DriverErrorException {
    driver.descriptor(0, driver.room(64), length, INDIRECT, 0);
    refused(true);
  }

  @Test
  void an_indirect_descriptor_has_no_next_and_no_other_in_it() throws DriverErrorException {
    long table = driver.room(16);
    driver.descriptor(table, 0, TestDriver.DATA, 1, 0, 0);
    driver.descriptor(0, table, 16, INDIRECT | NEXT, 1);
    refused(true);
    driver.descriptor(table, 0, driver.room(16), 16, INDIRECT, 0);
    driver.descriptor(0, table, 16, INDIRECT, 0);
    refused(true);
  }

  @Test
  void more_chains_than_the_queue_holds_are_refused() throws DriverErrorException {
    Virtqueue queue = driver.queue(false, false);
    driver.memory.putShort(TestDriver.AVAILABLE + 2, 9);
    assertThrows(DriverErrorException.class, queue::next);
  }

  @Test
  void rings_that_are_not_in_ram_or_not_aligned_are_refused() {
    long end = TestDriver.MEMORY;
    for (long[] at :
        new long[][] {
          {end, 0x2000, 0x3000},
          {0x1000, end - 2, 0x3000},
          {0x1000, 0x2000, end - 8},
          {-16, 0x2000, 0x3000},
          {0x1008, 0x2000, 0x3000},
          {0x1000, 0x2001, 0x3000},
          {0x1000, 0x2000, 0x3002}
        }) {
      assertThrows(
          DriverErrorException.class,
          () -> new Virtqueue(driver.memory, 8, at[0], at[1], at[2], false, false));
    }
    for (int size : new int[] {0, 3, 0x1_0000, -1}) {
      assertThrows(
          DriverErrorException.class,
          () -> new Virtqueue(driver.memory, size, 0x1000, 0x2000, 0x3000, false, false));
    }
  }

  private void give(Virtqueue queue, int count) throws DriverErrorException {
    for (int i = 0; i < count; i++) {
      driver.descriptor(0, TestDriver.DATA, 1, 0, 0);
      driver.offer(0);
      assertTrue(queue.next());
      queue.complete(0, 0);
    }
  }

  @Test
  void an_interrupt_is_due_unless_the_driver_wants_none() throws DriverErrorException {
    Virtqueue queue = driver.queue(false, false);
    assertFalse(queue.interruptDue());
    give(queue, 1);
    assertTrue(queue.interruptDue());
    assertFalse(queue.interruptDue()); // once
    driver.memory.putShort(TestDriver.AVAILABLE, 1);
    give(queue, 1);
    assertFalse(queue.interruptDue());
  }

  @Test
  void an_interrupt_is_due_when_the_event_index_is_passed() throws DriverErrorException {
    Virtqueue queue = driver.queue(true, false);
    driver.memory.putShort(TestDriver.AVAILABLE + 4 + 16, 2);
    give(queue, 2);
    assertFalse(queue.interruptDue());
    give(queue, 1); // the third, of index 2
    assertTrue(queue.interruptDue());
    give(queue, 5);
    assertFalse(queue.interruptDue());
  }

  @Test
  void the_device_tells_when_it_wants_notifications() throws DriverErrorException {
    Virtqueue queue = driver.queue(false, false);
    queue.stopNotifications();
    assertEquals(1, driver.memory.getShort(TestDriver.USED));
    assertTrue(queue.wantNotifications());
    assertEquals(0, driver.memory.getShort(TestDriver.USED));
    driver.offer(0);
    assertFalse(queue.wantNotifications());

    TestDriver second = new TestDriver();
    Virtqueue events = second.queue(true, false);
    second.request(List.of(new byte[1]));
    assertTrue(events.next());
    events.stopNotifications();
    assertTrue(events.wantNotifications());
    assertEquals(1, second.memory.getShort(TestDriver.USED + 4 + 8 * 8));
  }
}
