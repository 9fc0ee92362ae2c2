package org.kvm4j.vmx.vmcs;

/**
 * Masks of the control bits, under the names that Linux gives them; {@link Control} has them as
 * values. 64-bit words' masks are {@code long}.
 *
 * <p>Source: SDM 25.6 "VM-Execution Control Fields", 25.7 "VM-Exit Control Fields", 25.8 "VM-Entry
 * Control Fields".
 */
public final class Controls {
  public static final int PIN_BASED_EXT_INTR_MASK = 1 << 0;
  public static final int PIN_BASED_NMI_EXITING = 1 << 3;
  public static final int PIN_BASED_VIRTUAL_NMIS = 1 << 5;
  public static final int PIN_BASED_VMX_PREEMPTION_TIMER = 1 << 6;
  public static final int PIN_BASED_POSTED_INTR = 1 << 7;

  public static final int CPU_BASED_INTR_WINDOW_EXITING = 1 << 2;
  public static final int CPU_BASED_USE_TSC_OFFSETTING = 1 << 3;
  public static final int CPU_BASED_HLT_EXITING = 1 << 7;
  public static final int CPU_BASED_INVLPG_EXITING = 1 << 9;
  public static final int CPU_BASED_MWAIT_EXITING = 1 << 10;
  public static final int CPU_BASED_RDPMC_EXITING = 1 << 11;
  public static final int CPU_BASED_RDTSC_EXITING = 1 << 12;
  public static final int CPU_BASED_CR3_LOAD_EXITING = 1 << 15;
  public static final int CPU_BASED_CR3_STORE_EXITING = 1 << 16;
  public static final int CPU_BASED_ACTIVATE_TERTIARY_CONTROLS = 1 << 17;
  public static final int CPU_BASED_CR8_LOAD_EXITING = 1 << 19;
  public static final int CPU_BASED_CR8_STORE_EXITING = 1 << 20;
  public static final int CPU_BASED_TPR_SHADOW = 1 << 21;
  public static final int CPU_BASED_NMI_WINDOW_EXITING = 1 << 22;
  public static final int CPU_BASED_MOV_DR_EXITING = 1 << 23;
  public static final int CPU_BASED_UNCOND_IO_EXITING = 1 << 24;
  public static final int CPU_BASED_USE_IO_BITMAPS = 1 << 25;
  public static final int CPU_BASED_MONITOR_TRAP_FLAG = 1 << 27;
  public static final int CPU_BASED_USE_MSR_BITMAPS = 1 << 28;
  public static final int CPU_BASED_MONITOR_EXITING = 1 << 29;
  public static final int CPU_BASED_PAUSE_EXITING = 1 << 30;
  public static final int CPU_BASED_ACTIVATE_SECONDARY_CONTROLS = 1 << 31;

  public static final int SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES = 1 << 0;
  public static final int SECONDARY_EXEC_ENABLE_EPT = 1 << 1;
  public static final int SECONDARY_EXEC_DESC = 1 << 2;
  public static final int SECONDARY_EXEC_ENABLE_RDTSCP = 1 << 3;
  public static final int SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE = 1 << 4;
  public static final int SECONDARY_EXEC_ENABLE_VPID = 1 << 5;
  public static final int SECONDARY_EXEC_WBINVD_EXITING = 1 << 6;
  public static final int SECONDARY_EXEC_UNRESTRICTED_GUEST = 1 << 7;
  public static final int SECONDARY_EXEC_APIC_REGISTER_VIRT = 1 << 8;
  public static final int SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY = 1 << 9;
  public static final int SECONDARY_EXEC_PAUSE_LOOP_EXITING = 1 << 10;
  public static final int SECONDARY_EXEC_RDRAND_EXITING = 1 << 11;
  public static final int SECONDARY_EXEC_ENABLE_INVPCID = 1 << 12;
  public static final int SECONDARY_EXEC_ENABLE_VMFUNC = 1 << 13;
  public static final int SECONDARY_EXEC_SHADOW_VMCS = 1 << 14;
  public static final int SECONDARY_EXEC_ENCLS_EXITING = 1 << 15;
  public static final int SECONDARY_EXEC_RDSEED_EXITING = 1 << 16;
  public static final int SECONDARY_EXEC_ENABLE_PML = 1 << 17;
  public static final int SECONDARY_EXEC_EPT_VIOLATION_VE = 1 << 18;
  public static final int SECONDARY_EXEC_PT_CONCEAL_VMX = 1 << 19;
  public static final int SECONDARY_EXEC_ENABLE_XSAVES = 1 << 20;
  public static final int SECONDARY_EXEC_PASID_TRANSLATION = 1 << 21;
  public static final int SECONDARY_EXEC_MODE_BASED_EPT_EXEC = 1 << 22;
  public static final int SECONDARY_EXEC_SUB_PAGE_WRITE = 1 << 23;
  public static final int SECONDARY_EXEC_PT_USE_GPA = 1 << 24;
  public static final int SECONDARY_EXEC_TSC_SCALING = 1 << 25;
  public static final int SECONDARY_EXEC_ENABLE_USR_WAIT_PAUSE = 1 << 26;
  public static final int SECONDARY_EXEC_PCONFIG = 1 << 27;
  public static final int SECONDARY_EXEC_ENCLV_EXITING = 1 << 28;
  public static final int SECONDARY_EXEC_BUS_LOCK_DETECTION = 1 << 30;
  public static final int SECONDARY_EXEC_NOTIFY_VM_EXITING = 1 << 31;

