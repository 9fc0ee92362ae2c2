package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_userspace_memory_region}: offsets in bytes. The argument of {@code
 * KVM_SET_USER_MEMORY_REGION}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmUserspaceMemoryRegion {

  /** Size in bytes. */
  public static final int SIZEOF = 32;

  /** {@code slot}: u32. */
  public static final int SLOT = 0;

  /** {@code flags}: u32. */
  public static final int FLAGS = 4;

  /** {@code guest_phys_addr}: u64. */
  public static final int GUEST_PHYS_ADDR = 8;

  /** {@code memory_size}: u64. */
  public static final int MEMORY_SIZE = 16;

  /** {@code userspace_addr}: u64. */
  public static final int USERSPACE_ADDR = 24;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_userspace_memory_region", SIZEOF)
          .field("slot", SLOT, 4, "u32")
          .field("flags", FLAGS, 4, "u32")
          .field("guest_phys_addr", GUEST_PHYS_ADDR, 8, "u64")
          .field("memory_size", MEMORY_SIZE, 8, "u64")
          .field("userspace_addr", USERSPACE_ADDR, 8, "u64")
          .build();

  private KvmUserspaceMemoryRegion() {}
}
