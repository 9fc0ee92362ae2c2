package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_irq_routing_msi}: offsets in bytes. A part of {@code struct
 * kvm_irq_routing_entry}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmIrqRoutingMsi {

  /** Size in bytes. */
  public static final int SIZEOF = 16;

  /** {@code address_lo}: u32. */
  public static final int ADDRESS_LO = 0;

  /** {@code address_hi}: u32. */
  public static final int ADDRESS_HI = 4;

  /** {@code data}: u32. */
  public static final int DATA = 8;

  /** {@code pad}: u32. */
  public static final int PAD = 12;

  /** {@code devid}: u32. */
  public static final int DEVID = 12;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_irq_routing_msi", SIZEOF)
          .field("address_lo", ADDRESS_LO, 4, "u32")
          .field("address_hi", ADDRESS_HI, 4, "u32")
          .field("data", DATA, 4, "u32")
          .field("pad", PAD, 4, "u32")
          .field("devid", DEVID, 4, "u32")
          .build();

  private KvmIrqRoutingMsi() {}
}
