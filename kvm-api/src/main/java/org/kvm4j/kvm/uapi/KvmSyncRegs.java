package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_sync_regs}: offsets in bytes. A part of {@code struct kvm_run}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmSyncRegs {

  /** Size in bytes. */
  public static final int SIZEOF = 520;

  /** {@code regs}: struct kvm_regs. */
  public static final int REGS = 0;

  /** {@code sregs}: struct kvm_sregs. */
  public static final int SREGS = 144;

  /** {@code events}: struct kvm_vcpu_events. */
  public static final int EVENTS = 456;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_sync_regs", SIZEOF)
          .field("regs", REGS, 144, "struct kvm_regs")
          .field("sregs", SREGS, 312, "struct kvm_sregs")
          .field("events", EVENTS, 64, "struct kvm_vcpu_events")
          .build();

  private KvmSyncRegs() {}
}
