package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_msr_list}: offsets in bytes. The argument of {@code KVM_GET_MSR_INDEX_LIST} and
 * {@code KVM_GET_MSR_FEATURE_INDEX_LIST}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmMsrList {

  /** Size in bytes of the fixed part. */
  public static final int SIZEOF = 4;

  /** {@code nmsrs}: u32. */
  public static final int NMSRS = 0;

  /** {@code indices}: u32[], flexible. */
  public static final int INDICES = 4;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_msr_list", SIZEOF)
          .field("nmsrs", NMSRS, 4, "u32")
          .field("indices", INDICES, StructLayout.FLEXIBLE, "u32[]")
          .build();

  private KvmMsrList() {}
}
