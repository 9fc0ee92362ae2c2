package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_ioapic_state}: offsets in bytes. A part of {@code struct kvm_irqchip}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmIoapicState {

  /** Size in bytes. */
  public static final int SIZEOF = 216;

  /** {@code base_address}: u64. */
  public static final int BASE_ADDRESS = 0;

  /** {@code ioregsel}: u32. */
  public static final int IOREGSEL = 8;

  /** {@code id}: u32. */
  public static final int ID = 12;

  /** {@code irr}: u32. */
  public static final int IRR = 16;

  /** {@code pad}: u32. */
  public static final int PAD = 20;

  /** {@code redirtbl}: array[24]. */
  public static final int REDIRTBL = 24;

  /** {@code redirtbl[0].bits}: u64. */
  public static final int REDIRTBL_0_BITS = 24;

  /** {@code redirtbl[0].fields.vector}: u8. */
  public static final int REDIRTBL_0_FIELDS_VECTOR = 24;

  /** {@code redirtbl[0].fields.delivery_mode}: the lowest of its 3 bits in an entry. */
  public static final int REDIRTBL_0_FIELDS_DELIVERY_MODE_BIT = 8;

  /** {@code redirtbl[0].fields.dest_mode}: the lowest of its 1 bit in an entry. */
  public static final int REDIRTBL_0_FIELDS_DEST_MODE_BIT = 11;

  /** {@code redirtbl[0].fields.delivery_status}: the lowest of its 1 bit in an entry. */
  public static final int REDIRTBL_0_FIELDS_DELIVERY_STATUS_BIT = 12;

  /** {@code redirtbl[0].fields.polarity}: the lowest of its 1 bit in an entry. */
  public static final int REDIRTBL_0_FIELDS_POLARITY_BIT = 13;

  /** {@code redirtbl[0].fields.remote_irr}: the lowest of its 1 bit in an entry. */
  public static final int REDIRTBL_0_FIELDS_REMOTE_IRR_BIT = 14;

  /** {@code redirtbl[0].fields.trig_mode}: the lowest of its 1 bit in an entry. */
  public static final int REDIRTBL_0_FIELDS_TRIG_MODE_BIT = 15;

  /** {@code redirtbl[0].fields.mask}: the lowest of its 1 bit in an entry. */
  public static final int REDIRTBL_0_FIELDS_MASK_BIT = 16;

  /** {@code redirtbl[0].fields.reserve}: the lowest of its 7 bits in an entry. */
  public static final int REDIRTBL_0_FIELDS_RESERVE_BIT = 17;

  /** {@code redirtbl[0].fields.reserved}: u8[4]. */
  public static final int REDIRTBL_0_FIELDS_RESERVED = 27;

  /** {@code redirtbl[0].fields.dest_id}: u8. */
  public static final int REDIRTBL_0_FIELDS_DEST_ID = 31;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_ioapic_state", SIZEOF)
          .field("base_address", BASE_ADDRESS, 8, "u64")
          .field("ioregsel", IOREGSEL, 4, "u32")
          .field("id", ID, 4, "u32")
          .field("irr", IRR, 4, "u32")
          .field("pad", PAD, 4, "u32")
          .field("redirtbl", REDIRTBL, 192, "array[24]")
          .field("redirtbl[0].bits", REDIRTBL_0_BITS, 8, "u64")
          .field("redirtbl[0].fields.vector", REDIRTBL_0_FIELDS_VECTOR, 1, "u8")
          .bits("redirtbl[0].fields.delivery_mode", REDIRTBL, 8, 3)
          .bits("redirtbl[0].fields.dest_mode", REDIRTBL, 11, 1)
          .bits("redirtbl[0].fields.delivery_status", REDIRTBL, 12, 1)
          .bits("redirtbl[0].fields.polarity", REDIRTBL, 13, 1)
          .bits("redirtbl[0].fields.remote_irr", REDIRTBL, 14, 1)
          .bits("redirtbl[0].fields.trig_mode", REDIRTBL, 15, 1)
          .bits("redirtbl[0].fields.mask", REDIRTBL, 16, 1)
          .bits("redirtbl[0].fields.reserve", REDIRTBL, 17, 7)
          .field("redirtbl[0].fields.reserved", REDIRTBL_0_FIELDS_RESERVED, 4, "u8[4]")
          .field("redirtbl[0].fields.dest_id", REDIRTBL_0_FIELDS_DEST_ID, 1, "u8")
          .build();

  private KvmIoapicState() {}
}
