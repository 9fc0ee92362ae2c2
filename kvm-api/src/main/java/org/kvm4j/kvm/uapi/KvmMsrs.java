package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_msrs}: offsets in bytes. The argument of {@code KVM_GET_MSRS} and {@code
 * KVM_SET_MSRS}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmMsrs {

  /** Size in bytes of the fixed part. */
  public static final int SIZEOF = 8;

  /** {@code nmsrs}: u32. */
  public static final int NMSRS = 0;

  /** {@code pad}: u32. */
  public static final int PAD = 4;

  /** {@code entries}: struct kvm_msr_entry[], flexible. */
  public static final int ENTRIES = 8;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_msrs", SIZEOF)
          .field("nmsrs", NMSRS, 4, "u32")
          .field("pad", PAD, 4, "u32")
          .field("entries", ENTRIES, StructLayout.FLEXIBLE, "struct kvm_msr_entry[]")
          .build();

  private KvmMsrs() {}
}
