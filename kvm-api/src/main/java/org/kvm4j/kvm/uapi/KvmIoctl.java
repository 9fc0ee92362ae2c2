package org.kvm4j.kvm.uapi;

import java.util.Collections;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Every x86 KVM ioctl as a row of a table: its number, which file descriptors take it, its argument
 * and which way data flows, the capability that announces it, and who needs it.
 *
 * <p>Source: Linux 6.1 include/uapi/linux/kvm.h and arch/x86/kvm; held against {@code ioctls.tsv}
 * in the conformance tests, row by row and both ways.
 */
public enum KvmIoctl {
  KVM_GET_API_VERSION(
      Ioctls.KVM_GET_API_VERSION,
      DataFlow.NONE,
      "arg must be 0",
      0,
      Tier.A,
      List.of(),
      FdKind.SYSTEM),
  KVM_CREATE_VM(
      Ioctls.KVM_CREATE_VM,
      DataFlow.VALUE,
      "machine type (0 on x86)",
      0,
      Tier.A,
      List.of(),
      FdKind.SYSTEM),
  KVM_GET_MSR_INDEX_LIST(
      Ioctls.KVM_GET_MSR_INDEX_LIST,
      DataFlow.IN_OUT,
      "struct kvm_msr_list",
      4,
      Tier.A,
      List.of(),
      FdKind.SYSTEM),
  KVM_CHECK_EXTENSION(
      Ioctls.KVM_CHECK_EXTENSION,
      DataFlow.VALUE,
      "cap number",
      0,
      Tier.A,
      List.of(KvmCap.KVM_CAP_CHECK_EXTENSION_VM),
      FdKind.SYSTEM,
      FdKind.VM),
  KVM_GET_VCPU_MMAP_SIZE(
      Ioctls.KVM_GET_VCPU_MMAP_SIZE,
      DataFlow.NONE,
      "arg must be 0",
      0,
      Tier.A,
      List.of(),
      FdKind.SYSTEM),
  KVM_GET_SUPPORTED_CPUID(
      Ioctls.KVM_GET_SUPPORTED_CPUID,
      DataFlow.IN_OUT,
      "struct kvm_cpuid2",
      8,
      Tier.A,
      List.of(KvmCap.KVM_CAP_EXT_CPUID),
      FdKind.SYSTEM),
  KVM_GET_EMULATED_CPUID(
      Ioctls.KVM_GET_EMULATED_CPUID,
      DataFlow.IN_OUT,
      "struct kvm_cpuid2",
      8,
      Tier.B,
      List.of(KvmCap.KVM_CAP_EXT_EMUL_CPUID),
      FdKind.SYSTEM),
  KVM_GET_MSR_FEATURE_INDEX_LIST(
      Ioctls.KVM_GET_MSR_FEATURE_INDEX_LIST,
      DataFlow.IN_OUT,
      "struct kvm_msr_list",
      4,
      Tier.A,
      List.of(KvmCap.KVM_CAP_GET_MSR_FEATURES),
      FdKind.SYSTEM),
  KVM_GET_SUPPORTED_HV_CPUID(
      Ioctls.KVM_GET_SUPPORTED_HV_CPUID,
      DataFlow.IN_OUT,
      "struct kvm_cpuid2",
      8,
      Tier.C,
      List.of(KvmCap.KVM_CAP_HYPERV_CPUID, KvmCap.KVM_CAP_SYS_HYPERV_CPUID),
      FdKind.SYSTEM,
      FdKind.VCPU),
  KVM_X86_GET_MCE_CAP_SUPPORTED(
      Ioctls.KVM_X86_GET_MCE_CAP_SUPPORTED,
      DataFlow.OUT,
      "__u64",
      8,
      Tier.B,
      List.of(KvmCap.KVM_CAP_MCE),
      FdKind.SYSTEM),
  KVM_GET_DEVICE_ATTR(
      Ioctls.KVM_GET_DEVICE_ATTR,
      DataFlow.IN_OUT,
      "struct kvm_device_attr",
      24,
      Tier.B,
      List.of(KvmCap.KVM_CAP_SYS_ATTRIBUTES, KvmCap.KVM_CAP_VCPU_ATTRIBUTES),
      FdKind.SYSTEM,
      FdKind.DEVICE,
      FdKind.VCPU),
  KVM_HAS_DEVICE_ATTR(
      Ioctls.KVM_HAS_DEVICE_ATTR,
      DataFlow.IN,
      "struct kvm_device_attr",
      24,
      Tier.B,
      List.of(KvmCap.KVM_CAP_SYS_ATTRIBUTES, KvmCap.KVM_CAP_VCPU_ATTRIBUTES),
      FdKind.SYSTEM,
      FdKind.DEVICE,
      FdKind.VCPU),
  KVM_CREATE_VCPU(
      Ioctls.KVM_CREATE_VCPU, DataFlow.VALUE, "vcpu id", 0, Tier.A, List.of(), FdKind.VM),
  KVM_GET_DIRTY_LOG(
      Ioctls.KVM_GET_DIRTY_LOG,
      DataFlow.IN_OUT,
      "struct kvm_dirty_log",
      16,
      Tier.A,
      List.of(),
      FdKind.VM),
  KVM_SET_NR_MMU_PAGES(
      Ioctls.KVM_SET_NR_MMU_PAGES,
      DataFlow.VALUE,
      "count",
      0,
      Tier.C,
      List.of(KvmCap.KVM_CAP_MMU_SHADOW_CACHE_CONTROL),
      FdKind.VM),
  KVM_GET_NR_MMU_PAGES(
      Ioctls.KVM_GET_NR_MMU_PAGES,
      DataFlow.NONE,
      "none",
      0,
      Tier.C,
      List.of(KvmCap.KVM_CAP_MMU_SHADOW_CACHE_CONTROL),
      FdKind.VM),
  KVM_SET_USER_MEMORY_REGION(
      Ioctls.KVM_SET_USER_MEMORY_REGION,
      DataFlow.IN,
      "struct kvm_userspace_memory_region",
      32,
      Tier.A,
      List.of(KvmCap.KVM_CAP_USER_MEMORY),
      FdKind.VM),
  KVM_SET_TSS_ADDR(
      Ioctls.KVM_SET_TSS_ADDR,
      DataFlow.VALUE,
      "gpa of 3 pages",
      0,
      Tier.A,
      List.of(KvmCap.KVM_CAP_SET_TSS_ADDR),
      FdKind.VM),
  KVM_SET_IDENTITY_MAP_ADDR(
      Ioctls.KVM_SET_IDENTITY_MAP_ADDR,
      DataFlow.IN,
      "__u64",
      8,
      Tier.A,
      List.of(KvmCap.KVM_CAP_SET_IDENTITY_MAP_ADDR),
      FdKind.VM),
  KVM_CREATE_IRQCHIP(
      Ioctls.KVM_CREATE_IRQCHIP,
      DataFlow.NONE,
      "none",
      0,
      Tier.A,
      List.of(KvmCap.KVM_CAP_IRQCHIP),
      FdKind.VM),
  KVM_IRQ_LINE(
      Ioctls.KVM_IRQ_LINE,
      DataFlow.IN,
      "struct kvm_irq_level",
      8,
      Tier.A,
      List.of(KvmCap.KVM_CAP_IRQCHIP),
      FdKind.VM),
  KVM_IRQ_LINE_STATUS(
      Ioctls.KVM_IRQ_LINE_STATUS,
      DataFlow.IN_OUT,
      "struct kvm_irq_level",
      8,
      Tier.A,
      List.of(KvmCap.KVM_CAP_IRQ_INJECT_STATUS),
      FdKind.VM),
  KVM_GET_IRQCHIP(
      Ioctls.KVM_GET_IRQCHIP,
      DataFlow.IN_OUT,
      "struct kvm_irqchip",
      520,
      Tier.A,
      List.of(KvmCap.KVM_CAP_IRQCHIP),
      FdKind.VM),
  KVM_SET_IRQCHIP(
      Ioctls.KVM_SET_IRQCHIP,
      DataFlow.IN,
      "struct kvm_irqchip",
      520,
      Tier.A,
      List.of(KvmCap.KVM_CAP_IRQCHIP),
      FdKind.VM),
  KVM_CREATE_PIT(
      Ioctls.KVM_CREATE_PIT,
      DataFlow.NONE,
      "none",
      0,
      Tier.B,
      List.of(KvmCap.KVM_CAP_PIT),
      FdKind.VM),
  KVM_GET_PIT(
      Ioctls.KVM_GET_PIT,
      DataFlow.OUT,
      "struct kvm_pit_state",
      72,
      Tier.B,
      List.of(KvmCap.KVM_CAP_PIT),
      FdKind.VM),
  KVM_SET_PIT(
      Ioctls.KVM_SET_PIT,
      DataFlow.IN,
      "struct kvm_pit_state",
      72,
      Tier.B,
      List.of(KvmCap.KVM_CAP_PIT),
      FdKind.VM),
  KVM_CREATE_PIT2(
      Ioctls.KVM_CREATE_PIT2,
      DataFlow.IN,
      "struct kvm_pit_config",
      64,
      Tier.A,
      List.of(KvmCap.KVM_CAP_PIT2),
      FdKind.VM),
  KVM_GET_PIT2(
      Ioctls.KVM_GET_PIT2,
      DataFlow.OUT,
      "struct kvm_pit_state2",
      112,
      Tier.A,
      List.of(KvmCap.KVM_CAP_PIT_STATE2),
      FdKind.VM),
  KVM_SET_PIT2(
      Ioctls.KVM_SET_PIT2,
      DataFlow.IN,
      "struct kvm_pit_state2",
      112,
      Tier.A,
      List.of(KvmCap.KVM_CAP_PIT_STATE2),
      FdKind.VM),
  KVM_REINJECT_CONTROL(
      Ioctls.KVM_REINJECT_CONTROL,
      DataFlow.IN,
      "struct kvm_reinject_control",
      32,
      Tier.B,
      List.of(KvmCap.KVM_CAP_REINJECT_CONTROL),
      FdKind.VM),
  KVM_SET_BOOT_CPU_ID(
      Ioctls.KVM_SET_BOOT_CPU_ID,
      DataFlow.VALUE,
      "vcpu id",
      0,
      Tier.B,
      List.of(KvmCap.KVM_CAP_SET_BOOT_CPU_ID),
      FdKind.VM),
  KVM_REGISTER_COALESCED_MMIO(
      Ioctls.KVM_REGISTER_COALESCED_MMIO,
      DataFlow.IN,
      "struct kvm_coalesced_mmio_zone",
      16,
      Tier.A,
      List.of(KvmCap.KVM_CAP_COALESCED_MMIO, KvmCap.KVM_CAP_COALESCED_PIO),
      FdKind.VM),
  KVM_UNREGISTER_COALESCED_MMIO(
      Ioctls.KVM_UNREGISTER_COALESCED_MMIO,
      DataFlow.IN,
      "struct kvm_coalesced_mmio_zone",
      16,
      Tier.A,
      List.of(KvmCap.KVM_CAP_COALESCED_MMIO, KvmCap.KVM_CAP_COALESCED_PIO),
      FdKind.VM),
  KVM_SET_GSI_ROUTING(
      Ioctls.KVM_SET_GSI_ROUTING,
      DataFlow.IN,
      "struct kvm_irq_routing",
      8,
      Tier.A,
      List.of(KvmCap.KVM_CAP_IRQ_ROUTING),
      FdKind.VM),
  KVM_IRQFD(
      Ioctls.KVM_IRQFD,
      DataFlow.IN,
      "struct kvm_irqfd",
      32,
      Tier.A,
      List.of(KvmCap.KVM_CAP_IRQFD, KvmCap.KVM_CAP_IRQFD_RESAMPLE),
      FdKind.VM),
  KVM_IOEVENTFD(
      Ioctls.KVM_IOEVENTFD,
      DataFlow.IN,
      "struct kvm_ioeventfd",
      64,
      Tier.A,
      List.of(KvmCap.KVM_CAP_IOEVENTFD),
      FdKind.VM),
  KVM_SIGNAL_MSI(
      Ioctls.KVM_SIGNAL_MSI,
      DataFlow.IN,
      "struct kvm_msi",
      32,
      Tier.A,
      List.of(KvmCap.KVM_CAP_SIGNAL_MSI),
      FdKind.VM),
  KVM_SET_CLOCK(
      Ioctls.KVM_SET_CLOCK,
      DataFlow.IN,
      "struct kvm_clock_data",
      48,
      Tier.A,
      List.of(KvmCap.KVM_CAP_ADJUST_CLOCK),
      FdKind.VM),
  KVM_GET_CLOCK(
      Ioctls.KVM_GET_CLOCK,
      DataFlow.OUT,
      "struct kvm_clock_data",
      48,
      Tier.A,
      List.of(KvmCap.KVM_CAP_ADJUST_CLOCK),
      FdKind.VM),
  KVM_ENABLE_CAP(
      Ioctls.KVM_ENABLE_CAP,
      DataFlow.IN,
      "struct kvm_enable_cap",
      104,
      Tier.A,
      List.of(KvmCap.KVM_CAP_ENABLE_CAP, KvmCap.KVM_CAP_ENABLE_CAP_VM),
      FdKind.VM,
      FdKind.VCPU),
  KVM_X86_SET_MSR_FILTER(
      Ioctls.KVM_X86_SET_MSR_FILTER,
      DataFlow.IN,
      "struct kvm_msr_filter",
      392,
      Tier.B,
      List.of(KvmCap.KVM_CAP_X86_MSR_FILTER),
      FdKind.VM),
  KVM_SET_PMU_EVENT_FILTER(
      Ioctls.KVM_SET_PMU_EVENT_FILTER,
      DataFlow.IN,
      "struct kvm_pmu_event_filter",
      32,
      Tier.C,
      List.of(KvmCap.KVM_CAP_PMU_EVENT_FILTER),
      FdKind.VM),
  KVM_CLEAR_DIRTY_LOG(
      Ioctls.KVM_CLEAR_DIRTY_LOG,
      DataFlow.IN,
      "struct kvm_clear_dirty_log",
      24,
      Tier.B,
      List.of(KvmCap.KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2),
      FdKind.VM),
  KVM_RESET_DIRTY_RINGS(
      Ioctls.KVM_RESET_DIRTY_RINGS,
      DataFlow.NONE,
      "none",
      0,
      Tier.B,
      List.of(KvmCap.KVM_CAP_DIRTY_LOG_RING),
      FdKind.VM),
  KVM_CREATE_DEVICE(
      Ioctls.KVM_CREATE_DEVICE,
      DataFlow.IN_OUT,
      "struct kvm_create_device",
      12,
      Tier.B,
      List.of(KvmCap.KVM_CAP_DEVICE_CTRL),
      FdKind.VM),
  KVM_SET_TSC_KHZ(
      Ioctls.KVM_SET_TSC_KHZ,
      DataFlow.VALUE,
      "kHz",
      0,
      Tier.A,
      List.of(KvmCap.KVM_CAP_TSC_CONTROL, KvmCap.KVM_CAP_VM_TSC_CONTROL),
      FdKind.VM,
      FdKind.VCPU),
  KVM_GET_TSC_KHZ(
      Ioctls.KVM_GET_TSC_KHZ,
      DataFlow.NONE,
      "none",
      0,
      Tier.A,
      List.of(KvmCap.KVM_CAP_GET_TSC_KHZ, KvmCap.KVM_CAP_VM_TSC_CONTROL),
      FdKind.VM,
      FdKind.VCPU),
  KVM_MEMORY_ENCRYPT_OP(
      Ioctls.KVM_MEMORY_ENCRYPT_OP,
      DataFlow.IN_OUT,
      "unsigned long (kvm_sev_cmd)",
      8,
      Tier.C,
      List.of(),
      FdKind.VM),
  KVM_MEMORY_ENCRYPT_REG_REGION(
      Ioctls.KVM_MEMORY_ENCRYPT_REG_REGION,
      DataFlow.IN,
      "struct kvm_enc_region",
      16,
      Tier.C,
      List.of(),
      FdKind.VM),
  KVM_MEMORY_ENCRYPT_UNREG_REGION(
      Ioctls.KVM_MEMORY_ENCRYPT_UNREG_REGION,
      DataFlow.IN,
      "struct kvm_enc_region",
      16,
      Tier.C,
      List.of(),
      FdKind.VM),
  KVM_XEN_HVM_CONFIG(
      Ioctls.KVM_XEN_HVM_CONFIG,
      DataFlow.IN,
      "struct kvm_xen_hvm_config",
      56,
      Tier.C,
      List.of(KvmCap.KVM_CAP_XEN_HVM),
      FdKind.VM),
  KVM_XEN_HVM_GET_ATTR(
      Ioctls.KVM_XEN_HVM_GET_ATTR,
      DataFlow.IN_OUT,
      "struct kvm_xen_hvm_attr",
      72,
      Tier.C,
      List.of(KvmCap.KVM_CAP_XEN_HVM),
      FdKind.VM),
  KVM_XEN_HVM_SET_ATTR(
      Ioctls.KVM_XEN_HVM_SET_ATTR,
      DataFlow.IN,
      "struct kvm_xen_hvm_attr",
      72,
      Tier.C,
      List.of(KvmCap.KVM_CAP_XEN_HVM),
      FdKind.VM),
  KVM_XEN_HVM_EVTCHN_SEND(
      Ioctls.KVM_XEN_HVM_EVTCHN_SEND,
      DataFlow.IN,
      "struct kvm_irq_routing_xen_evtchn",
      12,
      Tier.C,
      List.of(KvmCap.KVM_CAP_XEN_HVM),
      FdKind.VM),
  KVM_HYPERV_EVENTFD(
      Ioctls.KVM_HYPERV_EVENTFD,
      DataFlow.IN,
      "struct kvm_hyperv_eventfd",
      24,
      Tier.C,
      List.of(KvmCap.KVM_CAP_HYPERV_EVENTFD),
      FdKind.VM),
  KVM_GET_STATS_FD(
      Ioctls.KVM_GET_STATS_FD,
      DataFlow.NONE,
      "none",
      0,
      Tier.B,
      List.of(KvmCap.KVM_CAP_BINARY_STATS_FD),
      FdKind.VM,
      FdKind.VCPU),
  KVM_SET_MEMORY_REGION(
      Ioctls.KVM_SET_MEMORY_REGION,
      DataFlow.IN,
      "struct kvm_memory_region",
      24,
      Tier.C,
      List.of(),
      FdKind.VM),
  KVM_SET_MEMORY_ALIAS(
      Ioctls.KVM_SET_MEMORY_ALIAS,
      DataFlow.IN,
      "struct kvm_memory_alias",
      32,
      Tier.C,
      List.of(),
      FdKind.VM),
  KVM_ASSIGN_PCI_DEVICE(
      Ioctls.KVM_ASSIGN_PCI_DEVICE,
      DataFlow.IN,
      "struct kvm_assigned_pci_dev",
      64,
      Tier.C,
      List.of(KvmCap.KVM_CAP_DEVICE_ASSIGNMENT),
      FdKind.VM),
  KVM_RUN(Ioctls.KVM_RUN, DataFlow.NONE, "arg must be 0", 0, Tier.A, List.of(), FdKind.VCPU),
  KVM_GET_REGS(
      Ioctls.KVM_GET_REGS, DataFlow.OUT, "struct kvm_regs", 144, Tier.A, List.of(), FdKind.VCPU),
  KVM_SET_REGS(
      Ioctls.KVM_SET_REGS, DataFlow.IN, "struct kvm_regs", 144, Tier.A, List.of(), FdKind.VCPU),
  KVM_GET_SREGS(
      Ioctls.KVM_GET_SREGS, DataFlow.OUT, "struct kvm_sregs", 312, Tier.A, List.of(), FdKind.VCPU),
  KVM_SET_SREGS(
      Ioctls.KVM_SET_SREGS, DataFlow.IN, "struct kvm_sregs", 312, Tier.A, List.of(), FdKind.VCPU),
  KVM_GET_SREGS2(
      Ioctls.KVM_GET_SREGS2,
      DataFlow.OUT,
      "struct kvm_sregs2",
      320,
      Tier.A,
      List.of(KvmCap.KVM_CAP_SREGS2),
      FdKind.VCPU),
  KVM_SET_SREGS2(
      Ioctls.KVM_SET_SREGS2,
      DataFlow.IN,
      "struct kvm_sregs2",
      320,
      Tier.A,
      List.of(KvmCap.KVM_CAP_SREGS2),
      FdKind.VCPU),
  KVM_TRANSLATE(
      Ioctls.KVM_TRANSLATE,
      DataFlow.IN_OUT,
      "struct kvm_translation",
      24,
      Tier.B,
      List.of(),
      FdKind.VCPU),
  KVM_INTERRUPT(
      Ioctls.KVM_INTERRUPT, DataFlow.IN, "struct kvm_interrupt", 4, Tier.A, List.of(), FdKind.VCPU),
  KVM_GET_MSRS(
      Ioctls.KVM_GET_MSRS,
      DataFlow.IN_OUT,
      "struct kvm_msrs",
      8,
      Tier.A,
      List.of(KvmCap.KVM_CAP_GET_MSR_FEATURES),
      FdKind.VCPU,
      FdKind.SYSTEM),
  KVM_SET_MSRS(
      Ioctls.KVM_SET_MSRS, DataFlow.IN, "struct kvm_msrs", 8, Tier.A, List.of(), FdKind.VCPU),
  KVM_SET_CPUID(
      Ioctls.KVM_SET_CPUID, DataFlow.IN, "struct kvm_cpuid", 8, Tier.B, List.of(), FdKind.VCPU),
  KVM_SET_CPUID2(
      Ioctls.KVM_SET_CPUID2,
      DataFlow.IN,
      "struct kvm_cpuid2",
      8,
      Tier.A,
      List.of(KvmCap.KVM_CAP_EXT_CPUID),
      FdKind.VCPU),
  KVM_GET_CPUID2(
      Ioctls.KVM_GET_CPUID2,
      DataFlow.IN_OUT,
      "struct kvm_cpuid2",
      8,
      Tier.B,
      List.of(KvmCap.KVM_CAP_EXT_CPUID),
      FdKind.VCPU),
  KVM_SET_SIGNAL_MASK(
      Ioctls.KVM_SET_SIGNAL_MASK,
      DataFlow.IN,
      "struct kvm_signal_mask",
      4,
      Tier.B,
      List.of(),
      FdKind.VCPU),
  KVM_GET_FPU(
      Ioctls.KVM_GET_FPU, DataFlow.OUT, "struct kvm_fpu", 416, Tier.A, List.of(), FdKind.VCPU),
  KVM_SET_FPU(
      Ioctls.KVM_SET_FPU, DataFlow.IN, "struct kvm_fpu", 416, Tier.A, List.of(), FdKind.VCPU),
  KVM_GET_LAPIC(
      Ioctls.KVM_GET_LAPIC,
      DataFlow.OUT,
      "struct kvm_lapic_state",
      1024,
      Tier.A,
      List.of(KvmCap.KVM_CAP_IRQCHIP),
      FdKind.VCPU),
  KVM_SET_LAPIC(
      Ioctls.KVM_SET_LAPIC,
      DataFlow.IN,
      "struct kvm_lapic_state",
      1024,
      Tier.A,
      List.of(KvmCap.KVM_CAP_IRQCHIP),
      FdKind.VCPU),
  KVM_TPR_ACCESS_REPORTING(
      Ioctls.KVM_TPR_ACCESS_REPORTING,
      DataFlow.IN_OUT,
      "struct kvm_tpr_access_ctl",
      40,
      Tier.B,
      List.of(KvmCap.KVM_CAP_VAPIC),
      FdKind.VCPU),
  KVM_SET_VAPIC_ADDR(
      Ioctls.KVM_SET_VAPIC_ADDR,
      DataFlow.IN,
      "struct kvm_vapic_addr",
      8,
      Tier.B,
      List.of(KvmCap.KVM_CAP_VAPIC),
      FdKind.VCPU),
  KVM_GET_MP_STATE(
      Ioctls.KVM_GET_MP_STATE,
      DataFlow.OUT,
      "struct kvm_mp_state",
      4,
      Tier.A,
      List.of(KvmCap.KVM_CAP_MP_STATE),
      FdKind.VCPU),
  KVM_SET_MP_STATE(
      Ioctls.KVM_SET_MP_STATE,
      DataFlow.IN,
      "struct kvm_mp_state",
      4,
      Tier.A,
      List.of(KvmCap.KVM_CAP_MP_STATE),
      FdKind.VCPU),
  KVM_NMI(
      Ioctls.KVM_NMI,
      DataFlow.NONE,
      "none",
      0,
      Tier.B,
      List.of(KvmCap.KVM_CAP_USER_NMI),
      FdKind.VCPU),
  KVM_SMI(
      Ioctls.KVM_SMI,
      DataFlow.NONE,
      "none",
      0,
      Tier.C,
      List.of(KvmCap.KVM_CAP_X86_SMM),
      FdKind.VCPU),
  KVM_SET_GUEST_DEBUG(
      Ioctls.KVM_SET_GUEST_DEBUG,
      DataFlow.IN,
      "struct kvm_guest_debug",
      72,
      Tier.B,
      List.of(KvmCap.KVM_CAP_SET_GUEST_DEBUG),
      FdKind.VCPU),
  KVM_X86_SETUP_MCE(
      Ioctls.KVM_X86_SETUP_MCE,
      DataFlow.IN,
      "__u64",
      8,
      Tier.B,
      List.of(KvmCap.KVM_CAP_MCE),
      FdKind.VCPU),
  KVM_X86_SET_MCE(
      Ioctls.KVM_X86_SET_MCE,
      DataFlow.IN,
      "struct kvm_x86_mce",
      64,
      Tier.C,
      List.of(KvmCap.KVM_CAP_MCE),
      FdKind.VCPU),
  KVM_GET_VCPU_EVENTS(
      Ioctls.KVM_GET_VCPU_EVENTS,
      DataFlow.OUT,
      "struct kvm_vcpu_events",
      64,
      Tier.A,
      List.of(KvmCap.KVM_CAP_VCPU_EVENTS),
      FdKind.VCPU),
  KVM_SET_VCPU_EVENTS(
      Ioctls.KVM_SET_VCPU_EVENTS,
      DataFlow.IN,
      "struct kvm_vcpu_events",
      64,
      Tier.A,
      List.of(KvmCap.KVM_CAP_VCPU_EVENTS),
      FdKind.VCPU),
  KVM_GET_DEBUGREGS(
      Ioctls.KVM_GET_DEBUGREGS,
      DataFlow.OUT,
      "struct kvm_debugregs",
      128,
      Tier.A,
      List.of(KvmCap.KVM_CAP_DEBUGREGS),
      FdKind.VCPU),
  KVM_SET_DEBUGREGS(
      Ioctls.KVM_SET_DEBUGREGS,
      DataFlow.IN,
      "struct kvm_debugregs",
      128,
      Tier.A,
      List.of(KvmCap.KVM_CAP_DEBUGREGS),
      FdKind.VCPU),
  KVM_GET_XSAVE(
      Ioctls.KVM_GET_XSAVE,
      DataFlow.OUT,
      "struct kvm_xsave",
      4096,
      Tier.A,
      List.of(KvmCap.KVM_CAP_XSAVE),
      FdKind.VCPU),
  KVM_SET_XSAVE(
      Ioctls.KVM_SET_XSAVE,
      DataFlow.IN,
      "struct kvm_xsave",
      4096,
      Tier.A,
      List.of(KvmCap.KVM_CAP_XSAVE),
      FdKind.VCPU),
  KVM_GET_XSAVE2(
      Ioctls.KVM_GET_XSAVE2,
      DataFlow.OUT,
      "struct kvm_xsave",
      4096,
      Tier.A,
      List.of(KvmCap.KVM_CAP_XSAVE2),
      FdKind.VCPU),
  KVM_GET_XCRS(
      Ioctls.KVM_GET_XCRS,
      DataFlow.OUT,
      "struct kvm_xcrs",
      392,
      Tier.A,
      List.of(KvmCap.KVM_CAP_XCRS),
      FdKind.VCPU),
  KVM_SET_XCRS(
      Ioctls.KVM_SET_XCRS,
      DataFlow.IN,
      "struct kvm_xcrs",
      392,
      Tier.A,
      List.of(KvmCap.KVM_CAP_XCRS),
      FdKind.VCPU),
  KVM_KVMCLOCK_CTRL(
      Ioctls.KVM_KVMCLOCK_CTRL,
      DataFlow.NONE,
      "none",
      0,
      Tier.B,
      List.of(KvmCap.KVM_CAP_KVMCLOCK_CTRL),
      FdKind.VCPU),
  KVM_GET_NESTED_STATE(
      Ioctls.KVM_GET_NESTED_STATE,
      DataFlow.IN_OUT,
      "struct kvm_nested_state",
      128,
      Tier.B,
      List.of(KvmCap.KVM_CAP_NESTED_STATE),
      FdKind.VCPU),
  KVM_SET_NESTED_STATE(
      Ioctls.KVM_SET_NESTED_STATE,
      DataFlow.IN,
      "struct kvm_nested_state",
      128,
      Tier.B,
      List.of(KvmCap.KVM_CAP_NESTED_STATE),
      FdKind.VCPU),
  KVM_GET_ONE_REG(
      Ioctls.KVM_GET_ONE_REG,
      DataFlow.IN_OUT,
      "struct kvm_one_reg",
      16,
      Tier.C,
      List.of(KvmCap.KVM_CAP_ONE_REG),
      FdKind.VCPU),
  KVM_SET_ONE_REG(
      Ioctls.KVM_SET_ONE_REG,
      DataFlow.IN,
      "struct kvm_one_reg",
      16,
      Tier.C,
      List.of(KvmCap.KVM_CAP_ONE_REG),
      FdKind.VCPU),
  KVM_XEN_VCPU_GET_ATTR(
      Ioctls.KVM_XEN_VCPU_GET_ATTR,
      DataFlow.IN_OUT,
      "struct kvm_xen_vcpu_attr",
      72,
      Tier.C,
      List.of(KvmCap.KVM_CAP_XEN_HVM),
      FdKind.VCPU),
  KVM_XEN_VCPU_SET_ATTR(
      Ioctls.KVM_XEN_VCPU_SET_ATTR,
      DataFlow.IN,
      "struct kvm_xen_vcpu_attr",
      72,
      Tier.C,
      List.of(KvmCap.KVM_CAP_XEN_HVM),
      FdKind.VCPU),
  KVM_SET_DEVICE_ATTR(
      Ioctls.KVM_SET_DEVICE_ATTR,
      DataFlow.IN,
      "struct kvm_device_attr",
      24,
      Tier.B,
      List.of(KvmCap.KVM_CAP_DEVICE_CTRL, KvmCap.KVM_CAP_VCPU_ATTRIBUTES),
      FdKind.DEVICE,
      FdKind.VM,
      FdKind.VCPU),
  KVM_SET_USER_MEMORY_REGION2(
      Ioctls.KVM_SET_USER_MEMORY_REGION2,
      DataFlow.IN,
      "struct kvm_userspace_memory_region2",
      160,
      Tier.B,
      List.of(KvmCap.KVM_CAP_USER_MEMORY2),
      FdKind.VM),
  KVM_SET_MEMORY_ATTRIBUTES(
      Ioctls.KVM_SET_MEMORY_ATTRIBUTES,
      DataFlow.IN,
      "struct kvm_memory_attributes",
      32,
      Tier.C,
      List.of(KvmCap.KVM_CAP_MEMORY_ATTRIBUTES),
      FdKind.VM),
  KVM_CREATE_GUEST_MEMFD(
      Ioctls.KVM_CREATE_GUEST_MEMFD,
      DataFlow.IN,
      "struct kvm_create_guest_memfd",
      64,
      Tier.C,
      List.of(KvmCap.KVM_CAP_GUEST_MEMFD),
      FdKind.VM),
  KVM_PRE_FAULT_MEMORY(
      Ioctls.KVM_PRE_FAULT_MEMORY,
      DataFlow.IN_OUT,
      "struct kvm_pre_fault_memory",
      64,
      Tier.C,
      List.of(KvmCap.KVM_CAP_PRE_FAULT_MEMORY),
      FdKind.VCPU);

