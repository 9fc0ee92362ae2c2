package org.kvm4j.vmx.vmcs;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.ept.memory.PhysicalMemory;

/**
 * An active VMCS: the fields as the processor holds them between VMPTRLD and VMCLEAR, with launch
 * state, abort indicator and a record of which fields software wrote since the last successful VM
 * entry.
 *
 * <p>Fields are in {@link #v} by ordinal; the constants of this class are ordinals, for the hottest
 * paths. What software writes goes through {@link #write}, so that entry checks know of it; what
 * the processor itself stores (guest state at VM exit, exit information) goes to {@link #v}
 * directly.
 *
 * <p><b>Deferred state.</b> When the hypervisor is Java code, a VM exit may leave most of the
 * guest's registers in the processor and promise to save them ({@link #defer}). {@link #read} and
 * {@link #write} of such a field keep the promise first; who reads {@link #v} directly calls {@link
 * #complete} before.
 *
 * <p><b>In memory</b> a region has, in little-endian order: the revision identifier (bytes 3:0, bit
 * 31 the shadow-VMCS indicator), the VMX-abort indicator (7:4), the launch state (11:8, 0 clear, 1
 * launched), zero (15:12), then each field of the {@link VmcsField} table in its order in 8 bytes,
 * zero-extended. Whoever changes the table changes {@link VmxCapabilities#REVISION}.
 *
 * <p>Source: SDM 25.2 "Format of the VMCS Region", 25.11.1 "Basic VMCS Support", 25.11.3
 * "Initializing a VMCS".
 */
