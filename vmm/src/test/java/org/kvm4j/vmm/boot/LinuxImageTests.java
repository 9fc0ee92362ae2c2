package org.kvm4j.vmm.boot;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.kvm4j.kvm.Sregs;
import org.kvm4j.vmm.Thrown;
import org.kvm4j.vmm.memory.GuestRam;
import org.kvm4j.vmm.memory.HeapUserMemory;

@SuppressWarnings("ByteBufferBackingArray") // They are allocated here, whole.
class LinuxImageTests {

  private static final long MEGABYTE = 1 << 20;
  private static final int PAYLOAD = 0x3000;

  private final GuestRam ram = HeapUserMemory.ram(16 * MEGABYTE);

  private static LinuxImage parse(ByteBuffer image) throws GuestImageException {
    return LinuxImage.parse(TestImages.file(image.array()), null);
  }

  private static String refused(ByteBuffer image) {
    return Thrown.message(GuestImageException.class, () -> parse(image));
  }

  private static BootOptions append(String text) {
    return new BootOptions(text, null, List.of());
  }

  private static BootOptions initrd(int size) {
    byte[] bytes = new byte[size];
    Arrays.fill(bytes, (byte) 0x5a);
    return new BootOptions("", new GuestFile("initrd", "initrd.gz", bytes), List.of());
  }

  private String string(long address) {
    StringBuilder text = new StringBuilder();
    for (long at = address; ram.getByte(at) != 0; at++) {
      text.append((char) ram.getByte(at));
    }
    return text.toString();
  }

  @Test
  void starts_by_the_64_bit_protocol_if_it_can() throws GuestImageException {
    LinuxImage image = parse(TestImages.linux(PAYLOAD));
    assertEquals(CpuMode.LONG, image.mode());
    assertEquals("Linux image, boot protocol 2.12, 64-bit entry", image.describe());
    BootState state = image.load(ram, append("console=ttyS0"));
    assertEquals(0x10_0200, state.rip());
    assertEquals(BootLayout.ZERO_PAGE, state.rsi());
    Sregs sregs = new Sregs();
    state.applyTo(sregs, true);
    assertEquals(0x8001_0031L, sregs.cr0);
    assertEquals(0x20, sregs.cr4);
    assertEquals(0x500, sregs.efer);
    assertEquals(1, sregs.cs.l);
    assertEquals(0, sregs.cs.db);
    assertEquals(0x10, sregs.cs.selector);
    assertEquals(0x18, sregs.ds.selector);
    assertEquals(2, state.regs().rflags, "interrupts are off");
  }

  @Test
  void its_page_tables_map_4_GB_to_themselves() throws GuestImageException {
    parse(TestImages.linux(PAYLOAD)).load(ram, BootOptions.NONE);
    long pdpt = ram.getLong(BootLayout.PAGE_TABLES) & ~0xfffL;
    for (long address = 0; address < 1L << 32; address += 2 * MEGABYTE) {
      long directory = ram.getLong(pdpt + 8 * (address >> 30)) & ~0xfffL;
      assertEquals(
          address | 0x83, ram.getLong(directory + 8 * (address >> 21 & 511)), () -> "2 MB pages");
    }
    assertEquals(0, ram.getLong(pdpt + 8 * 4));
    assertEquals(0, ram.getLong(BootLayout.PAGE_TABLES + 8));
  }

  @Test
  void the_zero_page_tells_where_the_ACPI_tables_are() throws GuestImageException {
    parse(TestImages.linux(PAYLOAD)).load(ram, BootOptions.NONE.withAcpiTables(0xe_0000));
    assertEquals(0xe_0000, ram.getLong(BootLayout.ZERO_PAGE + 0x70));
    parse(TestImages.linux(PAYLOAD)).load(ram, BootOptions.NONE);
    assertEquals(0, ram.getLong(BootLayout.ZERO_PAGE + 0x70));
  }

  @Test
  void the_payload_goes_to_1_MB() throws GuestImageException {
    ByteBuffer image = TestImages.linux(PAYLOAD);
    parse(image).load(ram, BootOptions.NONE);
    assertArrayEquals(
        Arrays.copyOfRange(image.array(), 3 * 512, image.capacity()), ram.read(MEGABYTE, PAYLOAD));
  }

