package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_reinject_control}: offsets in bytes. The argument of {@code
 * KVM_REINJECT_CONTROL}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmReinjectControl {

  /** Size in bytes. */
  public static final int SIZEOF = 32;

  /** {@code pit_reinject}: u8. */
  public static final int PIT_REINJECT = 0;

  /** {@code reserved}: u8[31]. */
  public static final int RESERVED = 1;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_reinject_control", SIZEOF)
          .field("pit_reinject", PIT_REINJECT, 1, "u8")
          .field("reserved", RESERVED, 31, "u8[31]")
          .build();

  private KvmReinjectControl() {}
}
