package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_pic_state}: offsets in bytes. A part of {@code struct kvm_irqchip}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmPicState {

  /** Size in bytes. */
  public static final int SIZEOF = 16;

  /** {@code last_irr}: u8. */
  public static final int LAST_IRR = 0;

  /** {@code irr}: u8. */
  public static final int IRR = 1;

  /** {@code imr}: u8. */
  public static final int IMR = 2;

  /** {@code isr}: u8. */
  public static final int ISR = 3;

  /** {@code priority_add}: u8. */
  public static final int PRIORITY_ADD = 4;

  /** {@code irq_base}: u8. */
  public static final int IRQ_BASE = 5;

  /** {@code read_reg_select}: u8. */
  public static final int READ_REG_SELECT = 6;

  /** {@code poll}: u8. */
  public static final int POLL = 7;

  /** {@code special_mask}: u8. */
  public static final int SPECIAL_MASK = 8;

  /** {@code init_state}: u8. */
  public static final int INIT_STATE = 9;

  /** {@code auto_eoi}: u8. */
  public static final int AUTO_EOI = 10;

  /** {@code rotate_on_auto_eoi}: u8. */
  public static final int ROTATE_ON_AUTO_EOI = 11;

  /** {@code special_fully_nested_mode}: u8. */
  public static final int SPECIAL_FULLY_NESTED_MODE = 12;

  /** {@code init4}: u8. */
  public static final int INIT4 = 13;

  /** {@code elcr}: u8. */
  public static final int ELCR = 14;

  /** {@code elcr_mask}: u8. */
  public static final int ELCR_MASK = 15;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_pic_state", SIZEOF)
          .field("last_irr", LAST_IRR, 1, "u8")
          .field("irr", IRR, 1, "u8")
          .field("imr", IMR, 1, "u8")
          .field("isr", ISR, 1, "u8")
          .field("priority_add", PRIORITY_ADD, 1, "u8")
          .field("irq_base", IRQ_BASE, 1, "u8")
          .field("read_reg_select", READ_REG_SELECT, 1, "u8")
          .field("poll", POLL, 1, "u8")
          .field("special_mask", SPECIAL_MASK, 1, "u8")
          .field("init_state", INIT_STATE, 1, "u8")
          .field("auto_eoi", AUTO_EOI, 1, "u8")
          .field("rotate_on_auto_eoi", ROTATE_ON_AUTO_EOI, 1, "u8")
          .field("special_fully_nested_mode", SPECIAL_FULLY_NESTED_MODE, 1, "u8")
          .field("init4", INIT4, 1, "u8")
          .field("elcr", ELCR, 1, "u8")
          .field("elcr_mask", ELCR_MASK, 1, "u8")
          .build();

  private KvmPicState() {}
}
