package org.kvm4j.vmm.boot;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.kvm4j.vmm.Thrown;
import org.kvm4j.vmm.memory.GuestRam;
import org.kvm4j.vmm.memory.HeapUserMemory;

@SuppressWarnings("ByteBufferBackingArray") // They are allocated here, whole.
class MultibootImageTests {

  private static final long MEGABYTE = 1 << 20;

  private final GuestRam ram = HeapUserMemory.ram(4 * MEGABYTE);

  private static MultibootImage parse(ByteBuffer image) throws GuestImageException {
    return MultibootImage.parse(TestImages.file(image.array()));
  }

  private static String refused(ByteBuffer image) {
    return Thrown.message(GuestImageException.class, () -> parse(image));
  }

  private String string(long address) {
    StringBuilder text = new StringBuilder();
    for (long at = address; ram.getByte(at) != 0; at++) {
      text.append((char) ram.getByte(at));
    }
    return text.toString();
  }

  private static BootOptions.Module module(String name, int size, String arguments) {
    byte[] bytes = new byte[size];
    Arrays.fill(bytes, (byte) size);
    return new BootOptions.Module(new GuestFile("module", name, bytes), arguments);
  }

  @Test
  void segments_are_loaded_and_the_rest_is_0() throws GuestImageException {
    ByteBuffer image = TestImages.multiboot();
    ram.putByte(MEGABYTE + 0x2ff, 0xff);
    BootState state = parse(image).load(ram, BootOptions.NONE);
    assertEquals(CpuMode.PROTECTED, state.mode());
    assertEquals(0x10_0010, state.rip());
    assertEquals(0x2bad_b002L, state.rax());
    assertArrayEquals(Arrays.copyOfRange(image.array(), 0x80, 0x180), ram.read(MEGABYTE, 0x100));
    assertEquals(0, ram.getByte(MEGABYTE + 0x2ff));
  }

  @Test
  void the_information_tells_of_memory_and_command_line() throws GuestImageException {
    BootState state =
        parse(TestImages.multiboot()).load(ram, new BootOptions("a b=c", null, List.of()));
    long info = state.rbx();
    assertTrue(info >= MEGABYTE + 0x300, "past the kernel");
    assertEquals(0x24d, ram.getInt(info));
    assertEquals(639, ram.getInt(info + 4));
    assertEquals(3 * 1024, ram.getInt(info + 8));
    assertEquals("test.bin a b=c", string(ram.getInt(info + 16)));
    assertEquals(0, ram.getInt(info + 20));
    assertEquals("kvm4j", string(ram.getInt(info + 64)));
    long map = ram.getInt(info + 48);
    assertEquals(3 * 24, ram.getInt(info + 44));
    assertEquals(20, ram.getInt(map));
    assertEquals(0x9fc00, ram.getLong(map + 12));
    assertEquals(1, ram.getInt(map + 20));
    assertEquals(2, ram.getInt(map + 24 + 20));
    assertEquals(MEGABYTE, ram.getLong(map + 48 + 4));
  }

  @Test
  void modules_are_loaded_page_by_page_with_their_arguments() throws GuestImageException {
    BootState state =
        parse(TestImages.multiboot())
            .load(
                ram,
                new BootOptions(
                    "", null, List.of(module("one", 5000, "x=1 y"), module("two", 3, ""))));
    long info = state.rbx();
    assertEquals(2, ram.getInt(info + 20));
    long list = ram.getInt(info + 24);
    assertEquals(MEGABYTE + 0x1000, ram.getInt(list));
    assertEquals(MEGABYTE + 0x1000 + 5000, ram.getInt(list + 4));
    assertEquals("one x=1 y", string(ram.getInt(list + 8)));
    assertEquals(MEGABYTE + 0x3000, ram.getInt(list + 16));
    assertEquals("two", string(ram.getInt(list + 24)));
    assertEquals(5000 & 0xff, ram.getByte(MEGABYTE + 0x1000 + 4999));
    assertEquals(3, ram.getByte(MEGABYTE + 0x3002));
  }

  @Test
  void a_header_with_addresses_loads_any_file() throws GuestImageException {
    ByteBuffer image = ByteBuffer.allocate(0x100).order(ByteOrder.LITTLE_ENDIAN);
    image.putInt(0x10, 0x1bad_b002);
    image.putInt(0x14, 0x1_0000);
    image.putInt(0x18, -(0x1bad_b002 + 0x1_0000));
    image.putInt(0x1c, 0x20_0010); // header_addr
    image.putInt(0x20, 0x20_0000); // load_addr
    image.putInt(0x24, 0); // the whole file
    image.putInt(0x28, 0x20_1000); // bss_end
    image.putInt(0x2c, 0x20_0040); // entry
    image.put(0xff, (byte) 0x77);
    BootState state = parse(image).load(ram, BootOptions.NONE);
    assertEquals(0x20_0040, state.rip());
    assertEquals(0x77, ram.getByte(0x20_00ff));
    image.putInt(0x24, 0x20_0200); // load_end, past the file
    assertTrue(refused(image).contains("truncated"));
    image.putInt(0x20, 0x20_0020); // load_addr past the header
    assertTrue(refused(image).contains("contradict"));
  }

