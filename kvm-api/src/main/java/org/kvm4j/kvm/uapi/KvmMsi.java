package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_msi}: offsets in bytes. The argument of {@code KVM_SIGNAL_MSI}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmMsi {

  /** Size in bytes. */
  public static final int SIZEOF = 32;

  /** {@code address_lo}: u32. */
  public static final int ADDRESS_LO = 0;

  /** {@code address_hi}: u32. */
  public static final int ADDRESS_HI = 4;

  /** {@code data}: u32. */
  public static final int DATA = 8;

  /** {@code flags}: u32. */
  public static final int FLAGS = 12;

  /** {@code devid}: u32. */
  public static final int DEVID = 16;

  /** {@code pad}: u8[12]. */
  public static final int PAD = 20;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_msi", SIZEOF)
          .field("address_lo", ADDRESS_LO, 4, "u32")
          .field("address_hi", ADDRESS_HI, 4, "u32")
          .field("data", DATA, 4, "u32")
          .field("flags", FLAGS, 4, "u32")
          .field("devid", DEVID, 4, "u32")
          .field("pad", PAD, 12, "u8[12]")
          .build();

  private KvmMsi() {}
}
