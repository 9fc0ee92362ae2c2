package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_mp_state}: offsets in bytes. The argument of {@code KVM_GET_MP_STATE} and
 * {@code KVM_SET_MP_STATE}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmMpState {

  /** Size in bytes. */
  public static final int SIZEOF = 4;

  /** {@code mp_state}: u32. */
  public static final int MP_STATE = 0;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_mp_state", SIZEOF).field("mp_state", MP_STATE, 4, "u32").build();

  private KvmMpState() {}
}
