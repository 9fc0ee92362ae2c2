package org.kvm4j.vmx.vmcs;

import org.jspecify.annotations.Nullable;

/**
 * The fields of a VMCS, in the order of their encodings, under the names that Linux gives them.
 *
 * <p>A field's encoding is built from its width, its type and its index within both. The {@link
 * #ordinal()} is its dense number, by which {@link Vmcs} stores it.
 *
 * <p>Source: SDM 25.11.2 "VMREAD, VMWRITE, and Encodings of VMCS Fields", appendix B "Field
 * Encoding in VMCS".
 */
public enum VmcsField {
  // SDM B.1 "16-Bit Fields".

  VIRTUAL_PROCESSOR_ID(Type.CONTROL, Width.WORD, 0, Control.ENABLE_VPID),
  POSTED_INTR_NV(Type.CONTROL, Width.WORD, 1, Control.POSTED_INTERRUPTS),
  EPTP_INDEX(Type.CONTROL, Width.WORD, 2, Control.EPT_VIOLATION_VE),
  HLAT_PREFIX_SIZE(Type.CONTROL, Width.WORD, 3, Control.ENABLE_HLAT),
  LAST_PID_POINTER_INDEX(Type.CONTROL, Width.WORD, 4, Control.IPI_VIRTUALIZATION),

  GUEST_ES_SELECTOR(Type.GUEST, Width.WORD, 0),
  GUEST_CS_SELECTOR(Type.GUEST, Width.WORD, 1),
  GUEST_SS_SELECTOR(Type.GUEST, Width.WORD, 2),
  GUEST_DS_SELECTOR(Type.GUEST, Width.WORD, 3),
  GUEST_FS_SELECTOR(Type.GUEST, Width.WORD, 4),
  GUEST_GS_SELECTOR(Type.GUEST, Width.WORD, 5),
  GUEST_LDTR_SELECTOR(Type.GUEST, Width.WORD, 6),
  GUEST_TR_SELECTOR(Type.GUEST, Width.WORD, 7),
  GUEST_INTR_STATUS(Type.GUEST, Width.WORD, 8, Control.VIRTUAL_INTERRUPT_DELIVERY),
  GUEST_PML_INDEX(Type.GUEST, Width.WORD, 9, Control.ENABLE_PML),
  GUEST_UINV(Type.GUEST, Width.WORD, 10, Control.CLEAR_UINV, Control.LOAD_UINV),

  HOST_ES_SELECTOR(Type.HOST, Width.WORD, 0),
  HOST_CS_SELECTOR(Type.HOST, Width.WORD, 1),
  HOST_SS_SELECTOR(Type.HOST, Width.WORD, 2),
  HOST_DS_SELECTOR(Type.HOST, Width.WORD, 3),
  HOST_FS_SELECTOR(Type.HOST, Width.WORD, 4),
  HOST_GS_SELECTOR(Type.HOST, Width.WORD, 5),
  HOST_TR_SELECTOR(Type.HOST, Width.WORD, 6),

  // SDM B.2 "64-Bit Fields".

