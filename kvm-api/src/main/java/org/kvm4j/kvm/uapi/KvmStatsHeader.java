package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_stats_header}: offsets in bytes. The start of what a stats descriptor ({@code
 * KVM_GET_STATS_FD}) reads.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmStatsHeader {

  /** Size in bytes. */
  public static final int SIZEOF = 24;

  /** {@code flags}: u32. */
  public static final int FLAGS = 0;

  /** {@code name_size}: u32. */
  public static final int NAME_SIZE = 4;

  /** {@code num_desc}: u32. */
  public static final int NUM_DESC = 8;

  /** {@code id_offset}: u32. */
  public static final int ID_OFFSET = 12;

  /** {@code desc_offset}: u32. */
  public static final int DESC_OFFSET = 16;

  /** {@code data_offset}: u32. */
  public static final int DATA_OFFSET = 20;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_stats_header", SIZEOF)
          .field("flags", FLAGS, 4, "u32")
          .field("name_size", NAME_SIZE, 4, "u32")
          .field("num_desc", NUM_DESC, 4, "u32")
          .field("id_offset", ID_OFFSET, 4, "u32")
          .field("desc_offset", DESC_OFFSET, 4, "u32")
          .field("data_offset", DATA_OFFSET, 4, "u32")
          .build();

  private KvmStatsHeader() {}
}
