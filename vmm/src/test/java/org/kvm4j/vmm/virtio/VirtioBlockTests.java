package org.kvm4j.vmm.virtio;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Requests to a disk, as VIRTIO 1.2 section 5.2.6 has them. */
class VirtioBlockTests {

  private static final int IN = 0;
  private static final int OUT = 1;
  private static final int FLUSH = 4;
  private static final int ID = 8;
  private static final int DISCARD = 11;
  private static final int WRITE_ZEROES = 13;

  private static final int OK = 0;
  private static final int IO_ERROR = 1;
  private static final int UNSUPPORTED = 2;

  private static final int F_READ_ONLY = 1 << 5;
  private static final int F_FLUSH = 1 << 9;

  private static final int SECTORS = 200;

  /** A disk in an array, which tells what was done to it. */
  private static final class MemoryStorage implements Storage {
    private final byte[] contents = new byte[SECTORS * 512];
    private final List<String> log = new ArrayList<>();
    private boolean readOnly;
    private boolean broken;

    @Override
    public String name() {
      return "memory";
    }

    @Override
    public long size() {
      return contents.length;
    }

    @Override
    public boolean readOnly() {
      return readOnly;
    }

    private void check() throws IOException {
      if (broken) {
        throw new IOException("broken");
      }
    }

    @Override
    public void read(long position, byte[] target, int length) throws IOException {
      check();
      System.arraycopy(contents, (int) position, target, 0, length);
    }

    @Override
    public void write(long position, byte[] source, int length) throws IOException {
      check();
      System.arraycopy(source, 0, contents, (int) position, length);
      log.add("write " + position / 512 + "+" + length / 512);
    }

    @Override
    public void flush() throws IOException {
      check();
      log.add("flush");
    }

    @Override
    public void close() {
      log.add("close");
    }
  }

  private final MemoryStorage storage = new MemoryStorage();

  private static byte[] header(int type, long sector) {
    return DeviceRig.bytes(16, 4, type, 4, 0, 8, sector);
  }

  private DeviceRig rig() {
    return new DeviceRig(new VirtioBlock(storage, "serial-1"));
  }

  private static byte[] pattern(int length) {
    byte[] bytes = new byte[length];
    for (int i = 0; i < length; i++) {
      bytes[i] = (byte) (i * 31 + i / 512);
    }
    return bytes;
  }

  /** The status of a request without data to read. */
  private static int status(DeviceRig rig, int type, long sector, byte[]... data) {
    byte[][] readable = new byte[data.length + 1][];
    readable[0] = header(type, sector);
    System.arraycopy(data, 0, readable, 1, data.length);
    return rig.request(1, readable)[0];
  }

  @Test
  void what_is_written_is_read() {
    DeviceRig rig = rig();
    byte[] data = pattern(3 * 512);
    assertEquals(OK, status(rig, OUT, 5, data));
    assertEquals(List.of("write 5+3"), storage.log);
    byte[] read = rig.request(3 * 512 + 1, header(IN, 5));
    assertArrayEquals(data, Arrays.copyOf(read, data.length));
    assertEquals(OK, read[data.length]);
    assertEquals(3 * 512 + 1, rig.driver.used().get(1).written());
  }

  @Test
  void buffers_may_be_cut_anywhere() {
    DeviceRig rig = rig();
    byte[] data = pattern(1024);
    byte[] header = header(OUT, 1);
    assertEquals(
        OK,
        rig.request(
                1,
                Arrays.copyOf(header, 3),
                Arrays.copyOfRange(header, 3, 16),
                Arrays.copyOf(data, 1000),
                Arrays.copyOfRange(data, 1000, 1024))[0]);
    assertArrayEquals(data, Arrays.copyOfRange(storage.contents, 512, 512 + 1024));
  }

  @Test
  void a_great_request_is_done_in_parts() {
    DeviceRig rig = rig();
    byte[] data = pattern(150 * 512);
    assertEquals(OK, status(rig, OUT, 10, data));
    assertEquals(List.of("write 10+128", "write 138+22"), storage.log);
    byte[] read = rig.request(150 * 512 + 1, header(IN, 10));
    assertArrayEquals(data, Arrays.copyOf(read, data.length));
  }

  @ParameterizedTest
  @ValueSource(longs = {SECTORS - 1, SECTORS, SECTORS + 1, -1, Long.MIN_VALUE, 1L << 55, -2})
  void past_the_end_is_an_error(long sector) {
    DeviceRig rig = rig();
    assertEquals(IO_ERROR, status(rig, OUT, sector, new byte[1024]));
    assertEquals(IO_ERROR, rig.request(1025, header(IN, sector))[1024]);
    assertEquals(List.of(), storage.log);
  }

  @Test
  void the_last_sector_can_be_reached() {
    DeviceRig rig = rig();
    assertEquals(OK, status(rig, OUT, SECTORS - 1, new byte[512]));
    assertEquals(OK, status(rig, OUT, SECTORS, new byte[0]));
  }

  @Test
  void parts_of_sectors_are_an_error() {
    DeviceRig rig = rig();
    assertEquals(IO_ERROR, status(rig, OUT, 0, new byte[100]));
    assertEquals(IO_ERROR, rig.request(512, header(IN, 0))[511]);
  }

