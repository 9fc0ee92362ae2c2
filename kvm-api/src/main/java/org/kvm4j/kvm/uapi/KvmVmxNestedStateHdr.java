package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_vmx_nested_state_hdr}: offsets in bytes. A part of {@code struct
 * kvm_nested_state}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmVmxNestedStateHdr {

  /** Size in bytes. */
  public static final int SIZEOF = 32;

  /** {@code vmxon_pa}: u64. */
  public static final int VMXON_PA = 0;

  /** {@code vmcs12_pa}: u64. */
  public static final int VMCS12_PA = 8;

  /** {@code smm.flags}: u16. */
  public static final int SMM_FLAGS = 16;

  /** {@code pad}: u16. */
  public static final int PAD = 18;

  /** {@code flags}: u32. */
  public static final int FLAGS = 20;

  /** {@code preemption_timer_deadline}: u64. */
  public static final int PREEMPTION_TIMER_DEADLINE = 24;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_vmx_nested_state_hdr", SIZEOF)
          .field("vmxon_pa", VMXON_PA, 8, "u64")
          .field("vmcs12_pa", VMCS12_PA, 8, "u64")
          .field("smm.flags", SMM_FLAGS, 2, "u16")
          .field("pad", PAD, 2, "u16")
          .field("flags", FLAGS, 4, "u32")
          .field("preemption_timer_deadline", PREEMPTION_TIMER_DEADLINE, 8, "u64")
          .build();

  private KvmVmxNestedStateHdr() {}
}
