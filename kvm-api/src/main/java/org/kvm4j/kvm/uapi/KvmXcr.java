package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_xcr}: offsets in bytes. A part of {@code struct kvm_xcrs}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmXcr {

  /** Size in bytes. */
  public static final int SIZEOF = 16;

  /** {@code xcr}: u32. */
  public static final int XCR = 0;

  /** {@code reserved}: u32. */
  public static final int RESERVED = 4;

  /** {@code value}: u64. */
  public static final int VALUE = 8;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_xcr", SIZEOF)
          .field("xcr", XCR, 4, "u32")
          .field("reserved", RESERVED, 4, "u32")
          .field("value", VALUE, 8, "u64")
          .build();

  private KvmXcr() {}
}