  /** The kinds of file descriptor that KVM hands out. */
  public enum FdKind {
    /** {@code /dev/kvm} itself. */
    SYSTEM,
    /** From {@code KVM_CREATE_VM}. */
    VM,
    /** From {@code KVM_CREATE_VCPU}. */
    VCPU,
    /** From {@code KVM_CREATE_DEVICE}. */
    DEVICE
  }

  /** The direction bits of a request number, from the view of user space. */
  public enum Encoding {
    /** {@code _IO}. */
    NONE("none"),
    /** {@code _IOW}: user to kernel. */
    WRITE("_IOW"),
    /** {@code _IOR}: kernel to user. */
    READ("_IOR"),
    /** {@code _IOWR}. */
    READ_WRITE("_IOWR");

    private final String macro;

    Encoding(String macro) {
      this.macro = macro;
    }

    /** The macro that builds such a number, or {@code "none"} for {@code _IO}. */
    public String macro() {
      return macro;
    }
  }

  /** What an ioctl does with its argument, which its encoding does not always say truly. */
  public enum DataFlow {
    /** No argument: it must be 0, or is ignored. */
    NONE("none"),
    /** The argument is the value itself. */
    VALUE("plain value"),
    /** The kernel reads the struct that the argument points to. */
    IN("in"),
    /** The kernel writes it. */
    OUT("out"),
    /** Both. */
    IN_OUT("in/out");

