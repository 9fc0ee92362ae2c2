package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_coalesced_mmio_zone}: offsets in bytes. The argument of {@code
 * KVM_REGISTER_COALESCED_MMIO} and {@code KVM_UNREGISTER_COALESCED_MMIO}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmCoalescedMmioZone {

  /** Size in bytes. */
  public static final int SIZEOF = 16;

  /** {@code addr}: u64. */
  public static final int ADDR = 0;

  /** {@code size}: u32. */
  public static final int SIZE = 8;

  /** {@code pad}: u32. */
  public static final int PAD = 12;

  /** {@code pio}: u32. */
  public static final int PIO = 12;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_coalesced_mmio_zone", SIZEOF)
          .field("addr", ADDR, 8, "u64")
          .field("size", SIZE, 4, "u32")
          .field("pad", PAD, 4, "u32")
          .field("pio", PIO, 4, "u32")
          .build();

  private KvmCoalescedMmioZone() {}
}