public final class Vmcs {
  public static final int VIRTUAL_PROCESSOR_ID = VmcsField.VIRTUAL_PROCESSOR_ID.ordinal();
  public static final int POSTED_INTR_NV = VmcsField.POSTED_INTR_NV.ordinal();
  public static final int EPTP_INDEX = VmcsField.EPTP_INDEX.ordinal();
  public static final int HLAT_PREFIX_SIZE = VmcsField.HLAT_PREFIX_SIZE.ordinal();
  public static final int LAST_PID_POINTER_INDEX = VmcsField.LAST_PID_POINTER_INDEX.ordinal();
  public static final int GUEST_ES_SELECTOR = VmcsField.GUEST_ES_SELECTOR.ordinal();
  public static final int GUEST_CS_SELECTOR = VmcsField.GUEST_CS_SELECTOR.ordinal();
  public static final int GUEST_SS_SELECTOR = VmcsField.GUEST_SS_SELECTOR.ordinal();
  public static final int GUEST_DS_SELECTOR = VmcsField.GUEST_DS_SELECTOR.ordinal();
  public static final int GUEST_FS_SELECTOR = VmcsField.GUEST_FS_SELECTOR.ordinal();
  public static final int GUEST_GS_SELECTOR = VmcsField.GUEST_GS_SELECTOR.ordinal();
  public static final int GUEST_LDTR_SELECTOR = VmcsField.GUEST_LDTR_SELECTOR.ordinal();
  public static final int GUEST_TR_SELECTOR = VmcsField.GUEST_TR_SELECTOR.ordinal();
  public static final int GUEST_INTR_STATUS = VmcsField.GUEST_INTR_STATUS.ordinal();
  public static final int GUEST_PML_INDEX = VmcsField.GUEST_PML_INDEX.ordinal();
  public static final int GUEST_UINV = VmcsField.GUEST_UINV.ordinal();
  public static final int HOST_ES_SELECTOR = VmcsField.HOST_ES_SELECTOR.ordinal();
  public static final int HOST_CS_SELECTOR = VmcsField.HOST_CS_SELECTOR.ordinal();
  public static final int HOST_SS_SELECTOR = VmcsField.HOST_SS_SELECTOR.ordinal();
  public static final int HOST_DS_SELECTOR = VmcsField.HOST_DS_SELECTOR.ordinal();
  public static final int HOST_FS_SELECTOR = VmcsField.HOST_FS_SELECTOR.ordinal();
  public static final int HOST_GS_SELECTOR = VmcsField.HOST_GS_SELECTOR.ordinal();
  public static final int HOST_TR_SELECTOR = VmcsField.HOST_TR_SELECTOR.ordinal();
  public static final int IO_BITMAP_A = VmcsField.IO_BITMAP_A.ordinal();
  public static final int IO_BITMAP_B = VmcsField.IO_BITMAP_B.ordinal();
  public static final int MSR_BITMAP = VmcsField.MSR_BITMAP.ordinal();
  public static final int VM_EXIT_MSR_STORE_ADDR = VmcsField.VM_EXIT_MSR_STORE_ADDR.ordinal();
  public static final int VM_EXIT_MSR_LOAD_ADDR = VmcsField.VM_EXIT_MSR_LOAD_ADDR.ordinal();
  public static final int VM_ENTRY_MSR_LOAD_ADDR = VmcsField.VM_ENTRY_MSR_LOAD_ADDR.ordinal();
  public static final int EXECUTIVE_VMCS_POINTER = VmcsField.EXECUTIVE_VMCS_POINTER.ordinal();
  public static final int PML_ADDRESS = VmcsField.PML_ADDRESS.ordinal();
  public static final int TSC_OFFSET = VmcsField.TSC_OFFSET.ordinal();
  public static final int VIRTUAL_APIC_PAGE_ADDR = VmcsField.VIRTUAL_APIC_PAGE_ADDR.ordinal();
  public static final int APIC_ACCESS_ADDR = VmcsField.APIC_ACCESS_ADDR.ordinal();
  public static final int POSTED_INTR_DESC_ADDR = VmcsField.POSTED_INTR_DESC_ADDR.ordinal();
  public static final int VM_FUNCTION_CONTROL = VmcsField.VM_FUNCTION_CONTROL.ordinal();
  public static final int EPT_POINTER = VmcsField.EPT_POINTER.ordinal();
  public static final int EOI_EXIT_BITMAP0 = VmcsField.EOI_EXIT_BITMAP0.ordinal();
  public static final int EOI_EXIT_BITMAP1 = VmcsField.EOI_EXIT_BITMAP1.ordinal();
  public static final int EOI_EXIT_BITMAP2 = VmcsField.EOI_EXIT_BITMAP2.ordinal();
  public static final int EOI_EXIT_BITMAP3 = VmcsField.EOI_EXIT_BITMAP3.ordinal();
  public static final int EPTP_LIST_ADDRESS = VmcsField.EPTP_LIST_ADDRESS.ordinal();
  public static final int VMREAD_BITMAP = VmcsField.VMREAD_BITMAP.ordinal();
  public static final int VMWRITE_BITMAP = VmcsField.VMWRITE_BITMAP.ordinal();
  public static final int VE_INFORMATION_ADDRESS = VmcsField.VE_INFORMATION_ADDRESS.ordinal();
  public static final int XSS_EXIT_BITMAP = VmcsField.XSS_EXIT_BITMAP.ordinal();
  public static final int ENCLS_EXITING_BITMAP = VmcsField.ENCLS_EXITING_BITMAP.ordinal();
  public static final int SPP_TABLE_POINTER = VmcsField.SPP_TABLE_POINTER.ordinal();
  public static final int TSC_MULTIPLIER = VmcsField.TSC_MULTIPLIER.ordinal();
  public static final int TERTIARY_VM_EXEC_CONTROL = VmcsField.TERTIARY_VM_EXEC_CONTROL.ordinal();
  public static final int ENCLV_EXITING_BITMAP = VmcsField.ENCLV_EXITING_BITMAP.ordinal();
  public static final int LOW_PASID_DIRECTORY = VmcsField.LOW_PASID_DIRECTORY.ordinal();
  public static final int HIGH_PASID_DIRECTORY = VmcsField.HIGH_PASID_DIRECTORY.ordinal();
  public static final int SHARED_EPT_POINTER = VmcsField.SHARED_EPT_POINTER.ordinal();
  public static final int PCONFIG_EXITING_BITMAP = VmcsField.PCONFIG_EXITING_BITMAP.ordinal();
  public static final int HLATP = VmcsField.HLATP.ordinal();
  public static final int PID_POINTER_TABLE = VmcsField.PID_POINTER_TABLE.ordinal();
  public static final int SECONDARY_VM_EXIT_CONTROLS =
      VmcsField.SECONDARY_VM_EXIT_CONTROLS.ordinal();
  public static final int IA32_SPEC_CTRL_MASK = VmcsField.IA32_SPEC_CTRL_MASK.ordinal();
  public static final int IA32_SPEC_CTRL_SHADOW = VmcsField.IA32_SPEC_CTRL_SHADOW.ordinal();
  public static final int INJECTED_EVENT_DATA = VmcsField.INJECTED_EVENT_DATA.ordinal();
  public static final int GUEST_PHYSICAL_ADDRESS = VmcsField.GUEST_PHYSICAL_ADDRESS.ordinal();
  public static final int MSR_DATA = VmcsField.MSR_DATA.ordinal();
  public static final int ORIGINAL_EVENT_DATA = VmcsField.ORIGINAL_EVENT_DATA.ordinal();
  public static final int VMCS_LINK_POINTER = VmcsField.VMCS_LINK_POINTER.ordinal();
  public static final int GUEST_IA32_DEBUGCTL = VmcsField.GUEST_IA32_DEBUGCTL.ordinal();
  public static final int GUEST_IA32_PAT = VmcsField.GUEST_IA32_PAT.ordinal();
  public static final int GUEST_IA32_EFER = VmcsField.GUEST_IA32_EFER.ordinal();
  public static final int GUEST_IA32_PERF_GLOBAL_CTRL =
      VmcsField.GUEST_IA32_PERF_GLOBAL_CTRL.ordinal();
  public static final int GUEST_PDPTR0 = VmcsField.GUEST_PDPTR0.ordinal();
  public static final int GUEST_PDPTR1 = VmcsField.GUEST_PDPTR1.ordinal();
  public static final int GUEST_PDPTR2 = VmcsField.GUEST_PDPTR2.ordinal();
  public static final int GUEST_PDPTR3 = VmcsField.GUEST_PDPTR3.ordinal();
  public static final int GUEST_BNDCFGS = VmcsField.GUEST_BNDCFGS.ordinal();
  public static final int GUEST_IA32_RTIT_CTL = VmcsField.GUEST_IA32_RTIT_CTL.ordinal();
  public static final int GUEST_IA32_LBR_CTL = VmcsField.GUEST_IA32_LBR_CTL.ordinal();
  public static final int GUEST_IA32_PKRS = VmcsField.GUEST_IA32_PKRS.ordinal();
  public static final int GUEST_IA32_FRED_CONFIG = VmcsField.GUEST_IA32_FRED_CONFIG.ordinal();
  public static final int GUEST_IA32_FRED_RSP1 = VmcsField.GUEST_IA32_FRED_RSP1.ordinal();
  public static final int GUEST_IA32_FRED_RSP2 = VmcsField.GUEST_IA32_FRED_RSP2.ordinal();
  public static final int GUEST_IA32_FRED_RSP3 = VmcsField.GUEST_IA32_FRED_RSP3.ordinal();
  public static final int GUEST_IA32_FRED_STKLVLS = VmcsField.GUEST_IA32_FRED_STKLVLS.ordinal();
  public static final int GUEST_IA32_FRED_SSP1 = VmcsField.GUEST_IA32_FRED_SSP1.ordinal();
  public static final int GUEST_IA32_FRED_SSP2 = VmcsField.GUEST_IA32_FRED_SSP2.ordinal();
  public static final int GUEST_IA32_FRED_SSP3 = VmcsField.GUEST_IA32_FRED_SSP3.ordinal();
  public static final int GUEST_IA32_SPEC_CTRL = VmcsField.GUEST_IA32_SPEC_CTRL.ordinal();
  public static final int HOST_IA32_PAT = VmcsField.HOST_IA32_PAT.ordinal();
  public static final int HOST_IA32_EFER = VmcsField.HOST_IA32_EFER.ordinal();
  public static final int HOST_IA32_PERF_GLOBAL_CTRL =
      VmcsField.HOST_IA32_PERF_GLOBAL_CTRL.ordinal();
  public static final int HOST_IA32_PKRS = VmcsField.HOST_IA32_PKRS.ordinal();
  public static final int HOST_IA32_FRED_CONFIG = VmcsField.HOST_IA32_FRED_CONFIG.ordinal();
  public static final int HOST_IA32_FRED_RSP1 = VmcsField.HOST_IA32_FRED_RSP1.ordinal();
  public static final int HOST_IA32_FRED_RSP2 = VmcsField.HOST_IA32_FRED_RSP2.ordinal();
  public static final int HOST_IA32_FRED_RSP3 = VmcsField.HOST_IA32_FRED_RSP3.ordinal();
  public static final int HOST_IA32_FRED_STKLVLS = VmcsField.HOST_IA32_FRED_STKLVLS.ordinal();
  public static final int HOST_IA32_FRED_SSP1 = VmcsField.HOST_IA32_FRED_SSP1.ordinal();
  public static final int HOST_IA32_FRED_SSP2 = VmcsField.HOST_IA32_FRED_SSP2.ordinal();
  public static final int HOST_IA32_FRED_SSP3 = VmcsField.HOST_IA32_FRED_SSP3.ordinal();
  public static final int HOST_IA32_SPEC_CTRL = VmcsField.HOST_IA32_SPEC_CTRL.ordinal();
  public static final int PIN_BASED_VM_EXEC_CONTROL = VmcsField.PIN_BASED_VM_EXEC_CONTROL.ordinal();
  public static final int CPU_BASED_VM_EXEC_CONTROL = VmcsField.CPU_BASED_VM_EXEC_CONTROL.ordinal();
  public static final int EXCEPTION_BITMAP = VmcsField.EXCEPTION_BITMAP.ordinal();
  public static final int PAGE_FAULT_ERROR_CODE_MASK =
      VmcsField.PAGE_FAULT_ERROR_CODE_MASK.ordinal();
  public static final int PAGE_FAULT_ERROR_CODE_MATCH =
      VmcsField.PAGE_FAULT_ERROR_CODE_MATCH.ordinal();
  public static final int CR3_TARGET_COUNT = VmcsField.CR3_TARGET_COUNT.ordinal();
  public static final int VM_EXIT_CONTROLS = VmcsField.VM_EXIT_CONTROLS.ordinal();
  public static final int VM_EXIT_MSR_STORE_COUNT = VmcsField.VM_EXIT_MSR_STORE_COUNT.ordinal();
  public static final int VM_EXIT_MSR_LOAD_COUNT = VmcsField.VM_EXIT_MSR_LOAD_COUNT.ordinal();
  public static final int VM_ENTRY_CONTROLS = VmcsField.VM_ENTRY_CONTROLS.ordinal();
  public static final int VM_ENTRY_MSR_LOAD_COUNT = VmcsField.VM_ENTRY_MSR_LOAD_COUNT.ordinal();
  public static final int VM_ENTRY_INTR_INFO_FIELD = VmcsField.VM_ENTRY_INTR_INFO_FIELD.ordinal();
  public static final int VM_ENTRY_EXCEPTION_ERROR_CODE =
      VmcsField.VM_ENTRY_EXCEPTION_ERROR_CODE.ordinal();
  public static final int VM_ENTRY_INSTRUCTION_LEN = VmcsField.VM_ENTRY_INSTRUCTION_LEN.ordinal();
  public static final int TPR_THRESHOLD = VmcsField.TPR_THRESHOLD.ordinal();
  public static final int SECONDARY_VM_EXEC_CONTROL = VmcsField.SECONDARY_VM_EXEC_CONTROL.ordinal();
  public static final int PLE_GAP = VmcsField.PLE_GAP.ordinal();
  public static final int PLE_WINDOW = VmcsField.PLE_WINDOW.ordinal();
  public static final int NOTIFY_WINDOW = VmcsField.NOTIFY_WINDOW.ordinal();
  public static final int VM_INSTRUCTION_ERROR = VmcsField.VM_INSTRUCTION_ERROR.ordinal();
  public static final int VM_EXIT_REASON = VmcsField.VM_EXIT_REASON.ordinal();
  public static final int VM_EXIT_INTR_INFO = VmcsField.VM_EXIT_INTR_INFO.ordinal();
  public static final int VM_EXIT_INTR_ERROR_CODE = VmcsField.VM_EXIT_INTR_ERROR_CODE.ordinal();
  public static final int IDT_VECTORING_INFO_FIELD = VmcsField.IDT_VECTORING_INFO_FIELD.ordinal();
  public static final int IDT_VECTORING_ERROR_CODE = VmcsField.IDT_VECTORING_ERROR_CODE.ordinal();
  public static final int VM_EXIT_INSTRUCTION_LEN = VmcsField.VM_EXIT_INSTRUCTION_LEN.ordinal();
  public static final int VMX_INSTRUCTION_INFO = VmcsField.VMX_INSTRUCTION_INFO.ordinal();
  public static final int GUEST_ES_LIMIT = VmcsField.GUEST_ES_LIMIT.ordinal();
  public static final int GUEST_CS_LIMIT = VmcsField.GUEST_CS_LIMIT.ordinal();
  public static final int GUEST_SS_LIMIT = VmcsField.GUEST_SS_LIMIT.ordinal();
  public static final int GUEST_DS_LIMIT = VmcsField.GUEST_DS_LIMIT.ordinal();
  public static final int GUEST_FS_LIMIT = VmcsField.GUEST_FS_LIMIT.ordinal();
  public static final int GUEST_GS_LIMIT = VmcsField.GUEST_GS_LIMIT.ordinal();
  public static final int GUEST_LDTR_LIMIT = VmcsField.GUEST_LDTR_LIMIT.ordinal();
  public static final int GUEST_TR_LIMIT = VmcsField.GUEST_TR_LIMIT.ordinal();
  public static final int GUEST_GDTR_LIMIT = VmcsField.GUEST_GDTR_LIMIT.ordinal();
  public static final int GUEST_IDTR_LIMIT = VmcsField.GUEST_IDTR_LIMIT.ordinal();
  public static final int GUEST_ES_AR_BYTES = VmcsField.GUEST_ES_AR_BYTES.ordinal();
  public static final int GUEST_CS_AR_BYTES = VmcsField.GUEST_CS_AR_BYTES.ordinal();
  public static final int GUEST_SS_AR_BYTES = VmcsField.GUEST_SS_AR_BYTES.ordinal();
  public static final int GUEST_DS_AR_BYTES = VmcsField.GUEST_DS_AR_BYTES.ordinal();
  public static final int GUEST_FS_AR_BYTES = VmcsField.GUEST_FS_AR_BYTES.ordinal();
  public static final int GUEST_GS_AR_BYTES = VmcsField.GUEST_GS_AR_BYTES.ordinal();
  public static final int GUEST_LDTR_AR_BYTES = VmcsField.GUEST_LDTR_AR_BYTES.ordinal();
  public static final int GUEST_TR_AR_BYTES = VmcsField.GUEST_TR_AR_BYTES.ordinal();
  public static final int GUEST_INTERRUPTIBILITY_INFO =
      VmcsField.GUEST_INTERRUPTIBILITY_INFO.ordinal();
  public static final int GUEST_ACTIVITY_STATE = VmcsField.GUEST_ACTIVITY_STATE.ordinal();
  public static final int GUEST_SMBASE = VmcsField.GUEST_SMBASE.ordinal();
  public static final int GUEST_SYSENTER_CS = VmcsField.GUEST_SYSENTER_CS.ordinal();
  public static final int VMX_PREEMPTION_TIMER_VALUE =
      VmcsField.VMX_PREEMPTION_TIMER_VALUE.ordinal();
  public static final int HOST_IA32_SYSENTER_CS = VmcsField.HOST_IA32_SYSENTER_CS.ordinal();
  public static final int CR0_GUEST_HOST_MASK = VmcsField.CR0_GUEST_HOST_MASK.ordinal();
  public static final int CR4_GUEST_HOST_MASK = VmcsField.CR4_GUEST_HOST_MASK.ordinal();
  public static final int CR0_READ_SHADOW = VmcsField.CR0_READ_SHADOW.ordinal();
  public static final int CR4_READ_SHADOW = VmcsField.CR4_READ_SHADOW.ordinal();
  public static final int CR3_TARGET_VALUE0 = VmcsField.CR3_TARGET_VALUE0.ordinal();
  public static final int CR3_TARGET_VALUE1 = VmcsField.CR3_TARGET_VALUE1.ordinal();
  public static final int CR3_TARGET_VALUE2 = VmcsField.CR3_TARGET_VALUE2.ordinal();
  public static final int CR3_TARGET_VALUE3 = VmcsField.CR3_TARGET_VALUE3.ordinal();
  public static final int EXIT_QUALIFICATION = VmcsField.EXIT_QUALIFICATION.ordinal();
  public static final int EXIT_IO_RCX = VmcsField.EXIT_IO_RCX.ordinal();
  public static final int EXIT_IO_RSI = VmcsField.EXIT_IO_RSI.ordinal();
  public static final int EXIT_IO_RDI = VmcsField.EXIT_IO_RDI.ordinal();
  public static final int EXIT_IO_RIP = VmcsField.EXIT_IO_RIP.ordinal();
  public static final int GUEST_LINEAR_ADDRESS = VmcsField.GUEST_LINEAR_ADDRESS.ordinal();
  public static final int GUEST_CR0 = VmcsField.GUEST_CR0.ordinal();
  public static final int GUEST_CR3 = VmcsField.GUEST_CR3.ordinal();
  public static final int GUEST_CR4 = VmcsField.GUEST_CR4.ordinal();
  public static final int GUEST_ES_BASE = VmcsField.GUEST_ES_BASE.ordinal();
  public static final int GUEST_CS_BASE = VmcsField.GUEST_CS_BASE.ordinal();
  public static final int GUEST_SS_BASE = VmcsField.GUEST_SS_BASE.ordinal();
  public static final int GUEST_DS_BASE = VmcsField.GUEST_DS_BASE.ordinal();
  public static final int GUEST_FS_BASE = VmcsField.GUEST_FS_BASE.ordinal();
  public static final int GUEST_GS_BASE = VmcsField.GUEST_GS_BASE.ordinal();
  public static final int GUEST_LDTR_BASE = VmcsField.GUEST_LDTR_BASE.ordinal();
  public static final int GUEST_TR_BASE = VmcsField.GUEST_TR_BASE.ordinal();
  public static final int GUEST_GDTR_BASE = VmcsField.GUEST_GDTR_BASE.ordinal();
  public static final int GUEST_IDTR_BASE = VmcsField.GUEST_IDTR_BASE.ordinal();
  public static final int GUEST_DR7 = VmcsField.GUEST_DR7.ordinal();
  public static final int GUEST_RSP = VmcsField.GUEST_RSP.ordinal();
  public static final int GUEST_RIP = VmcsField.GUEST_RIP.ordinal();
  public static final int GUEST_RFLAGS = VmcsField.GUEST_RFLAGS.ordinal();
  public static final int GUEST_PENDING_DBG_EXCEPTIONS =
      VmcsField.GUEST_PENDING_DBG_EXCEPTIONS.ordinal();
  public static final int GUEST_SYSENTER_ESP = VmcsField.GUEST_SYSENTER_ESP.ordinal();
  public static final int GUEST_SYSENTER_EIP = VmcsField.GUEST_SYSENTER_EIP.ordinal();
  public static final int GUEST_S_CET = VmcsField.GUEST_S_CET.ordinal();
  public static final int GUEST_SSP = VmcsField.GUEST_SSP.ordinal();
  public static final int GUEST_INTR_SSP_TABLE = VmcsField.GUEST_INTR_SSP_TABLE.ordinal();
  public static final int HOST_CR0 = VmcsField.HOST_CR0.ordinal();
  public static final int HOST_CR3 = VmcsField.HOST_CR3.ordinal();
  public static final int HOST_CR4 = VmcsField.HOST_CR4.ordinal();
  public static final int HOST_FS_BASE = VmcsField.HOST_FS_BASE.ordinal();
  public static final int HOST_GS_BASE = VmcsField.HOST_GS_BASE.ordinal();
  public static final int HOST_TR_BASE = VmcsField.HOST_TR_BASE.ordinal();
  public static final int HOST_GDTR_BASE = VmcsField.HOST_GDTR_BASE.ordinal();
  public static final int HOST_IDTR_BASE = VmcsField.HOST_IDTR_BASE.ordinal();
  public static final int HOST_IA32_SYSENTER_ESP = VmcsField.HOST_IA32_SYSENTER_ESP.ordinal();
  public static final int HOST_IA32_SYSENTER_EIP = VmcsField.HOST_IA32_SYSENTER_EIP.ordinal();
  public static final int HOST_RSP = VmcsField.HOST_RSP.ordinal();
  public static final int HOST_RIP = VmcsField.HOST_RIP.ordinal();
  public static final int HOST_S_CET = VmcsField.HOST_S_CET.ordinal();
  public static final int HOST_SSP = VmcsField.HOST_SSP.ordinal();
  public static final int HOST_INTR_SSP_TABLE = VmcsField.HOST_INTR_SSP_TABLE.ordinal();

