package org.kvm4j.host;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.UserMemory;

class NativeMemoryTests {
  private static final int READ_WRITE = Kernel.PROT_READ | Kernel.PROT_WRITE;
  private static final int ANONYMOUS =
      Kernel.MAP_PRIVATE | Kernel.MAP_ANONYMOUS | Kernel.MAP_NORESERVE;

  private Kernel kernel;

  @BeforeEach
  void open() {
    kernel = RealMachine.kernelOrSkip();
  }

  @AfterEach
  void close() {
    if (kernel != null) {
      kernel.close();
    }
  }

  private UserMemory map(long length) {
    long address = kernel.mmap(length, READ_WRITE, ANONYMOUS, -1, 0);
    assertTrue(address > 0, () -> "errno " + -address);
    return kernel.memory(address, length);
  }

  @Test
  void new_memory_is_zero_and_little_endian() {
    UserMemory m = map(8192);
    assertEquals(0, m.getLong(8184));
    m.putLong(9, 0x1122334455667788L);
    assertEquals((byte) 0x88, m.getByte(9));
    assertEquals(0x6677, m.getShort(10));
    assertEquals(0x11223344, m.getInt(13));
    assertEquals(0x1122334455667788L, m.getLong(9));
    m.putByte(0, (byte) 1);
    m.putShort(1, (short) 0x0302);
    m.putInt(3, 0x07060504);
    byte[] bytes = new byte[7];
    m.read(0, bytes, 0, 7);
    assertArrayEquals(new byte[] {1, 2, 3, 4, 5, 6, 7}, bytes);
    m.putIntRelease(12, 77);
    assertEquals(77, m.getIntAcquire(12));
  }

  @Test
  void more_than_two_gigabytes_are_one_mapping() {
    long size = 5L << 30;
    UserMemory m = map(size);
    for (long boundary = 1L << 30; boundary < size; boundary += 1L << 30) {
      for (long offset = boundary - 9; offset <= boundary + 1; offset++) {
        m.putLong(offset, offset * 0x9e3779b97f4a7c15L);
        assertEquals(offset * 0x9e3779b97f4a7c15L, m.getLong(offset));
        m.putInt(offset, (int) offset);
        assertEquals((int) offset, m.getInt(offset));
      }
      byte[] data = new byte[3 << 20];
      new Random(boundary).nextBytes(data);
      m.write(boundary - (1 << 20) - 5, data, 0, data.length);
      byte[] back = new byte[data.length];
      m.read(boundary - (1 << 20) - 5, back, 0, back.length);
      assertArrayEquals(data, back);
      m.fill(boundary - 10_000, 20_000, (byte) 0x5a);
      assertEquals(0x5a5a5a5a, m.getInt(boundary - 2));
      assertEquals(0x5a, m.getByte(boundary + 9_999));
      assertEquals(back[(1 << 20) + 5 + 10_000], m.getByte(boundary + 10_000));
    }
    m.putByte(size - 1, (byte) 9);
    assertEquals(9, m.getByte(size - 1));
    assertThrows(IndexOutOfBoundsException.class, () -> m.getLong(size - 7));
  }

  @Test
  void large_memory_begins_at_a_multiple_of_a_huge_page() {
    assertEquals(0, map(8L << 20).address() & ((2L << 20) - 1));
  }

  @Test
  void no_access_leaves_the_view() {
    UserMemory whole = map(8192);
    UserMemory m = whole.slice(4096, 16);
    assertEquals(whole.address() + 4096, m.address());
    for (long offset : new long[] {-1, Long.MIN_VALUE, 16, Long.MAX_VALUE, 1L << 32}) {
      assertThrows(IndexOutOfBoundsException.class, () -> m.getByte(offset));
      assertThrows(IndexOutOfBoundsException.class, () -> m.putByte(offset, (byte) 0));
      assertThrows(IndexOutOfBoundsException.class, () -> m.read(offset, new byte[4], 0, 1));
      assertThrows(IndexOutOfBoundsException.class, () -> m.write(offset, new byte[4], 0, 1));
      assertThrows(IndexOutOfBoundsException.class, () -> m.fill(offset, 1, (byte) 0));
      assertThrows(IndexOutOfBoundsException.class, () -> m.slice(offset, 1));
    }
    assertThrows(IndexOutOfBoundsException.class, () -> m.getShort(15));
    assertThrows(IndexOutOfBoundsException.class, () -> m.getInt(13));
    assertThrows(IndexOutOfBoundsException.class, () -> m.getLong(9));
    assertThrows(IndexOutOfBoundsException.class, () -> m.putLong(9, 0));
    assertThrows(IndexOutOfBoundsException.class, () -> m.read(0, new byte[4], 2, 3));
    assertThrows(IndexOutOfBoundsException.class, () -> m.read(0, new byte[4], -1, 1));
    assertThrows(IndexOutOfBoundsException.class, () -> m.write(0, new byte[4], 0, -1));
    assertThrows(IndexOutOfBoundsException.class, () -> m.fill(0, -1, (byte) 0));
    assertThrows(IndexOutOfBoundsException.class, () -> m.fill(0, Long.MAX_VALUE, (byte) 0));
    assertThrows(IndexOutOfBoundsException.class, () -> m.slice(0, 17));
    m.read(16, new byte[0], 0, 0);
    m.fill(16, 0, (byte) 0);
    assertEquals(0, m.slice(16, 0).size());
  }

