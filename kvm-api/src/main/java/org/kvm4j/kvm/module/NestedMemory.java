package org.kvm4j.kvm.module;

import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.ept.nested.EptBuilder;
import org.kvm4j.ept.nested.EptEntry;

/**
 * The nested page tables of a VM, filled from its memory slots as the guest touches them. Pages of
 * 2 MiB are used where slot and backing allow; a slot that logs dirty pages is mapped by 4 KiB,
 * write-protected until each page's first write.
 */
final class NestedMemory implements AutoCloseable, MemorySlots.Change {
  private static final long LARGE = 1L << 21;
  private static final long READ_ONLY = EptEntry.READ | EptEntry.EXECUTE;
  private static final int WB = EptEntry.WRITE_BACK;

  /** What a fault was. */
  enum Fault {
    /** Mapped now: enter again. */
    MAPPED,
    /** No memory: a device. */
    DEVICE,
    /** The slot's user memory is not there. */
    BAD_ADDRESS
  }

  private final UserSpace user;
  private final MemorySlots slots;
  private final EptBuilder tables;
  private final DirtyPages dirtyPages;
  private final Runnable flush;

  /** The VM is gone; a call on it may still be under way. */
  private boolean closed;

  /**
   * @param flush drops what processors cached of the tables, on all virtual CPUs, before it returns
   */
  NestedMemory(
      HostMachine machine,
      UserSpace user,
      MemorySlots slots,
      DirtyPages dirtyPages,
      Runnable flush) {
    this.dirtyPages = dirtyPages;
    this.user = user;
    this.slots = slots;
    this.flush = flush;
    this.tables = new EptBuilder(machine.frames(), 4, false, 21);
  }

  /** The pointer that the processor is given: the EPTP. */
  long pointer() {
    return tables.eptp();
  }

  /** Makes a guest-physical address accessible, if memory is there. */
  Fault fault(long gpa, boolean write) {
    return isDevice(gpa, write) ? Fault.DEVICE : map(gpa, write);
  }

  private synchronized Fault map(long gpa, boolean write) {
    MemorySlot s = slots.at(gpa);
    if (s == null || (write && s.readOnly())) {
      return Fault.DEVICE;
    }
    long page = gpa & -4096L;
    long hpa = user.physical(s.hva(page), 4096);
    if (hpa < 0) {
      return Fault.BAD_ADDRESS;
    }
    if (s.logsDirty()) {
      if (write) {
        if (dirtyPages.useRings() && isWritable(page)) {
          // Another virtual CPU has written it in the meantime, and noted that.
          return Fault.MAPPED;
        }
        dirtyPages.mark(s, page - s.gpa >>> 12);
      }
      tables.map(page, hpa, 4096, write ? EptEntry.ALL : READ_ONLY, WB, 12);
      return Fault.MAPPED;
    }
    long rights = s.readOnly() ? READ_ONLY : EptEntry.ALL;
    long large = gpa & -LARGE;
    long backing = s.hva(large);
    if (large >= s.gpa
        && large + LARGE <= s.gpa + s.size
        && (backing & LARGE - 1) == 0
        && user.physical(backing, LARGE) >= 0
        && (user.physical(backing, LARGE) & LARGE - 1) == 0) {
      tables.map(large, user.physical(backing, LARGE), LARGE, rights, WB);
    } else {
      tables.map(page, hpa, 4096, rights, WB, 12);
    }
    return Fault.MAPPED;
  }

  private boolean isWritable(long page) {
    EptBuilder.Mapping now = tables.find(page);
    return now != null && (now.rights() & EptEntry.WRITE) != 0;
  }

  /** Whether only a device can be at the address. */
  boolean isDevice(long gpa, boolean write) {
    MemorySlot s = slots.at(gpa);
    return s == null || (write && s.readOnly());
  }

  // ---- changes of slots ----

