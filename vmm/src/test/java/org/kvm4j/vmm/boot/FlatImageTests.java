package org.kvm4j.vmm.boot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kvm4j.vmm.Thrown;
import org.kvm4j.vmm.memory.GuestRam;
import org.kvm4j.vmm.memory.HeapUserMemory;

class FlatImageTests {

  private final GuestRam ram = HeapUserMemory.ram(2 << 20);
  private final GuestFile file = TestImages.file(new byte[] {1, 2, 3, 4});

  private String refused(CpuMode mode, long load, long entry) {
    return Thrown.message(
        GuestImageException.class,
        () -> new FlatImage(file, mode, load, entry).load(ram, BootOptions.NONE));
  }

  @Test
  void it_is_loaded_and_started_where_it_is_said() throws GuestImageException {
    BootState state =
        new FlatImage(file, CpuMode.LONG, 0x10_0000, 0x10_0002).load(ram, BootOptions.NONE);
    assertEquals(0x10_0002, state.rip());
    assertEquals(0x9000, state.rsp());
    assertEquals(0x0403_0201, ram.getInt(0x10_0000));
  }

  @Test
  void real_mode_starts_in_segment_0_where_that_reaches() throws GuestImageException {
    BootState low = new FlatImage(file, CpuMode.REAL, 0x7c00, 0x7c00).load(ram, BootOptions.NONE);
    assertEquals(0, low.codeSegment());
    assertEquals(0x7c00, low.rip());
    BootState high =
        new FlatImage(file, CpuMode.REAL, 0x2_3450, 0x2_3450).load(ram, BootOptions.NONE);
    assertEquals(0x2000, high.codeSegment());
    assertEquals(0x3450, high.rip());
  }

  @Test
  void what_cannot_be_is_refused() {
    assertTrue(refused(CpuMode.REAL, 0x10_0000, 0x10_0000).contains("real mode"));
    assertTrue(refused(CpuMode.LONG, 0x10_0000, 0x10_0004).contains("no byte at its entry"));
    assertTrue(refused(CpuMode.LONG, 0x10_0000, 0xf_ffff).contains("no byte at its entry"));
    assertTrue(refused(CpuMode.LONG, 0x1000, 0x1000).contains("tables"));
    assertTrue(refused(CpuMode.PROTECTED, 0x500, 0x500).contains("tables"));
    assertTrue(refused(CpuMode.PROTECTED, 0xd000_0000L, 0xd000_0000L).contains("below 3G"));
    assertTrue(refused(CpuMode.LONG, 0x20_0000, 0x20_0000).contains("2M of memory"));
    assertTrue(refused(CpuMode.LONG, Long.MAX_VALUE, Long.MAX_VALUE).contains("below 3G"));
  }

  @Test
  void it_takes_nothing_with_it() throws GuestImageException {
    FlatImage image = new FlatImage(file, CpuMode.REAL, 0x7c00, 0x7c00);
    for (BootOptions options :
        List.of(
            new BootOptions("x", null, List.of()),
            new BootOptions("", file, List.of()),
            new BootOptions("", null, List.of(new BootOptions.Module(file, ""))))) {
      assertThrows(GuestImageException.class, () -> image.load(ram, options));
    }
  }

  @Test
  void little_memory_is_enough_for_real_mode_but_not_for_tables() throws GuestImageException {
    GuestRam little = HeapUserMemory.ram(0x8000);
    new FlatImage(file, CpuMode.REAL, 0x7c00, 0x7c00).load(little, BootOptions.NONE);
    FlatImage above = new FlatImage(file, CpuMode.PROTECTED, 0x100, 0x100);
    assertTrue(
        Thrown.message(GuestImageException.class, () -> above.load(little, BootOptions.NONE))
            .contains("needs 36K of memory"));
  }

  @Test
  void files_are_recognized() throws GuestImageException {
    GuestFile linux = TestImages.file(TestImages.linux(0x1000).array());
    GuestFile multiboot = TestImages.file(TestImages.multiboot().array());
    assertInstanceOf(LinuxImage.class, GuestImages.parse(linux, null, null, null));
    assertInstanceOf(MultibootImage.class, GuestImages.parse(multiboot, null, null, null));
    assertInstanceOf(FlatImage.class, GuestImages.parse(file, CpuMode.LONG, null, null));
    assertInstanceOf(FlatImage.class, GuestImages.parse(file, null, null, 0x10_0000L));
    assertInstanceOf(FlatImage.class, GuestImages.parse(file, null, 0x10_0000L, null));
    assertEquals(
        "flat binary, real mode, entry 0x7c00",
        GuestImages.parse(file, CpuMode.REAL, null, null).describe());
    assertEquals(
        "flat binary, protected mode, entry 0x100000",
        GuestImages.parse(file, CpuMode.PROTECTED, null, null).describe());
    assertThrows(
        GuestImageException.class, () -> GuestImages.parse(multiboot, CpuMode.LONG, null, null));
    assertTrue(
        Thrown.message(GuestImageException.class, () -> GuestImages.parse(file, null, null, null))
            .contains("--mode and --entry"));
  }

  @Test
  void what_has_a_format_is_not_run_as_a_flat_binary() {
    GuestFile linux = TestImages.file(TestImages.linux(0x1000).array());
    GuestFile elf = TestImages.file(new byte[] {0x7f, 'E', 'L', 'F', 2, 1, 1, 0});
    assertTrue(
        unknown(linux, CpuMode.LONG, null, 0x10_0000L)
            .contains("is a Linux bzImage, and --entry would run its headers as code"));
    assertTrue(
        unknown(elf, null, 0x10_0000L, null)
            .contains("is an ELF file, and --load would run its headers as code"));
    assertTrue(
        unknown(elf, CpuMode.LONG, null, null)
            .contains("is an ELF file without a multiboot header"));
    assertTrue(unknown(elf, null, null, null).contains("without a multiboot header"));
  }

  private static String unknown(
      GuestFile file, @Nullable CpuMode mode, @Nullable Long load, @Nullable Long entry) {
    return Thrown.message(
        GuestImageException.class, () -> GuestImages.parse(file, mode, load, entry));
  }

  @Test
  void files_that_cannot_be_read_are_named(@TempDir Path directory) throws IOException {
    Path empty = Files.createFile(directory.resolve("empty"));
    Path great = Files.write(directory.resolve("great"), new byte[5000]);
    assertEquals(
        "kernel " + directory.resolve("none") + ": no such file",
        unreadable(directory.resolve("none")));
    assertEquals("kernel " + directory + " is a directory", unreadable(directory));
    assertEquals("kernel " + empty + " is empty", unreadable(empty));
    assertEquals("kernel " + great + " of 4.9K does not fit into 4K of memory", unreadable(great));
    assertEquals("kernel /dev/null is not a regular file", unreadable(Path.of("/dev/null")));
  }

  private static String unreadable(Path path) {
    return Thrown.message(GuestImageException.class, () -> GuestFile.read("kernel", path, 4096));
  }
}
