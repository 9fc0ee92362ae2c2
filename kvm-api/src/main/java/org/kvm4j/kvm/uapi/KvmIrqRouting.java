package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_irq_routing}: offsets in bytes. The argument of {@code KVM_SET_GSI_ROUTING}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmIrqRouting {

  /** Size in bytes of the fixed part. */
  public static final int SIZEOF = 8;

  /** {@code nr}: u32. */
  public static final int NR = 0;

  /** {@code flags}: u32. */
  public static final int FLAGS = 4;

  /** {@code entries}: struct kvm_irq_routing_entry[], flexible. */
  public static final int ENTRIES = 8;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_irq_routing", SIZEOF)
          .field("nr", NR, 4, "u32")
          .field("flags", FLAGS, 4, "u32")
          .field("entries", ENTRIES, StructLayout.FLEXIBLE, "struct kvm_irq_routing_entry[]")
          .build();

  private KvmIrqRouting() {}
}
