package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_msr_entry}: offsets in bytes. A part of {@code struct kvm_msrs}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmMsrEntry {

  /** Size in bytes. */
  public static final int SIZEOF = 16;

  /** {@code index}: u32. */
  public static final int INDEX = 0;

  /** {@code reserved}: u32. */
  public static final int RESERVED = 4;

  /** {@code data}: u64. */
  public static final int DATA = 8;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_msr_entry", SIZEOF)
          .field("index", INDEX, 4, "u32")
          .field("reserved", RESERVED, 4, "u32")
          .field("data", DATA, 8, "u64")
          .build();

  private KvmMsrEntry() {}
}
