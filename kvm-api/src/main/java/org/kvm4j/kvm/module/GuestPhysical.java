package org.kvm4j.kvm.module;

import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.kvm.module.pv.SharedMemory;

/** Guest-physical memory as the module itself reads and writes it, through the slots. */
final class GuestPhysical implements SharedMemory {
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
    return user.physical(s.hva(gpa), length);
  }

  /** A page was written: after the store, so that who takes the mark finds what was stored. */
  private void wrote(long gpa) {
    MemorySlot s = slots.at(gpa);
    if (s != null) {
      dirtyPages.mark(s, gpa - s.gpa >>> 12);
    }
  }

  @Override
  public boolean has(long gpa, int length) {
    for (long at = gpa; at < gpa + length; at = (at | 0xfff) + 1) {
      MemorySlot s = slots.at(at);
      if (s == null || s.readOnly() || user.physical(s.hva(at), 1) < 0) {
        return false;
      }
    }
    return true;
  }

  @Override
  public boolean read(long gpa, byte[] into) {
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

  @Override
  public boolean write(long gpa, byte[] from) {
    int first = (int) Math.min(from.length, 4096 - (gpa & 0xfff));
    long hpa = find(gpa, first, true);
    if (hpa < 0) {
      return false;
    }
    memory.deviceWrite(hpa, from, 0, first);
    wrote(gpa);
    if (first == from.length) {
      return true;
    }
    long rest = find(gpa + first, from.length - first, true);
    if (rest >= 0) {
      memory.deviceWrite(rest, from, first, from.length - first);
      wrote(gpa + first);
    }
    return rest >= 0;
  }

  @Override
  public int exchangeByte(long gpa, int value) {
    long hpa = find(gpa, 1, true);
    if (hpa < 0) {
      return -1;
    }
    long whole = hpa & ~3L;
    int shift = (int) (hpa & 3) * 8;
    while (true) {
      int old = memory.readInt(whole);
      int now = old & ~(0xff << shift) | (value & 0xff) << shift;
      if (memory.compareAndSetInt(whole, old, now)) {
        memory.notifyCodeWrite(hpa, 1);
        wrote(gpa);
        return old >>> shift & 0xff;
      }
    }
  }

  @Override
  public int readByte(long gpa) {
    long hpa = find(gpa, 1, false);
    return hpa < 0 ? -1 : memory.readByte(hpa) & 0xff;
  }
}
