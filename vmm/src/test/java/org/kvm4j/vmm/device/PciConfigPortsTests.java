package org.kvm4j.vmm.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class PciConfigPortsTests {

  private int resets;
  private final PciConfigPorts pci = new PciConfigPorts(() -> resets++);

  @BeforeEach
  void attachHostBridge() {
    pci.attach(0, 0, new PciHostBridge());
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
  }

  @Test
  void writes_reach_the_function_that_is_addressed() {
    List<String> log = new ArrayList<>();
    pci.attach(
        3,
        1,
        new PciFunction() {
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
    assertEquals(List.of("18/2=7"), log);
    assertThrows(IllegalArgumentException.class, () -> pci.attach(3, 1, new PciHostBridge()));
  }
}
