package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_irq_level}: offsets in bytes. The argument of {@code KVM_IRQ_LINE} and {@code
 * KVM_IRQ_LINE_STATUS}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmIrqLevel {

  /** Size in bytes. */
  public static final int SIZEOF = 8;

  /** {@code irq}: u32. */
  public static final int IRQ = 0;

  /** {@code status}: s32. */
  public static final int STATUS = 0;

  /** {@code level}: u32. */
  public static final int LEVEL = 4;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_irq_level", SIZEOF)
          .field("irq", IRQ, 4, "u32")
          .field("status", STATUS, 4, "s32")
          .field("level", LEVEL, 4, "u32")
          .build();

  private KvmIrqLevel() {}
}
