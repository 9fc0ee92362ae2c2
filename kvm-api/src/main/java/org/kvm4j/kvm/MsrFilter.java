package org.kvm4j.kvm;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmMsrFilter;
import org.kvm4j.kvm.uapi.KvmMsrFilterRange;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * Which MSRs a guest may read and write, for {@link Vm#setMsrFilter}: up to 16 ranges with a bit
 * for each MSR, and what holds outside of them. Filtered accesses fault, or exit to user space if
 * {@code KVM_CAP_X86_USER_SPACE_MSR} was enabled with {@code KVM_MSR_EXIT_REASON_FILTER}.
 *
 * <p>Source: api.rst "KVM_X86_SET_MSR_FILTER".
 */
public final class MsrFilter {

  private record Range(int flags, int base, int count, byte[] bitmap) {}

  private final int flags;
  private final List<Range> ranges = new ArrayList<>();

  private MsrFilter(int flags) {
    this.flags = flags;
  }

  /** A filter that allows what no range covers; without ranges, the filter of a new VM. */
  public static MsrFilter defaultAllow() {
    return new MsrFilter(Uapi.KVM_MSR_FILTER_DEFAULT_ALLOW);
  }

  /**
   * A filter that denies what no range covers. It needs at least one range: the kernel refuses one
   * that denies everything.
   */
  public static MsrFilter defaultDeny() {
    return new MsrFilter(Uapi.KVM_MSR_FILTER_DEFAULT_DENY);
  }

  /**
   * Adds a range.
   *
   * @param accesses {@code KVM_MSR_FILTER_READ} and {@code _WRITE}: what the range decides about
   * @param base the first MSR
   * @param count how many MSRs, 1 to 12,288
   * @param bitmap a bit for each MSR, the first at bit 0 of byte 0: 1 allows, 0 denies
   * @return this filter
   * @throws IllegalArgumentException if there are 16 ranges already, or the bitmap is too short
   */
  public MsrFilter range(int accesses, int base, int count, byte[] bitmap) {
    if (ranges.size() == Uapi.KVM_MSR_FILTER_MAX_RANGES) {
      throw new IllegalArgumentException(
          "an MSR filter has at most " + Uapi.KVM_MSR_FILTER_MAX_RANGES + " ranges");
    }
    if (count < 1 || bitmapSize(count) > Uapi.KVM_MSR_FILTER_MAX_BITMAP_SIZE) {
      throw new IllegalArgumentException(
          "a range of an MSR filter has 1 to "
              + Uapi.KVM_MSR_FILTER_MAX_BITMAP_SIZE * 8
              + " MSRs, not "
              + count);
    }
    if (bitmap.length < (count + 7) / 8) {
      throw new IllegalArgumentException(
          "a bitmap of " + bitmap.length + " bytes is too short for " + count + " MSRs");
    }
    ranges.add(new Range(accesses, base, count, bitmap.clone()));
    return this;
  }

  /** Adds a range whose MSRs are all allowed. */
  public MsrFilter allow(int accesses, int base, int count) {
    byte[] bitmap = new byte[(Math.max(count, 0) + 7) / 8];
    Arrays.fill(bitmap, (byte) 0xff);
    return range(accesses, base, count, bitmap);
  }

  /** Adds a range whose MSRs are all denied. */
  public MsrFilter deny(int accesses, int base, int count) {
    return range(accesses, base, count, new byte[(Math.max(count, 0) + 7) / 8]);
  }

  /** The kernel reads bitmaps in units of 8 bytes. */
  private static int bitmapSize(int count) {
    return (count + 63) / 64 * 8;
  }

  int sizeof() {
    int size = KvmMsrFilter.SIZEOF;
    for (Range range : ranges) {
      size += bitmapSize(range.count);
    }
    return size;
  }

  void writeTo(UserMemory memory) {
    memory.putInt(KvmMsrFilter.FLAGS, flags);
    long bitmapAt = KvmMsrFilter.SIZEOF;
    for (int i = 0; i < ranges.size(); i++) {
      Range range = ranges.get(i);
      long at = KvmMsrFilter.RANGES + (long) i * KvmMsrFilterRange.SIZEOF;
      memory.putInt(at + KvmMsrFilterRange.FLAGS, range.flags);
      memory.putInt(at + KvmMsrFilterRange.NMSRS, range.count);
      memory.putInt(at + KvmMsrFilterRange.BASE, range.base);
      memory.putLong(at + KvmMsrFilterRange.BITMAP, memory.address() + bitmapAt);
      memory.write(bitmapAt, range.bitmap, 0, (range.count + 7) / 8);
      bitmapAt += bitmapSize(range.count);
    }
  }

  @Override
  public String toString() {
    StringBuilder text =
        new StringBuilder(
            flags == Uapi.KVM_MSR_FILTER_DEFAULT_DENY ? "deny by default" : "allow by default");
    for (Range range : ranges) {
      text.append(
          String.format(
              ", flags %d for [0x%x, 0x%x]",
              range.flags, range.base, range.base + range.count - 1));
    }
    return text.toString();
  }
}
