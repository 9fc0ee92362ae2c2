package org.kvm4j.vmm.pci;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.LongRange;
import org.junit.jupiter.api.Test;

class MsixTests {

  private static final int ENABLE = 0x8000;
  private static final int MASK_ALL = 0x4000;
  private static final int PENDING = 0x800;

  private final List<String> sent = new ArrayList<>();
  private final Msix msix =
      new Msix(3, (address, data) -> sent.add(Long.toHexString(address) + ":" + data));

  private void program(int vector, long address, int data, int control) {
    msix.write(16L * vector, 8, address);
    msix.write(16L * vector + 8, 4, data);
    msix.write(16L * vector + 12, 4, control);
  }

  @Test
  void a_vector_sends_its_message() {
    msix.setControl(ENABLE);
    program(1, 0x1_fee0_1000L, 0x41, 0);
    msix.raise(1);
    assertEquals(List.of("1fee01000:65"), sent);
  }

  @Test
  void nothing_is_sent_while_it_is_not_enabled() {
    program(0, 0xfee0_0000L, 1, 0);
    msix.raise(0);
    msix.setControl(ENABLE);
    assertEquals(List.of(), sent);
    assertTrue(msix.enabled());
    msix.setControl(0);
    assertFalse(msix.enabled());
  }

  @Test
  void vectors_are_masked_at_first_and_wait_in_the_pending_array() {
    msix.setControl(ENABLE);
    assertEquals(1, msix.read(12, 4));
    msix.raise(0);
    msix.raise(2);
    assertEquals(List.of(), sent);
    assertEquals(0b101, msix.read(PENDING, 8));
    program(0, 0xfee0_0000L, 5, 0);
    assertEquals(List.of("fee00000:5"), sent);
    assertEquals(0b100, msix.read(PENDING, 4));
  }

  @Test
  void all_can_be_masked_at_once() {
    msix.setControl(ENABLE | MASK_ALL);
    program(0, 0xfee0_0000L, 5, 0);
    msix.raise(0);
    msix.raise(0);
    assertEquals(List.of(), sent);
    msix.setControl(ENABLE);
    assertEquals(List.of("fee00000:5"), sent);
  }

  @Test
  void the_table_reads_as_it_was_written_and_the_pending_array_cannot_be() {
    program(2, 0x1234_5678_9abc_def0L, 0x5555, -1);
    assertEquals(0x1234_5678_9abc_def0L, msix.read(32, 8));
    assertEquals(0x5555, msix.read(40, 4));
    assertEquals(0xde, msix.read(33, 1));
    assertEquals(1, msix.read(44, 4)); // the others are reserved
    msix.write(PENDING, 8, -1);
    assertEquals(0, msix.read(PENDING, 8));
    msix.write(41, 1, 0xff); // neither whole words
    msix.write(42, 4, -1); // nor aligned
    assertEquals(0x5555, msix.read(40, 4));
  }

  @Test
  void a_vector_that_there_is_not_is_none() {
    msix.setControl(ENABLE);
    msix.raise(3);
    msix.raise(-1);
    msix.raise(0xffff);
    assertEquals(List.of(), sent);
  }

  @Test
  void the_capability_tells_size_and_places() {
    assertArrayEquals(new byte[] {2, 0, 1, 0, 0, 0, 1, 8, 0, 0}, msix.capability(1));
    assertThrows(IllegalArgumentException.class, () -> new Msix(0, (a, d) -> {}));
    assertThrows(IllegalArgumentException.class, () -> new Msix(129, (a, d) -> {}));
  }

  @Property
  void no_access_gets_out_of_it(
      @ForAll @LongRange(max = 0xfff) long offset,
      @ForAll @IntRange(min = 1, max = 8) int length,
      @ForAll long value) {
    msix.write(offset, length, value);
    msix.read(offset, length);
  }
}
