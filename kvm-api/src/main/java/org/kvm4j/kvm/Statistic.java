package org.kvm4j.kvm;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmStatsDesc;
import org.kvm4j.kvm.uapi.KvmStatsHeader;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * One statistic that a kernel keeps of a VM or a vCPU.
 *
 * <p>Source: api.rst "KVM_GET_STATS_FD".
 *
 * @param name such as {@code "exits"}
 * @param flags type, unit and base: {@code KVM_STATS_*}
 * @param exponent the value is to be multiplied with the base (10 or 2) to this power
 * @param bucketSize the width of a histogram's buckets, if it is linear
 * @param values one value, or a histogram's buckets
 */
@SuppressWarnings("ArrayRecordComponent") // equals compares the values.
public record Statistic(String name, int flags, int exponent, int bucketSize, long[] values) {

  /** {@code KVM_STATS_TYPE_*}. */
  public int type() {
    return flags & Uapi.KVM_STATS_TYPE_MASK;
  }

  /** {@code KVM_STATS_UNIT_*}. */
  public int unit() {
    return flags & Uapi.KVM_STATS_UNIT_MASK;
  }

  /** The first, and mostly only, value. */
  public long value() {
    return values[0];
  }

  /** Reads all statistics of a stats descriptor, which stays open. */
  static List<Statistic> read(Kernel kernel, int fd) {
    // Header, identity, descriptors and data follow each other, so that one read of enough bytes
    // gets all of them.
    try (MappedMemory buffer = MappedMemory.allocate(kernel, 1 << 18)) {
      long length = kernel.pread(fd, buffer.address(), buffer.size(), 0);
      if (length < 0) {
        throw new KvmException("pread", (int) -length, "of a stats descriptor");
      }
      UserMemory memory = buffer.memory().slice(0, length);
      int nameSize = memory.getInt(KvmStatsHeader.NAME_SIZE);
      int count = memory.getInt(KvmStatsHeader.NUM_DESC);
      long descriptors = memory.getInt(KvmStatsHeader.DESC_OFFSET);
      long data = memory.getInt(KvmStatsHeader.DATA_OFFSET);
      List<Statistic> statistics = new ArrayList<>(count);
      for (int i = 0; i < count; i++) {
        long at = descriptors + (long) i * (KvmStatsDesc.SIZEOF + nameSize);
        long[] values = new long[memory.getShort(at + KvmStatsDesc.SIZE) & 0xffff];
        UapiStruct.readLongs(memory, data + memory.getInt(at + KvmStatsDesc.OFFSET), values);
        statistics.add(
            new Statistic(
                string(memory, at + KvmStatsDesc.NAME, nameSize),
                memory.getInt(at + KvmStatsDesc.FLAGS),
                memory.getShort(at + KvmStatsDesc.EXPONENT),
                memory.getInt(at + KvmStatsDesc.BUCKET_SIZE),
                values));
      }
      return statistics;
    }
  }

  private static String string(UserMemory memory, long offset, int size) {
    byte[] bytes = new byte[size];
    memory.read(offset, bytes, 0, size);
    int length = 0;
    while (length < size && bytes[length] != 0) {
      length++;
    }
    return new String(bytes, 0, length, StandardCharsets.US_ASCII);
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof Statistic s
        && s.name.equals(name)
        && s.flags == flags
        && s.exponent == exponent
        && s.bucketSize == bucketSize
        && Arrays.equals(s.values, values);
  }

  @Override
  public int hashCode() {
    return 31 * name.hashCode() + Arrays.hashCode(values);
  }

  @Override
  public String toString() {
    return name + "=" + (values.length == 1 ? Long.toString(values[0]) : Arrays.toString(values));
  }
}
