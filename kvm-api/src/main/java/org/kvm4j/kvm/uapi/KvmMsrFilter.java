package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_msr_filter}: offsets in bytes. The argument of {@code KVM_X86_SET_MSR_FILTER}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmMsrFilter {

  /** Size in bytes. */
  public static final int SIZEOF = 392;

  /** {@code flags}: u32. */
  public static final int FLAGS = 0;

  /** {@code ranges}: struct kvm_msr_filter_range[16]. */
  public static final int RANGES = 8;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_msr_filter", SIZEOF)
          .field("flags", FLAGS, 4, "u32")
          .field("ranges", RANGES, 384, "struct kvm_msr_filter_range[16]")
          .build();

  private KvmMsrFilter() {}
}
