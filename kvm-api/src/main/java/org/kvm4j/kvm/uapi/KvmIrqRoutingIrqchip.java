package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_irq_routing_irqchip}: offsets in bytes. A part of {@code struct
 * kvm_irq_routing_entry}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmIrqRoutingIrqchip {

  /** Size in bytes. */
  public static final int SIZEOF = 8;

  /** {@code irqchip}: u32. */
  public static final int IRQCHIP = 0;

  /** {@code pin}: u32. */
  public static final int PIN = 4;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_irq_routing_irqchip", SIZEOF)
          .field("irqchip", IRQCHIP, 4, "u32")
          .field("pin", PIN, 4, "u32")
          .build();

  private KvmIrqRoutingIrqchip() {}
}