  /** Bytes of a region in memory. */
  public static final int REGION_SIZE = 4096;

  /** Bit 31 of the first word of a region: a shadow VMCS. */
  public static final int SHADOW_INDICATOR = 1 << 31;

  private static final int FIELDS_OFFSET = 16;

  /** Words of {@link #dirty}. */
  public static final int DIRTY_WORDS = (VmcsField.COUNT + 63) / 64;

  private static final long[] MASK = new long[VmcsField.COUNT];

  /** Fields that may be saved later than at VM exit. */
  private static final boolean[] DEFERRABLE = new boolean[VmcsField.COUNT];

  /** Those, and what is saved at VM exit and again with them: written before, it would be lost. */
  private static final boolean[] SAVED_WITH_DEFERRED;

  static {
    for (VmcsField field : VmcsField.values()) {
      MASK[field.ordinal()] = field.width.mask;
    }
    for (int s = 0; s < 8; s++) {
      DEFERRABLE[GUEST_ES_SELECTOR + s] = true;
      DEFERRABLE[GUEST_ES_BASE + s] = true;
      DEFERRABLE[GUEST_ES_LIMIT + s] = true;
      DEFERRABLE[GUEST_ES_AR_BYTES + s] = true;
    }
    DEFERRABLE[GUEST_CS_AR_BYTES] = false;
    DEFERRABLE[GUEST_CS_BASE] = false;
    DEFERRABLE[GUEST_SS_AR_BYTES] = false;
    for (int ordinal :
        new int[] {
          GUEST_GDTR_BASE,
          GUEST_GDTR_LIMIT,
          GUEST_IDTR_BASE,
          GUEST_IDTR_LIMIT,
          GUEST_SYSENTER_CS,
          GUEST_SYSENTER_ESP,
          GUEST_SYSENTER_EIP,
          GUEST_DR7,
          GUEST_IA32_PAT,
          GUEST_IA32_PKRS,
          GUEST_S_CET,
          GUEST_SSP,
          GUEST_INTR_SSP_TABLE,
          GUEST_PDPTR0,
          GUEST_PDPTR1,
          GUEST_PDPTR2,
          GUEST_PDPTR3
        }) {
      DEFERRABLE[ordinal] = true;
    }
    SAVED_WITH_DEFERRED = DEFERRABLE.clone();
    for (int ordinal :
        new int[] {
          GUEST_CR0,
          GUEST_CR3,
          GUEST_CR4,
          GUEST_CS_AR_BYTES,
          GUEST_CS_BASE,
          GUEST_SS_AR_BYTES,
          GUEST_IA32_EFER,
          GUEST_IA32_DEBUGCTL
        }) {
      SAVED_WITH_DEFERRED[ordinal] = true;
    }
  }

