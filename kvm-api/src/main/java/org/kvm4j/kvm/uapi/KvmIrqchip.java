package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_irqchip}: offsets in bytes. The argument of {@code KVM_GET_IRQCHIP} and {@code
 * KVM_SET_IRQCHIP}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmIrqchip {

  /** Size in bytes. */
  public static final int SIZEOF = 520;

  /** {@code chip_id}: u32. */
  public static final int CHIP_ID = 0;

  /** {@code pad}: u32. */
  public static final int PAD = 4;

  /** {@code chip.dummy}: char[512]. */
  public static final int CHIP_DUMMY = 8;

  /** {@code chip.pic}: struct kvm_pic_state. */
  public static final int CHIP_PIC = 8;

  /** {@code chip.ioapic}: struct kvm_ioapic_state. */
  public static final int CHIP_IOAPIC = 8;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_irqchip", SIZEOF)
          .field("chip_id", CHIP_ID, 4, "u32")
          .field("pad", PAD, 4, "u32")
          .field("chip.dummy", CHIP_DUMMY, 512, "char[512]")
          .field("chip.pic", CHIP_PIC, 16, "struct kvm_pic_state")
          .field("chip.ioapic", CHIP_IOAPIC, 216, "struct kvm_ioapic_state")
          .build();

  private KvmIrqchip() {}
}