  @Test
  void the_zero_page_has_the_header_the_command_line_and_the_memory_map()
      throws GuestImageException {
    ByteBuffer image = TestImages.linux(PAYLOAD);
    parse(image).load(ram, append("console=ttyS0 \u00fc"));
    long page = BootLayout.ZERO_PAGE;
    assertEquals(0x5372_6448, ram.getInt(page + 0x202));
    assertEquals(0x20c, ram.getShort(page + 0x206));
    assertEquals(0xff, ram.getByte(page + 0x210), "an unknown loader");
    assertEquals(0x81, ram.getByte(page + 0x211), "the heap can be used");
    assertEquals(0x10_0000, ram.getInt(page + 0x214));
    assertEquals(0, ram.getInt(page + 0x218));
    assertEquals(0, ram.getInt(page + 0x21c));
    assertEquals(0, ram.getInt(page + 0x264), "nothing of the image but the header");
    long commandLine = ram.getInt(page + 0x228);
    assertArrayEquals(
        "console=ttyS0 \u00fc\0".getBytes(StandardCharsets.UTF_8), ram.read(commandLine, 17));
    assertEquals(15 * 1024, ram.getInt(page + 0x1e0));
    assertEquals(3, ram.getByte(page + 0x1e8));
    assertEquals(0, ram.getLong(page + 0x2d0));
    assertEquals(0x9fc00, ram.getLong(page + 0x2d8));
    assertEquals(1, ram.getInt(page + 0x2e0));
    assertEquals(2, ram.getInt(page + 0x2e0 + 20));
    assertEquals(MEGABYTE, ram.getLong(page + 0x2d0 + 40));
    assertEquals(15 * MEGABYTE, ram.getLong(page + 0x2d8 + 40));
  }

  @Test
  void without_a_64_bit_entry_it_starts_in_32_bits() throws GuestImageException {
    ByteBuffer image = TestImages.linux(PAYLOAD);
    image.putShort(0x236, (short) 0);
    BootState state = parse(image).load(ram, BootOptions.NONE);
    assertEquals(CpuMode.PROTECTED, state.mode());
    assertEquals(0x10_0000, state.rip());
    Sregs sregs = new Sregs();
    state.applyTo(sregs, true);
    assertEquals(0x31, sregs.cr0);
    assertEquals(0, sregs.efer);
    assertEquals(1, sregs.cs.db);
    assertEquals(-1, sregs.ss.limit);
    assertEquals(0, ram.getLong(BootLayout.PAGE_TABLES), "no page tables");
    assertEquals(
        "kernel test.bin has no 64-bit entry point: boot it with --mode protected or real",
        Thrown.message(
            GuestImageException.class,
            () -> LinuxImage.parse(TestImages.file(image.array()), CpuMode.LONG)));
  }

  @Test
  void the_16_bit_protocol_starts_the_setup_code_with_a_BIOS() throws GuestImageException {
    ByteBuffer image = TestImages.linux(PAYLOAD);
    BootState state =
        LinuxImage.parse(TestImages.file(image.array()), CpuMode.REAL).load(ram, append("quiet"));
    assertEquals(0x1020, state.codeSegment());
    assertEquals(0x1000, state.dataSegment());
    assertEquals(0, state.rip());
    assertEquals(0xff, ram.getByte(0x1_0000 + 0x210));
    assertEquals(0xe000 - 0x200, ram.getShort(0x1_0000 + 0x224));
    assertEquals("quiet", string(ram.getInt(0x1_0000 + 0x228)));
    assertEquals(0xf000, ram.getShort(4 * 0x15 + 2), "INT 15h is the BIOS'");
    assertTrue(ram.getShort(4 * 0x15) != ram.getShort(4 * 0x20), "and does something");
    assertEquals(3, ram.getShort(0xf_0002), "ranges of memory");
    assertEquals(639, ram.getShort(0x413));
  }

  @Test
  void the_initrd_goes_as_high_as_the_kernel_reaches() throws GuestImageException {
    parse(TestImages.linux(PAYLOAD)).load(ram, initrd(5000));
    int address = ram.getInt(BootLayout.ZERO_PAGE + 0x218);
    assertEquals(16 * MEGABYTE - 0x2000, address);
    assertEquals(5000, ram.getInt(BootLayout.ZERO_PAGE + 0x21c));
    assertEquals(0x5a, ram.getByte(address));
    assertEquals(0x5a, ram.getByte(address + 4999));
    assertEquals(0, ram.getByte(address + 5000));

    ByteBuffer low = TestImages.linux(PAYLOAD);
    low.putInt(0x22c, (int) (8 * MEGABYTE - 1));
    parse(low).load(ram, initrd(4096));
    assertEquals(8 * MEGABYTE - 0x1000, ram.getInt(BootLayout.ZERO_PAGE + 0x218));
  }

