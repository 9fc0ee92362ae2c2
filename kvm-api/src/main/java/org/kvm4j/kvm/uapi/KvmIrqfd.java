package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_irqfd}: offsets in bytes. The argument of {@code KVM_IRQFD}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmIrqfd {

  /** Size in bytes. */
  public static final int SIZEOF = 32;

  /** {@code fd}: u32. */
  public static final int FD = 0;

  /** {@code gsi}: u32. */
  public static final int GSI = 4;

  /** {@code flags}: u32. */
  public static final int FLAGS = 8;

  /** {@code resamplefd}: u32. */
  public static final int RESAMPLEFD = 12;

  /** {@code pad}: u8[16]. */
  public static final int PAD = 16;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_irqfd", SIZEOF)
          .field("fd", FD, 4, "u32")
          .field("gsi", GSI, 4, "u32")
          .field("flags", FLAGS, 4, "u32")
          .field("resamplefd", RESAMPLEFD, 4, "u32")
          .field("pad", PAD, 16, "u8[16]")
          .build();

  private KvmIrqfd() {}
}
