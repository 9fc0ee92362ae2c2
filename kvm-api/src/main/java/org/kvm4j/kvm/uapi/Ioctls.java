package org.kvm4j.kvm.uapi;

/**
 * The request numbers of the KVM ioctls, as constants for {@code switch}. What each one is, takes
 * and gives is in {@link KvmIoctl}.
 *
 * <p>Linux dispatches on the whole 32-bit number: the direction and the size of the argument are
 * part of it. Without them numbers clash: 0x9f is both {@link #KVM_GET_PIT2} and {@link
 * #KVM_GET_VCPU_EVENTS}.
 *
 * <p>Source: Linux 6.1 include/uapi/linux/kvm.h; {@code ioctls.tsv} in the conformance tests.
 */
public final class Ioctls {

  /** The ioctl type byte of KVM. */
  public static final int KVMIO = 0xae;

  // System file descriptors.

  public static final int KVM_GET_API_VERSION = 0x0000ae00;
  public static final int KVM_CREATE_VM = 0x0000ae01;
  public static final int KVM_GET_MSR_INDEX_LIST = 0xc004ae02;
  public static final int KVM_CHECK_EXTENSION = 0x0000ae03;
  public static final int KVM_GET_VCPU_MMAP_SIZE = 0x0000ae04;
  public static final int KVM_GET_SUPPORTED_CPUID = 0xc008ae05;
  public static final int KVM_GET_EMULATED_CPUID = 0xc008ae09;
  public static final int KVM_GET_MSR_FEATURE_INDEX_LIST = 0xc004ae0a;
  public static final int KVM_GET_SUPPORTED_HV_CPUID = 0xc008aec1;
  public static final int KVM_X86_GET_MCE_CAP_SUPPORTED = 0x8008ae9d;
  public static final int KVM_GET_DEVICE_ATTR = 0x4018aee2;
  public static final int KVM_HAS_DEVICE_ATTR = 0x4018aee3;
  // VM file descriptors.

  public static final int KVM_CREATE_VCPU = 0x0000ae41;
  public static final int KVM_GET_DIRTY_LOG = 0x4010ae42;
  public static final int KVM_SET_NR_MMU_PAGES = 0x0000ae44;
  public static final int KVM_GET_NR_MMU_PAGES = 0x0000ae45;
  public static final int KVM_SET_USER_MEMORY_REGION = 0x4020ae46;
  public static final int KVM_SET_TSS_ADDR = 0x0000ae47;
  public static final int KVM_SET_IDENTITY_MAP_ADDR = 0x4008ae48;
  public static final int KVM_CREATE_IRQCHIP = 0x0000ae60;
  public static final int KVM_IRQ_LINE = 0x4008ae61;
  public static final int KVM_IRQ_LINE_STATUS = 0xc008ae67;
  public static final int KVM_GET_IRQCHIP = 0xc208ae62;
  public static final int KVM_SET_IRQCHIP = 0x8208ae63;
  public static final int KVM_CREATE_PIT = 0x0000ae64;
  public static final int KVM_GET_PIT = 0xc048ae65;
  public static final int KVM_SET_PIT = 0x8048ae66;
  public static final int KVM_CREATE_PIT2 = 0x4040ae77;
  public static final int KVM_GET_PIT2 = 0x8070ae9f;
  public static final int KVM_SET_PIT2 = 0x4070aea0;
  public static final int KVM_REINJECT_CONTROL = 0x0000ae71;
  public static final int KVM_SET_BOOT_CPU_ID = 0x0000ae78;
  public static final int KVM_REGISTER_COALESCED_MMIO = 0x4010ae67;
  public static final int KVM_UNREGISTER_COALESCED_MMIO = 0x4010ae68;
  public static final int KVM_SET_GSI_ROUTING = 0x4008ae6a;
  public static final int KVM_IRQFD = 0x4020ae76;
  public static final int KVM_IOEVENTFD = 0x4040ae79;
  public static final int KVM_SIGNAL_MSI = 0x4020aea5;
  public static final int KVM_SET_CLOCK = 0x4030ae7b;
  public static final int KVM_GET_CLOCK = 0x8030ae7c;
  public static final int KVM_ENABLE_CAP = 0x4068aea3;
  public static final int KVM_X86_SET_MSR_FILTER = 0x4188aec6;
  public static final int KVM_SET_PMU_EVENT_FILTER = 0x4020aeb2;
  public static final int KVM_CLEAR_DIRTY_LOG = 0xc018aec0;
  public static final int KVM_RESET_DIRTY_RINGS = 0x0000aec7;
  public static final int KVM_CREATE_DEVICE = 0xc00caee0;
  public static final int KVM_SET_TSC_KHZ = 0x0000aea2;
  public static final int KVM_GET_TSC_KHZ = 0x0000aea3;
  public static final int KVM_MEMORY_ENCRYPT_OP = 0xc008aeba;
  public static final int KVM_MEMORY_ENCRYPT_REG_REGION = 0x8010aebb;
  public static final int KVM_MEMORY_ENCRYPT_UNREG_REGION = 0x8010aebc;
  public static final int KVM_XEN_HVM_CONFIG = 0x4038ae7a;
  public static final int KVM_XEN_HVM_GET_ATTR = 0xc048aec8;
  public static final int KVM_XEN_HVM_SET_ATTR = 0x4048aec9;
  public static final int KVM_XEN_HVM_EVTCHN_SEND = 0x400caed0;
  public static final int KVM_HYPERV_EVENTFD = 0x4018aebd;
  public static final int KVM_GET_STATS_FD = 0x0000aece;
  public static final int KVM_SET_MEMORY_REGION = 0x4018ae40;
  public static final int KVM_SET_MEMORY_ALIAS = 0x4020ae43;
  public static final int KVM_ASSIGN_PCI_DEVICE = 0x8040ae69;
  // vCPU file descriptors.

