package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_enable_cap}: offsets in bytes. The argument of {@code KVM_ENABLE_CAP}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmEnableCap {

  /** Size in bytes. */
  public static final int SIZEOF = 104;

  /** {@code cap}: u32. */
  public static final int CAP = 0;

  /** {@code flags}: u32. */
  public static final int FLAGS = 4;

  /** {@code args}: u64[4]. */
  public static final int ARGS = 8;

  /** {@code pad}: u8[64]. */
  public static final int PAD = 40;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_enable_cap", SIZEOF)
          .field("cap", CAP, 4, "u32")
          .field("flags", FLAGS, 4, "u32")
          .field("args", ARGS, 32, "u64[4]")
          .field("pad", PAD, 64, "u8[64]")
          .build();

  private KvmEnableCap() {}
}