  /** Host-physical address of the region. */
  public final long address;

  /** The fields' values by ordinal, zero-extended from their widths. */
  public final long[] v = new long[VmcsField.COUNT];

  /** Bit by ordinal: written by software, or read from memory, since the last successful entry. */
  public final long[] dirty = new long[DIRTY_WORDS];

  /** IA32_EFER.LMA of the host at the last successful entry. */
  public boolean verifiedInLongMode;

  private @Nullable Deferred deferred;

  /** Launch state: false "clear", true "launched". */
  public boolean launched;

  /** VMX-abort indicator. SDM 28.7 "VMX Aborts". */
  public int abort;

  /** VMCS revision identifier, with the shadow-VMCS indicator in bit 31. */
  public int revision;

  public Vmcs(long address) {
    this.address = address;
    markAll();
  }

  /**
   * A field as software writes it: truncated to its width and remembered as written, if that
   * changes it.
   */
  public void write(int ordinal, long value) {
    if (deferred != null && SAVED_WITH_DEFERRED[ordinal]) {
      complete();
    }
    long kept = value & MASK[ordinal];
    if (v[ordinal] == kept) {
      return;
    }
    if (ordinal == GUEST_RFLAGS && (v[ordinal] ^ kept) == Flags.RF) {
      // No check reads it, and each entry loads it: a hypervisor clears it after each fault.
      v[ordinal] = kept;
      return;
    }
    if (ordinal == GUEST_RIP && (v[ordinal] ^ kept) >>> 32 == 0) {
      // Checks read bits 63:32 alone, and each entry loads it: a hypervisor skips instructions.
      v[ordinal] = kept;
      return;
    }
    if (ordinal == CPU_BASED_VM_EXEC_CONTROL && (v[ordinal] ^ kept) >>> 31 != 0) {
      // Secondary controls come into force, or cease to be.
      mark(SECONDARY_VM_EXEC_CONTROL);
    }
    v[ordinal] = kept;
    mark(ordinal);
  }

