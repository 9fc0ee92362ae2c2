package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_pit_state2}: offsets in bytes. The argument of {@code KVM_GET_PIT2} and {@code
 * KVM_SET_PIT2}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmPitState2 {

  /** Size in bytes. */
  public static final int SIZEOF = 112;

  /** {@code channels}: struct kvm_pit_channel_state[3]. */
  public static final int CHANNELS = 0;

  /** {@code flags}: u32. */
  public static final int FLAGS = 72;

  /** {@code reserved}: u32[9]. */
  public static final int RESERVED = 76;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_pit_state2", SIZEOF)
          .field("channels", CHANNELS, 72, "struct kvm_pit_channel_state[3]")
          .field("flags", FLAGS, 4, "u32")
          .field("reserved", RESERVED, 36, "u32[9]")
          .build();

  private KvmPitState2() {}
}
