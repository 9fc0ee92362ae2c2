package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_svm_nested_state_hdr}: offsets in bytes. A part of {@code struct
 * kvm_nested_state}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmSvmNestedStateHdr {

  /** Size in bytes. */
  public static final int SIZEOF = 8;

  /** {@code vmcb_pa}: u64. */
  public static final int VMCB_PA = 0;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_svm_nested_state_hdr", SIZEOF)
          .field("vmcb_pa", VMCB_PA, 8, "u64")
          .build();

  private KvmSvmNestedStateHdr() {}
}
