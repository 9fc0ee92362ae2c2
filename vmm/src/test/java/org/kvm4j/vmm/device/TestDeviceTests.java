package org.kvm4j.vmm.device;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class TestDeviceTests {

  private final List<Long> flushed = new ArrayList<>();
  private final TestDevice device = new TestDevice();
  private final PortDevice ports = device.ports(flushed::add);

  @Test
  void the_register_keeps_what_is_written() {
    ports.write(0, 4, 0x4433_2211);
    assertEquals(0x4433_2211, ports.read(0, 4));
    assertEquals(0x3322, ports.read(1, 2));
    ports.write(8, 1, 0x55); // the same, byte by byte
    assertEquals(0x4433_2255, ports.read(0, 4));
    assertEquals(0x44, ports.read(11, 1));
  }

  @Test
  void a_page_is_flushed() {
    ports.write(4, 4, 0x8765_4321);
    assertEquals(List.of(0x8765_4000L), flushed);
    assertEquals(0, ports.read(4, 4));
    ports.write(4, 1, 1); // only double words
    assertEquals(1, flushed.size());
  }

  @Test
  void interrupt_lines_go_up_and_down() {
    List<String> log = new ArrayList<>();
    PortDevice lines = TestDevice.lines(n -> level -> log.add(n + "=" + level));
    lines.write(14, 1, 1);
    lines.write(14, 1, 0);
    lines.write(23, 1, 0xff);
    assertEquals(List.of("14=true", "14=false", "23=true"), log);
  }

  @Test
  void its_memory_keeps_what_is_written() {
    MmioDevice memory = device.memory();
    memory.write(0xfff8, 8, 0x8877_6655_4433_2211L);
    assertEquals(0x8877_6655_4433_2211L, memory.read(0xfff8, 8));
    assertEquals(0x5544, memory.read(0xfffb, 2));
  }

  @Test
  void a_shared_line_is_up_while_anyone_has_it_up() {
    List<Boolean> levels = new ArrayList<>();
    SharedLine line = new SharedLine(levels::add);
    InterruptLine a = line.end();
    InterruptLine b = line.end();
    a.set(true);
    a.set(true);
    b.set(true);
    a.set(false);
    assertEquals(List.of(true), levels);
    b.set(false);
    b.set(false);
    assertEquals(List.of(true, false), levels);
  }
}
