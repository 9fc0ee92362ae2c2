package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_pit_config}: offsets in bytes. The argument of {@code KVM_CREATE_PIT2}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmPitConfig {

  /** Size in bytes. */
  public static final int SIZEOF = 64;

  /** {@code flags}: u32. */
  public static final int FLAGS = 0;

  /** {@code pad}: u32[15]. */
  public static final int PAD = 4;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_pit_config", SIZEOF)
          .field("flags", FLAGS, 4, "u32")
          .field("pad", PAD, 60, "u32[15]")
          .build();

  private KvmPitConfig() {}
}