  public static final int KVM_RUN = 0x0000ae80;
  public static final int KVM_GET_REGS = 0x8090ae81;
  public static final int KVM_SET_REGS = 0x4090ae82;
  public static final int KVM_GET_SREGS = 0x8138ae83;
  public static final int KVM_SET_SREGS = 0x4138ae84;
  public static final int KVM_GET_SREGS2 = 0x8140aecc;
  public static final int KVM_SET_SREGS2 = 0x4140aecd;
  public static final int KVM_TRANSLATE = 0xc018ae85;
  public static final int KVM_INTERRUPT = 0x4004ae86;
  public static final int KVM_GET_MSRS = 0xc008ae88;
  public static final int KVM_SET_MSRS = 0x4008ae89;
  public static final int KVM_SET_CPUID = 0x4008ae8a;
  public static final int KVM_SET_CPUID2 = 0x4008ae90;
  public static final int KVM_GET_CPUID2 = 0xc008ae91;
  public static final int KVM_SET_SIGNAL_MASK = 0x4004ae8b;
  public static final int KVM_GET_FPU = 0x81a0ae8c;
  public static final int KVM_SET_FPU = 0x41a0ae8d;
  public static final int KVM_GET_LAPIC = 0x8400ae8e;
  public static final int KVM_SET_LAPIC = 0x4400ae8f;
  public static final int KVM_TPR_ACCESS_REPORTING = 0xc028ae92;
  public static final int KVM_SET_VAPIC_ADDR = 0x4008ae93;
  public static final int KVM_GET_MP_STATE = 0x8004ae98;
  public static final int KVM_SET_MP_STATE = 0x4004ae99;
  public static final int KVM_NMI = 0x0000ae9a;
  public static final int KVM_SMI = 0x0000aeb7;
  public static final int KVM_SET_GUEST_DEBUG = 0x4048ae9b;
  public static final int KVM_X86_SETUP_MCE = 0x4008ae9c;
  public static final int KVM_X86_SET_MCE = 0x4040ae9e;
  public static final int KVM_GET_VCPU_EVENTS = 0x8040ae9f;
  public static final int KVM_SET_VCPU_EVENTS = 0x4040aea0;
  public static final int KVM_GET_DEBUGREGS = 0x8080aea1;
  public static final int KVM_SET_DEBUGREGS = 0x4080aea2;
  public static final int KVM_GET_XSAVE = 0x9000aea4;
  public static final int KVM_SET_XSAVE = 0x5000aea5;
  public static final int KVM_GET_XSAVE2 = 0x9000aecf;
  public static final int KVM_GET_XCRS = 0x8188aea6;
  public static final int KVM_SET_XCRS = 0x4188aea7;
  public static final int KVM_KVMCLOCK_CTRL = 0x0000aead;
  public static final int KVM_GET_NESTED_STATE = 0xc080aebe;
  public static final int KVM_SET_NESTED_STATE = 0x4080aebf;
  public static final int KVM_GET_ONE_REG = 0x4010aeab;
  public static final int KVM_SET_ONE_REG = 0x4010aeac;
  public static final int KVM_XEN_VCPU_GET_ATTR = 0xc048aeca;
  public static final int KVM_XEN_VCPU_SET_ATTR = 0x4048aecb;
  // Device file descriptors.

  public static final int KVM_SET_DEVICE_ATTR = 0x4018aee1;
  // Newer than Linux 6.1.

  public static final int KVM_SET_USER_MEMORY_REGION2 = 0x40a0ae49;
  public static final int KVM_SET_MEMORY_ATTRIBUTES = 0x4020aed2;
  public static final int KVM_CREATE_GUEST_MEMFD = 0xc040aed4;
  public static final int KVM_PRE_FAULT_MEMORY = 0xc040aed5;

  private Ioctls() {}
}
