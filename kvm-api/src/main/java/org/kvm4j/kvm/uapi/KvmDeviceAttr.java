package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_device_attr}: offsets in bytes. The argument of {@code KVM_GET_DEVICE_ATTR},
 * {@code KVM_HAS_DEVICE_ATTR}, {@code KVM_SET_DEVICE_ATTR}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmDeviceAttr {

  /** Size in bytes. */
  public static final int SIZEOF = 24;

  /** {@code flags}: u32. */
  public static final int FLAGS = 0;

  /** {@code group}: u32. */
  public static final int GROUP = 4;

  /** {@code attr}: u64. */
  public static final int ATTR = 8;

  /** {@code addr}: u64. */
  public static final int ADDR = 16;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_device_attr", SIZEOF)
          .field("flags", FLAGS, 4, "u32")
          .field("group", GROUP, 4, "u32")
          .field("attr", ATTR, 8, "u64")
          .field("addr", ADDR, 8, "u64")
          .build();

  private KvmDeviceAttr() {}
}
