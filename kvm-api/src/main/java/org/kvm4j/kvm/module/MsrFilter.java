package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.uapi.KvmMsrFilter;
import org.kvm4j.kvm.uapi.KvmMsrFilterRange;

/**
 * Which MSR accesses the guest may make. Immutable. Source: Linux Documentation/virt/kvm/api.rst,
 * "KVM_X86_SET_MSR_FILTER".
 */
final class MsrFilter {
  static final int READ = 1;
  static final int WRITE = 2;
  private static final int RANGES = 16;

  /** KVM_MSR_FILTER_DEFAULT_DENY. */
  private static final int DEFAULT_DENY = 1;

  private record Range(int flags, int base, int count, byte[] bitmap) {}

  private final boolean defaultAllow;
  private final Range[] ranges;

  private MsrFilter(boolean defaultAllow, Range[] ranges) {
    this.defaultAllow = defaultAllow;
    this.ranges = ranges;
  }

  /** The result of reading the argument: a filter (null for none), or an error. */
  record Parsed(int error, @Nullable MsrFilter filter) {}

  static Parsed parse(UserSpace user, long argument) {
    ByteBuffer a = user.copyIn(argument, KvmMsrFilter.SIZEOF);
    if (a == null) {
      return new Parsed(Results.EFAULT, null);
    }
    int flags = a.getInt(KvmMsrFilter.FLAGS);
    if ((flags & ~DEFAULT_DENY) != 0) {
      return new Parsed(Results.EINVAL, null);
    }
    Range[] ranges = new Range[RANGES];
    int n = 0;
    for (int i = 0; i < RANGES; i++) {
      int at = KvmMsrFilter.RANGES + i * KvmMsrFilterRange.SIZEOF;
      int count = a.getInt(at + KvmMsrFilterRange.NMSRS);
      if (count == 0) {
        continue;
      }
      int rangeFlags = a.getInt(at + KvmMsrFilterRange.FLAGS);
      // KVM_MSR_FILTER_MAX_BITMAP_SIZE is 0x600 bytes.
      if ((rangeFlags & ~(READ | WRITE)) != 0
          || rangeFlags == 0
          || Integer.compareUnsigned(count, 0x600 * 8) > 0) {
        return new Parsed(Results.EINVAL, null);
      }
      int bytes = (count + 63) / 64 * 8;
      ByteBuffer bitmap = user.copyIn(a.getLong(at + KvmMsrFilterRange.BITMAP), bytes);
      if (bitmap == null) {
        return new Parsed(Results.EFAULT, null);
      }
      ranges[n++] =
          new Range(rangeFlags, a.getInt(at + KvmMsrFilterRange.BASE), count, bitmap.array());
    }
    boolean allow = (flags & DEFAULT_DENY) == 0;
    if (n == 0) {
      // A filter that denies all without a range is refused; one that allows all is no filter.
      return allow ? new Parsed(0, null) : new Parsed(Results.EINVAL, null);
    }
    return new Parsed(0, new MsrFilter(allow, java.util.Arrays.copyOf(ranges, n)));
  }

  /**
   * Whether the guest may.
   *
   * @param access {@link #READ} or {@link #WRITE}
   */
  boolean allows(int index, int access) {
    // x2APIC registers are never filtered.
    if (index >= 0x800 && index <= 0x8ff) {
      return true;
    }
    for (Range r : ranges) {
      int bit = index - r.base;
      if ((r.flags & access) != 0 && bit >= 0 && bit < r.count) {
        return (r.bitmap[bit >> 3] & 1 << (bit & 7)) != 0;
      }
    }
    return defaultAllow;
  }
}