  IO_BITMAP_A(Type.CONTROL, Width.QUAD, 0),
  IO_BITMAP_B(Type.CONTROL, Width.QUAD, 1),
  MSR_BITMAP(Type.CONTROL, Width.QUAD, 2, Control.USE_MSR_BITMAPS),
  VM_EXIT_MSR_STORE_ADDR(Type.CONTROL, Width.QUAD, 3),
  VM_EXIT_MSR_LOAD_ADDR(Type.CONTROL, Width.QUAD, 4),
  VM_ENTRY_MSR_LOAD_ADDR(Type.CONTROL, Width.QUAD, 5),
  EXECUTIVE_VMCS_POINTER(Type.CONTROL, Width.QUAD, 6),
  PML_ADDRESS(Type.CONTROL, Width.QUAD, 7, Control.ENABLE_PML),
  TSC_OFFSET(Type.CONTROL, Width.QUAD, 8),
  VIRTUAL_APIC_PAGE_ADDR(Type.CONTROL, Width.QUAD, 9, Control.USE_TPR_SHADOW),
  APIC_ACCESS_ADDR(Type.CONTROL, Width.QUAD, 10, Control.VIRTUALIZE_APIC_ACCESSES),
  POSTED_INTR_DESC_ADDR(Type.CONTROL, Width.QUAD, 11, Control.POSTED_INTERRUPTS),
  VM_FUNCTION_CONTROL(Type.CONTROL, Width.QUAD, 12, Control.ENABLE_VM_FUNCTIONS),
  EPT_POINTER(Type.CONTROL, Width.QUAD, 13, Control.ENABLE_EPT),
  EOI_EXIT_BITMAP0(Type.CONTROL, Width.QUAD, 14, Control.VIRTUAL_INTERRUPT_DELIVERY),
  EOI_EXIT_BITMAP1(Type.CONTROL, Width.QUAD, 15, Control.VIRTUAL_INTERRUPT_DELIVERY),
  EOI_EXIT_BITMAP2(Type.CONTROL, Width.QUAD, 16, Control.VIRTUAL_INTERRUPT_DELIVERY),
  EOI_EXIT_BITMAP3(Type.CONTROL, Width.QUAD, 17, Control.VIRTUAL_INTERRUPT_DELIVERY),
  EPTP_LIST_ADDRESS(Type.CONTROL, Width.QUAD, 18, Control.EPTP_SWITCHING),
  VMREAD_BITMAP(Type.CONTROL, Width.QUAD, 19, Control.VMCS_SHADOWING),
  VMWRITE_BITMAP(Type.CONTROL, Width.QUAD, 20, Control.VMCS_SHADOWING),
  VE_INFORMATION_ADDRESS(Type.CONTROL, Width.QUAD, 21, Control.EPT_VIOLATION_VE),
  XSS_EXIT_BITMAP(Type.CONTROL, Width.QUAD, 22, Control.ENABLE_XSAVES),
  ENCLS_EXITING_BITMAP(Type.CONTROL, Width.QUAD, 23, Control.ENABLE_ENCLS_EXITING),
  SPP_TABLE_POINTER(Type.CONTROL, Width.QUAD, 24, Control.SUB_PAGE_WRITE_PERMISSIONS),
  TSC_MULTIPLIER(Type.CONTROL, Width.QUAD, 25, Control.USE_TSC_SCALING),
  TERTIARY_VM_EXEC_CONTROL(Type.CONTROL, Width.QUAD, 26, Control.ACTIVATE_TERTIARY_CONTROLS),
  ENCLV_EXITING_BITMAP(Type.CONTROL, Width.QUAD, 27, Control.ENABLE_ENCLV_EXITING),
  LOW_PASID_DIRECTORY(Type.CONTROL, Width.QUAD, 28, Control.PASID_TRANSLATION),
  HIGH_PASID_DIRECTORY(Type.CONTROL, Width.QUAD, 29, Control.PASID_TRANSLATION),
  SHARED_EPT_POINTER(Type.CONTROL, Width.QUAD, 30, false),
  PCONFIG_EXITING_BITMAP(Type.CONTROL, Width.QUAD, 31, Control.ENABLE_PCONFIG),
  HLATP(Type.CONTROL, Width.QUAD, 32, Control.ENABLE_HLAT),
  PID_POINTER_TABLE(Type.CONTROL, Width.QUAD, 33, Control.IPI_VIRTUALIZATION),
  SECONDARY_VM_EXIT_CONTROLS(
      Type.CONTROL, Width.QUAD, 34, Control.ACTIVATE_SECONDARY_EXIT_CONTROLS),
  IA32_SPEC_CTRL_MASK(Type.CONTROL, Width.QUAD, 37, Control.VIRTUALIZE_IA32_SPEC_CTRL),
  IA32_SPEC_CTRL_SHADOW(Type.CONTROL, Width.QUAD, 38, Control.VIRTUALIZE_IA32_SPEC_CTRL),
  INJECTED_EVENT_DATA(Type.CONTROL, Width.QUAD, 41, Control.ENTRY_LOAD_FRED),

