package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_dtable}: offsets in bytes. A part of {@code struct kvm_sregs}, {@code struct
 * kvm_sregs2}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmDtable {

  /** Size in bytes. */
  public static final int SIZEOF = 16;

  /** {@code base}: u64. */
  public static final int BASE = 0;

  /** {@code limit}: u16. */
  public static final int LIMIT = 8;

  /** {@code padding}: u16[3]. */
  public static final int PADDING = 10;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_dtable", SIZEOF)
          .field("base", BASE, 8, "u64")
          .field("limit", LIMIT, 2, "u16")
          .field("padding", PADDING, 6, "u16[3]")
          .build();

  private KvmDtable() {}
}
