package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_dirty_log}: offsets in bytes. The argument of {@code KVM_GET_DIRTY_LOG}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmDirtyLog {

  /** Size in bytes. */
  public static final int SIZEOF = 16;

  /** {@code slot}: u32. */
  public static final int SLOT = 0;

  /** {@code padding1}: u32. */
  public static final int PADDING1 = 4;

  /** {@code dirty_bitmap}: pointer. */
  public static final int DIRTY_BITMAP = 8;

  /** {@code padding2}: u64. */
  public static final int PADDING2 = 8;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_dirty_log", SIZEOF)
          .field("slot", SLOT, 4, "u32")
          .field("padding1", PADDING1, 4, "u32")
          .field("dirty_bitmap", DIRTY_BITMAP, 8, "pointer")
          .field("padding2", PADDING2, 8, "u64")
          .build();

  private KvmDirtyLog() {}
}