  GUEST_PHYSICAL_ADDRESS(Type.READ_ONLY, Width.QUAD, 0, Control.ENABLE_EPT),
  MSR_DATA(Type.READ_ONLY, Width.QUAD, 1, Control.ENABLE_MSR_LIST),
  ORIGINAL_EVENT_DATA(Type.READ_ONLY, Width.QUAD, 2, Control.SAVE_FRED),

  VMCS_LINK_POINTER(Type.GUEST, Width.QUAD, 0),
  GUEST_IA32_DEBUGCTL(Type.GUEST, Width.QUAD, 1),
  GUEST_IA32_PAT(Type.GUEST, Width.QUAD, 2, Control.ENTRY_LOAD_PAT, Control.SAVE_PAT),
  GUEST_IA32_EFER(Type.GUEST, Width.QUAD, 3, Control.ENTRY_LOAD_EFER, Control.SAVE_EFER),
  GUEST_IA32_PERF_GLOBAL_CTRL(
      Type.GUEST,
      Width.QUAD,
      4,
      Control.ENTRY_LOAD_PERF_GLOBAL_CTRL,
      Control.SAVE_PERF_GLOBAL_CTRL),
  GUEST_PDPTR0(Type.GUEST, Width.QUAD, 5, Control.ENABLE_EPT),
  GUEST_PDPTR1(Type.GUEST, Width.QUAD, 6, Control.ENABLE_EPT),
  GUEST_PDPTR2(Type.GUEST, Width.QUAD, 7, Control.ENABLE_EPT),
  GUEST_PDPTR3(Type.GUEST, Width.QUAD, 8, Control.ENABLE_EPT),
  GUEST_BNDCFGS(Type.GUEST, Width.QUAD, 9, Control.LOAD_BNDCFGS, Control.CLEAR_BNDCFGS),
  GUEST_IA32_RTIT_CTL(Type.GUEST, Width.QUAD, 10, Control.LOAD_RTIT_CTL, Control.CLEAR_RTIT_CTL),
  GUEST_IA32_LBR_CTL(Type.GUEST, Width.QUAD, 11, Control.LOAD_LBR_CTL, Control.CLEAR_LBR_CTL),
  GUEST_IA32_PKRS(Type.GUEST, Width.QUAD, 12, Control.ENTRY_LOAD_PKRS),
  GUEST_IA32_FRED_CONFIG(Type.GUEST, Width.QUAD, 13, Control.ENTRY_LOAD_FRED),
  GUEST_IA32_FRED_RSP1(Type.GUEST, Width.QUAD, 14, Control.ENTRY_LOAD_FRED),
  GUEST_IA32_FRED_RSP2(Type.GUEST, Width.QUAD, 15, Control.ENTRY_LOAD_FRED),
  GUEST_IA32_FRED_RSP3(Type.GUEST, Width.QUAD, 16, Control.ENTRY_LOAD_FRED),
  GUEST_IA32_FRED_STKLVLS(Type.GUEST, Width.QUAD, 17, Control.ENTRY_LOAD_FRED),
  GUEST_IA32_FRED_SSP1(Type.GUEST, Width.QUAD, 18, Control.ENTRY_LOAD_FRED),
  GUEST_IA32_FRED_SSP2(Type.GUEST, Width.QUAD, 19, Control.ENTRY_LOAD_FRED),
  GUEST_IA32_FRED_SSP3(Type.GUEST, Width.QUAD, 20, Control.ENTRY_LOAD_FRED),
  GUEST_IA32_SPEC_CTRL(Type.GUEST, Width.QUAD, 23, false),

