package org.kvm4j.kvm.module.pv;

/**
 * How ticks of one frequency become ticks of another, as a guest does it: shifted, multiplied, and
 * the upper half taken. Source: Linux 6.1 kvm_get_time_scale, pvclock_scale_delta.
 *
 * @param multiplier unsigned, a fraction of 2^32
 * @param shift to the left before the multiplication; to the right if negative
 */
public record TimeScale(int multiplier, int shift) {
  private static final long HIGH = 0xffffffff00000000L;

  /** Ticks of 1 GHz: nanoseconds. */
  public static final long NANOS = 1_000_000_000L;

  /**
   * @param from Hz, above 0
   * @param to Hz, above 0
   */
  public static TimeScale of(long from, long to) {
    int shift = 0;
    long base = from;
    long scaled = to;
    while (base > scaled * 2 || (base & HIGH) != 0) {
      base >>>= 1;
      shift--;
    }
    while (base <= scaled || (scaled & HIGH) != 0) {
      if ((scaled & HIGH) != 0 || (base & 0x80000000L) != 0) {
        scaled >>>= 1;
      } else {
        base <<= 1;
      }
      shift++;
    }
    return new TimeScale((int) Long.divideUnsigned(scaled << 32, base), shift);
  }

  /** What a number of ticks, unsigned, comes to. */
  public long apply(long ticks) {
    long shifted = shift < 0 ? ticks >>> -shift : ticks << shift;
    long m = multiplier & 0xffffffffL;
    long high = (shifted >>> 32) * m;
    long low = (shifted & 0xffffffffL) * m;
    return high + (low >>> 32);
  }
}