  private void mark(int ordinal) {
    dirty[ordinal >> 6] |= 1L << ordinal;
  }

  /**
   * Has the checks that read a field run at the next entry: what was stored there may fail them.
   */
  public void checkAgain(int ordinal) {
    mark(ordinal);
  }

  /** A field as software writes it. */
  public void write(VmcsField field, long value) {
    write(field.ordinal(), value);
  }

  /** A field's value. */
  public long read(int ordinal) {
    if (deferred != null && DEFERRABLE[ordinal]) {
      complete();
    }
    return v[ordinal];
  }

  /** A field's value. */
  public long read(VmcsField field) {
    return read(field.ordinal());
  }

  /**
   * Promises to save the {@link #isDeferrable deferrable} fields when one of them is looked at.
   *
   * @param source null if they are saved
   */
  public void defer(@Nullable Deferred source) {
    deferred = source;
  }

  /** Whether saving is outstanding. */
  public boolean isDeferred() {
    return deferred != null;
  }

  /** Saves what was deferred. */
  public void complete() {
    Deferred source = deferred;
    if (source != null) {
      deferred = null;
      source.save(this);
    }
  }

  /** Whether saving the field may be deferred. */
  public static boolean isDeferrable(int ordinal) {
    return DEFERRABLE[ordinal];
  }