  HOST_IA32_PAT(Type.HOST, Width.QUAD, 0, Control.EXIT_LOAD_PAT),
  HOST_IA32_EFER(Type.HOST, Width.QUAD, 1, Control.EXIT_LOAD_EFER),
  HOST_IA32_PERF_GLOBAL_CTRL(Type.HOST, Width.QUAD, 2, Control.EXIT_LOAD_PERF_GLOBAL_CTRL),
  HOST_IA32_PKRS(Type.HOST, Width.QUAD, 3, Control.EXIT_LOAD_PKRS),
  HOST_IA32_FRED_CONFIG(Type.HOST, Width.QUAD, 4, Control.EXIT_LOAD_FRED),
  HOST_IA32_FRED_RSP1(Type.HOST, Width.QUAD, 5, Control.EXIT_LOAD_FRED),
  HOST_IA32_FRED_RSP2(Type.HOST, Width.QUAD, 6, Control.EXIT_LOAD_FRED),
  HOST_IA32_FRED_RSP3(Type.HOST, Width.QUAD, 7, Control.EXIT_LOAD_FRED),
  HOST_IA32_FRED_STKLVLS(Type.HOST, Width.QUAD, 8, Control.EXIT_LOAD_FRED),
  HOST_IA32_FRED_SSP1(Type.HOST, Width.QUAD, 9, Control.EXIT_LOAD_FRED),
  HOST_IA32_FRED_SSP2(Type.HOST, Width.QUAD, 10, Control.EXIT_LOAD_FRED),
  HOST_IA32_FRED_SSP3(Type.HOST, Width.QUAD, 11, Control.EXIT_LOAD_FRED),
  HOST_IA32_SPEC_CTRL(Type.HOST, Width.QUAD, 13, false),

  // SDM B.3 "32-Bit Fields".

  PIN_BASED_VM_EXEC_CONTROL(Type.CONTROL, Width.DOUBLE, 0),
  CPU_BASED_VM_EXEC_CONTROL(Type.CONTROL, Width.DOUBLE, 1),
  EXCEPTION_BITMAP(Type.CONTROL, Width.DOUBLE, 2),
  PAGE_FAULT_ERROR_CODE_MASK(Type.CONTROL, Width.DOUBLE, 3),
  PAGE_FAULT_ERROR_CODE_MATCH(Type.CONTROL, Width.DOUBLE, 4),
  CR3_TARGET_COUNT(Type.CONTROL, Width.DOUBLE, 5),
  VM_EXIT_CONTROLS(Type.CONTROL, Width.DOUBLE, 6),
  VM_EXIT_MSR_STORE_COUNT(Type.CONTROL, Width.DOUBLE, 7),
  VM_EXIT_MSR_LOAD_COUNT(Type.CONTROL, Width.DOUBLE, 8),
  VM_ENTRY_CONTROLS(Type.CONTROL, Width.DOUBLE, 9),
  VM_ENTRY_MSR_LOAD_COUNT(Type.CONTROL, Width.DOUBLE, 10),
  VM_ENTRY_INTR_INFO_FIELD(Type.CONTROL, Width.DOUBLE, 11),
  VM_ENTRY_EXCEPTION_ERROR_CODE(Type.CONTROL, Width.DOUBLE, 12),
  VM_ENTRY_INSTRUCTION_LEN(Type.CONTROL, Width.DOUBLE, 13),
  TPR_THRESHOLD(Type.CONTROL, Width.DOUBLE, 14, Control.USE_TPR_SHADOW),
  SECONDARY_VM_EXEC_CONTROL(Type.CONTROL, Width.DOUBLE, 15, Control.ACTIVATE_SECONDARY_CONTROLS),
  PLE_GAP(Type.CONTROL, Width.DOUBLE, 16, Control.PAUSE_LOOP_EXITING),
  PLE_WINDOW(Type.CONTROL, Width.DOUBLE, 17, Control.PAUSE_LOOP_EXITING),
  NOTIFY_WINDOW(Type.CONTROL, Width.DOUBLE, 18, Control.INSTRUCTION_TIMEOUT),

