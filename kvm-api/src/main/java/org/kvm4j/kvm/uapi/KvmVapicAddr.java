package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_vapic_addr}: offsets in bytes. The argument of {@code KVM_SET_VAPIC_ADDR}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmVapicAddr {

  /** Size in bytes. */
  public static final int SIZEOF = 8;

  /** {@code vapic_addr}: u64. */
  public static final int VAPIC_ADDR = 0;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_vapic_addr", SIZEOF).field("vapic_addr", VAPIC_ADDR, 8, "u64").build();

  private KvmVapicAddr() {}
}
