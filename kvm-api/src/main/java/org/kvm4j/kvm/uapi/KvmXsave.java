package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_xsave}: offsets in bytes. The argument of {@code KVM_GET_XSAVE}, {@code
 * KVM_SET_XSAVE}, {@code KVM_GET_XSAVE2}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmXsave {

  /** Size in bytes of the fixed part. */
  public static final int SIZEOF = 4096;

  /** {@code region}: u32[1024]. */
  public static final int REGION = 0;

  /** {@code extra}: u32[], flexible. */
  public static final int EXTRA = 4096;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_xsave", SIZEOF)
          .field("region", REGION, 4096, "u32[1024]")
          .field("extra", EXTRA, StructLayout.FLEXIBLE, "u32[]")
          .build();

  private KvmXsave() {}
}
