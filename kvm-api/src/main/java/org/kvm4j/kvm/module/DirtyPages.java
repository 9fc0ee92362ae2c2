package org.kvm4j.kvm.module;

import org.jspecify.annotations.Nullable;
import org.kvm4j.ept.memory.PhysicalMemory;

/**
 * Where a VM notes the pages that were written: in the bitmap of their slot, or in the ring of the
 * virtual CPU that wrote. Source: Linux 6.1 mark_page_dirty_in_slot.
 */
final class DirtyPages {
  private final Iterable<VirtualCpu> vcpus;

  /** Of each vCPU's ring, in bytes; 0 for bitmaps. */
  private volatile int ringSize;

  DirtyPages(Iterable<VirtualCpu> vcpus) {
    this.vcpus = vcpus;
  }

  boolean useRings() {
    return ringSize != 0;
  }

  /**
   * KVM_CAP_DIRTY_LOG_RING.
   *
   * @param size in bytes
   * @param late whether there is a virtual CPU already
   */
  int setRingSize(long size, boolean late) {
    int error = DirtyRing.check(size);
    if (error == 0 && (ringSize != 0 || late)) {
      error = Results.EINVAL;
    }
    if (error == 0) {
      ringSize = (int) size;
    }
    return error;
  }

  /** The ring of a new virtual CPU, if the VM has rings. */
  @Nullable DirtyRing newRing(PhysicalMemory memory) {
    return useRings() ? new DirtyRing(memory, ringSize) : null;
  }

  /** A page was written, by the virtual CPU that the calling thread is busy with. */
  void mark(MemorySlot slot, long page) {
    if (!slot.logsDirty()) {
      return;
    }
    if (!useRings()) {
      slot.markDirty(page);
      return;
    }
    for (VirtualCpu v : vcpus) {
      DirtyRing ring = v.dirtyRing;
      if (ring != null && v.isUsedByThisThread()) {
        ring.push(slot.id, page);
        return;
      }
    }
  }
}