  @Test
  void acquire_and_release_want_alignment() {
    UserMemory m = map(4096);
    assertThrows(IllegalArgumentException.class, () -> m.getIntAcquire(2));
    assertThrows(IllegalArgumentException.class, () -> m.slice(1, 8).putIntRelease(4, 0));
  }

  @Test
  void a_mapping_without_write_or_read_access_says_so() {
    long readOnly = kernel.mmap(4096, Kernel.PROT_READ, ANONYMOUS, -1, 0);
    UserMemory m = kernel.memory(readOnly, 4096);
    assertEquals(0, m.getInt(0));
    assertThrows(UnsupportedOperationException.class, () -> m.putInt(0, 1));
    assertThrows(UnsupportedOperationException.class, () -> m.write(0, new byte[1], 0, 1));
    UserMemory none = kernel.memory(kernel.mmap(4096, 0, ANONYMOUS, -1, 0), 4096);
    assertThrows(UnsupportedOperationException.class, () -> none.getInt(0));
    assertThrows(UnsupportedOperationException.class, () -> none.putInt(0, 1));
  }

  @Test
  void use_after_munmap_is_an_error_that_names_the_address() {
    UserMemory m = map(8192);
    UserMemory slice = m.slice(100, 8);
    m.putLong(100, 42);
    assertEquals(0, kernel.munmap(m.address(), 8192));
    IllegalStateException e = assertThrows(IllegalStateException.class, () -> slice.getLong(0));
    assertTrue(
        String.valueOf(e.getMessage()).contains(Long.toHexString(m.address() + 100)),
        e.getMessage());
    assertThrows(IllegalStateException.class, () -> m.putByte(0, (byte) 0));
    assertThrows(IllegalStateException.class, () -> m.getIntAcquire(0));
    assertThrows(IllegalStateException.class, () -> m.read(0, new byte[8], 0, 8));
    assertThrows(IllegalStateException.class, () -> m.write(0, new byte[8], 0, 8));
    assertThrows(IllegalStateException.class, () -> m.fill(0, 8, (byte) 0));
    assertThrows(IllegalArgumentException.class, () -> kernel.memory(m.address(), 8));
    assertEquals(0, kernel.munmap(m.address(), 8192));
  }

  @Test
  void a_part_can_be_unmapped() {
    UserMemory m = map(5 * 4096);
    m.putLong(0, 1);
    m.putLong(16376, 2);
    assertEquals(0, kernel.munmap(m.address() + 4096, 4096));
    assertEquals(0, kernel.munmap(m.address() + 3 * 4096, 100));
    assertEquals(1, m.getLong(0));
    assertEquals(0, m.getLong(8192));
    assertThrows(IllegalStateException.class, () -> m.getByte(4096));
    assertThrows(IllegalStateException.class, () -> m.getLong(4089));
    assertThrows(IllegalStateException.class, () -> m.getLong(16376));
    assertThrows(IllegalStateException.class, () -> m.read(0, new byte[8192], 0, 8192));
    assertThrows(IllegalArgumentException.class, () -> kernel.memory(m.address(), 4097));
    assertThrows(IllegalArgumentException.class, () -> kernel.memory(m.address() + 4096, 8));
    assertEquals(8, kernel.memory(m.address() + 8192, 8).size());
    int fd = kernel.eventfd(1, 0);
    assertEquals(Errno.EFAULT.result(), kernel.read(fd, m.address() + 4096, 8));
    assertEquals(8, kernel.read(fd, m.address() + 8192, 8));
    assertEquals(0, kernel.munmap(m.address(), 5 * 4096));
    assertThrows(IllegalStateException.class, () -> m.getByte(0));
  }

  @Test
  void mmap_refuses_what_it_cannot_do() {
    assertEquals(Errno.EINVAL.result(), kernel.mmap(0, READ_WRITE, ANONYMOUS, -1, 0));
    assertEquals(Errno.EINVAL.result(), kernel.mmap(-4096, READ_WRITE, ANONYMOUS, -1, 0));
    assertEquals(Errno.EINVAL.result(), kernel.mmap(4096, READ_WRITE, ANONYMOUS | 0x10, -1, 0));
    assertEquals(Errno.ENOMEM.result(), kernel.mmap(1L << 62, READ_WRITE, ANONYMOUS, -1, 0));
    assertEquals(Errno.EBADF.result(), kernel.mmap(4096, READ_WRITE, Kernel.MAP_SHARED, 0, 0));
  }

  @Test
  void a_page_with_nothing_behind_it_is_an_error() throws Exception {
    int kvm = kernel.open("/dev/kvm", Kernel.O_RDWR);
    int vm = kernel.ioctl(kvm, 0xae01, 0);
    int vcpu = kernel.ioctl(vm, 0xae41, 0);
    long address = kernel.mmap(20 * 4096, READ_WRITE, Kernel.MAP_SHARED, vcpu, 0);
    UserMemory run = kernel.memory(address, 20 * 4096);
    assertThrows(
        Throwable.class,
        () -> {
          run.getInt(10 * 4096);
          Thread.sleep(1); // compiled code may give the error a little later
        });
  }

  @Test
  void mapping_and_unmapping_for_long_runs_out_of_nothing() {
    for (int i = 0; i < 10_000; i++) {
      long address = kernel.mmap(4096, READ_WRITE, ANONYMOUS, -1, 0);
      assertTrue(address > 0, () -> "errno " + -address);
      kernel.memory(address, 8).putLong(0, 1);
      assertEquals(0, kernel.munmap(address, 4096));
    }
  }
}
