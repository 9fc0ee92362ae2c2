package org.kvm4j.vmm.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.kvm4j.vmm.memory.GuestRam;
import org.kvm4j.vmm.memory.HeapUserMemory;

class FwCfgTests {

  private static final int ERROR = 1;
  private static final int READ = 2;
  private static final int SKIP = 4;
  private static final int SELECT = 8;
  private static final int WRITE = 16;

  private static final long REQUEST = 0x1000;
  private static final long TARGET = 0x2000;

  private final GuestRam memory = HeapUserMemory.ram(0x1_0000);
  private final FwCfg device = new FwCfg(memory);

  private byte[] read(int key, int length) {
    device.write(0, 2, key);
    byte[] bytes = new byte[length];
    for (int i = 0; i < length; i++) {
      bytes[i] = (byte) device.read(1, 1);
    }
    return bytes;
  }

  /** Starts a transfer; its result. */
  private int transfer(int control, int length, long address) {
    memory.write(
        REQUEST, ByteBuffer.allocate(16).putInt(control).putInt(length).putLong(address).array());
    device.write(4, 4, 0);
    device.write(8, 4, Integer.reverseBytes((int) REQUEST));
    return Integer.reverseBytes(memory.getInt(REQUEST));
  }

  private static byte[] ascii(String text) {
    return text.getBytes(StandardCharsets.US_ASCII);
  }

  @Test
  void it_tells_that_it_is_there() {
    assertArrayEquals(ascii("QEMU"), read(0, 4));
    assertArrayEquals(new byte[] {3, 0, 0, 0}, read(1, 4));
    ByteBuffer signature = ByteBuffer.allocate(8);
    for (int i = 0; i < 8; i++) {
      signature.put((byte) device.read(4 + i, 1));
    }
    assertArrayEquals(ascii("QEMU CFG"), signature.array());
    assertEquals(0x554d_4551, device.read(4, 4)); // "QEMU", big endian
  }

  @Test
  void numbers_are_little_endian_and_zeros_follow() {
    device.put(FwCfg.CPUS, 0x0203, 2);
    assertArrayEquals(new byte[] {3, 2, 0, 0}, read(FwCfg.CPUS, 4));
    assertArrayEquals(new byte[4], read(0x7777, 4));
  }

  @Test
  void files_are_listed_by_name() {
    device.putFile("opt/b", ascii("bee"));
    device.putFile("etc/a", ascii("x"));
    ByteBuffer directory = ByteBuffer.wrap(read(0x19, 4 + 2 * 64));
    assertEquals(2, directory.getInt(0));
    assertEquals(1, directory.getInt(4));
    assertEquals('e', directory.get(12));
    assertEquals(3, directory.getInt(68));
    int key = directory.getShort(72);
    assertArrayEquals(ascii("bee"), read(key, 3));
    byte[] name = ascii("n".repeat(56));
    assertThrows(
        IllegalArgumentException.class,
        () -> device.putFile(new String(name, StandardCharsets.US_ASCII), name));
  }

  @Test
  void an_item_is_copied_to_memory() {
    assertEquals(0, transfer(SELECT | READ, 6, TARGET));
    assertArrayEquals(new byte[] {'Q', 'E', 'M', 'U', 0, 0}, memory.read(TARGET, 6));
    device.write(0, 2, 0);
    assertEquals(0, transfer(SKIP, 2, 0));
    assertEquals(0, transfer(READ, 1, TARGET));
    assertEquals('M', memory.getByte(TARGET));
    assertEquals('U', device.read(1, 1));
  }

  @Test
  void what_cannot_be_copied_is_an_error() {
    assertEquals(ERROR, transfer(SELECT | READ, 4, 0x1_0000));
    assertEquals(ERROR, transfer(SELECT | READ, -1, TARGET));
    assertEquals(ERROR, transfer(SELECT | READ, 4, -2));
    assertEquals(ERROR, transfer(SELECT | WRITE, 4, TARGET));
  }

  @Test
  void a_request_that_is_not_in_ram_is_dropped() {
    device.write(4, 4, -1);
    device.write(8, 4, -1);
    device.write(4, 4, 0);
    device.write(8, 4, Integer.reverseBytes(0xfff8));
    assertEquals('Q', read(0, 1)[0]);
  }
}
