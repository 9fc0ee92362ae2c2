package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_clear_dirty_log}: offsets in bytes. The argument of {@code
 * KVM_CLEAR_DIRTY_LOG}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmClearDirtyLog {

  /** Size in bytes. */
  public static final int SIZEOF = 24;

  /** {@code slot}: u32. */
  public static final int SLOT = 0;

  /** {@code num_pages}: u32. */
  public static final int NUM_PAGES = 4;

  /** {@code first_page}: u64. */
  public static final int FIRST_PAGE = 8;

  /** {@code dirty_bitmap}: pointer. */
  public static final int DIRTY_BITMAP = 16;

  /** {@code padding2}: u64. */
  public static final int PADDING2 = 16;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_clear_dirty_log", SIZEOF)
          .field("slot", SLOT, 4, "u32")
          .field("num_pages", NUM_PAGES, 4, "u32")
          .field("first_page", FIRST_PAGE, 8, "u64")
          .field("dirty_bitmap", DIRTY_BITMAP, 8, "pointer")
          .field("padding2", PADDING2, 8, "u64")
          .build();

  private KvmClearDirtyLog() {}
}
