package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_debug_exit_arch}: offsets in bytes. What {@code KVM_EXIT_DEBUG} tells.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmDebugExitArch {

  /** Size in bytes. */
  public static final int SIZEOF = 32;

  /** {@code exception}: u32. */
  public static final int EXCEPTION = 0;

  /** {@code pad}: u32. */
  public static final int PAD = 4;

  /** {@code pc}: u64. */
  public static final int PC = 8;

  /** {@code dr6}: u64. */
  public static final int DR6 = 16;

  /** {@code dr7}: u64. */
  public static final int DR7 = 24;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_debug_exit_arch", SIZEOF)
          .field("exception", EXCEPTION, 4, "u32")
          .field("pad", PAD, 4, "u32")
          .field("pc", PC, 8, "u64")
          .field("dr6", DR6, 8, "u64")
          .field("dr7", DR7, 8, "u64")
          .build();

  private KvmDebugExitArch() {}
}
