package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_create_device}: offsets in bytes. The argument of {@code KVM_CREATE_DEVICE}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmCreateDevice {

  /** Size in bytes. */
  public static final int SIZEOF = 12;

  /** {@code type}: u32. */
  public static final int TYPE = 0;

  /** {@code fd}: u32. */
  public static final int FD = 4;

  /** {@code flags}: u32. */
  public static final int FLAGS = 8;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_create_device", SIZEOF)
          .field("type", TYPE, 4, "u32")
          .field("fd", FD, 4, "u32")
          .field("flags", FLAGS, 4, "u32")
          .build();

  private KvmCreateDevice() {}
}