  @Test
  void an_initrd_that_does_not_fit_is_refused_with_the_sizes() throws GuestImageException {
    ByteBuffer image = TestImages.linux(PAYLOAD);
    image.putInt(0x260, (int) (12 * MEGABYTE)); // init_size
    LinuxImage linux = parse(image);
    assertEquals(
        "initrd initrd.gz of 4M does not fit: of 16M of memory the kernel can reach it in the first"
            + " 16M, and takes the first 13M itself",
        Thrown.message(GuestImageException.class, () -> linux.load(ram, initrd(4 << 20))));
  }

  @Test
  void a_kernel_that_needs_more_memory_is_refused() throws GuestImageException {
    ByteBuffer image = TestImages.linux(PAYLOAD);
    image.putLong(0x258, 16 * MEGABYTE); // pref_address
    LinuxImage linux = parse(image);
    assertEquals(
        "kernel test.bin needs 16.0M of memory, and there are 16M",
        Thrown.message(GuestImageException.class, () -> linux.load(ram, BootOptions.NONE)));
  }

  @Test
  void a_command_line_that_is_too_long_is_refused() throws GuestImageException {
    LinuxImage linux = parse(TestImages.linux(PAYLOAD));
    linux.load(ram, append("x".repeat(255)));
    assertEquals(
        "kernel test.bin takes a command line of at most 255 bytes, and --append has 256",
        Thrown.message(GuestImageException.class, () -> linux.load(ram, append("x".repeat(256)))));
  }

  @Test
  void modules_are_not_for_Linux() throws GuestImageException {
    LinuxImage linux = parse(TestImages.linux(PAYLOAD));
    BootOptions options =
        new BootOptions(
            "", null, List.of(new BootOptions.Module(TestImages.file(new byte[1]), "")));
    assertTrue(
        Thrown.message(GuestImageException.class, () -> linux.load(ram, options))
            .contains("no modules"));
  }

  @Test
  void what_is_wrong_with_an_image_is_said() {
    assertTrue(refused(TestImages.linux(0)).contains("truncated"));
    ByteBuffer shorter = ByteBuffer.wrap(Arrays.copyOf(TestImages.linux(PAYLOAD).array(), 0x1200));
    assertEquals(
        "kernel test.bin is truncated: its header tells of 13824 bytes, and the file has 4608",
        refused(shorter));
    assertTrue(
        refused(ByteBuffer.wrap(Arrays.copyOf(TestImages.linux(PAYLOAD).array(), 0x210)))
            .contains("ends within the setup header"));
    assertTrue(
        refused(ByteBuffer.wrap(Arrays.copyOf(TestImages.linux(PAYLOAD).array(), 0x400)))
            .contains("setup code has 1536 bytes"));
    assertTrue(refused(ByteBuffer.wrap(new byte[4096])).contains("no setup header"));
    assertTrue(refused(spoilt(0x206, 0x0201)).contains("protocol 2.01"));
    ByteBuffer low = TestImages.linux(PAYLOAD);
    low.put(0x211, (byte) 0);
    assertTrue(refused(low).contains("zImage"));
  }

  private static ByteBuffer spoilt(int at, int value) {
    ByteBuffer image = TestImages.linux(PAYLOAD);
    image.putShort(at, (short) value);
    return image;
  }

  @Test
  void an_old_protocol_has_short_command_lines_and_low_initrds() throws GuestImageException {
    ByteBuffer image = spoilt(0x206, 0x202);
    image.putShort(0x1f4, (short) (PAYLOAD / 16));
    image.putShort(0x236, (short) 0);
    LinuxImage linux = parse(image);
    assertEquals(CpuMode.PROTECTED, linux.mode());
    assertThrows(GuestImageException.class, () -> linux.load(ram, append("x".repeat(256))));
    linux.load(ram, initrd(100));
  }

  @Test
  void real_mode_segments_are_16_times_the_selector() {
    BootState state = BootState.real(0x1020, 4, 0x1000, 0xe000);
    Sregs sregs = new Sregs();
    state.applyTo(sregs, true);
    assertEquals(0x1_0200, sregs.cs.base);
    assertEquals(0x1_0000, sregs.ss.base);
    assertEquals(0xffff, sregs.ds.limit);
    assertEquals(0, sregs.cr0);
    assertEquals(4, state.regs().rip);
    assertEquals(0xe000, state.regs().rsp);
  }

  @Test
  void sizes_are_short() {
    assertEquals("1 byte", Sizes.format(1));
    assertEquals("1023 bytes", Sizes.format(1023));
    assertEquals("1K", Sizes.format(1024));
    assertEquals("1.5K", Sizes.format(1536));
    assertEquals("64M", Sizes.format(64 * MEGABYTE));
    assertEquals("2G", Sizes.format(2048 * MEGABYTE));
  }
}
