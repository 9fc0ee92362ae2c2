package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_cpuid}: offsets in bytes. The argument of {@code KVM_SET_CPUID}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmCpuid {

  /** Size in bytes of the fixed part. */
  public static final int SIZEOF = 8;

  /** {@code nent}: u32. */
  public static final int NENT = 0;

  /** {@code padding}: u32. */
  public static final int PADDING = 4;

  /** {@code entries}: struct kvm_cpuid_entry[], flexible. */
  public static final int ENTRIES = 8;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_cpuid", SIZEOF)
          .field("nent", NENT, 4, "u32")
          .field("padding", PADDING, 4, "u32")
          .field("entries", ENTRIES, StructLayout.FLEXIBLE, "struct kvm_cpuid_entry[]")
          .build();

  private KvmCpuid() {}
}