  public static final long TERTIARY_EXEC_LOADIWKEY_EXITING = 1L << 0;
  public static final long TERTIARY_EXEC_ENABLE_HLAT = 1L << 1;
  public static final long TERTIARY_EXEC_EPT_PAGING_WRITE = 1L << 2;
  public static final long TERTIARY_EXEC_GUEST_PAGING_VERIFICATION = 1L << 3;
  public static final long TERTIARY_EXEC_IPI_VIRT = 1L << 4;
  public static final long TERTIARY_EXEC_ENABLE_MSR_LIST = 1L << 6;
  public static final long TERTIARY_EXEC_SPEC_CTRL = 1L << 7;

  public static final long VM_FUNCTION_EPTP_SWITCHING = 1L << 0;

  public static final int VM_EXIT_SAVE_DEBUG_CONTROLS = 1 << 2;
  public static final int VM_EXIT_HOST_ADDR_SPACE_SIZE = 1 << 9;
  public static final int VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL = 1 << 12;
  public static final int VM_EXIT_ACK_INTR_ON_EXIT = 1 << 15;
  public static final int VM_EXIT_SAVE_IA32_PAT = 1 << 18;
  public static final int VM_EXIT_LOAD_IA32_PAT = 1 << 19;
  public static final int VM_EXIT_SAVE_IA32_EFER = 1 << 20;
  public static final int VM_EXIT_LOAD_IA32_EFER = 1 << 21;
  public static final int VM_EXIT_SAVE_VMX_PREEMPTION_TIMER = 1 << 22;
  public static final int VM_EXIT_CLEAR_BNDCFGS = 1 << 23;
  public static final int VM_EXIT_PT_CONCEAL_PIP = 1 << 24;
  public static final int VM_EXIT_CLEAR_IA32_RTIT_CTL = 1 << 25;
  public static final int VM_EXIT_CLEAR_IA32_LBR_CTL = 1 << 26;
  public static final int VM_EXIT_CLEAR_UINV = 1 << 27;
  public static final int VM_EXIT_LOAD_CET_STATE = 1 << 28;
  public static final int VM_EXIT_LOAD_IA32_PKRS = 1 << 29;
  public static final int VM_EXIT_SAVE_IA32_PERF_GLOBAL_CTRL = 1 << 30;
  public static final int VM_EXIT_ACTIVATE_SECONDARY_CONTROLS = 1 << 31;

  public static final long SECONDARY_VM_EXIT_SAVE_IA32_FRED = 1L << 0;
  public static final long SECONDARY_VM_EXIT_LOAD_IA32_FRED = 1L << 1;
  public static final long SECONDARY_VM_EXIT_PREMATURELY_BUSY_SSS = 1L << 3;

  public static final int VM_ENTRY_LOAD_DEBUG_CONTROLS = 1 << 2;
  public static final int VM_ENTRY_IA32E_MODE = 1 << 9;
  public static final int VM_ENTRY_SMM = 1 << 10;
  public static final int VM_ENTRY_DEACT_DUAL_MONITOR = 1 << 11;
  public static final int VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL = 1 << 13;
  public static final int VM_ENTRY_LOAD_IA32_PAT = 1 << 14;
  public static final int VM_ENTRY_LOAD_IA32_EFER = 1 << 15;
  public static final int VM_ENTRY_LOAD_BNDCFGS = 1 << 16;
  public static final int VM_ENTRY_PT_CONCEAL_PIP = 1 << 17;
  public static final int VM_ENTRY_LOAD_IA32_RTIT_CTL = 1 << 18;
  public static final int VM_ENTRY_LOAD_UINV = 1 << 19;
  public static final int VM_ENTRY_LOAD_CET_STATE = 1 << 20;
  public static final int VM_ENTRY_LOAD_IA32_LBR_CTL = 1 << 21;
  public static final int VM_ENTRY_LOAD_IA32_PKRS = 1 << 22;
  public static final int VM_ENTRY_LOAD_IA32_FRED = 1 << 23;

  private Controls() {}
}
