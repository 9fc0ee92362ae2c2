package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_clock_data}: offsets in bytes. The argument of {@code KVM_SET_CLOCK} and {@code
 * KVM_GET_CLOCK}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmClockData {

  /** Size in bytes. */
  public static final int SIZEOF = 48;

  /** {@code clock}: u64. */
  public static final int CLOCK = 0;

  /** {@code flags}: u32. */
  public static final int FLAGS = 8;

  /** {@code pad0}: u32. */
  public static final int PAD0 = 12;

  /** {@code realtime}: u64. */
  public static final int REALTIME = 16;

  /** {@code host_tsc}: u64. */
  public static final int HOST_TSC = 24;

  /** {@code pad}: u32[4]. */
  public static final int PAD = 32;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_clock_data", SIZEOF)
          .field("clock", CLOCK, 8, "u64")
          .field("flags", FLAGS, 4, "u32")
          .field("pad0", PAD0, 4, "u32")
          .field("realtime", REALTIME, 8, "u64")
          .field("host_tsc", HOST_TSC, 8, "u64")
          .field("pad", PAD, 16, "u32[4]")
          .build();

  private KvmClockData() {}
}
