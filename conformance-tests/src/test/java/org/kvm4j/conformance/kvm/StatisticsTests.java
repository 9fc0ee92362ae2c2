package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashSet;
import java.util.Set;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.MappedMemory;
import org.kvm4j.kvm.Statistic;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.Ioctls;
import org.kvm4j.kvm.uapi.KvmCap;
import org.kvm4j.kvm.uapi.KvmStatsDesc;
import org.kvm4j.kvm.uapi.KvmStatsHeader;
import org.kvm4j.kvm.uapi.Uapi;

/** Statistics as a file. Source: api.rst "KVM_GET_STATS_FD". */
@SuppressWarnings("NullAway.Init") // Set at the start of each test.
class StatisticsTests extends KvmContract {

  private RealModeGuest guest;
  private MappedMemory buffer;
  private int fd;

  private void open() {
    backend.needs(kvm, KvmCap.KVM_CAP_BINARY_STATS_FD);
    guest = new RealModeGuest(kvm, 0xe6, 0x10, 0xeb, 0xfc); // out; jmp back
    buffer = MappedMemory.allocate(kernel, 1 << 18);
    fd = kernel.ioctl(guest.vcpu.fd(), Ioctls.KVM_GET_STATS_FD, 0);
    assertTrue(fd >= 0);
  }

  private long pread(long count, long offset) {
    return kernel.pread(fd, buffer.address(), count, offset);
  }

  @EachBackend
  void theHeaderLeadsToNamesDescriptorsAndData() {
    open();
    long length = pread(buffer.size(), 0);
    UserMemory file = buffer.memory();
    int nameSize = file.getInt(KvmStatsHeader.NAME_SIZE);
    int count = file.getInt(KvmStatsHeader.NUM_DESC);
    int descriptors = file.getInt(KvmStatsHeader.DESC_OFFSET);
    int data = file.getInt(KvmStatsHeader.DATA_OFFSET);
    assertEquals(0, file.getInt(KvmStatsHeader.FLAGS));
    assertTrue(nameSize > 0 && count > 0);
    assertTrue(file.getInt(KvmStatsHeader.ID_OFFSET) >= KvmStatsHeader.SIZEOF);
    int descriptorSize = KvmStatsDesc.SIZEOF + nameSize;
    assertTrue(descriptors + count * descriptorSize <= data);
    Set<Integer> taken = new HashSet<>();
    for (int i = 0; i < count; i++) {
      long at = descriptors + (long) i * descriptorSize;
      int type = file.getInt(at + KvmStatsDesc.FLAGS) & Uapi.KVM_STATS_TYPE_MASK;
      assertTrue(type <= Uapi.KVM_STATS_TYPE_LOG_HIST, () -> "type " + type);
      assertTrue(file.getByte(at + KvmStatsDesc.NAME) != 0);
      assertEquals(0, file.getByte(at + KvmStatsDesc.NAME + nameSize - 1));
      int values = file.getShort(at + KvmStatsDesc.SIZE) & 0xffff;
      int offset = file.getInt(at + KvmStatsDesc.OFFSET);
      for (int v = 0; v < values; v++) {
        assertTrue(taken.add(offset + 8 * v), "values overlap");
      }
      assertTrue(data + offset + 8L * values <= length);
    }
  }

  @EachBackend
  void theFileIsReadAtAnyOffset() {
    open();
    long length = pread(buffer.size(), 0);
    byte[] whole = new byte[(int) length];
    buffer.memory().read(0, whole, 0, whole.length);
    // Headers and descriptors do not change, in whatever parts they are read.
    int end = buffer.memory().getInt(KvmStatsHeader.DATA_OFFSET);
    for (int at = 0, part = 1; at < end; at += part, part = part * 3 % 101 + 1) {
      int n = Math.min(part, end - at);
      assertEquals(n, pread(n, at));
      for (int i = 0; i < n; i++) {
        assertEquals(whole[at + i], buffer.memory().getByte(i));
      }
    }
    assertEquals(8, pread(100, length - 8));
    assertEquals(0, pread(100, length));
    assertEquals(0, pread(100, length + 4096));
    assertEquals(Errno.EINVAL.result(), pread(100, -1));
  }

  @EachBackend
  void readingGoesOnWhereItEndedAndPreadLeavesThat() {
    open();
    assertEquals(24, kernel.read(fd, buffer.address(), 24));
    pread(8, 100);
    long rest = kernel.read(fd, buffer.address(), buffer.size());
    assertEquals(pread(buffer.size(), 0), rest + 24);
    assertEquals(0, kernel.read(fd, buffer.address(), 100));
  }

  @EachBackend
  void aBadBufferIsAFault() {
    open();
    assertEquals(Errno.EFAULT.result(), kernel.pread(fd, 8, 100, 0));
    assertEquals(Errno.EBADF.result(), kernel.pread(9999, buffer.address(), 100, 0));
  }

  @EachBackend
  void theFileOutlivesItsVcpusDescriptor() {
    open();
    guest.vcpu.close();
    assertTrue(pread(buffer.size(), 0) > KvmStatsHeader.SIZEOF);
  }

  @EachBackend
  void countersGrowWithWhatTheyCount() {
    open();
    long before = value("exits");
    for (int i = 0; i < 10; i++) {
      guest.run(Exit.IoOut.class);
    }
    assertTrue(value("exits") >= before + 10);
    if (backend.isEmulated()) {
      assertEquals(10, value("io_exits"));
      assertEquals(value("exits_io"), value("io_exits"));
    }
  }

  private long value(String name) {
    return guest.vcpu.readStatistics().stream()
        .filter(s -> s.name().equals(name))
        .mapToLong(Statistic::value)
        .findFirst()
        .orElseThrow();
  }
}
