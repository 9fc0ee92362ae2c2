package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_segment}: offsets in bytes. A part of {@code struct kvm_sregs}, {@code struct
 * kvm_sregs2}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmSegment {

  /** Size in bytes. */
  public static final int SIZEOF = 24;

  /** {@code base}: u64. */
  public static final int BASE = 0;

  /** {@code limit}: u32. */
  public static final int LIMIT = 8;

  /** {@code selector}: u16. */
  public static final int SELECTOR = 12;

  /** {@code type}: u8. */
  public static final int TYPE = 14;

  /** {@code present}: u8. */
  public static final int PRESENT = 15;

  /** {@code dpl}: u8. */
  public static final int DPL = 16;

  /** {@code db}: u8. */
  public static final int DB = 17;

  /** {@code s}: u8. */
  public static final int S = 18;

  /** {@code l}: u8. */
  public static final int L = 19;

  /** {@code g}: u8. */
  public static final int G = 20;

  /** {@code avl}: u8. */
  public static final int AVL = 21;

  /** {@code unusable}: u8. */
  public static final int UNUSABLE = 22;

  /** {@code padding}: u8. */
  public static final int PADDING = 23;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_segment", SIZEOF)
          .field("base", BASE, 8, "u64")
          .field("limit", LIMIT, 4, "u32")
          .field("selector", SELECTOR, 2, "u16")
          .field("type", TYPE, 1, "u8")
          .field("present", PRESENT, 1, "u8")
          .field("dpl", DPL, 1, "u8")
          .field("db", DB, 1, "u8")
          .field("s", S, 1, "u8")
          .field("l", L, 1, "u8")
          .field("g", G, 1, "u8")
          .field("avl", AVL, 1, "u8")
          .field("unusable", UNUSABLE, 1, "u8")
          .field("padding", PADDING, 1, "u8")
          .build();

  private KvmSegment() {}
}
