package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_guest_debug}: offsets in bytes. The argument of {@code KVM_SET_GUEST_DEBUG}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmGuestDebug {

  /** Size in bytes. */
  public static final int SIZEOF = 72;

  /** {@code control}: u32. */
  public static final int CONTROL = 0;

  /** {@code pad}: u32. */
  public static final int PAD = 4;

  /** {@code arch}: struct kvm_guest_debug_arch. */
  public static final int ARCH = 8;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_guest_debug", SIZEOF)
          .field("control", CONTROL, 4, "u32")
          .field("pad", PAD, 4, "u32")
          .field("arch", ARCH, 64, "struct kvm_guest_debug_arch")
          .build();

  private KvmGuestDebug() {}
}