  VM_INSTRUCTION_ERROR(Type.READ_ONLY, Width.DOUBLE, 0),
  VM_EXIT_REASON(Type.READ_ONLY, Width.DOUBLE, 1),
  VM_EXIT_INTR_INFO(Type.READ_ONLY, Width.DOUBLE, 2),
  VM_EXIT_INTR_ERROR_CODE(Type.READ_ONLY, Width.DOUBLE, 3),
  IDT_VECTORING_INFO_FIELD(Type.READ_ONLY, Width.DOUBLE, 4),
  IDT_VECTORING_ERROR_CODE(Type.READ_ONLY, Width.DOUBLE, 5),
  VM_EXIT_INSTRUCTION_LEN(Type.READ_ONLY, Width.DOUBLE, 6),
  VMX_INSTRUCTION_INFO(Type.READ_ONLY, Width.DOUBLE, 7),

  GUEST_ES_LIMIT(Type.GUEST, Width.DOUBLE, 0),
  GUEST_CS_LIMIT(Type.GUEST, Width.DOUBLE, 1),
  GUEST_SS_LIMIT(Type.GUEST, Width.DOUBLE, 2),
  GUEST_DS_LIMIT(Type.GUEST, Width.DOUBLE, 3),
  GUEST_FS_LIMIT(Type.GUEST, Width.DOUBLE, 4),
  GUEST_GS_LIMIT(Type.GUEST, Width.DOUBLE, 5),
  GUEST_LDTR_LIMIT(Type.GUEST, Width.DOUBLE, 6),
  GUEST_TR_LIMIT(Type.GUEST, Width.DOUBLE, 7),
  GUEST_GDTR_LIMIT(Type.GUEST, Width.DOUBLE, 8),
  GUEST_IDTR_LIMIT(Type.GUEST, Width.DOUBLE, 9),
  GUEST_ES_AR_BYTES(Type.GUEST, Width.DOUBLE, 10),
  GUEST_CS_AR_BYTES(Type.GUEST, Width.DOUBLE, 11),
  GUEST_SS_AR_BYTES(Type.GUEST, Width.DOUBLE, 12),
  GUEST_DS_AR_BYTES(Type.GUEST, Width.DOUBLE, 13),
  GUEST_FS_AR_BYTES(Type.GUEST, Width.DOUBLE, 14),
  GUEST_GS_AR_BYTES(Type.GUEST, Width.DOUBLE, 15),
  GUEST_LDTR_AR_BYTES(Type.GUEST, Width.DOUBLE, 16),
  GUEST_TR_AR_BYTES(Type.GUEST, Width.DOUBLE, 17),
  GUEST_INTERRUPTIBILITY_INFO(Type.GUEST, Width.DOUBLE, 18),
  GUEST_ACTIVITY_STATE(Type.GUEST, Width.DOUBLE, 19),
  GUEST_SMBASE(Type.GUEST, Width.DOUBLE, 20),
  GUEST_SYSENTER_CS(Type.GUEST, Width.DOUBLE, 21),
  VMX_PREEMPTION_TIMER_VALUE(Type.GUEST, Width.DOUBLE, 23, Control.VMX_PREEMPTION_TIMER),

  HOST_IA32_SYSENTER_CS(Type.HOST, Width.DOUBLE, 0),

  // SDM B.4 "Natural-Width Fields".

  CR0_GUEST_HOST_MASK(Type.CONTROL, Width.NATURAL, 0),
  CR4_GUEST_HOST_MASK(Type.CONTROL, Width.NATURAL, 1),
  CR0_READ_SHADOW(Type.CONTROL, Width.NATURAL, 2),
  CR4_READ_SHADOW(Type.CONTROL, Width.NATURAL, 3),
  CR3_TARGET_VALUE0(Type.CONTROL, Width.NATURAL, 4),
  CR3_TARGET_VALUE1(Type.CONTROL, Width.NATURAL, 5),
  CR3_TARGET_VALUE2(Type.CONTROL, Width.NATURAL, 6),
  CR3_TARGET_VALUE3(Type.CONTROL, Width.NATURAL, 7),

