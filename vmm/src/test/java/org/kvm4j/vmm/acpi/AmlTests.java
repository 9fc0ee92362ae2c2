package org.kvm4j.vmm.acpi;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.HexFormat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Terms of the byte code, as ACPI 6.4 section 20.2 defines them. */
class AmlTests {

  private static void assertBytes(String hex, byte[] actual) {
    assertEquals(hex.replace(" ", ""), HexFormat.of().formatHex(actual));
  }

  @ParameterizedTest
  @CsvSource({
    "0, 00",
    "1, 01",
    "2, 0a02",
    "255, 0aff",
    "256, 0b0001",
    "65536, 0c00000100",
    "4294967296, 0e0000000001000000",
    "-1, 0effffffffffffffff"
  })
  void integers_take_the_shortest_form(long value, String hex) {
    assertBytes(hex, Aml.integer(value));
  }

  @ParameterizedTest
  @CsvSource({
    "X, 585f5f5f",
    "\\_SB, 5c5f53425f",
    "\\_SB.PCI0, 5c2e5f53425f50434930",
    "A.B.CCCC, 2f03415f5f5f425f5f5f43434343"
  })
  void paths_are_made_of_segments_of_four(String path, String hex) {
    assertBytes(hex, Aml.path(path));
  }

  @Test
  void hardware_ids_are_packed() {
    assertBytes("0c 41d00a03", Aml.eisaId("PNP0A03"));
    assertBytes("0c 41d00501", Aml.eisaId("PNP0501"));
  }

  @Test
  void names_packages_strings_and_buffers() {
    assertBytes(
        "08 5f53355f 12 07 04 0a05 00 00 00",
        Aml.name(
            "_S5", Aml.packageOf(Aml.integer(5), Aml.integer(0), Aml.integer(0), Aml.integer(0))));
    assertBytes("0d 686900", Aml.string("hi"));
    assertBytes("11 05 0a02 0708", Aml.buffer(new byte[] {7, 8}));
    assertBytes("5b82 0b 44455630 08415f5f5f01", Aml.device("DEV0", Aml.name("A", Aml.integer(1))));
  }

  @ParameterizedTest
  @CsvSource({"58, 1", "59, 2", "4089, 2", "4090, 3", "1000000, 3"})
  void a_block_is_led_by_its_length_which_counts_itself(int contents, int size) {
    // With the 4 bytes of a name, the encoding changes at 63 and at 4,095 bytes in all.
    byte[] scope = Aml.scope("X", new byte[contents]);
    int first = scope[1] & 0xff;
    int value = size == 1 ? first : first & 0xf;
    for (int i = 1; i < size; i++) {
      value |= (scope[1 + i] & 0xff) << (4 + 8 * (i - 1));
    }
    assertEquals(size - 1, first >> 6);
    assertEquals(4 + contents + size, value);
    assertEquals(scope.length - 1, value);
  }

  @Test
  void resources() {
    assertBytes(
        "11 0d 0a0a 47 01 f803 f803 01 08 79 00", Resources.template(Resources.ports(0x3f8, 8)));
    assertBytes("22 1000", Resources.isaInterrupt(4));
    assertBytes("89 0600 01 01 11000000", Resources.levelInterrupt(17));
    assertBytes("86 0900 01 0000b0fe 00020000", Resources.memory(0xfeb0_0000L, 0x200));
    assertBytes("88 0d00 02 0c 00 0000 0000 0000 0000 0100", Resources.busRange(0, 0));
    assertBytes("88 0d00 01 0c 03 0000 000d ffff 0000 00f3", Resources.portRange(0xd00, 0xffff));
    assertBytes(
        "87 1700 00 0c 01 00000000 000000e1 ffffffe1 00000000 00000001",
        Resources.memoryRange(0xe100_0000L, 0x100_0000));
    assertArrayEquals(new byte[] {0x22, 0, 2}, Resources.isaInterrupt(9));
  }
}
