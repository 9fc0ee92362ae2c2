package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import org.kvm4j.ept.memory.PhysicalMemory;

/**
 * The pages that user space maps from a vCPU's file descriptor: {@code struct kvm_run}, the data of
 * port accesses, and the VM's ring of coalesced accesses.
 */
final class VcpuPages {
  /** KVM_PIO_PAGE_OFFSET. */
  static final int PIO_PAGE = 1;

  /** KVM_COALESCED_MMIO_PAGE_OFFSET. */
  static final int COALESCED_PAGE = 2;

  /** KVM_GET_VCPU_MMAP_SIZE. */
  static final int MMAP_SIZE = 3 * UserSpace.PAGE;

  /** What an mmap may ask for at most; pages after the third cannot be touched. */
  static final int RESERVED = 64 * UserSpace.PAGE;

  static final int PIO_OFFSET = PIO_PAGE * UserSpace.PAGE;

  private final FilePages own;
  private final FilePages ring;

  /** The first two pages, little endian. */
  final ByteBuffer run;

  VcpuPages(PhysicalMemory memory, FilePages ring) {
    this.own = new FilePages(memory, COALESCED_PAGE);
    this.ring = ring;
    this.run = own.content;
  }

  /** mmap of the descriptor. */
  long map(UserSpace user, long length, long offset) {
    int first = (int) Math.min(offset >>> 12, RESERVED);
    return user.mapFile(first, (int) (length + UserSpace.PAGE - 1 >>> 12), own, ring);
  }

  /** The descriptor is gone. */
  void release() {
    own.release();
  }
}
