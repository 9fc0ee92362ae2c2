package org.kvm4j.vmm.boot;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.Objects;
import org.kvm4j.vmm.memory.GuestRam;
import org.kvm4j.vmm.memory.MemoryRange;

/**
 * The little of a BIOS that a boot loader's 16-bit code calls: memory map, console output, A20. Its
 * program is {@code bios.S}; this puts it at the end of the first megabyte, gives it the memory
 * map, and points the interrupt vectors at it.
 */
final class Bios {

  /** The segment of its program. */
  private static final int SEGMENT = 0xf000;

  private static final long ADDRESS = (long) SEGMENT << 4;

  // What bios.S has at the start of its segment.
  private static final int VECTOR_TABLE = 0x00; // word: offset of 256 handlers' offsets
  private static final int MAP_COUNT = 0x02; // word
  private static final int EXTENDED_KB = 0x04; // word: memory from 1M to 16M, in KB
  private static final int EXTENDED_64KB = 0x06; // word: memory from 16M, in units of 64 KB
  private static final int MAP = 0x10; // entries of 20 bytes
  private static final int MAP_ENTRIES = 16;

  /** The BIOS data area: kilobytes of low memory. */
  private static final long BASE_MEMORY = 0x413;

  private Bios() {}

  static void install(GuestRam memory) {
    byte[] program = program();
    memory.write(ADDRESS, program);
    List<MemoryRange> map = memory.map();
    if (map.size() > MAP_ENTRIES) {
      throw new IllegalStateException(map.size() + " ranges of memory are more than a BIOS tells");
    }
    memory.putShort(ADDRESS + MAP_COUNT, map.size());
    long at = ADDRESS + MAP;
    for (MemoryRange range : map) {
      memory.putLong(at, range.address());
      memory.putLong(at + 8, range.size());
      memory.putInt(at + 16, range.type());
      at += 20;
    }
    long extended = memory.lowSize() - BootLayout.HIGH;
    memory.putShort(ADDRESS + EXTENDED_KB, (int) (Math.min(extended, 15 << 20) >> 10));
    memory.putShort(
        ADDRESS + EXTENDED_64KB, (int) Math.min(0xffff, Math.max(0, extended - (15 << 20)) >> 16));
    memory.putShort(BASE_MEMORY, (int) (GuestRam.LOW_END >> 10));
    int table = memory.getShort(ADDRESS + VECTOR_TABLE);
    for (int vector = 0; vector < 256; vector++) {
      memory.putShort(4L * vector, memory.getShort(ADDRESS + table + 2L * vector));
      memory.putShort(4L * vector + 2, SEGMENT);
    }
  }

  private static byte[] program() {
    try (InputStream in =
        Objects.requireNonNull(Bios.class.getResourceAsStream("bios.bin"), "bios.bin")) {
      return in.readAllBytes();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
