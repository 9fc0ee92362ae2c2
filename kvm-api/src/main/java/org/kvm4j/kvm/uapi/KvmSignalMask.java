package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_signal_mask}: offsets in bytes. The argument of {@code KVM_SET_SIGNAL_MASK}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmSignalMask {

  /** Size in bytes of the fixed part. */
  public static final int SIZEOF = 4;

  /** {@code len}: u32. */
  public static final int LEN = 0;

  /** {@code sigset}: u8[], flexible. */
  public static final int SIGSET = 4;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_signal_mask", SIZEOF)
          .field("len", LEN, 4, "u32")
          .field("sigset", SIGSET, StructLayout.FLEXIBLE, "u8[]")
          .build();

  private KvmSignalMask() {}
}
