package org.kvm4j.vmm.irqchip;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** An I/O APIC whose bus writes down what it is told. */
class IoApicTests {

  private static final long LEVEL = 1 << 15;
  private static final long MASK = 1 << 16;
  private static final long REMOTE_IRR = 1 << 14;

  private final List<String> news = new ArrayList<>();
  private boolean taken = true;

  private final IoApic chip =
      new IoApic(
          new IoApic.Bus() {
            @Override
            public void route(int pin, long address, int data) {
              news.add(String.format("%d is %x:%x", pin, address, data));
            }

            @Override
            public boolean send(int pin) {
              news.add("send " + pin);
              return taken;
            }
          });

  private void write(int register, long value) {
    chip.write(0, 4, register);
    chip.write(0x10, 4, value & 0xffff_ffffL);
  }

  private long read(int register) {
    chip.write(0, 4, register);
    return chip.read(0x10, 4);
  }

  private void redirect(int pin, long entry) {
    write(0x11 + 2 * pin, entry >>> 32);
    write(0x10 + 2 * pin, entry);
  }

  private long redirection(int pin) {
    return read(0x11 + 2 * pin) << 32 | read(0x10 + 2 * pin);
  }

  private List<String> told() {
    List<String> all = List.copyOf(news);
    news.clear();
    return all;
  }

  @Test
  void the_registers_are_those_of_24_pins_all_masked() {
    assertEquals(0x17_0020, read(1));
    write(1, 0);
    assertEquals(0x17_0020, read(1), "read-only");
    write(0, -1);
    assertEquals(0x0f00_0000, read(0));
    assertEquals(0x0f00_0000, read(2), "the arbitration ID is set with the ID");
    for (int pin = 0; pin < IoApic.PINS; pin++) {
      assertEquals(MASK, redirection(pin));
    }
    assertEquals(0xffff_ffffL, read(0x10 + 2 * IoApic.PINS));
    write(0x10 + 2 * IoApic.PINS, 0x31);
    assertEquals(0, chip.read(0x20, 4));
    assertEquals(List.of(), told());
  }

  @Test
  void an_entrys_message_is_told_before_it_is_sent() {
    // Vector 31H to logical destination 5, lowest priority, level; read-only bits are ignored.
    redirect(3, 5L << 56 | LEVEL | REMOTE_IRR | 1 << 12 | 1 << 11 | 1 << 8 | 0x31);
    assertEquals(List.of("3 is fee05004:c131"), told());
    assertEquals(5L << 56 | LEVEL | 1 << 11 | 1 << 8 | 0x31, redirection(3));
    redirect(3, 6L << 56 | 0x31);
    assertEquals(List.of("3 is fee06004:c131", "3 is fee06000:31"), told(), "half by half");
    write(0x16, 0x31);
    assertEquals(List.of(), told(), "nothing new");
    write(0x16, MASK | 0x40);
    assertEquals(List.of(), told(), "a masked pin keeps the message that it had");
  }

  @Test
  void an_edge_is_one_interrupt_and_is_lost_while_masked() {
    redirect(4, 0x41);
    told();
    chip.set(4, true);
    chip.set(4, true);
    chip.set(4, false);
    assertEquals(List.of("send 4"), told());
    assertEquals(0x41, redirection(4));
    redirect(4, MASK | 0x41);
    chip.set(4, true);
    redirect(4, 0x41);
    assertEquals(List.of("4 is fee00000:41"), told());
    chip.ended(0x41);
    assertEquals(List.of(), told());
  }

  @Test
  void a_level_interrupts_again_at_its_end_as_long_as_it_is_up() {
    redirect(9, LEVEL | 0x51);
    told();
    chip.set(9, true);
    assertEquals(LEVEL | REMOTE_IRR | 0x51, redirection(9));
    chip.set(9, false);
    chip.set(9, true);
    assertEquals(List.of("send 9"), told(), "not before its end");
    chip.ended(0x52);
    assertEquals(List.of(), told());
    chip.ended(0x51);
    assertEquals(List.of("send 9"), told());
    chip.set(9, false);
    chip.ended(0x51);
    assertEquals(List.of(), told());
    assertEquals(LEVEL | 0x51, redirection(9));
  }

  @Test
  void a_level_that_was_masked_interrupts_when_it_is_not_any_more() {
    redirect(9, LEVEL | MASK | 0x51);
    chip.set(9, true);
    assertEquals(List.of(), told());
    redirect(9, LEVEL | 0x51);
    assertEquals(List.of("9 is fee00000:c051", "send 9"), told());
    redirect(9, LEVEL | MASK | 0x51);
    chip.ended(0x51);
    assertEquals(List.of(), told());
    assertEquals(LEVEL | MASK | 0x51, redirection(9), "ended though masked");
  }

  @Test
  void a_level_ends_by_the_EOI_register_and_by_going_to_edge() {
    redirect(9, LEVEL | 0x51);
    chip.set(9, true);
    told();
    chip.write(0x40, 4, 0x51);
    assertEquals(List.of("send 9"), told());
    redirect(9, MASK | 0x51);
    redirect(9, LEVEL | 0x51);
    assertTrue(told().contains("send 9"));
  }

  @Test
  void what_nobody_takes_needs_no_end() {
    taken = false;
    redirect(9, LEVEL | 0x51);
    chip.set(9, true);
    assertEquals(LEVEL | 0x51, redirection(9));
  }

  @Test
  void an_external_interrupt_is_not_sent_and_a_reset_masks_all() {
    redirect(0, 0x700);
    told();
    chip.set(0, true);
    assertEquals(List.of(), told());
    write(0, -1);
    chip.reset();
    assertEquals(MASK, redirection(0));
    assertEquals(0, read(0));
  }
}
