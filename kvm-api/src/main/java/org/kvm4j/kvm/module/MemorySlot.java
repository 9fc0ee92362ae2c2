package org.kvm4j.kvm.module;

import org.kvm4j.kvm.uapi.Uapi;

/**
 * A memory slot as it was set: immutable, but for its dirty bitmap.
 *
 * @see MemorySlots
 */
final class MemorySlot {
  final int id;
  final int flags;
  final long gpa;
  final long size;
  final long hva;

  /** One bit for each page; empty without LOG_DIRTY_PAGES. Guarded by itself. */
  final long[] dirty;

  MemorySlot(int id, int flags, long gpa, long size, long hva) {
    this.id = id;
    this.flags = flags;
    this.gpa = gpa;
    this.size = size;
    this.hva = hva;
    this.dirty = logsDirty() ? new long[(int) ((pages() + 63) / 64)] : new long[0];
  }

  long pages() {
    return size >>> 12;
  }

  boolean logsDirty() {
    return (flags & Uapi.KVM_MEM_LOG_DIRTY_PAGES) != 0;
  }

  boolean readOnly() {
    return (flags & Uapi.KVM_MEM_READONLY) != 0;
  }

  boolean contains(long address) {
    return address - gpa >= 0 && address - gpa < size;
  }

  boolean overlaps(long otherGpa, long otherSize) {
    return otherGpa < gpa + size && gpa < otherGpa + otherSize;
  }

  /** The user address of a guest-physical address of this slot. */
  long hva(long address) {
    return hva + (address - gpa);
  }

  void markDirty(long page) {
    synchronized (dirty) {
      dirty[(int) (page >>> 6)] |= 1L << page;
    }
  }
}
