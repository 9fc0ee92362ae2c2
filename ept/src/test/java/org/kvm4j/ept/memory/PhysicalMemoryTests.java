package org.kvm4j.ept.memory;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

class PhysicalMemoryTests {
  private static final long GIB = 1L << 30;
  private static final long MIB = 1L << 20;

  private final PhysicalMemory memory = new PhysicalMemory(46);

  // ---- Regions

  @Test
  void aRegionIsZeroedAndAlignedByItsSize() {
    for (long size : new long[] {4096, 12288, MIB, 2 * MIB, 3 * MIB, 64 * MIB, GIB, GIB + 4096}) {
      long base = memory.map(size);
      assertEquals(
          0, base % (size >= GIB ? GIB : size >= 2 * MIB ? 2 * MIB : 4096), "size " + size);
      assertEquals(0, memory.readLong(base));
      assertEquals(0, memory.readLong(base + size - 8));
      assertTrue(memory.isBacked(base, 4096));
      assertTrue(memory.isBacked(base + size - 1, 1));
    }
  }

  @Test
  void aRegionOfSeveralGibibytesIsContiguous() {
    long base = memory.map(3 * GIB + 4096);
    for (long offset : new long[] {0, GIB - 4, GIB, 2 * GIB - 1, 3 * GIB - 7, 3 * GIB + 4088}) {
      memory.writeLong(base + offset, 0x0102030405060708L + offset);
      assertEquals(0x0102030405060708L + offset, memory.readLong(base + offset));
    }
    assertFalse(memory.isBacked(base + 3 * GIB + 4096, 1));
    assertNull(memory.bank(base + 3 * GIB + 4096));
  }

  @Test
  void tenThousandSmallRegionsTakeFewBanks() {
    Set<Long> banks = new HashSet<>();
    for (int i = 0; i < 10_000; i++) {
      banks.add(memory.map(4096L * (1 + i % 5)) >>> 30);
    }
    assertTrue(banks.size() <= 2, banks.size() + " banks");
  }

  @Test
  void aRegionComesBackZeroedAfterItWasUnmapped() {
    for (long size : new long[] {4096, 8 * MIB, 32 * MIB, GIB}) {
      long base = memory.map(size);
      for (long offset = 0; offset < size; offset += size / 4) {
        memory.writeLong(base + offset, -1);
      }
      memory.unmap(base);
      assertFalse(memory.isBacked(base, 1));
      assertEquals(base, memory.map(size));
      for (long offset = 0; offset < size; offset += size / 4) {
        assertEquals(0, memory.readLong(base + offset));
      }
    }
  }

  @Test
  void regionsAtGivenAddressesMayShareABankAndMayNotOverlap() {
    memory.mapAt(0, 640 * 1024);
    memory.mapAt(MIB, 3 * GIB - MIB);
    assertFalse(memory.isBacked(0xa0000, 1));
    assertTrue(memory.isBacked(0x9fff8, 8));
    assertFalse(memory.isBacked(0x9fff8, 9));
    assertEquals(-1, memory.readInt(0xa0000));
    assertThrows(IllegalArgumentException.class, () -> memory.mapAt(0x9f000, 0x2000));
    assertThrows(IllegalArgumentException.class, () -> memory.mapAt(0, 4096));
    assertThrows(IllegalArgumentException.class, () -> memory.mapAt(3 * GIB - 4096, 8192));
    assertThrows(IllegalArgumentException.class, () -> memory.mapAt(0x123, 4096));
    assertThrows(IllegalArgumentException.class, () -> memory.mapAt(-4096, 4096));
    assertThrows(IllegalArgumentException.class, () -> memory.mapAt((1L << 46) - 4096, 8192));
    memory.mapAt(0xa0000, 4096);
    memory.writeInt(0x9fffe, 0x11223344);
    assertEquals(0x11223344, memory.readInt(0x9fffe));
    memory.unmap(0xa0000);
    assertEquals(0xffff3344, memory.readInt(0x9fffe));
    assertThrows(IllegalArgumentException.class, () -> memory.unmap(0xa0000));
  }

  @Test
  void newRegionsKeepAwayFromThoseAtGivenAddresses() {
    memory.mapAt(4 * GIB, GIB);
    memory.mapAt(6 * GIB, 4096);
    List<long[]> regions = new ArrayList<>();
    for (long size : new long[] {4096, 16 * MIB, GIB, 2 * GIB}) {
      regions.add(new long[] {memory.map(size), size});
    }
    for (long[] r : regions) {
      assertTrue(r[0] + r[1] <= 4 * GIB || r[0] >= 5 * GIB);
      assertTrue(r[0] + r[1] <= 6 * GIB || r[0] >= 6 * GIB + 4096);
    }
  }