  @Override
  public synchronized void removed(MemorySlot old) {
    if (!closed && tables.unmap(old.gpa, old.size)) {
      flush.run();
      tables.reclaim();
    }
  }

  @Override
  public synchronized void added(MemorySlot slot) {
    // Where a device was there is memory now; nothing was mapped, so nothing is stale.
  }

  @Override
  public synchronized void flagsChanged(MemorySlot old, MemorySlot slot) {
    if (!closed && tables.unmap(old.gpa, old.size)) {
      flush.run();
      tables.reclaim();
    }
  }

  /** User memory goes away: nothing may stay mapped to it. */
  void unmapped(long hva, long length) {
    synchronized (this) {
      boolean any = false;
      for (MemorySlot s : slots.snapshot()) {
        if (!closed && s.hva < hva + length && hva < s.hva + s.size) {
          any |= tables.unmap(s.gpa, s.size);
        }
      }
      if (any) {
        flush.run();
        tables.reclaim();
      }
    }
  }

  // ---- dirty pages ----

  /**
   * Takes the dirty bitmap of a slot.
   *
   * @param clear whether to clear it and protect the pages again
   */
  synchronized long[] takeDirty(MemorySlot s, boolean clear) {
    long[] copy;
    synchronized (s.dirty) {
      copy = s.dirty.clone();
      if (clear) {
        java.util.Arrays.fill(s.dirty, 0);
      }
    }
    if (clear && !closed) {
      protect(s, copy, 0);
    }
    return copy;
  }

  /** Clears the given dirty bits, from a page on, and protects their pages again. */
  synchronized void clearDirty(MemorySlot s, long firstPage, long[] bits) {
    int word = (int) (firstPage >>> 6);
    long[] cleared = new long[bits.length];
    synchronized (s.dirty) {
      for (int i = 0; i < bits.length && word + i < s.dirty.length; i++) {
        cleared[i] = bits[i] & s.dirty[word + i];
        s.dirty[word + i] &= ~bits[i];
      }
    }
    if (!closed) {
      protect(s, cleared, firstPage);
    }
  }

  /**
   * KVM_RESET_DIRTY_RINGS: takes back the entries that user space has harvested, and protects their
   * pages again.
   *
   * @return how many entries
   */
  synchronized int resetRings(Iterable<VirtualCpu> vcpus) {
    int count = 0;
    for (VirtualCpu v : vcpus) {
      if (v.dirtyRing != null) {
        count += v.dirtyRing.reset(this::protectAgain);
      }
    }
    if (count > 0) {
      flush.run();
    }
    return count;
  }

  /** What an entry of a ring names, which user space may have changed to anything. */
  private void protectAgain(int slot, long page) {
    MemorySlot s = slots.byId(slot);
    if (!closed && s != null && Long.compareUnsigned(page, s.pages()) < 0) {
      tables.writeProtect(s.gpa + (page << 12), 4096);
    }
  }

  private void protect(MemorySlot s, long[] bits, long firstPage) {
    boolean any = false;
    for (int i = 0; i < bits.length; i++) {
      long word = bits[i];
      while (word != 0) {
        int bit = Long.numberOfTrailingZeros(word);
        word &= word - 1;
        tables.writeProtect(s.gpa + (firstPage + i * 64L + bit << 12), 4096);
        any = true;
      }
    }
    if (any) {
      flush.run();
    }
  }

  /** All pages count as dirty (KVM_DIRTY_LOG_INITIALLY_SET). */
  static void setAll(MemorySlot s) {
    synchronized (s.dirty) {
      java.util.Arrays.fill(s.dirty, -1L);
      int rest = (int) (s.pages() & 63);
      if (rest != 0) {
        s.dirty[s.dirty.length - 1] = (1L << rest) - 1;
      }
    }
  }

  PhysicalMemory memory() {
    return user.memory();
  }

  @Override
  public synchronized void close() {
    closed = true;
    tables.close();
  }
}
