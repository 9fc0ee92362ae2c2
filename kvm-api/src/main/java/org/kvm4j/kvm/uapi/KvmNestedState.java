package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_nested_state}: offsets in bytes. The argument of {@code KVM_GET_NESTED_STATE}
 * and {@code KVM_SET_NESTED_STATE}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmNestedState {

  /** Size in bytes of the fixed part. */
  public static final int SIZEOF = 128;

  /** {@code flags}: u16. */
  public static final int FLAGS = 0;

  /** {@code format}: u16. */
  public static final int FORMAT = 2;

  /** {@code size}: u32. */
  public static final int SIZE = 4;

  /** {@code hdr.vmx}: struct kvm_vmx_nested_state_hdr. */
  public static final int HDR_VMX = 8;

  /** {@code hdr.svm}: struct kvm_svm_nested_state_hdr. */
  public static final int HDR_SVM = 8;

  /** {@code hdr.pad}: u8[120]. */
  public static final int HDR_PAD = 8;

  /** {@code data.vmx}: struct kvm_vmx_nested_state_data[], flexible. */
  public static final int DATA_VMX = 128;

  /** {@code data.svm}: struct kvm_svm_nested_state_data[], flexible. */
  public static final int DATA_SVM = 128;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_nested_state", SIZEOF)
          .field("flags", FLAGS, 2, "u16")
          .field("format", FORMAT, 2, "u16")
          .field("size", SIZE, 4, "u32")
          .field("hdr.vmx", HDR_VMX, 32, "struct kvm_vmx_nested_state_hdr")
          .field("hdr.svm", HDR_SVM, 8, "struct kvm_svm_nested_state_hdr")
          .field("hdr.pad", HDR_PAD, 120, "u8[120]")
          .field("data.vmx", DATA_VMX, StructLayout.FLEXIBLE, "struct kvm_vmx_nested_state_data[]")
          .field("data.svm", DATA_SVM, StructLayout.FLEXIBLE, "struct kvm_svm_nested_state_data[]")
          .build();

  private KvmNestedState() {}
}
