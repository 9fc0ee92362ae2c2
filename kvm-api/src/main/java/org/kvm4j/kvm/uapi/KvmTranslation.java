package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_translation}: offsets in bytes. The argument of {@code KVM_TRANSLATE}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmTranslation {

  /** Size in bytes. */
  public static final int SIZEOF = 24;

  /** {@code linear_address}: u64. */
  public static final int LINEAR_ADDRESS = 0;

  /** {@code physical_address}: u64. */
  public static final int PHYSICAL_ADDRESS = 8;

  /** {@code valid}: u8. */
  public static final int VALID = 16;

  /** {@code writeable}: u8. */
  public static final int WRITEABLE = 17;

  /** {@code usermode}: u8. */
  public static final int USERMODE = 18;

  /** {@code pad}: u8[5]. */
  public static final int PAD = 19;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_translation", SIZEOF)
          .field("linear_address", LINEAR_ADDRESS, 8, "u64")
          .field("physical_address", PHYSICAL_ADDRESS, 8, "u64")
          .field("valid", VALID, 1, "u8")
          .field("writeable", WRITEABLE, 1, "u8")
          .field("usermode", USERMODE, 1, "u8")
          .field("pad", PAD, 5, "u8[5]")
          .build();

  private KvmTranslation() {}
}
