package org.kvm4j.vmm.pci;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class PciConfigPortsTests {

  private int resets;
  private int softResets;
  private final PciBus bus = new PciBus(0xe000_0000L, 0x100_0000);
  private final PciConfigPorts pci = new PciConfigPorts(bus, () -> softResets++, () -> resets++);
  private final PciExpressConfig memory = new PciExpressConfig(bus);

  @BeforeEach
  void attachHostBridge() {
    bus.attach(0, 0, new PciHostBridge());
  }

  private int config(int bus, int device, int function, int register, int size) {
    pci.write(0, 4, 0x8000_0000 | bus << 16 | device << 11 | function << 8 | (register & 0xfc));
    return pci.read(4 + (register & 3), size);
  }

  @Test
  void there_is_a_host_bridge() {
    assertEquals(0x0d57_8086, config(0, 0, 0, 0, 4));
    assertEquals(0x8086, config(0, 0, 0, 0, 2) & 0xffff);
    assertEquals(0x0600, config(0, 0, 0, 0x0a, 2) & 0xffff);
    assertEquals(0x06, config(0, 0, 0, 0x0b, 1) & 0xff);
  }

  @Test
  void what_is_not_there_reads_as_ones() {
    assertEquals(-1, config(0, 1, 0, 0, 4));
    assertEquals(-1, config(0, 0, 1, 0, 4));
    assertEquals(-1, config(1, 0, 0, 0, 4));
    pci.write(0, 4, 0); // not enabled
    assertEquals(-1, pci.read(4, 4));
  }

  @Test
  void the_address_reads_back_and_only_double_words_set_it() {
    pci.write(0, 4, 0x8000_1234);
    assertEquals(0x8000_1234, pci.read(0, 4));
    pci.write(3, 1, 0x01);
    pci.write(0, 2, 0x5555);
    assertEquals(0x8000_1234, pci.read(0, 4));
    assertEquals(0x80, pci.read(3, 1) & 0xff);
  }

  @Test
  void port_0xcf9_resets_on_a_rising_bit_2() {
    pci.write(1, 1, 0x02);
    assertEquals(0, resets);
    assertEquals(0x02, pci.read(1, 1));
    pci.write(1, 1, 0x06);
    assertEquals(1, resets);
    pci.write(1, 1, 0x00);
    pci.write(1, 1, 0x04);
    assertEquals(1, softResets, "the processors alone");
    assertEquals(1, resets);
  }

  @Test
  void reads_and_writes_reach_the_function_that_is_addressed() {
    List<String> log = new ArrayList<>();
    bus.attach(
        3,
        1,
        new PciFunction(0x1234, 0x5678, 0) {
          @Override
          public int readConfig(int register, int size) {
            return register;
          }

          @Override
          public void writeConfig(int register, int size, int value) {
            log.add(register + "/" + size + "=" + value);
          }
        });
    assertEquals(0x12, config(0, 3, 1, 0x12, 2));
    pci.write(4 + 2, 2, 7);
    assertEquals(0x12, memory.read((3 << 3 | 1) << 12 | 0x12, 2));
    memory.write((3 << 3 | 1) << 12 | 0x44, 4, 9);
    assertEquals(List.of("18/2=7", "68/4=9"), log);
    assertThrows(IllegalArgumentException.class, () -> bus.attach(3, 1, new PciHostBridge()));
  }

  @Test
  void an_access_across_a_multiple_of_4_reads_as_ones() {
    pci.write(0, 4, 0x8000_0000);
    assertEquals(-1, pci.read(4 + 3, 2));
    assertEquals(-1, memory.read(2, 4));
    memory.write(2, 4, 0); // and nothing is written
    assertEquals(0x0d57_8086, memory.read(0, 4));
  }

  @Test
  void configuration_in_memory_ends_with_256_bytes() {
    assertEquals(0x0d57_8086, memory.read(0, 4));
    assertEquals(-1, memory.read(0x100, 4));
    assertEquals(-1, memory.read(0, 8));
    memory.write(0x100, 4, 1);
    assertEquals(-1, memory.read(PciExpressConfig.SIZE - 4, 4));
  }
}
