package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_ioeventfd}: offsets in bytes. The argument of {@code KVM_IOEVENTFD}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmIoeventfd {

  /** Size in bytes. */
  public static final int SIZEOF = 64;

  /** {@code datamatch}: u64. */
  public static final int DATAMATCH = 0;

  /** {@code addr}: u64. */
  public static final int ADDR = 8;

  /** {@code len}: u32. */
  public static final int LEN = 16;

  /** {@code fd}: s32. */
  public static final int FD = 20;

  /** {@code flags}: u32. */
  public static final int FLAGS = 24;

  /** {@code pad}: u8[36]. */
  public static final int PAD = 28;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_ioeventfd", SIZEOF)
          .field("datamatch", DATAMATCH, 8, "u64")
          .field("addr", ADDR, 8, "u64")
          .field("len", LEN, 4, "u32")
          .field("fd", FD, 4, "s32")
          .field("flags", FLAGS, 4, "u32")
          .field("pad", PAD, 36, "u8[36]")
          .build();

  private KvmIoeventfd() {}
}
