package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_pit_state}: offsets in bytes. The argument of {@code KVM_GET_PIT} and {@code
 * KVM_SET_PIT}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmPitState {

  /** Size in bytes. */
  public static final int SIZEOF = 72;

  /** {@code channels}: struct kvm_pit_channel_state[3]. */
  public static final int CHANNELS = 0;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_pit_state", SIZEOF)
          .field("channels", CHANNELS, 72, "struct kvm_pit_channel_state[3]")
          .build();

  private KvmPitState() {}
}
