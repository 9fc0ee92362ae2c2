package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_lapic_state}: offsets in bytes. The argument of {@code KVM_GET_LAPIC} and
 * {@code KVM_SET_LAPIC}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmLapicState {

  /** Size in bytes. */
  public static final int SIZEOF = 1024;

  /** {@code regs}: char[1024]. */
  public static final int REGS = 0;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_lapic_state", SIZEOF).field("regs", REGS, 1024, "char[1024]").build();

  private KvmLapicState() {}
}