  @Test
  void a_flush_reaches_the_storage_before_it_is_done() {
    DeviceRig rig = rig();
    status(rig, OUT, 0, new byte[512]);
    assertEquals(OK, status(rig, FLUSH, 0));
    assertEquals(List.of("write 0+1", "flush"), storage.log);
  }

  @Test
  void a_driver_that_knows_no_flush_has_every_write_kept() {
    VirtioBlock disk = new VirtioBlock(storage, "");
    DeviceRig rig = new DeviceRig(disk, 0, disk.features() & ~F_FLUSH);
    status(rig, OUT, 0, new byte[512]);
    assertEquals(List.of("write 0+1", "flush"), storage.log);
  }

  @Test
  void its_serial_number_is_20_bytes() {
    DeviceRig rig = rig();
    byte[] id = rig.request(21, header(ID, 0));
    assertArrayEquals(Arrays.copyOf("serial-1".getBytes(US_ASCII), 21), id);
    DeviceRig second = new DeviceRig(new VirtioBlock(storage, "x".repeat(30)));
    assertEquals("x".repeat(20), new String(second.request(21, header(ID, 0)), 0, 20, US_ASCII));
  }

  @Test
  void a_read_only_disk_says_so_and_takes_nothing() {
    storage.readOnly = true;
    VirtioBlock disk = new VirtioBlock(storage, "");
    assertEquals(F_READ_ONLY, disk.features() & F_READ_ONLY);
    DeviceRig rig = new DeviceRig(disk);
    assertEquals(IO_ERROR, status(rig, OUT, 0, new byte[512]));
    assertEquals(UNSUPPORTED, status(rig, WRITE_ZEROES, 0, range(0, 1, 0)));
    assertEquals(UNSUPPORTED, status(rig, DISCARD, 0, range(0, 1, 0)));
    assertEquals(OK, rig.request(513, header(IN, 0))[512]);
    assertEquals(OK, status(rig, FLUSH, 0));
    assertEquals(List.of("flush"), storage.log);
  }

  private static byte[] range(long sector, int count, int flags) {
    return DeviceRig.bytes(16, 8, sector, 4, count, 4, flags);
  }

  @Test
  void zeroes_are_written_and_discarded_sectors_may_be_anything() {
    DeviceRig rig = rig();
    Arrays.fill(storage.contents, (byte) 1);
    assertEquals(OK, status(rig, WRITE_ZEROES, 0, range(2, 1, 0), range(5, 2, 1)));
    assertEquals(List.of("write 2+1", "write 5+2"), storage.log);
    assertEquals(1, storage.contents[2 * 512 - 1]);
    assertEquals(0, storage.contents[2 * 512]);
    assertEquals(0, storage.contents[7 * 512 - 1]);
    assertEquals(1, storage.contents[7 * 512]);
    assertEquals(OK, status(rig, DISCARD, 0, range(0, SECTORS, 0)));
  }

  @Test
  void ranges_are_all_checked_before_one_is_touched() {
    DeviceRig rig = rig();
    for (byte[] bad :
        new byte[][] {
          range(SECTORS, 1, 0), range(-1, 1, 0), range(0, -1, 0), range(1, SECTORS, 0)
        }) {
      assertEquals(IO_ERROR, status(rig, WRITE_ZEROES, 0, range(0, 1, 0), bad));
      assertEquals(IO_ERROR, status(rig, DISCARD, 0, bad));
    }
    assertEquals(UNSUPPORTED, status(rig, WRITE_ZEROES, 0, range(0, 1, 0), range(0, 1, 2)));
    assertEquals(UNSUPPORTED, status(rig, DISCARD, 0, range(0, 1, 1)));
    assertEquals(IO_ERROR, status(rig, WRITE_ZEROES, 0));
    assertEquals(IO_ERROR, status(rig, WRITE_ZEROES, 0, new byte[15]));
    assertEquals(IO_ERROR, status(rig, WRITE_ZEROES, 0, new byte[17 * 16]));
    assertEquals(List.of(), storage.log);
  }

  @Test
  void an_unknown_request_is_unsupported() {
    assertEquals(UNSUPPORTED, status(rig(), 77, 0));
  }

  @Test
  void a_storage_that_fails_is_an_error_and_the_disk_goes_on() {
    DeviceRig rig = rig();
    storage.broken = true;
    assertEquals(IO_ERROR, status(rig, OUT, 0, new byte[512]));
    assertEquals(IO_ERROR, status(rig, FLUSH, 0));
    assertEquals(IO_ERROR, rig.request(513, header(IN, 0))[512]);
    storage.broken = false;
    assertEquals(OK, status(rig, FLUSH, 0));
  }

  @Test
  void a_request_without_header_or_status_needs_a_reset() {
    DeviceRig rig = rig();
    rig.request(1, new byte[15]);
    assertEquals(15 | 64, rig.status());
    DeviceRig second = rig();
    second.driver.request(List.of(header(FLUSH, 0)));
    second.kick();
    assertEquals(15 | 64, second.status());
  }

  @Test
  void its_configuration_tells_size_and_geometry() {
    DeviceRig rig = rig();
    assertEquals(SECTORS, rig.device.read(0x100, 8));
    assertEquals(16, rig.device.read(0x112, 1)); // heads
    assertEquals(63, rig.device.read(0x113, 1)); // sectors
    assertEquals(512, rig.device.read(0x114, 4));
  }
}
