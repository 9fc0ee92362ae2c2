package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_coalesced_mmio}: offsets in bytes. A part of {@code struct
 * kvm_coalesced_mmio_ring}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmCoalescedMmio {

  /** Size in bytes. */
  public static final int SIZEOF = 24;

  /** {@code phys_addr}: u64. */
  public static final int PHYS_ADDR = 0;

  /** {@code len}: u32. */
  public static final int LEN = 8;

  /** {@code pad}: u32. */
  public static final int PAD = 12;

  /** {@code pio}: u32. */
  public static final int PIO = 12;

  /** {@code data}: u8[8]. */
  public static final int DATA = 16;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_coalesced_mmio", SIZEOF)
          .field("phys_addr", PHYS_ADDR, 8, "u64")
          .field("len", LEN, 4, "u32")
          .field("pad", PAD, 4, "u32")
          .field("pio", PIO, 4, "u32")
          .field("data", DATA, 8, "u8[8]")
          .build();

  private KvmCoalescedMmio() {}
}