  EXIT_QUALIFICATION(Type.READ_ONLY, Width.NATURAL, 0),
  EXIT_IO_RCX(Type.READ_ONLY, Width.NATURAL, 1),
  EXIT_IO_RSI(Type.READ_ONLY, Width.NATURAL, 2),
  EXIT_IO_RDI(Type.READ_ONLY, Width.NATURAL, 3),
  EXIT_IO_RIP(Type.READ_ONLY, Width.NATURAL, 4),
  GUEST_LINEAR_ADDRESS(Type.READ_ONLY, Width.NATURAL, 5),

  GUEST_CR0(Type.GUEST, Width.NATURAL, 0),
  GUEST_CR3(Type.GUEST, Width.NATURAL, 1),
  GUEST_CR4(Type.GUEST, Width.NATURAL, 2),
  GUEST_ES_BASE(Type.GUEST, Width.NATURAL, 3),
  GUEST_CS_BASE(Type.GUEST, Width.NATURAL, 4),
  GUEST_SS_BASE(Type.GUEST, Width.NATURAL, 5),
  GUEST_DS_BASE(Type.GUEST, Width.NATURAL, 6),
  GUEST_FS_BASE(Type.GUEST, Width.NATURAL, 7),
  GUEST_GS_BASE(Type.GUEST, Width.NATURAL, 8),
  GUEST_LDTR_BASE(Type.GUEST, Width.NATURAL, 9),
  GUEST_TR_BASE(Type.GUEST, Width.NATURAL, 10),
  GUEST_GDTR_BASE(Type.GUEST, Width.NATURAL, 11),
  GUEST_IDTR_BASE(Type.GUEST, Width.NATURAL, 12),
  GUEST_DR7(Type.GUEST, Width.NATURAL, 13),
  GUEST_RSP(Type.GUEST, Width.NATURAL, 14),
  GUEST_RIP(Type.GUEST, Width.NATURAL, 15),
  GUEST_RFLAGS(Type.GUEST, Width.NATURAL, 16),
  GUEST_PENDING_DBG_EXCEPTIONS(Type.GUEST, Width.NATURAL, 17),
  GUEST_SYSENTER_ESP(Type.GUEST, Width.NATURAL, 18),
  GUEST_SYSENTER_EIP(Type.GUEST, Width.NATURAL, 19),
  GUEST_S_CET(Type.GUEST, Width.NATURAL, 20, Control.ENTRY_LOAD_CET),
  GUEST_SSP(Type.GUEST, Width.NATURAL, 21, Control.ENTRY_LOAD_CET),
  GUEST_INTR_SSP_TABLE(Type.GUEST, Width.NATURAL, 22, Control.ENTRY_LOAD_CET),

  HOST_CR0(Type.HOST, Width.NATURAL, 0),
  HOST_CR3(Type.HOST, Width.NATURAL, 1),
  HOST_CR4(Type.HOST, Width.NATURAL, 2),
  HOST_FS_BASE(Type.HOST, Width.NATURAL, 3),
  HOST_GS_BASE(Type.HOST, Width.NATURAL, 4),
  HOST_TR_BASE(Type.HOST, Width.NATURAL, 5),
  HOST_GDTR_BASE(Type.HOST, Width.NATURAL, 6),
  HOST_IDTR_BASE(Type.HOST, Width.NATURAL, 7),
  HOST_IA32_SYSENTER_ESP(Type.HOST, Width.NATURAL, 8),
  HOST_IA32_SYSENTER_EIP(Type.HOST, Width.NATURAL, 9),
  HOST_RSP(Type.HOST, Width.NATURAL, 10),
  HOST_RIP(Type.HOST, Width.NATURAL, 11),
  HOST_S_CET(Type.HOST, Width.NATURAL, 12, Control.EXIT_LOAD_CET),
  HOST_SSP(Type.HOST, Width.NATURAL, 13, Control.EXIT_LOAD_CET),
  HOST_INTR_SSP_TABLE(Type.HOST, Width.NATURAL, 14, Control.EXIT_LOAD_CET);

