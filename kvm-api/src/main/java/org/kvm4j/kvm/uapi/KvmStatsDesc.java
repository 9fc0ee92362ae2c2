package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_stats_desc}: offsets in bytes. One statistic of a stats descriptor; its name
 * follows.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmStatsDesc {

  /** Size in bytes of the fixed part. */
  public static final int SIZEOF = 16;

  /** {@code flags}: u32. */
  public static final int FLAGS = 0;

  /** {@code exponent}: s16. */
  public static final int EXPONENT = 4;

  /** {@code size}: u16. */
  public static final int SIZE = 6;

  /** {@code offset}: u32. */
  public static final int OFFSET = 8;

  /** {@code bucket_size}: u32. */
  public static final int BUCKET_SIZE = 12;

  /** {@code name}: char[], flexible. */
  public static final int NAME = 16;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_stats_desc", SIZEOF)
          .field("flags", FLAGS, 4, "u32")
          .field("exponent", EXPONENT, 2, "s16")
          .field("size", SIZE, 2, "u16")
          .field("offset", OFFSET, 4, "u32")
          .field("bucket_size", BUCKET_SIZE, 4, "u32")
          .field("name", NAME, StructLayout.FLEXIBLE, "char[]")
          .build();

  private KvmStatsDesc() {}
}
