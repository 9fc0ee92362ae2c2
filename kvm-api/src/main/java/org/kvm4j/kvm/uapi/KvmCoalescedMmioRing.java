package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_coalesced_mmio_ring}: offsets in bytes. The ring of coalesced writes, at page
 * {@link Uapi#KVM_COALESCED_MMIO_PAGE_OFFSET} of a vCPU's mapping.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmCoalescedMmioRing {

  /** Size in bytes of the fixed part. */
  public static final int SIZEOF = 8;

  /** {@code first}: u32. */
  public static final int FIRST = 0;

  /** {@code last}: u32. */
  public static final int LAST = 4;

  /** {@code coalesced_mmio}: struct kvm_coalesced_mmio[], flexible. */
  public static final int COALESCED_MMIO = 8;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_coalesced_mmio_ring", SIZEOF)
          .field("first", FIRST, 4, "u32")
          .field("last", LAST, 4, "u32")
          .field(
              "coalesced_mmio",
              COALESCED_MMIO,
              StructLayout.FLEXIBLE,
              "struct kvm_coalesced_mmio[]")
          .build();

  private KvmCoalescedMmioRing() {}
}