  /** Bits 11:10 of an encoding. */
  public enum Type {
    CONTROL,
    READ_ONLY,
    GUEST,
    HOST
  }

  /** Bits 14:13 of an encoding. */
  public enum Width {
    WORD(16),
    QUAD(64),
    DOUBLE(32),
    /** As wide as the processor's registers: 64 bits. */
    NATURAL(64);

    /** Width in bits. */
    public final int bits;

    /** The bits that a field of this width can have. */
    public final long mask;

    Width(int bits) {
      this.bits = bits;
      this.mask = -1L >>> 64 - bits;
    }
  }

  /** The number of fields. */
  public static final int COUNT = values().length;

  /** Encoding bits that are reserved: 31:15 and 12. */
  public static final int RESERVED_ENCODING_BITS = 0xffff9000;

  private static final VmcsField[] VALUES = values();

  /** By bits 14:0 of the encoding, without the access type: ordinal, or -1. */
  private static final short[] BY_ENCODING = new short[0x8000];

  static {
    java.util.Arrays.fill(BY_ENCODING, (short) -1);
    for (VmcsField field : VALUES) {
      BY_ENCODING[field.encoding] = (short) field.ordinal();
      if (field.width == Width.QUAD) {
        BY_ENCODING[field.encoding | 1] = (short) field.ordinal();
      }
    }
  }

  public final Type type;
  public final Width width;

  /** Bits 9:1 of the encoding. */
  public final int index;

  /** The encoding with access type full. */
  public final int encoding;

  /** The field exists if one of these may be 1; always if there are none. */
  private final Control[] controls;

  private final boolean modelled;

  VmcsField(Type type, Width width, int index, Control... controls) {
    this(true, type, width, index, controls);
  }

  VmcsField(Type type, Width width, int index, boolean modelled) {
    this(modelled, type, width, index, new Control[0]);
  }

  VmcsField(boolean modelled, Type type, Width width, int index, Control[] controls) {
    this.modelled = modelled;
    this.type = type;
    this.width = width;
    this.index = index;
    this.controls = controls;
    this.encoding = encode(width, type, index, false);
  }

  /**
   * The encoding of (access type, type, width, index); {@code high} is the upper half of a QUAD.
   */
  public static int encode(Width width, Type type, int index, boolean high) {
    return width.ordinal() << 13 | type.ordinal() << 10 | index << 1 | (high ? 1 : 0);
  }

  /**
   * The field's ordinal for an encoding of either access type; -1 if there is none in the table.
   */
  public static int ordinalOf(long encoding) {
    return encoding >>> 15 != 0 ? -1 : BY_ENCODING[(int) encoding];
  }

  /** The field of an encoding of either access type, or null. */
  public static @Nullable VmcsField of(long encoding) {
    int ordinal = ordinalOf(encoding);
    return ordinal < 0 ? null : VALUES[ordinal];
  }

  /** The field with an {@link #ordinal()}. */
  public static VmcsField at(int ordinal) {
    return VALUES[ordinal];
  }

  /** The encoding with access type high, of the upper 32 bits of a 64-bit field. */
  public int highEncoding() {
    if (width != Width.QUAD) {
      throw new IllegalStateException(this + " has no high part");
    }
    return encoding | 1;
  }

  /** A VM-exit information field, which VMWRITE may refuse. */
  public boolean isReadOnly() {
    return type == Type.READ_ONLY;
  }

  /** Whether a processor with these capabilities has the field. */
  public boolean exists(VmxCapabilities capabilities) {
    if (!modelled) {
      return false;
    }
    if (controls.length == 0) {
      return true;
    }
    for (Control control : controls) {
      if (capabilities.allows(control)) {
        return true;
      }
    }
    return false;
  }
}
