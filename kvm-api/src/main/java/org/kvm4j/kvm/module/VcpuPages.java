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
  static final int MMAP_SIZE = 3 * 4096;

  /** What an mmap may ask for at most; pages after the third cannot be touched. */
  static final int RESERVED = 64 * 4096;

  static final int PIO_OFFSET = PIO_PAGE * 4096;

  private final PhysicalMemory memory;
  private final long hpa;
  private boolean freed;

  /** The first two pages, little endian. */
  final ByteBuffer run;

  VcpuPages(PhysicalMemory memory) {
    this.memory = memory;
    this.hpa = memory.map(COALESCED_PAGE * 4096);
    this.run = memory.slice(hpa, COALESCED_PAGE * 4096);
  }

  /** mmap of the descriptor. */
  synchronized long map(UserSpace user, long ringPage, long length, long offset) {
    if (freed) {
      return Results.EBADF;
    }
    long[] pages = {hpa, hpa + 4096, ringPage};
    int first = (int) Math.min(offset >>> 12, pages.length);
    int wanted = (int) (length + 4095 >>> 12);
    int n = Math.min(wanted, pages.length - first);
    if (n <= 0) {
      return Results.EINVAL;
    }
    return user.mapPages(this, java.util.Arrays.copyOfRange(pages, first, first + n), wanted);
  }

  synchronized void free(UserSpace user) {
    freed = true;
    user.unmapPages(this);
    memory.unmap(hpa);
  }
}
