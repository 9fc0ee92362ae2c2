package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_tpr_access_ctl}: offsets in bytes. The argument of {@code
 * KVM_TPR_ACCESS_REPORTING}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmTprAccessCtl {

  /** Size in bytes. */
  public static final int SIZEOF = 40;

  /** {@code enabled}: u32. */
  public static final int ENABLED = 0;

  /** {@code flags}: u32. */
  public static final int FLAGS = 4;

  /** {@code reserved}: u32[8]. */
  public static final int RESERVED = 8;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_tpr_access_ctl", SIZEOF)
          .field("enabled", ENABLED, 4, "u32")
          .field("flags", FLAGS, 4, "u32")
          .field("reserved", RESERVED, 32, "u32[8]")
          .build();

  private KvmTprAccessCtl() {}
}
