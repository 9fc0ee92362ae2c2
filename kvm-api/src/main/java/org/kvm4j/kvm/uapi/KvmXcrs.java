package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_xcrs}: offsets in bytes. The argument of {@code KVM_GET_XCRS} and {@code
 * KVM_SET_XCRS}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmXcrs {

  /** Size in bytes. */
  public static final int SIZEOF = 392;

  /** {@code nr_xcrs}: u32. */
  public static final int NR_XCRS = 0;

  /** {@code flags}: u32. */
  public static final int FLAGS = 4;

  /** {@code xcrs}: struct kvm_xcr[16]. */
  public static final int XCRS = 8;

  /** {@code padding}: u64[16]. */
  public static final int PADDING = 264;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_xcrs", SIZEOF)
          .field("nr_xcrs", NR_XCRS, 4, "u32")
          .field("flags", FLAGS, 4, "u32")
          .field("xcrs", XCRS, 256, "struct kvm_xcr[16]")
          .field("padding", PADDING, 128, "u64[16]")
          .build();

  private KvmXcrs() {}
}