    private final String text;

    DataFlow(String text) {
      this.text = text;
    }

    /** In words. */
    public String text() {
      return text;
    }
  }

  /** Who needs an ioctl. */
  public enum Tier {
    /** kvmtool, QEMU 7.2 or rust-vmm call it to boot Linux, or to save and restore it. */
    A,
    /** Used by some VMM or selftest. */
    B,
    /** Exotic: SEV, Xen, Hyper-V, SMM, obsolete. */
    C
  }

  private static final Map<Integer, KvmIoctl> BY_NUMBER = new HashMap<>();

  static {
    for (KvmIoctl ioctl : values()) {
      BY_NUMBER.put(ioctl.number, ioctl);
    }
  }

  private final int number;
  private final DataFlow dataFlow;
  private final String argument;
  private final int argumentSize;
  private final Tier tier;
  private final List<KvmCap> capabilities;
  private final FdKind home;
  private final Set<FdKind> fdKinds;

  KvmIoctl(
      int number,
      DataFlow dataFlow,
      String argument,
      int argumentSize,
      Tier tier,
      List<KvmCap> capabilities,
      FdKind home,
      FdKind... others) {
    this.number = number;
    this.dataFlow = dataFlow;
    this.argument = argument;
    this.argumentSize = argumentSize;
    this.tier = tier;
    this.capabilities = capabilities;
    this.home = home;
    this.fdKinds = Collections.unmodifiableSet(EnumSet.of(home, others));
  }

