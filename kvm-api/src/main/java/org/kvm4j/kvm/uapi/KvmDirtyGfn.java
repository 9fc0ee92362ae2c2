package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_dirty_gfn}: offsets in bytes. An entry of the dirty ring, at page {@link
 * Uapi#KVM_DIRTY_LOG_PAGE_OFFSET} of a vCPU's mapping.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmDirtyGfn {

  /** Size in bytes. */
  public static final int SIZEOF = 16;

  /** {@code flags}: u32. */
  public static final int FLAGS = 0;

  /** {@code slot}: u32. */
  public static final int SLOT = 4;

  /** {@code offset}: u64. */
  public static final int OFFSET = 8;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_dirty_gfn", SIZEOF)
          .field("flags", FLAGS, 4, "u32")
          .field("slot", SLOT, 4, "u32")
          .field("offset", OFFSET, 8, "u64")
          .build();

  private KvmDirtyGfn() {}
}
