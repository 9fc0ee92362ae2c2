package org.kvm4j.vmx.vmcs;

/**
 * The defined control bits of a VMCS, each with its word and its name in the SDM.
 *
 * <p>Source: SDM 25.6 "VM-Execution Control Fields", 25.7 "VM-Exit Control Fields", 25.8 "VM-Entry
 * Control Fields".
 */
public enum Control {
  EXTERNAL_INTERRUPT_EXITING(
      ControlWord.PIN_BASED, Controls.PIN_BASED_EXT_INTR_MASK, "External-interrupt exiting"),
  NMI_EXITING(ControlWord.PIN_BASED, Controls.PIN_BASED_NMI_EXITING, "NMI exiting"),
  VIRTUAL_NMIS(ControlWord.PIN_BASED, Controls.PIN_BASED_VIRTUAL_NMIS, "Virtual NMIs"),
  VMX_PREEMPTION_TIMER(
      ControlWord.PIN_BASED,
      Controls.PIN_BASED_VMX_PREEMPTION_TIMER,
      "Activate VMX-preemption timer"),
  POSTED_INTERRUPTS(
      ControlWord.PIN_BASED, Controls.PIN_BASED_POSTED_INTR, "Process posted interrupts"),
  INTERRUPT_WINDOW_EXITING(
      ControlWord.PROCESSOR_BASED,
      Controls.CPU_BASED_INTR_WINDOW_EXITING,
      "Interrupt-window exiting"),
  USE_TSC_OFFSETTING(
      ControlWord.PROCESSOR_BASED, Controls.CPU_BASED_USE_TSC_OFFSETTING, "Use TSC offsetting"),
  HLT_EXITING(ControlWord.PROCESSOR_BASED, Controls.CPU_BASED_HLT_EXITING, "HLT exiting"),
  INVLPG_EXITING(ControlWord.PROCESSOR_BASED, Controls.CPU_BASED_INVLPG_EXITING, "INVLPG exiting"),
  MWAIT_EXITING(ControlWord.PROCESSOR_BASED, Controls.CPU_BASED_MWAIT_EXITING, "MWAIT exiting"),
  RDPMC_EXITING(ControlWord.PROCESSOR_BASED, Controls.CPU_BASED_RDPMC_EXITING, "RDPMC exiting"),
  RDTSC_EXITING(ControlWord.PROCESSOR_BASED, Controls.CPU_BASED_RDTSC_EXITING, "RDTSC exiting"),
  CR3_LOAD_EXITING(
      ControlWord.PROCESSOR_BASED, Controls.CPU_BASED_CR3_LOAD_EXITING, "CR3-load exiting"),
  CR3_STORE_EXITING(
      ControlWord.PROCESSOR_BASED, Controls.CPU_BASED_CR3_STORE_EXITING, "CR3-store exiting"),
  ACTIVATE_TERTIARY_CONTROLS(
      ControlWord.PROCESSOR_BASED,
      Controls.CPU_BASED_ACTIVATE_TERTIARY_CONTROLS,
      "Activate tertiary controls"),
  CR8_LOAD_EXITING(
      ControlWord.PROCESSOR_BASED, Controls.CPU_BASED_CR8_LOAD_EXITING, "CR8-load exiting"),
  CR8_STORE_EXITING(
      ControlWord.PROCESSOR_BASED, Controls.CPU_BASED_CR8_STORE_EXITING, "CR8-store exiting"),
  USE_TPR_SHADOW(ControlWord.PROCESSOR_BASED, Controls.CPU_BASED_TPR_SHADOW, "Use TPR shadow"),
  NMI_WINDOW_EXITING(
      ControlWord.PROCESSOR_BASED, Controls.CPU_BASED_NMI_WINDOW_EXITING, "NMI-window exiting"),
  MOV_DR_EXITING(ControlWord.PROCESSOR_BASED, Controls.CPU_BASED_MOV_DR_EXITING, "MOV-DR exiting"),
  UNCONDITIONAL_IO_EXITING(
      ControlWord.PROCESSOR_BASED,
      Controls.CPU_BASED_UNCOND_IO_EXITING,
      "Unconditional I/O exiting"),
  USE_IO_BITMAPS(ControlWord.PROCESSOR_BASED, Controls.CPU_BASED_USE_IO_BITMAPS, "Use I/O bitmaps"),
  MONITOR_TRAP_FLAG(
      ControlWord.PROCESSOR_BASED, Controls.CPU_BASED_MONITOR_TRAP_FLAG, "Monitor trap flag"),
  USE_MSR_BITMAPS(
      ControlWord.PROCESSOR_BASED, Controls.CPU_BASED_USE_MSR_BITMAPS, "Use MSR bitmaps"),
  MONITOR_EXITING(
      ControlWord.PROCESSOR_BASED, Controls.CPU_BASED_MONITOR_EXITING, "MONITOR exiting"),
  PAUSE_EXITING(ControlWord.PROCESSOR_BASED, Controls.CPU_BASED_PAUSE_EXITING, "PAUSE exiting"),
  ACTIVATE_SECONDARY_CONTROLS(
      ControlWord.PROCESSOR_BASED,
      Controls.CPU_BASED_ACTIVATE_SECONDARY_CONTROLS,
      "Activate secondary controls"),
  VIRTUALIZE_APIC_ACCESSES(
      ControlWord.SECONDARY,
      Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES,
      "Virtualize APIC accesses"),
  ENABLE_EPT(ControlWord.SECONDARY, Controls.SECONDARY_EXEC_ENABLE_EPT, "Enable EPT"),
  DESCRIPTOR_TABLE_EXITING(
      ControlWord.SECONDARY, Controls.SECONDARY_EXEC_DESC, "Descriptor-table exiting"),
  ENABLE_RDTSCP(ControlWord.SECONDARY, Controls.SECONDARY_EXEC_ENABLE_RDTSCP, "Enable RDTSCP"),
  VIRTUALIZE_X2APIC_MODE(
      ControlWord.SECONDARY,
      Controls.SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE,
      "Virtualize x2APIC mode"),
  ENABLE_VPID(ControlWord.SECONDARY, Controls.SECONDARY_EXEC_ENABLE_VPID, "Enable VPID"),
  WBINVD_EXITING(ControlWord.SECONDARY, Controls.SECONDARY_EXEC_WBINVD_EXITING, "WBINVD exiting"),
  UNRESTRICTED_GUEST(
      ControlWord.SECONDARY, Controls.SECONDARY_EXEC_UNRESTRICTED_GUEST, "Unrestricted guest"),
  APIC_REGISTER_VIRTUALIZATION(
      ControlWord.SECONDARY,
      Controls.SECONDARY_EXEC_APIC_REGISTER_VIRT,
      "APIC-register virtualization"),
  VIRTUAL_INTERRUPT_DELIVERY(
      ControlWord.SECONDARY,
      Controls.SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY,
      "Virtual-interrupt delivery"),
  PAUSE_LOOP_EXITING(
      ControlWord.SECONDARY, Controls.SECONDARY_EXEC_PAUSE_LOOP_EXITING, "PAUSE-loop exiting"),
  RDRAND_EXITING(ControlWord.SECONDARY, Controls.SECONDARY_EXEC_RDRAND_EXITING, "RDRAND exiting"),
  ENABLE_INVPCID(ControlWord.SECONDARY, Controls.SECONDARY_EXEC_ENABLE_INVPCID, "Enable INVPCID"),
  ENABLE_VM_FUNCTIONS(
      ControlWord.SECONDARY, Controls.SECONDARY_EXEC_ENABLE_VMFUNC, "Enable VM functions"),
  VMCS_SHADOWING(ControlWord.SECONDARY, Controls.SECONDARY_EXEC_SHADOW_VMCS, "VMCS shadowing"),
  ENABLE_ENCLS_EXITING(
      ControlWord.SECONDARY, Controls.SECONDARY_EXEC_ENCLS_EXITING, "Enable ENCLS exiting"),
  RDSEED_EXITING(ControlWord.SECONDARY, Controls.SECONDARY_EXEC_RDSEED_EXITING, "RDSEED exiting"),
  ENABLE_PML(ControlWord.SECONDARY, Controls.SECONDARY_EXEC_ENABLE_PML, "Enable PML"),
  EPT_VIOLATION_VE(
      ControlWord.SECONDARY, Controls.SECONDARY_EXEC_EPT_VIOLATION_VE, "EPT-violation #VE"),
  CONCEAL_VMX_FROM_PT(
      ControlWord.SECONDARY, Controls.SECONDARY_EXEC_PT_CONCEAL_VMX, "Conceal VMX from PT"),
  ENABLE_XSAVES(
      ControlWord.SECONDARY, Controls.SECONDARY_EXEC_ENABLE_XSAVES, "Enable XSAVES/XRSTORS"),
  PASID_TRANSLATION(
      ControlWord.SECONDARY, Controls.SECONDARY_EXEC_PASID_TRANSLATION, "PASID translation"),
  MODE_BASED_EXECUTE_CONTROL(
      ControlWord.SECONDARY,
      Controls.SECONDARY_EXEC_MODE_BASED_EPT_EXEC,
      "Mode-based execute control for EPT"),
  SUB_PAGE_WRITE_PERMISSIONS(
      ControlWord.SECONDARY,
      Controls.SECONDARY_EXEC_SUB_PAGE_WRITE,
      "Sub-page write permissions for EPT"),
  PT_USES_GUEST_PHYSICAL(
      ControlWord.SECONDARY,
      Controls.SECONDARY_EXEC_PT_USE_GPA,
      "Intel PT uses guest physical addresses"),
  USE_TSC_SCALING(ControlWord.SECONDARY, Controls.SECONDARY_EXEC_TSC_SCALING, "Use TSC scaling"),
  ENABLE_USER_WAIT_PAUSE(
      ControlWord.SECONDARY,
      Controls.SECONDARY_EXEC_ENABLE_USR_WAIT_PAUSE,
      "Enable user wait and pause"),
  ENABLE_PCONFIG(ControlWord.SECONDARY, Controls.SECONDARY_EXEC_PCONFIG, "Enable PCONFIG"),
  ENABLE_ENCLV_EXITING(
      ControlWord.SECONDARY, Controls.SECONDARY_EXEC_ENCLV_EXITING, "Enable ENCLV exiting"),
  VMM_BUS_LOCK_DETECTION(
      ControlWord.SECONDARY, Controls.SECONDARY_EXEC_BUS_LOCK_DETECTION, "VMM bus-lock detection"),
  INSTRUCTION_TIMEOUT(
      ControlWord.SECONDARY, Controls.SECONDARY_EXEC_NOTIFY_VM_EXITING, "Instruction timeout"),
  LOADIWKEY_EXITING(
      ControlWord.TERTIARY, Controls.TERTIARY_EXEC_LOADIWKEY_EXITING, "LOADIWKEY exiting"),
  ENABLE_HLAT(ControlWord.TERTIARY, Controls.TERTIARY_EXEC_ENABLE_HLAT, "Enable HLAT"),
  EPT_PAGING_WRITE_CONTROL(
      ControlWord.TERTIARY, Controls.TERTIARY_EXEC_EPT_PAGING_WRITE, "EPT paging-write control"),
  GUEST_PAGING_VERIFICATION(
      ControlWord.TERTIARY,
      Controls.TERTIARY_EXEC_GUEST_PAGING_VERIFICATION,
      "Guest-paging verification"),
  IPI_VIRTUALIZATION(ControlWord.TERTIARY, Controls.TERTIARY_EXEC_IPI_VIRT, "IPI virtualization"),
  ENABLE_MSR_LIST(
      ControlWord.TERTIARY, Controls.TERTIARY_EXEC_ENABLE_MSR_LIST, "Enable MSR-list instructions"),
  VIRTUALIZE_IA32_SPEC_CTRL(
      ControlWord.TERTIARY, Controls.TERTIARY_EXEC_SPEC_CTRL, "Virtualize IA32_SPEC_CTRL"),
  EPTP_SWITCHING(ControlWord.VM_FUNCTION, Controls.VM_FUNCTION_EPTP_SWITCHING, "EPTP switching"),
  SAVE_DEBUG_CONTROLS(
      ControlWord.VM_EXIT, Controls.VM_EXIT_SAVE_DEBUG_CONTROLS, "Save debug controls"),
  HOST_ADDRESS_SPACE_SIZE(
      ControlWord.VM_EXIT, Controls.VM_EXIT_HOST_ADDR_SPACE_SIZE, "Host address-space size"),
  EXIT_LOAD_PERF_GLOBAL_CTRL(
      ControlWord.VM_EXIT,
      Controls.VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL,
      "Load IA32_PERF_GLOBAL_CTRL"),
  ACKNOWLEDGE_INTERRUPT_ON_EXIT(
      ControlWord.VM_EXIT, Controls.VM_EXIT_ACK_INTR_ON_EXIT, "Acknowledge interrupt on exit"),
  SAVE_PAT(ControlWord.VM_EXIT, Controls.VM_EXIT_SAVE_IA32_PAT, "Save IA32_PAT"),
  EXIT_LOAD_PAT(ControlWord.VM_EXIT, Controls.VM_EXIT_LOAD_IA32_PAT, "Load IA32_PAT"),
  SAVE_EFER(ControlWord.VM_EXIT, Controls.VM_EXIT_SAVE_IA32_EFER, "Save IA32_EFER"),
  EXIT_LOAD_EFER(ControlWord.VM_EXIT, Controls.VM_EXIT_LOAD_IA32_EFER, "Load IA32_EFER"),
  SAVE_VMX_PREEMPTION_TIMER(
      ControlWord.VM_EXIT,
      Controls.VM_EXIT_SAVE_VMX_PREEMPTION_TIMER,
      "Save VMX-preemption timer value"),
  CLEAR_BNDCFGS(ControlWord.VM_EXIT, Controls.VM_EXIT_CLEAR_BNDCFGS, "Clear IA32_BNDCFGS"),
  EXIT_CONCEAL_VMX_FROM_PT(
      ControlWord.VM_EXIT, Controls.VM_EXIT_PT_CONCEAL_PIP, "Conceal VMX from PT"),
  CLEAR_RTIT_CTL(ControlWord.VM_EXIT, Controls.VM_EXIT_CLEAR_IA32_RTIT_CTL, "Clear IA32_RTIT_CTL"),
  CLEAR_LBR_CTL(ControlWord.VM_EXIT, Controls.VM_EXIT_CLEAR_IA32_LBR_CTL, "Clear IA32_LBR_CTL"),
  CLEAR_UINV(ControlWord.VM_EXIT, Controls.VM_EXIT_CLEAR_UINV, "Clear UINV"),
  EXIT_LOAD_CET(ControlWord.VM_EXIT, Controls.VM_EXIT_LOAD_CET_STATE, "Load CET state"),
  EXIT_LOAD_PKRS(ControlWord.VM_EXIT, Controls.VM_EXIT_LOAD_IA32_PKRS, "Load PKRS"),
  SAVE_PERF_GLOBAL_CTRL(
      ControlWord.VM_EXIT,
      Controls.VM_EXIT_SAVE_IA32_PERF_GLOBAL_CTRL,
      "Save IA32_PERF_GLOBAL_CTRL"),
  ACTIVATE_SECONDARY_EXIT_CONTROLS(
      ControlWord.VM_EXIT,
      Controls.VM_EXIT_ACTIVATE_SECONDARY_CONTROLS,
      "Activate secondary controls"),
  SAVE_FRED(
      ControlWord.SECONDARY_VM_EXIT,
      Controls.SECONDARY_VM_EXIT_SAVE_IA32_FRED,
      "Save IA32_FRED MSRs"),
  EXIT_LOAD_FRED(
      ControlWord.SECONDARY_VM_EXIT,
      Controls.SECONDARY_VM_EXIT_LOAD_IA32_FRED,
      "Load IA32_FRED MSRs"),
  PREMATURELY_BUSY_SHADOW_STACK(
      ControlWord.SECONDARY_VM_EXIT,
      Controls.SECONDARY_VM_EXIT_PREMATURELY_BUSY_SSS,
      "Prematurely busy shadow stack"),
  LOAD_DEBUG_CONTROLS(
      ControlWord.VM_ENTRY, Controls.VM_ENTRY_LOAD_DEBUG_CONTROLS, "Load debug controls"),
  IA32E_MODE_GUEST(ControlWord.VM_ENTRY, Controls.VM_ENTRY_IA32E_MODE, "IA-32e mode guest"),
  ENTRY_TO_SMM(ControlWord.VM_ENTRY, Controls.VM_ENTRY_SMM, "Entry to SMM"),
  DEACTIVATE_DUAL_MONITOR(
      ControlWord.VM_ENTRY,
      Controls.VM_ENTRY_DEACT_DUAL_MONITOR,
      "Deactivate dual-monitor treatment"),
  ENTRY_LOAD_PERF_GLOBAL_CTRL(
      ControlWord.VM_ENTRY,
      Controls.VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL,
      "Load IA32_PERF_GLOBAL_CTRL"),
  ENTRY_LOAD_PAT(ControlWord.VM_ENTRY, Controls.VM_ENTRY_LOAD_IA32_PAT, "Load IA32_PAT"),
  ENTRY_LOAD_EFER(ControlWord.VM_ENTRY, Controls.VM_ENTRY_LOAD_IA32_EFER, "Load IA32_EFER"),
  LOAD_BNDCFGS(ControlWord.VM_ENTRY, Controls.VM_ENTRY_LOAD_BNDCFGS, "Load IA32_BNDCFGS"),
  ENTRY_CONCEAL_VMX_FROM_PT(
      ControlWord.VM_ENTRY, Controls.VM_ENTRY_PT_CONCEAL_PIP, "Conceal VMX from PT"),
  LOAD_RTIT_CTL(ControlWord.VM_ENTRY, Controls.VM_ENTRY_LOAD_IA32_RTIT_CTL, "Load IA32_RTIT_CTL"),
  LOAD_UINV(ControlWord.VM_ENTRY, Controls.VM_ENTRY_LOAD_UINV, "Load UINV"),
  ENTRY_LOAD_CET(ControlWord.VM_ENTRY, Controls.VM_ENTRY_LOAD_CET_STATE, "Load CET state"),
  LOAD_LBR_CTL(
      ControlWord.VM_ENTRY, Controls.VM_ENTRY_LOAD_IA32_LBR_CTL, "Load guest IA32_LBR_CTL"),
  ENTRY_LOAD_PKRS(ControlWord.VM_ENTRY, Controls.VM_ENTRY_LOAD_IA32_PKRS, "Load PKRS"),
  ENTRY_LOAD_FRED(ControlWord.VM_ENTRY, Controls.VM_ENTRY_LOAD_IA32_FRED, "Load IA32_FRED MSRs");

  /** The word that the bit is in. */
  public final ControlWord word;

  /** The bit, in place. */
  public final long mask;

  /** The name in the SDM's tables. */
  public final String title;

  Control(ControlWord word, long mask, String title) {
    this.word = word;
    this.mask = word.width == 32 ? mask & 0xffffffffL : mask;
    this.title = title;
  }
}
