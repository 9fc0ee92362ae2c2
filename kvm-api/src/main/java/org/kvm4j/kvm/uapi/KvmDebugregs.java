package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_debugregs}: offsets in bytes. The argument of {@code KVM_GET_DEBUGREGS} and
 * {@code KVM_SET_DEBUGREGS}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmDebugregs {

  /** Size in bytes. */
  public static final int SIZEOF = 128;

  /** {@code db}: u64[4]. */
  public static final int DB = 0;

  /** {@code dr6}: u64. */
  public static final int DR6 = 32;

  /** {@code dr7}: u64. */
  public static final int DR7 = 40;

  /** {@code flags}: u64. */
  public static final int FLAGS = 48;

  /** {@code reserved}: u64[9]. */
  public static final int RESERVED = 56;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_debugregs", SIZEOF)
          .field("db", DB, 32, "u64[4]")
          .field("dr6", DR6, 8, "u64")
          .field("dr7", DR7, 8, "u64")
          .field("flags", FLAGS, 8, "u64")
          .field("reserved", RESERVED, 72, "u64[9]")
          .build();

  private KvmDebugregs() {}
}
