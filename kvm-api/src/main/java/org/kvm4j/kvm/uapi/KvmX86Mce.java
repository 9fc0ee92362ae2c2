package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_x86_mce}: offsets in bytes. The argument of {@code KVM_X86_SET_MCE}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmX86Mce {

  /** Size in bytes. */
  public static final int SIZEOF = 64;

  /** {@code status}: u64. */
  public static final int STATUS = 0;

  /** {@code addr}: u64. */
  public static final int ADDR = 8;

  /** {@code misc}: u64. */
  public static final int MISC = 16;

  /** {@code mcg_status}: u64. */
  public static final int MCG_STATUS = 24;

  /** {@code bank}: u8. */
  public static final int BANK = 32;

  /** {@code pad1}: u8[7]. */
  public static final int PAD1 = 33;

  /** {@code pad2}: u64[3]. */
  public static final int PAD2 = 40;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_x86_mce", SIZEOF)
          .field("status", STATUS, 8, "u64")
          .field("addr", ADDR, 8, "u64")
          .field("misc", MISC, 8, "u64")
          .field("mcg_status", MCG_STATUS, 8, "u64")
          .field("bank", BANK, 1, "u8")
          .field("pad1", PAD1, 7, "u8[7]")
          .field("pad2", PAD2, 24, "u64[3]")
          .build();

  private KvmX86Mce() {}
}
