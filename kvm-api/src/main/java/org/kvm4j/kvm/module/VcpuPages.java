package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * The pages that user space maps from a vCPU's file descriptor: {@code struct kvm_run}, the data of
 * port accesses, the VM's ring of coalesced accesses, and far behind them the dirty ring.
 */
final class VcpuPages {
  /** KVM_PIO_PAGE_OFFSET. */
  static final int PIO_PAGE = 1;

  /** KVM_COALESCED_MMIO_PAGE_OFFSET. */
  static final int COALESCED_PAGE = 2;

  /** KVM_GET_VCPU_MMAP_SIZE. */
  static final int MMAP_SIZE = 3 * UserSpace.PAGE;

  /** Pages that an mmap may reach to at most, beyond every ring; not all of them can be touched. */
  private static final int RESERVED = 1 << 20;

  static final int PIO_OFFSET = PIO_PAGE * UserSpace.PAGE;

  private final FilePages own;
  private final FilePages ring;
  private final @Nullable DirtyRing dirty;

  /** The first two pages, little endian. */
  final ByteBuffer run;

  /**
   * @param ring of coalesced accesses
   * @param dirty the vCPU's dirty ring, if it has one
   */
  VcpuPages(PhysicalMemory memory, FilePages ring, @Nullable DirtyRing dirty) {
    this.dirty = dirty;
    this.own = new FilePages(memory, COALESCED_PAGE);
    this.ring = ring;
    this.run = own.content;
  }

  /**
   * mmap of the descriptor. A dirty ring is shared and holds no code. Linux 6.1 kvm_vcpu_mmap.
   *
   * @param protection {@code PROT_*}
   * @param flags {@code MAP_*}
   */
  long map(UserSpace user, long length, int protection, int flags, long offset) {
    long first = offset >>> 12;
    long count = length + UserSpace.PAGE - 1 >>> 12;
    if (first >= RESERVED || count > RESERVED) {
      return Results.EINVAL;
    }
    if (dirty == null) {
      return user.mapFile((int) first, (int) count, own, ring);
    }
    boolean privateOrCode =
        (flags & Kernel.MAP_SHARED) == 0 || (protection & Kernel.PROT_EXEC) != 0;
    if (privateOrCode && (isDirtyRing(first) || isDirtyRing(first + count - 1))) {
      return Results.EINVAL;
    }
    FilePages hole = FilePages.hole(Uapi.KVM_DIRTY_LOG_PAGE_OFFSET - MMAP_SIZE / UserSpace.PAGE);
    return user.mapFile((int) first, (int) count, own, ring, hole, dirty.pages);
  }

  private boolean isDirtyRing(long page) {
    return dirty != null
        && page >= Uapi.KVM_DIRTY_LOG_PAGE_OFFSET
        && page < Uapi.KVM_DIRTY_LOG_PAGE_OFFSET + dirty.pages.count();
  }

  /** The descriptor is gone. */
  void release() {
    own.release();
    if (dirty != null) {
      dirty.pages.release();
    }
  }
}
