package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_msr_filter_range}: offsets in bytes. A part of {@code struct kvm_msr_filter}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmMsrFilterRange {

  /** Size in bytes. */
  public static final int SIZEOF = 24;

  /** {@code flags}: u32. */
  public static final int FLAGS = 0;

  /** {@code nmsrs}: u32. */
  public static final int NMSRS = 4;

  /** {@code base}: u32. */
  public static final int BASE = 8;

  /** {@code bitmap}: pointer. */
  public static final int BITMAP = 16;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_msr_filter_range", SIZEOF)
          .field("flags", FLAGS, 4, "u32")
          .field("nmsrs", NMSRS, 4, "u32")
          .field("base", BASE, 4, "u32")
          .field("bitmap", BITMAP, 8, "pointer")
          .build();

  private KvmMsrFilterRange() {}
}
