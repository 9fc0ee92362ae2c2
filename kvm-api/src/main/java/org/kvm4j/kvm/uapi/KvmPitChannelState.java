package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_pit_channel_state}: offsets in bytes. A part of {@code struct kvm_pit_state2},
 * {@code struct kvm_pit_state}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmPitChannelState {

  /** Size in bytes. */
  public static final int SIZEOF = 24;

  /** {@code count}: u32. */
  public static final int COUNT = 0;

  /** {@code latched_count}: u16. */
  public static final int LATCHED_COUNT = 4;

  /** {@code count_latched}: u8. */
  public static final int COUNT_LATCHED = 6;

  /** {@code status_latched}: u8. */
  public static final int STATUS_LATCHED = 7;

  /** {@code status}: u8. */
  public static final int STATUS = 8;

  /** {@code read_state}: u8. */
  public static final int READ_STATE = 9;

  /** {@code write_state}: u8. */
  public static final int WRITE_STATE = 10;

  /** {@code write_latch}: u8. */
  public static final int WRITE_LATCH = 11;

  /** {@code rw_mode}: u8. */
  public static final int RW_MODE = 12;

  /** {@code mode}: u8. */
  public static final int MODE = 13;

  /** {@code bcd}: u8. */
  public static final int BCD = 14;

  /** {@code gate}: u8. */
  public static final int GATE = 15;

  /** {@code count_load_time}: s64. */
  public static final int COUNT_LOAD_TIME = 16;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_pit_channel_state", SIZEOF)
          .field("count", COUNT, 4, "u32")
          .field("latched_count", LATCHED_COUNT, 2, "u16")
          .field("count_latched", COUNT_LATCHED, 1, "u8")
          .field("status_latched", STATUS_LATCHED, 1, "u8")
          .field("status", STATUS, 1, "u8")
          .field("read_state", READ_STATE, 1, "u8")
          .field("write_state", WRITE_STATE, 1, "u8")
          .field("write_latch", WRITE_LATCH, 1, "u8")
          .field("rw_mode", RW_MODE, 1, "u8")
          .field("mode", MODE, 1, "u8")
          .field("bcd", BCD, 1, "u8")
          .field("gate", GATE, 1, "u8")
          .field("count_load_time", COUNT_LOAD_TIME, 8, "s64")
          .build();

  private KvmPitChannelState() {}
}