  @Test
  void what_does_not_fit_is_refused() throws GuestImageException {
    GuestRam little = HeapUserMemory.ram(MEGABYTE + 0x200);
    MultibootImage image = parse(TestImages.multiboot());
    assertEquals(
        "kernel test.bin is to be loaded at [0x100000, 0x100300), and there are 1.0M of memory",
        Thrown.message(GuestImageException.class, () -> image.load(little, BootOptions.NONE)));
    BootOptions options = new BootOptions("", null, List.of(module("great", 3 << 20, "")));
    assertEquals(
        "module great of 3M does not fit at 0x101000, past the kernel: there are 4M of memory",
        Thrown.message(GuestImageException.class, () -> image.load(ram, options)));
  }

  @Test
  void what_is_wrong_is_said() {
    ByteBuffer image = TestImages.multiboot();
    image.put(4, (byte) 2);
    assertTrue(refused(image).contains("64 bits"));
    image = TestImages.multiboot();
    image.putShort(18, (short) 40);
    assertTrue(refused(image).contains("another machine"));
    image = TestImages.multiboot();
    image.putInt(68, 0x200);
    assertTrue(refused(image).contains("truncated: ELF segment 0 ends at byte 640"));
    image = TestImages.multiboot();
    image.putInt(68, 0x100);
    image.putInt(72, 0x80);
    assertTrue(refused(image).contains("larger in the file"));
    image = TestImages.multiboot();
    image.putShort(44, (short) 100);
    assertTrue(refused(image).contains("program headers end past the file"));
    image = TestImages.multiboot();
    image.putInt(52, 0);
    assertTrue(refused(image).contains("no ELF segment"));
    image = TestImages.multiboot();
    image.putInt(0x84, 7);
    image.putInt(0x88, -(0x1bad_b002 + 7));
    assertTrue(refused(image).contains("features 0x4"));
    image = TestImages.multiboot();
    image.putInt(0, 0);
    assertTrue(refused(image).contains("no ELF file"));
  }

  @Test
  void the_header_must_have_its_checksum_and_lie_in_the_first_8_KB() {
    ByteBuffer image = TestImages.multiboot();
    assertTrue(MultibootImage.recognizes(image.array()));
    image.putInt(0x88, 0);
    assertFalse(MultibootImage.recognizes(image.array()));
    byte[] late = new byte[0x4000];
    System.arraycopy(TestImages.multiboot().array(), 0x80, late, 0x2000, 0x40);
    assertFalse(MultibootImage.recognizes(late));
    assertFalse(MultibootImage.recognizes(new byte[0]));
  }

  @Test
  void a_header_that_lies_too_far_is_named() {
    for (int at : new int[] {0x1ff8, 0x2000, 0x3ff4}) {
      byte[] late = new byte[0x4000];
      System.arraycopy(TestImages.multiboot().array(), 0x80, late, at, 12);
      assertFalse(MultibootImage.recognizes(late));
      String message = notRecognized(late);
      assertTrue(message.contains("has its multiboot header at byte " + at + ", and"), message);
    }
    byte[] elf = new byte[0x4000];
    System.arraycopy(TestImages.multiboot().array(), 0, elf, 0, 0x80);
    assertTrue(notRecognized(elf).contains("is an ELF file without a multiboot header"));
    System.arraycopy(TestImages.multiboot().array(), 0x80, elf, 0x3000, 12);
    assertTrue(notRecognized(elf).contains("multiboot header at byte 12288"));
  }

  @Test
  void a_header_of_multiboot_2_is_named() {
    ByteBuffer image = ByteBuffer.allocate(0x100).order(ByteOrder.LITTLE_ENDIAN);
    image.putInt(0x10, 0xe852_50d6);
    image.putInt(0x18, 24);
    image.putInt(0x1c, -(0xe852_50d6 + 24));
    assertTrue(notRecognized(image.array()).contains("multiboot 2"));
    image.putInt(0x1c, 0);
    assertFalse(notRecognized(image.array()).contains("multiboot 2"));
  }

  private static String notRecognized(byte[] bytes) {
    return Thrown.message(
        GuestImageException.class,
        () -> GuestImages.parse(TestImages.file(bytes), null, null, null));
  }

  @Test
  void an_initrd_is_not_for_multiboot() throws GuestImageException {
    MultibootImage image = parse(TestImages.multiboot());
    BootOptions options = new BootOptions("", TestImages.file(new byte[1]), List.of());
    assertTrue(
        Thrown.message(GuestImageException.class, () -> image.load(ram, options))
            .contains("--module"));
  }
}
