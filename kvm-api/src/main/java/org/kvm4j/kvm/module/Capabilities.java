package org.kvm4j.kvm.module;

import static org.kvm4j.kvm.uapi.Caps.*;

import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * What KVM_CHECK_EXTENSION says: the capabilities that are built, with their values. All others are
 * 0, as an unknown number is. Source: Linux 6.1 kvm_vm_ioctl_check_extension.
 */
final class Capabilities {
  private static final Map<Integer, Integer> VALUES = new TreeMap<>();

  /** Bits that KVM_SET_GUEST_DEBUG takes. */
  static final int GUEST_DEBUG_MASK = 0x1f0003;

  /**
   * Exits that can be switched off: C-states have no registers that could exit. Without MWAIT,
   * which the processor would have to be able to wake from with its timer running.
   */
  static final int DISABLE_EXITS =
      Uapi.KVM_X86_DISABLE_EXITS_HLT
          | Uapi.KVM_X86_DISABLE_EXITS_PAUSE
          | Uapi.KVM_X86_DISABLE_EXITS_CSTATE;

  /** What KVM_CAP_X86_DISABLE_EXITS takes; MWAIT has no effect. */
  static final int DISABLE_EXITS_VALID = DISABLE_EXITS | Uapi.KVM_X86_DISABLE_EXITS_MWAIT;

  static final int MAX_VCPUS = 1024;
  static final int MAX_VCPU_ID = 4096;

