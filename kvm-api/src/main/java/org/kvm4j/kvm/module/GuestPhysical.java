package org.kvm4j.kvm.module;

import org.kvm4j.ept.memory.PhysicalMemory;

/**
 * Guest-physical memory as the module itself reads and writes it, through the slots: what it shares
 * with a paravirtual guest. What is written is dirty. Source: Linux 6.1 kvm_read_guest,
 * kvm_write_guest.
 */
final class GuestPhysical {
  private final MemorySlots slots;
  private final UserSpace user;
  private final DirtyPages dirtyPages;
  private final PhysicalMemory memory;

  GuestPhysical(MemorySlots slots, UserSpace user, DirtyPages dirtyPages) {
    this.dirtyPages = dirtyPages;
    this.slots = slots;
    this.user = user;
    this.memory = user.memory();
  }

  /** The host-physical address of bytes of one page; -1 if there is no memory. */
  private long find(long gpa, int length, boolean write) {
    MemorySlot s = slots.at(gpa);
    if (s == null || (write && s.readOnly()) || (gpa & 0xfff) + length > 4096) {
      return -1;
    }
    long hpa = user.physical(s.hva(gpa), length);
    if (hpa >= 0 && write) {
      dirtyPages.mark(s, gpa - s.gpa >>> 12);
    }
    return hpa;
  }

  /** Whether all of these bytes are memory that can be written. */
  boolean has(long gpa, int length) {
    for (long at = gpa; at < gpa + length; at = (at | 0xfff) + 1) {
      MemorySlot s = slots.at(at);
      if (s == null || s.readOnly() || user.physical(s.hva(at), 1) < 0) {
        return false;
      }
    }
    return true;
  }

  /**
   * Reads bytes, which may be of two pages.
   *
   * @return false if there is no memory
   */
  boolean read(long gpa, byte[] into) {
    int first = (int) Math.min(into.length, 4096 - (gpa & 0xfff));
    long hpa = find(gpa, first, false);
    if (hpa < 0) {
      return false;
    }
    memory.read(hpa, into, 0, first);
    if (first == into.length) {
      return true;
    }
    long rest = find(gpa + first, into.length - first, false);
    if (rest >= 0) {
      memory.read(rest, into, first, into.length - first);
    }
    return rest >= 0;
  }

  /**
   * Writes bytes, which may be of two pages.
   *
   * @return false if there is no memory, or it cannot be written
   */
  boolean write(long gpa, byte[] from) {
    int first = (int) Math.min(from.length, 4096 - (gpa & 0xfff));
    long hpa = find(gpa, first, true);
    if (hpa < 0) {
      return false;
    }
    memory.deviceWrite(hpa, from, 0, first);
    if (first == from.length) {
      return true;
    }
    long rest = find(gpa + first, from.length - first, true);
    if (rest >= 0) {
      memory.deviceWrite(rest, from, first, from.length - first);
    }
    return rest >= 0;
  }
}