  /** The row of a full 32-bit request number. */
  public static Optional<KvmIoctl> of(int number) {
    return Optional.ofNullable(BY_NUMBER.get(number));
  }

  /** The name of a request number, or the number in hexadecimal if it is unknown. */
  public static String nameOf(int number) {
    KvmIoctl ioctl = BY_NUMBER.get(number);
    return ioctl != null ? ioctl.name() : "ioctl 0x" + Integer.toHexString(number);
  }

  /** The full 32-bit request number. */
  public int number() {
    return number;
  }

  /** The direction bits of the number (31 and 30). */
  public Encoding encoding() {
    switch (number >>> 30) {
      case 0:
        return Encoding.NONE;
      case 1:
        return Encoding.WRITE;
      case 2:
        return Encoding.READ;
      default:
        return Encoding.READ_WRITE;
    }
  }

  /** The argument size in bytes that the number carries (bits 29 to 16); 0 for {@code _IO}. */
  public int encodedSize() {
    return (number >>> 16) & 0x3fff;
  }

  /** What the ioctl does with its argument. */
  public DataFlow dataFlow() {
    return dataFlow;
  }

  /** The argument: a C type, or what the plain value means. */
  public String argument() {
    return argument;
  }

  /** Size in bytes of the fixed part of the struct that the argument points to; 0 if it is none. */
  public int argumentSize() {
    return argumentSize;
  }

  /** Who needs it. */
  public Tier tier() {
    return tier;
  }

  /**
   * The capabilities that announce it (which of them depends on the descriptor); empty: always
   * there.
   */
  public List<KvmCap> capabilities() {
    return capabilities;
  }

  /** The kind of descriptor that it belongs to. */
  public FdKind home() {
    return home;
  }

  /** All kinds of descriptor that take it. */
  public Set<FdKind> fdKinds() {
    return fdKinds;
  }
}