  static {
    for (int one :
        new int[] {
          KVM_CAP_HLT,
          KVM_CAP_IRQCHIP,
          KVM_CAP_VAPIC,
          KVM_CAP_PIT,
          KVM_CAP_REINJECT_CONTROL,
          KVM_CAP_IRQ_INJECT_STATUS,
          KVM_CAP_IRQFD,
          KVM_CAP_PIT2,
          KVM_CAP_PIT_STATE2,
          KVM_CAP_TSC_DEADLINE_TIMER,
          KVM_CAP_SIGNAL_MSI,
          KVM_CAP_IRQFD_RESAMPLE,
          KVM_CAP_SPLIT_IRQCHIP,
          KVM_CAP_USER_MEMORY,
          KVM_CAP_SET_TSS_ADDR,
          KVM_CAP_EXT_CPUID,
          KVM_CAP_NOP_IO_DELAY,
          KVM_CAP_MP_STATE,
          KVM_CAP_SYNC_MMU,
          KVM_CAP_DESTROY_MEMORY_REGION_WORKS,
          KVM_CAP_USER_NMI,
          KVM_CAP_SET_GUEST_DEBUG,
          KVM_CAP_JOIN_MEMORY_REGIONS_WORKS,
          KVM_CAP_IOEVENTFD,
          KVM_CAP_SET_IDENTITY_MAP_ADDR,
          KVM_CAP_INTERNAL_ERROR_DATA,
          KVM_CAP_VCPU_EVENTS,
          KVM_CAP_DEBUGREGS,
          KVM_CAP_X86_ROBUST_SINGLESTEP,
          KVM_CAP_ENABLE_CAP,
          KVM_CAP_XSAVE,
          KVM_CAP_XCRS,
          KVM_CAP_GET_TSC_KHZ,
          KVM_CAP_READONLY_MEM,
          KVM_CAP_ENABLE_CAP_VM,
          KVM_CAP_IOEVENTFD_NO_LENGTH,
          KVM_CAP_CHECK_EXTENSION_VM,
          KVM_CAP_IOEVENTFD_ANY_LENGTH,
          KVM_CAP_VCPU_ATTRIBUTES,
          KVM_CAP_IMMEDIATE_EXIT,
          KVM_CAP_GET_MSR_FEATURES,
          KVM_CAP_COALESCED_PIO,
          KVM_CAP_EXCEPTION_PAYLOAD,
          KVM_CAP_X86_USER_SPACE_MSR,
          KVM_CAP_X86_MSR_FILTER,
          KVM_CAP_SREGS2,
          KVM_CAP_EXIT_ON_EMULATION_FAILURE,
          KVM_CAP_SYS_ATTRIBUTES,
          KVM_CAP_X86_TRIPLE_FAULT_EVENT,
          KVM_CAP_SET_BOOT_CPU_ID,
          KVM_CAP_BINARY_STATS_FD,
          KVM_CAP_EXT_EMUL_CPUID,
          KVM_CAP_MMU_SHADOW_CACHE_CONTROL,
          KVM_CAP_DEVICE_CTRL,
          KVM_CAP_PMU_EVENT_FILTER,
          KVM_CAP_MSR_PLATFORM_INFO,
          KVM_CAP_HALT_POLL,
          KVM_CAP_LAST_CPU,
          KVM_CAP_SYSTEM_EVENT_DATA,
          KVM_CAP_VM_DISABLE_NX_HUGE_PAGES,
          KVM_CAP_CLOCKSOURCE,
          KVM_CAP_KVMCLOCK_CTRL,
          KVM_CAP_ASYNC_PF,
          KVM_CAP_ASYNC_PF_INT,
          KVM_CAP_ENFORCE_PV_FEATURE_CPUID,
        }) {
      VALUES.put(one, 1);
    }
    VALUES.put(KVM_CAP_NR_VCPUS, Math.max(1, Runtime.getRuntime().availableProcessors()));
    VALUES.put(KVM_CAP_NR_MEMSLOTS, MemorySlots.COUNT);
    VALUES.put(KVM_CAP_COALESCED_MMIO, VcpuPages.COALESCED_PAGE);
    VALUES.put(KVM_CAP_MAX_VCPUS, MAX_VCPUS);
    VALUES.put(KVM_CAP_MAX_VCPU_ID, MAX_VCPU_ID);
    VALUES.put(KVM_CAP_SYNC_REGS, 7);
    VALUES.put(KVM_CAP_IRQ_ROUTING, Uapi.KVM_MAX_IRQ_ROUTES);
    VALUES.put(
        KVM_CAP_X2APIC_API,
        Uapi.KVM_X2APIC_API_USE_32BIT_IDS | Uapi.KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
    VALUES.put(KVM_CAP_DIRTY_LOG_RING, DirtyRing.MAX_SIZE);
    VALUES.put(KVM_CAP_DIRTY_LOG_RING_ACQ_REL, DirtyRing.MAX_SIZE);
    VALUES.put(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 3);
    VALUES.put(KVM_CAP_SET_GUEST_DEBUG2, GUEST_DEBUG_MASK);
    VALUES.put(KVM_CAP_XSAVE2, 4096);
    VALUES.put(KVM_CAP_DISABLE_QUIRKS, 1);
    VALUES.put(KVM_CAP_DISABLE_QUIRKS2, VmSettings.QUIRKS);
    VALUES.put(KVM_CAP_ADJUST_CLOCK, ClockIoctls.FLAGS);
    VALUES.put(KVM_CAP_MCE, MachineCheck.MAX_BANKS);
    VALUES.put(KVM_CAP_EXIT_HYPERCALL, Hypercalls.EXITS);
    VALUES.put(KVM_CAP_X86_DISABLE_EXITS, DISABLE_EXITS);
  }

  /** What is KVM's and not the processor's, or would need nested tables. */
  private static final Set<Integer> NOT_ON_BARE_METAL =
      Set.of(
          KVM_CAP_READONLY_MEM,
          KVM_CAP_DIRTY_LOG_RING,
          KVM_CAP_DIRTY_LOG_RING_ACQ_REL,
          KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
          KVM_CAP_SET_GUEST_DEBUG,
          KVM_CAP_SET_GUEST_DEBUG2,
          KVM_CAP_X86_ROBUST_SINGLESTEP,
          KVM_CAP_SPLIT_IRQCHIP,
          KVM_CAP_VAPIC,
          KVM_CAP_CLOCKSOURCE,
          KVM_CAP_KVMCLOCK_CTRL,
          KVM_CAP_ASYNC_PF,
          KVM_CAP_ASYNC_PF_INT,
          KVM_CAP_EXIT_HYPERCALL,
          KVM_CAP_X86_DISABLE_EXITS,
          KVM_CAP_X86_USER_SPACE_MSR,
          KVM_CAP_X86_MSR_FILTER);

  private Capabilities() {}

  /** The value of a capability; 0 if it is unknown or not built. */
  static int value(HostMachine machine, long capability) {
    if (capability < 0 || capability > Integer.MAX_VALUE) {
      return 0;
    }
    if (machine.isBare() && NOT_ON_BARE_METAL.contains((int) capability)) {
      return 0;
    }
    return switch ((int) capability) {
      case KVM_CAP_TSC_CONTROL, KVM_CAP_VM_TSC_CONTROL -> machine.scalesTsc() ? 1 : 0;
      default -> VALUES.getOrDefault((int) capability, 0);
    };
  }
}