  @Test
  void aFullAddressSpaceIsReported() {
    PhysicalMemory small = new PhysicalMemory(32);
    assertThrows(OutOfPhysicalMemoryException.class, () -> small.map(8 * GIB));
    // 2 to the 32 banks: the count does not fit an int, and must not wrap to none.
    assertThrows(OutOfPhysicalMemoryException.class, () -> small.map(1L << 62));
    assertThrows(IllegalArgumentException.class, () -> small.map(100));
    assertThrows(IllegalArgumentException.class, () -> small.map(0));
    assertThrows(IllegalArgumentException.class, () -> new PhysicalMemory(53));
  }

  @Test
  void sixtyFourGibibytesCostWhatIsTouched() throws IOException {
    assumeTrue(Files.exists(Path.of("/proc/self/status")), "needs /proc");
    long before = residentAnonymousKib();
    long base = memory.map(64 * GIB);
    for (long offset = 0; offset < 64 * GIB; offset += GIB) {
      memory.writeLong(base + offset, offset + 1);
      memory.writeLong(base + offset + GIB - 8, offset + 2);
    }
    for (long offset = 0; offset < 64 * GIB; offset += GIB) {
      assertEquals(offset + 1, memory.readLong(base + offset));
      assertEquals(offset + 2, memory.readLong(base + offset + GIB - 8));
      assertEquals(0, memory.readLong(base + offset + GIB / 2));
    }
    long growth = residentAnonymousKib() - before;
    assertTrue(growth < 64 * 1024, growth + " KiB of memory for 128 pages");
  }

  private static long residentAnonymousKib() throws IOException {
    return Files.readAllLines(Path.of("/proc/self/status")).stream()
        .filter(line -> line.startsWith("RssAnon:"))
        .mapToLong(line -> Long.parseLong(line.replaceAll("[^0-9]", "")))
        .sum();
  }

  // ---- Accesses

  @Test
  void everySizeWorksAtEveryAlignmentAndAcrossPagesAndBanks() {
    long base = GIB - 8192;
    memory.mapAt(base, 16384);
    byte[] model = new byte[16384];
    ByteBuffer expected = ByteBuffer.wrap(model).order(ByteOrder.LITTLE_ENDIAN);
    Random random = new Random(1);
    for (int i = 0; i < 20_000; i++) {
      int offset = random.nextBoolean() ? 8192 - 16 + random.nextInt(32) : random.nextInt(16376);
      long value = random.nextLong();
      switch (random.nextInt(4)) {
        case 0 -> {
          memory.writeByte(base + offset, (byte) value);
          expected.put(offset, (byte) value);
          assertEquals((byte) value, memory.readByte(base + offset));
        }
        case 1 -> {
          memory.writeShort(base + offset, (short) value);
          expected.putShort(offset, (short) value);
          assertEquals((short) value, memory.readShort(base + offset));
        }
        case 2 -> {
          memory.writeInt(base + offset, (int) value);
          expected.putInt(offset, (int) value);
          assertEquals((int) value, memory.readInt(base + offset));
        }
        default -> {
          memory.writeLong(base + offset, value);
          expected.putLong(offset, value);
          assertEquals(value, memory.readLong(base + offset));
        }
      }
    }
    byte[] actual = new byte[16384];
    memory.read(base, actual);
    assertArrayEquals(model, actual);
    memory.fill(base + 100, 9000, (byte) 7);
    Arrays.fill(model, 100, 9100, (byte) 7);
    memory.read(base, actual);
    assertArrayEquals(model, actual);
    memory.fill(base + 50, 16000, (byte) 0);
    Arrays.fill(model, 50, 16050, (byte) 0);
    memory.read(base, actual);
    assertArrayEquals(model, actual);
  }

