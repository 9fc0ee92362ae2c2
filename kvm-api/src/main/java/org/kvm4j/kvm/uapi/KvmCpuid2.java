package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_cpuid2}: offsets in bytes. The argument of {@code KVM_GET_SUPPORTED_CPUID},
 * {@code KVM_GET_EMULATED_CPUID}, {@code KVM_GET_SUPPORTED_HV_CPUID}, {@code KVM_SET_CPUID2},
 * {@code KVM_GET_CPUID2}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmCpuid2 {

  /** Size in bytes of the fixed part. */
  public static final int SIZEOF = 8;

  /** {@code nent}: u32. */
  public static final int NENT = 0;

  /** {@code padding}: u32. */
  public static final int PADDING = 4;

  /** {@code entries}: struct kvm_cpuid_entry2[], flexible. */
  public static final int ENTRIES = 8;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_cpuid2", SIZEOF)
          .field("nent", NENT, 4, "u32")
          .field("padding", PADDING, 4, "u32")
          .field("entries", ENTRIES, StructLayout.FLEXIBLE, "struct kvm_cpuid_entry2[]")
          .build();

  private KvmCpuid2() {}
}
