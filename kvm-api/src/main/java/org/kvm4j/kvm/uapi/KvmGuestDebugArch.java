package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_guest_debug_arch}: offsets in bytes. A part of {@code struct kvm_guest_debug}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmGuestDebugArch {

  /** Size in bytes. */
  public static final int SIZEOF = 64;

  /** {@code debugreg}: u64[8]. */
  public static final int DEBUGREG = 0;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_guest_debug_arch", SIZEOF)
          .field("debugreg", DEBUGREG, 64, "u64[8]")
          .build();

  private KvmGuestDebugArch() {}
}