  /** Whether software wrote the field since the last successful entry. */
  public boolean isDirty(int ordinal) {
    return (dirty[ordinal >> 6] & 1L << ordinal) != 0;
  }

  /** Whether there is nothing that the last successful entry has not verified. */
  public boolean isVerified() {
    long written = 0;
    for (int w = 0; w < DIRTY_WORDS; w++) {
      written |= dirty[w];
    }
    return written == 0;
  }

  /** Forgets what was verified: every field counts as written. */
  public void markAll() {
    Arrays.fill(dirty, -1L);
    dirty[DIRTY_WORDS - 1] = -1L >>> DIRTY_WORDS * 64 - VmcsField.COUNT;
  }

  /**
   * Remembers that all fields as they stand passed a VM entry.
   *
   * @param longMode IA32_EFER.LMA of the host at the time
   */
  public void markVerified(boolean longMode) {
    for (int w = 0; w < DIRTY_WORDS; w++) {
      dirty[w] = 0;
    }
    verifiedInLongMode = longMode;
  }

  /** Saves guest state that a VM exit left in the processor. */
  @FunctionalInterface
  public interface Deferred {
    /** Stores the deferrable fields into {@link Vmcs#v}. */
    void save(Vmcs vmcs);
  }

  /** Reads everything from the region in memory, as VMPTRLD may. */
  public void load(PhysicalMemory memory) {
    revision = memory.readInt(address);
    abort = memory.readInt(address + 4);
    launched = (memory.readInt(address + 8) & 1) != 0;
    for (int i = 0; i < v.length; i++) {
      v[i] = memory.readLong(address + FIELDS_OFFSET + 8L * i) & MASK[i];
    }
    markAll();
  }

  /** Writes everything to the region in memory, as VMCLEAR does; the revision identifier stays. */
  public void store(PhysicalMemory memory) {
    complete();
    memory.writeInt(address + 4, abort);
    memory.writeInt(address + 8, launched ? 1 : 0);
    memory.writeInt(address + 12, 0);
    for (int i = 0; i < v.length; i++) {
      memory.writeLong(address + FIELDS_OFFSET + 8L * i, v[i]);
    }
  }

  /** Marks a region in memory that no processor holds as clear. */
  public static void clear(PhysicalMemory memory, long address) {
    memory.writeInt(address + 8, 0);
  }
}