  @Test
  void whereNothingIsMappedReadsAreAllOnesAndWritesAreDropped() {
    long base = memory.map(4096);
    long last = base + 4096;
    memory.writeLong(last - 4, 0x1122334455667788L);
    assertEquals(0xffffffff55667788L, memory.readLong(last - 4));
    byte[] out = new byte[16];
    memory.read(last - 8, out);
    assertArrayEquals(
        new byte[] {0, 0, 0, 0, (byte) 0x88, 0x77, 0x66, 0x55, -1, -1, -1, -1, -1, -1, -1, -1},
        out);
    memory.write(last - 8, new byte[16]);
    assertEquals(0, memory.readLong(last - 8));
    assertTrue(memory.compareAndSetLong(last, -1, 5));
    assertFalse(memory.compareAndSetLong(last, 0, 5));
    assertTrue(memory.compareAndSetInt(last, -1, 5));
    assertEquals(-1, memory.getAndSetLong(last, 3));
    assertEquals(-1, memory.readLong(last));
    assertEquals(0, memory.readLong(memory.map(4096)));
  }

  /** Whatever the address, an access reaches mapped memory or nothing. */
  @Test
  void hostileAddressesNeverReachOutside() {
    long left = memory.map(4096);
    long victim = memory.map(4096);
    long right = memory.map(4096);
    memory.mapAt(3 * 4096, 4096);
    long own = memory.map(32 * MIB);
    List<Long> addresses = new ArrayList<>();
    for (int bit = 0; bit < 64; bit++) {
      for (long delta : new long[] {-9, -8, -4, -1, 0, 1, 4, 8}) {
        addresses.add((1L << bit) + delta);
        addresses.add(-(1L << bit) + delta);
        addresses.add(victim ^ (1L << bit) + delta);
        addresses.add(own + 32 * MIB ^ (1L << bit) + delta);
      }
    }
    Random random = new Random(2);
    random.longs(20_000).forEach(addresses::add);
    random.longs(20_000, 0, 8 * GIB).forEach(addresses::add);
    byte[] bytes = new byte[16];
    for (long address : addresses) {
      if (touches(address, victim) || touches(address, left) || touches(address, right)) {
        continue;
      }
      boolean backed = memory.isBacked(address, 1);
      byte b = memory.readByte(address);
      memory.writeByte(address, (byte) (b ^ 1));
      assertEquals(backed ? (byte) (b ^ 1) : -1, memory.readByte(address));
      memory.writeLong(address, 0x5555);
      memory.writeInt(address, 0x55);
      memory.writeShort(address, (short) 5);
      memory.readLong(address);
      memory.readInt(address);
      memory.readShort(address);
      memory.write(address, bytes);
      memory.read(address, bytes);
      memory.deviceWriteLong(address, 3);
      memory.fill(address, 16, (byte) 9);
      CodeMark mark = memory.markCode(address);
      if (mark != null) {
        mark.clear();
      }
      assertFalse(memory.holdsCode(address));
      memory.compareAndSetLong(address & -8, 1, 2);
      memory.compareAndSetInt(address & -4, 1, 2);
      assertEquals(backed, memory.bank(address) != null);
    }
    for (long page : new long[] {left, victim, right}) {
      for (int i = 0; i < 4096; i += 8) {
        assertEquals(0, memory.readLong(page + i));
      }
    }
  }

  private static boolean touches(long address, long page) {
    return address + 16 > page && address < page + 4096;
  }

  @Test
  void banksAndSlicesAreBounded() {
    long base = memory.map(32 * MIB);
    ByteBuffer bank = memory.bank(base + 12345);
    assertNotNull(bank);
    assertEquals(ByteOrder.LITTLE_ENDIAN, bank.order());
    assertTrue(bank.isDirect());
    memory.writeInt(base + 12344, 0x01020304);
    assertEquals(0x01020304, bank.getInt((int) (base + 12344) & PhysicalMemory.BANK_MASK));
    assertThrows(IndexOutOfBoundsException.class, () -> bank.getLong(bank.capacity() - 7));
    assertThrows(IndexOutOfBoundsException.class, () -> bank.get(-1));
    ByteBuffer slice = memory.slice(base + 12344, 8);
    assertEquals(0x01020304, slice.getInt(0));
    assertThrows(IndexOutOfBoundsException.class, () -> slice.get(8));
    assertThrows(IndexOutOfBoundsException.class, () -> memory.slice(base + 32 * MIB - 4, 8));
    assertThrows(IndexOutOfBoundsException.class, () -> memory.slice(base - 4, 8));
  }

