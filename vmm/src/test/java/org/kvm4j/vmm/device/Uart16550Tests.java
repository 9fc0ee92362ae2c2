package org.kvm4j.vmm.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;

class Uart16550Tests {

  private static final int DATA = 0;
  private static final int IER = 1;
  private static final int IIR = 2;
  private static final int FCR = 2;
  private static final int LCR = 3;
  private static final int MCR = 4;
  private static final int LSR = 5;
  private static final int MSR = 6;
  private static final int SCR = 7;

  private final StringBuilder sent = new StringBuilder();
  private final List<Boolean> line = new ArrayList<>();
  private final Uart16550 uart = new Uart16550(b -> sent.append((char) b), line::add);

  private int read(int register) {
    return uart.read(register, 1);
  }

  private void write(int register, int value) {
    uart.write(register, 1, value);
  }

  private boolean level() {
    return !line.isEmpty() && line.get(line.size() - 1);
  }

  @Test
  void what_is_written_is_sent_and_the_transmitter_is_always_empty() {
    for (char c : "Hello".toCharArray()) {
      assertEquals(0x60, read(LSR) & 0x60);
      write(DATA, c);
    }
    assertEquals("Hello", sent.toString());
  }

  @Test
  void input_waits_in_the_receiver() throws InterruptedException {
    assertEquals(0, read(LSR) & 1);
    assertEquals(0, read(DATA));
    uart.receive('x');
    assertEquals(1, read(LSR) & 1);
    assertEquals('x', read(DATA));
    assertEquals(0, read(LSR) & 1);
  }

  @Test
  void with_fifos_sixteen_bytes_wait_in_order() throws InterruptedException {
    write(FCR, 0x01);
    for (int i = 0; i < 16; i++) {
      uart.receive('a' + i);
    }
    assertEquals(16, uart.pendingInput());
    for (int i = 0; i < 16; i++) {
      assertEquals('a' + i, read(DATA));
    }
  }

  @Test
  void input_waits_for_room_and_none_is_lost() throws InterruptedException {
    Thread feeder =
        new Thread(
            () -> {
              try {
                for (int i = 0; i < 100; i++) {
                  uart.receive(i);
                }
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
              }
            });
    feeder.start();
    Assertions.assertTimeoutPreemptively(
        Duration.ofSeconds(20),
        () -> {
          for (int i = 0; i < 100; i++) {
            while ((read(LSR) & 1) == 0) {
              Thread.onSpinWait();
            }
            assertEquals(i, read(DATA));
          }
        });
    feeder.join();
  }

  @Test
  void switching_fifos_or_clearing_them_drops_input() throws InterruptedException {
    uart.receive('x');
    write(FCR, 0x01);
    assertEquals(0, uart.pendingInput());
    uart.receive('y');
    write(FCR, 0x03);
    assertEquals(0, uart.pendingInput());
  }

  @Test
  void the_divisor_is_behind_DLAB() {
    assertEquals(1, uart.divisor());
    write(LCR, 0x83);
    write(DATA, 0x0c);
    write(IER, 0x01);
    assertEquals(0x0c, read(DATA));
    assertEquals(0x01, read(IER));
    write(LCR, 0x03);
    assertEquals(0x10c, uart.divisor());
    assertEquals("", sent.toString());
    assertEquals(0, read(IER));
    assertEquals(0x03, read(LCR));
  }

  @Test
  void the_scratch_register_keeps_what_is_written() {
    write(SCR, 0xa5);
    assertEquals(0xa5, read(SCR));
  }

  @Test
  void the_identification_tells_of_fifos() {
    assertEquals(0x01, read(IIR));
    write(FCR, 0x01);
    assertEquals(0xc1, read(IIR));
  }

  @Test
  void the_other_side_is_ready() {
    assertEquals(0xb0, read(MSR)); // DCD, DSR, CTS
  }

  @Test
  void in_loopback_what_is_sent_comes_back() {
    write(MCR, 0x10);
    write(DATA, 'z');
    assertEquals("", sent.toString());
    assertEquals('z', read(DATA));
    write(DATA, '1');
    write(DATA, '2'); // no room without FIFOs
    assertEquals(0x02, read(LSR) & 0x02);
    assertEquals(0, read(LSR) & 0x02, "reading clears the overrun");
    assertEquals('1', read(DATA));
  }

  @Test
  void in_loopback_modem_control_shows_as_modem_status() {
    read(MSR);
    write(MCR, 0x10 | 0x01); // DTR
    assertEquals(0x20, read(MSR) & 0xf0);
    write(MCR, 0x10 | 0x0f);
    assertEquals(0xf0, read(MSR) & 0xf0);
    assertEquals(0, read(MSR) & 0x0f, "reading clears the deltas");
    write(MCR, 0x10 | 0x0b); // OUT1 falls: the ring indicator's end
    assertEquals(0x04, read(MSR) & 0x0f);
    write(MCR, 0x10 | 0x0f); // its start is not told
    assertEquals(0x00, read(MSR) & 0x0f);
  }

  @Test
  void received_data_interrupt_and_go_when_read() throws InterruptedException {
    write(MCR, 0x08);
    write(IER, 0x01);
    assertFalse(level());
    uart.receive('x');
    assertTrue(level());
    assertEquals(0x04, read(IIR));
    read(DATA);
    assertFalse(level());
    assertEquals(0x01, read(IIR));
  }

  @Test
  void below_the_trigger_level_it_is_a_timeout() throws InterruptedException {
    write(FCR, 0x41); // 4 bytes
    write(IER, 0x01);
    uart.receive('x');
    assertEquals(0xcc, read(IIR));
    uart.receive('x');
    uart.receive('x');
    uart.receive('x');
    assertEquals(0xc4, read(IIR));
  }

  @Test
  void an_empty_transmitter_interrupts_until_it_is_identified() {
    write(MCR, 0x08);
    write(IER, 0x02);
    assertTrue(level());
    assertEquals(0x02, read(IIR));
    assertFalse(level());
    write(DATA, 'x');
    assertTrue(level());
    write(IER, 0x00);
    assertFalse(level());
  }

  @Test
  void OUT2_connects_the_interrupt() throws InterruptedException {
    write(IER, 0x01);
    uart.receive('x');
    assertFalse(level());
    write(MCR, 0x08);
    assertTrue(level());
    write(MCR, 0x00);
    assertFalse(level());
  }

  @Test
  void of_several_interrupts_the_receivers_come_first() throws InterruptedException {
    write(IER, 0x0f);
    uart.receive('x');
    assertEquals(0x04, read(IIR));
    read(DATA);
    assertEquals(0x02, read(IIR));
    assertEquals(0x01, read(IIR));
  }
}
