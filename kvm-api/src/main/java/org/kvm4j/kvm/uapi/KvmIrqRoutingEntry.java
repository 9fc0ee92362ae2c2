package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_irq_routing_entry}: offsets in bytes. A part of {@code struct kvm_irq_routing}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmIrqRoutingEntry {

  /** Size in bytes. */
  public static final int SIZEOF = 48;

  /** {@code gsi}: u32. */
  public static final int GSI = 0;

  /** {@code type}: u32. */
  public static final int TYPE = 4;

  /** {@code flags}: u32. */
  public static final int FLAGS = 8;

  /** {@code pad}: u32. */
  public static final int PAD = 12;

  /** {@code u.irqchip}: struct kvm_irq_routing_irqchip. */
  public static final int U_IRQCHIP = 16;

  /** {@code u.msi}: struct kvm_irq_routing_msi. */
  public static final int U_MSI = 16;

  /** {@code u.adapter}: struct kvm_irq_routing_s390_adapter. */
  public static final int U_ADAPTER = 16;

  /** {@code u.hv_sint}: struct kvm_irq_routing_hv_sint. */
  public static final int U_HV_SINT = 16;

  /** {@code u.xen_evtchn}: struct kvm_irq_routing_xen_evtchn. */
  public static final int U_XEN_EVTCHN = 16;

  /** {@code u.pad}: u32[8]. */
  public static final int U_PAD = 16;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_irq_routing_entry", SIZEOF)
          .field("gsi", GSI, 4, "u32")
          .field("type", TYPE, 4, "u32")
          .field("flags", FLAGS, 4, "u32")
          .field("pad", PAD, 4, "u32")
          .field("u.irqchip", U_IRQCHIP, 8, "struct kvm_irq_routing_irqchip")
          .field("u.msi", U_MSI, 16, "struct kvm_irq_routing_msi")
          .field("u.adapter", U_ADAPTER, 32, "struct kvm_irq_routing_s390_adapter")
          .field("u.hv_sint", U_HV_SINT, 8, "struct kvm_irq_routing_hv_sint")
          .field("u.xen_evtchn", U_XEN_EVTCHN, 12, "struct kvm_irq_routing_xen_evtchn")
          .field("u.pad", U_PAD, 32, "u32[8]")
          .build();

  private KvmIrqRoutingEntry() {}
}