  @Test
  void compareAndSetIsAtomicAndWantsAlignment() throws InterruptedException {
    long base = memory.map(4096);
    Thread[] threads = new Thread[3];
    for (int t = 0; t < threads.length; t++) {
      threads[t] =
          new Thread(
              () -> {
                for (int i = 0; i < 20_000; i++) {
                  long old;
                  do {
                    old = memory.readLong(base + 8);
                  } while (!memory.compareAndSetLong(base + 8, old, old + 1));
                  int small;
                  do {
                    small = memory.readInt(base + 20);
                  } while (!memory.compareAndSetInt(base + 20, small, small + 3));
                }
              });
      threads[t].start();
    }
    for (Thread thread : threads) {
      thread.join();
    }
    assertEquals(60_000, memory.readLong(base + 8));
    assertEquals(180_000, memory.readInt(base + 20));
    assertThrows(IllegalArgumentException.class, () -> memory.compareAndSetLong(base + 4, 0, 0));
    assertThrows(IllegalArgumentException.class, () -> memory.compareAndSetInt(base + 2, 0, 0));
  }

  @Test
  void aCursorSeesWhatTheMemoryHas() {
    long small = memory.map(4096);
    MemoryCursor cursor = new MemoryCursor(memory);
    Random random = new Random(3);
    long own = memory.map(16 * MIB);
    for (int i = 0; i < 200; i++) {
      cursor.begin();
      for (long at : new long[] {small, own, 0, -8, small + 4092, own + 16 * MIB - 4, 1L << 60}) {
        long value = random.nextLong();
        memory.writeLong(at, value);
        assertEquals(memory.readLong(at), cursor.readLong(at));
        assertEquals(memory.readInt(at), cursor.readInt(at));
      }
      if (i % 20 == 0) {
        memory.unmap(own);
        cursor.begin();
        assertEquals(-1, cursor.readLong(own));
        own = memory.map(16 * MIB);
      }
    }
  }

  // ---- Code

  @Test
  void deviceWritesToPagesWithCodeAreTold() {
    long base = memory.map(4 * 4096);
    List<String> told = new ArrayList<>();
    CodeWriteListener listener =
        (hpa, length) -> told.add((hpa - base) + "+" + length + "=" + memory.readByte(hpa));
    memory.addCodeWriteListener(listener);
    memory.deviceWriteLong(base, 1);
    CodeMark mark = Objects.requireNonNull(memory.markCode(base + 4096 + 5));
    assertTrue(memory.holdsCode(base + 8191));
    assertFalse(memory.holdsCode(base + 8192));
    memory.writeLong(base + 4096, 0);
    assertEquals(List.of(), told);
    memory.deviceWriteByte(base + 4096, (byte) 1);
    memory.deviceWriteShort(base + 4097, (short) 2);
    memory.deviceWriteInt(base + 4094, 0x03030303);
    memory.deviceWriteLong(base + 8190, 4);
    memory.deviceWrite(base, new byte[4 * 4096], 0, 4 * 4096);
    memory.deviceFill(base + 4095, 2, (byte) 6);
    assertEquals(
        List.of("4096+1=1", "4097+2=2", "4096+2=3", "8190+2=4", "4096+4096=0", "4096+1=6"), told);
    told.clear();
    mark.clear();
    memory.deviceWriteByte(base + 4096, (byte) 1);
    assertEquals(List.of(), told);
    memory.markCode(base + 8192);
    memory.unmap(base);
    assertEquals(List.of("8192+4096=0"), told);
    assertFalse(memory.holdsCode(base + 8192));
    memory.map(4 * 4096);
    assertFalse(memory.holdsCode(base + 8192));
    memory.removeCodeWriteListener(listener);
    memory.markCode(base);
    memory.deviceWriteByte(base, (byte) 1);
    assertEquals(1, told.size());
  }

  // ---- Frames

  @Test
  void framesAreZeroedAndGivenBack() {
    Set<Long> seen = new HashSet<>();
    try (FrameAllocator frames = new FrameAllocator(memory)) {
      for (int i = 0; i < 1500; i++) {
        long frame = frames.allocate();
        assertTrue(seen.add(frame));
        assertEquals(0, frame & 0xfff);
        assertTrue(frame != 0);
        memory.writeLong(frame + 8, -1);
      }
      assertEquals(1500, frames.allocated());
      long one = seen.iterator().next();
      frames.free(one);
      assertThrows(IllegalArgumentException.class, () -> frames.free(one));
      assertThrows(IllegalArgumentException.class, () -> frames.free(one + 8));
      assertThrows(IllegalArgumentException.class, () -> frames.free(0));
      assertEquals(one, frames.allocate());
      assertEquals(0, memory.readLong(one + 8));
    }
    for (long frame : seen) {
      assertFalse(memory.isBacked(frame, 1));
    }
  }
}
