package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_vcpu_events}: offsets in bytes. The argument of {@code KVM_GET_VCPU_EVENTS} and
 * {@code KVM_SET_VCPU_EVENTS}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmVcpuEvents {

  /** Size in bytes. */
  public static final int SIZEOF = 64;

  /** {@code exception.injected}: u8. */
  public static final int EXCEPTION_INJECTED = 0;

  /** {@code exception.nr}: u8. */
  public static final int EXCEPTION_NR = 1;

  /** {@code exception.has_error_code}: u8. */
  public static final int EXCEPTION_HAS_ERROR_CODE = 2;

  /** {@code exception.pending}: u8. */
  public static final int EXCEPTION_PENDING = 3;

  /** {@code exception.error_code}: u32. */
  public static final int EXCEPTION_ERROR_CODE = 4;

  /** {@code interrupt.injected}: u8. */
  public static final int INTERRUPT_INJECTED = 8;

  /** {@code interrupt.nr}: u8. */
  public static final int INTERRUPT_NR = 9;

  /** {@code interrupt.soft}: u8. */
  public static final int INTERRUPT_SOFT = 10;

  /** {@code interrupt.shadow}: u8. */
  public static final int INTERRUPT_SHADOW = 11;

  /** {@code nmi.injected}: u8. */
  public static final int NMI_INJECTED = 12;

  /** {@code nmi.pending}: u8. */
  public static final int NMI_PENDING = 13;

  /** {@code nmi.masked}: u8. */
  public static final int NMI_MASKED = 14;

  /** {@code nmi.pad}: u8. */
  public static final int NMI_PAD = 15;

  /** {@code sipi_vector}: u32. */
  public static final int SIPI_VECTOR = 16;

  /** {@code flags}: u32. */
  public static final int FLAGS = 20;

  /** {@code smi.smm}: u8. */
  public static final int SMI_SMM = 24;

  /** {@code smi.pending}: u8. */
  public static final int SMI_PENDING = 25;

  /** {@code smi.smm_inside_nmi}: u8. */
  public static final int SMI_SMM_INSIDE_NMI = 26;

  /** {@code smi.latched_init}: u8. */
  public static final int SMI_LATCHED_INIT = 27;

  /** {@code triple_fault.pending}: u8. */
  public static final int TRIPLE_FAULT_PENDING = 28;

  /** {@code reserved}: u8[26]. */
  public static final int RESERVED = 29;

  /** {@code exception_has_payload}: u8. */
  public static final int EXCEPTION_HAS_PAYLOAD = 55;

  /** {@code exception_payload}: u64. */
  public static final int EXCEPTION_PAYLOAD = 56;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_vcpu_events", SIZEOF)
          .field("exception.injected", EXCEPTION_INJECTED, 1, "u8")
          .field("exception.nr", EXCEPTION_NR, 1, "u8")
          .field("exception.has_error_code", EXCEPTION_HAS_ERROR_CODE, 1, "u8")
          .field("exception.pending", EXCEPTION_PENDING, 1, "u8")
          .field("exception.error_code", EXCEPTION_ERROR_CODE, 4, "u32")
          .field("interrupt.injected", INTERRUPT_INJECTED, 1, "u8")
          .field("interrupt.nr", INTERRUPT_NR, 1, "u8")
          .field("interrupt.soft", INTERRUPT_SOFT, 1, "u8")
          .field("interrupt.shadow", INTERRUPT_SHADOW, 1, "u8")
          .field("nmi.injected", NMI_INJECTED, 1, "u8")
          .field("nmi.pending", NMI_PENDING, 1, "u8")
          .field("nmi.masked", NMI_MASKED, 1, "u8")
          .field("nmi.pad", NMI_PAD, 1, "u8")
          .field("sipi_vector", SIPI_VECTOR, 4, "u32")
          .field("flags", FLAGS, 4, "u32")
          .field("smi.smm", SMI_SMM, 1, "u8")
          .field("smi.pending", SMI_PENDING, 1, "u8")
          .field("smi.smm_inside_nmi", SMI_SMM_INSIDE_NMI, 1, "u8")
          .field("smi.latched_init", SMI_LATCHED_INIT, 1, "u8")
          .field("triple_fault.pending", TRIPLE_FAULT_PENDING, 1, "u8")
          .field("reserved", RESERVED, 26, "u8[26]")
          .field("exception_has_payload", EXCEPTION_HAS_PAYLOAD, 1, "u8")
          .field("exception_payload", EXCEPTION_PAYLOAD, 8, "u64")
          .build();

  private KvmVcpuEvents() {}
}
