package org.kvm4j.kvm.module;

import static org.kvm4j.kvm.uapi.Caps.*;

import java.nio.ByteBuffer;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * Limits and switches of a VM that concern nobody but who asks for them. Source: Linux 6.1
 * kvm_vm_ioctl_enable_cap, kvm_vm_ioctl_set_nr_mmu_pages, kvm_vm_ioctl_set_pmu_event_filter.
 */
final class VmSettings {
  /** KVM_MIN_ALLOC_MMU_PAGES. */
  private static final long LEAST_MMU_PAGES = 64;

  /** KVM_PERMILLE_MMU_PAGES: of the pages of all slots. */
  private static final long MMU_PAGES_PER_THOUSAND = 20;

  /** KVM_PMU_EVENT_FILTER_MAX_EVENTS. */
  private static final int MOST_FILTERED_EVENTS = 300;

  // struct kvm_pmu_event_filter.
  private static final int FILTER_ACTION = 0;
  private static final int FILTER_NEVENTS = 4;
  private static final int FILTER_FLAGS = 12;
  private static final int FILTER_SIZEOF = 32;

  /** What KVM_CAP_DISABLE_QUIRKS2 can switch off. */
  static final int QUIRKS =
      Uapi.KVM_X86_QUIRK_LINT0_REENABLED
          | Uapi.KVM_X86_QUIRK_CD_NW_CLEARED
          | Uapi.KVM_X86_QUIRK_LAPIC_MMIO_HOLE
          | Uapi.KVM_X86_QUIRK_OUT_7E_INC_RIP
          | Uapi.KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT
          | Uapi.KVM_X86_QUIRK_FIX_HYPERCALL_INSN
          | Uapi.KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS;

  /** KVM_CAP_MSR_PLATFORM_INFO: whether the guest may read MSR_PLATFORM_INFO. */
  volatile boolean platformInfoReadable = true;

  /** KVM_CAP_MAX_VCPU_ID; 0 as long as it is not fixed. */
  private long vcpuIds;

  /** KVM_SET_NR_MMU_PAGES; 0 as long as it is not set. */
  private volatile long mmuPages;

  /**
   * KVM_ENABLE_CAP.
   *
   * @param late whether there was a virtual CPU already
   */
  synchronized int enable(int capability, long argument, boolean late) {
    switch (capability) {
      case KVM_CAP_MSR_PLATFORM_INFO:
        platformInfoReadable = argument != 0;
        return 0;
      case KVM_CAP_MAX_VCPU_ID:
        if (Long.compareUnsigned(argument, Capabilities.MAX_VCPU_ID) > 0) {
          return Results.EINVAL;
        }
        if (vcpuIds != 0 && vcpuIds != argument) {
          return Results.EINVAL;
        }
        vcpuIds = argument;
        return 0;
      case KVM_CAP_HALT_POLL:
        // A halted processor's thread sleeps at once, for however long it might have polled.
        return argument == (argument & 0xffffffffL) ? 0 : Results.EINVAL;
      case KVM_CAP_VM_DISABLE_NX_HUGE_PAGES:
        // There are no such workarounds to switch off. Who may is who may restart the machine.
        return argument != 0 || late ? Results.EINVAL : 0;
      default:
        return Results.EINVAL;
    }
  }

  /** The first ID that no virtual CPU may have. The first one fixes it. */
  synchronized long fixVcpuIds() {
    if (vcpuIds == 0) {
      vcpuIds = Capabilities.MAX_VCPU_ID;
    }
    return vcpuIds;
  }

  /** KVM_SET_NR_MMU_PAGES: kept, and no more. The nested tables take what they need. */
  int setMmuPages(long pages) {
    if (Long.compareUnsigned(pages, LEAST_MMU_PAGES) < 0) {
      return Results.EINVAL;
    }
    mmuPages = pages;
    return 0;
  }

  /** KVM_GET_NR_MMU_PAGES: what was set, or else what the size of the slots makes of it. */
  int mmuPages(MemorySlots slots) {
    if (mmuPages != 0) {
      return (int) mmuPages;
    }
    long pages = 0;
    for (MemorySlot s : slots.snapshot()) {
      pages += s.pages();
    }
    return pages == 0 ? 0 : (int) Math.max(LEAST_MMU_PAGES, pages * MMU_PAGES_PER_THOUSAND / 1000);
  }

  /** KVM_SET_PMU_EVENT_FILTER: checked. There are no performance counters to filter events for. */
  static int filterEvents(UserSpace user, long argument) {
    ByteBuffer head = user.copyIn(argument, FILTER_SIZEOF);
    if (head == null) {
      return Results.EFAULT;
    }
    int action = head.getInt(FILTER_ACTION);
    if ((action != Uapi.KVM_PMU_EVENT_ALLOW && action != Uapi.KVM_PMU_EVENT_DENY)
        || head.getInt(FILTER_FLAGS) != 0) {
      return Results.EINVAL;
    }
    int events = head.getInt(FILTER_NEVENTS);
    if (Integer.compareUnsigned(events, MOST_FILTERED_EVENTS) > 0) {
      return Results.E2BIG;
    }
    return user.copyIn(argument, FILTER_SIZEOF + 8 * events) == null ? Results.EFAULT : 0;
  }
}
