package org.kvm4j.vmm.irqchip;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class PicPairTests {

  private int raised;
  private final PicPair pics = new PicPair(() -> raised++);

  private void out(int port, int... values) {
    for (int value : values) {
      switch (port) {
        case 0x4d0, 0x4d1 -> pics.edgeLevelPorts().write(port & 1, 1, value);
        default -> pics.ports(port >= 0xa0).write(port & 1, 1, value);
      }
    }
  }

  private int in(int port) {
    return port >= 0x4d0
        ? pics.edgeLevelPorts().read(port & 1, 1)
        : pics.ports(port >= 0xa0).read(port & 1, 1);
  }

  private void pulse(int irq) {
    pics.set(irq, true);
    pics.set(irq, false);
  }

  /** Vectors 0x20 and 0x28, nothing masked. */
  private void initialize(int icw4) {
    out(0x20, 0x11);
    out(0x21, 0x20, 4, icw4, 0);
    out(0xa0, 0x11);
    out(0xa1, 0x28, 2, icw4, 0);
  }

  @Test
  void a_BIOS_has_left_them_with_its_vectors() {
    pulse(4);
    assertTrue(pics.output());
    assertEquals(0x0c, pics.acknowledge());
    out(0x20, 0x20);
    pulse(11);
    assertEquals(0x73, pics.acknowledge());
    assertFalse(pics.output());
    assertEquals(2, raised);
  }

  @Test
  void the_lower_number_goes_first_and_the_others_wait_for_its_end() {
    initialize(1);
    pulse(5);
    pulse(3);
    assertEquals(0x23, pics.acknowledge());
    assertFalse(pics.output());
    pulse(1);
    assertEquals(0x21, pics.acknowledge(), "it interrupts the other");
    out(0x20, 0x0b);
    assertEquals(0x0a, in(0x20), "both are in service");
    out(0x20, 0x0a);
    assertEquals(0x20, in(0x20), "and one is requested");
    out(0x20, 0x20);
    assertFalse(pics.output());
    out(0x20, 0x63); // the specific end of 3
    assertEquals(0x25, pics.acknowledge());
  }

  @Test
  void the_slaves_interrupts_come_by_the_masters_pin_2() {
    initialize(1);
    pulse(14);
    pulse(9);
    pulse(3);
    assertEquals(0x29, pics.acknowledge());
    out(0xa0, 0x20);
    assertFalse(pics.output(), "the master has not ended it");
    out(0x20, 0x20);
    assertEquals(0x2e, pics.acknowledge());
    out(0xa0, 0x20);
    out(0x20, 0x20);
    assertEquals(0x23, pics.acknowledge());
  }

  @Test
  void the_special_nested_master_lets_the_slave_interrupt_its_own() {
    initialize(0x11);
    pulse(14);
    assertEquals(0x2e, pics.acknowledge());
    pulse(9);
    assertEquals(0x29, pics.acknowledge());
  }

  @Test
  void masked_requests_are_kept() {
    initialize(1);
    out(0x21, 0xff);
    assertEquals(0xff, in(0x21));
    pulse(4);
    assertFalse(pics.output());
    out(0x21, 0xef);
    assertEquals(0x24, pics.acknowledge());
  }

  @Test
  void a_request_that_goes_away_leaves_a_spurious_interrupt() {
    initialize(1);
    out(0x4d0, 0xff);
    assertEquals(0xf8, in(0x4d0), "0 to 2 are edge-triggered for ever");
    pics.set(5, true);
    assertTrue(pics.output());
    pics.set(5, false);
    assertEquals(0x27, pics.acknowledge());
    out(0x20, 0x0b);
    assertEquals(0, in(0x20));
  }

  @Test
  void a_level_asks_again_after_its_end_and_an_edge_does_not() {
    initialize(1);
    out(0x4d1, 0x02);
    pics.set(9, true);
    pics.set(3, true);
    assertEquals(0x29, pics.acknowledge());
    out(0xa0, 0x20);
    out(0x20, 0x20);
    assertEquals(0x29, pics.acknowledge());
    pics.set(9, false);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    assertEquals(0x23, pics.acknowledge());
    out(0x20, 0x20);
    assertFalse(pics.output());
  }

  @Test
  void automatic_ends_rotation_and_polls() {
    initialize(3);
    pulse(1);
    assertEquals(0x21, pics.acknowledge());
    pulse(2 + 1);
    assertTrue(pics.output(), "nothing is in service");
    out(0x20, 0x0c);
    assertEquals(0x83, in(0x20), "a poll takes the interrupt");
    assertFalse(pics.output());
    out(0x20, 0x0c);
    assertEquals(0, in(0x20));
    out(0x20, 0xc3); // 4 is first from now on
    pulse(0);
    pulse(4);
    assertEquals(0x24, pics.acknowledge());
    assertEquals(0x20, pics.acknowledge());
  }

  @Test
  void the_special_mask_lets_lower_ones_in() {
    initialize(1);
    pulse(1);
    pics.acknowledge();
    pulse(6);
    assertFalse(pics.output());
    out(0x21, 0x02);
    out(0x20, 0x68);
    assertEquals(0x26, pics.acknowledge());
    out(0x20, 0x20);
    out(0x20, 0x0b);
    assertEquals(0x02, in(0x20), "what is masked is not ended by the way");
  }

  @Test
  void initialization_forgets_edges_and_a_reset_all() {
    initialize(1);
    pulse(4);
    out(0x20, 0x11);
    out(0x21, 0x40, 4, 1);
    assertFalse(pics.output());
    pulse(4);
    assertEquals(0x44, pics.acknowledge());
    pics.reset();
    pulse(4);
    assertEquals(0x0c, pics.acknowledge());
  }
}
