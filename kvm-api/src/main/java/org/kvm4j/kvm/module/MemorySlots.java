package org.kvm4j.kvm.module;

import java.util.Arrays;
import java.util.Comparator;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * The memory slots of a VM and the rules for changing them. Readers take an immutable snapshot;
 * changes replace it. Source: Linux Documentation/virt/kvm/api.rst, "KVM_SET_USER_MEMORY_REGION".
 */
final class MemorySlots {
  /** KVM_CAP_NR_MEMSLOTS. */
  static final int COUNT = 32764;

  private final long guestPhysicalLimit;
  private volatile String refusal = "";
  private volatile MemorySlot[] sorted = new MemorySlot[0];

  /**
   * @param physicalBits of the host processor: slots lie below
   */
  MemorySlots(int physicalBits) {
    this.guestPhysicalLimit = 1L << physicalBits;
  }

  /** What a change asks of the nested page tables. */
  interface Change {
    /**
     * Why a slot cannot be, or cannot take the place of its old one; "" if it can, and there is
     * room for it then.
     */
    default String refuses(@Nullable MemorySlot old, MemorySlot slot) {
      return "";
    }

    /** The VM is gone, and the slot with it. */
    default void closed(MemorySlot slot) {}

    /** Whether it is known which pages were written; all count as dirty otherwise. */
    default boolean tracksDirty() {
      return true;
    }

    /** The old slot is gone, or moved: nothing of it may stay mapped. */
    void removed(MemorySlot old);

    /** A slot is new in its place. */
    void added(MemorySlot slot);

    /** Same place, other flags: dirty logging was switched. */
    void flagsChanged(MemorySlot old, MemorySlot slot);
  }

  /** Why the last change was refused, in words; "" if there are none. */
  String refusal() {
    return refusal;
  }

  MemorySlot[] snapshot() {
    return sorted;
  }

  @Nullable MemorySlot byId(int id) {
    for (MemorySlot s : sorted) {
      if (s.id == id) {
        return s;
      }
    }
    return null;
  }

  /** The slot at a guest-physical address. */
  @Nullable MemorySlot at(long gpa) {
    MemorySlot[] slots = sorted;
    int low = 0;
    int high = slots.length - 1;
    while (low <= high) {
      int mid = low + high >>> 1;
      MemorySlot s = slots[mid];
      if (gpa < s.gpa) {
        high = mid - 1;
      } else if (gpa - s.gpa >= s.size) {
        low = mid + 1;
      } else {
        return s;
      }
    }
    return null;
  }

  /** KVM_SET_USER_MEMORY_REGION, in the kernel's order of checks. */
  synchronized int set(int slot, int flags, long gpa, long size, long hva, Change change) {
    int id = slot & 0xffff;
    int space = slot >>> 16;
    if ((flags & ~(Uapi.KVM_MEM_LOG_DIRTY_PAGES | Uapi.KVM_MEM_READONLY)) != 0) {
      return Results.EINVAL;
    }
    if ((size & 0xfff) != 0 || (gpa & 0xfff) != 0) {
      return Results.EINVAL;
    }
    if ((hva & 0xfff) != 0 || hva < 0 || hva > UserSpace.LIMIT || size > UserSpace.LIMIT - hva) {
      return Results.EINVAL;
    }
    if (space != 0 || id >= COUNT) {
      return Results.EINVAL;
    }
    if (Long.compareUnsigned(gpa + size, gpa) < 0) {
      return Results.EINVAL;
    }
    if (size >>> 12 > 0x7fffffffL) {
      return Results.EINVAL;
    }
    MemorySlot old = byId(id);
    if (size == 0) {
      if (old == null) {
        return Results.EINVAL;
      }
      replace(old, null);
      change.removed(old);
      return 0;
    }
    if (Long.compareUnsigned(gpa + size, guestPhysicalLimit) > 0) {
      return Results.EINVAL;
    }
    boolean moved = false;
    if (old != null) {
      if (old.size != size
          || old.hva != hva
          || ((old.flags ^ flags) & Uapi.KVM_MEM_READONLY) != 0) {
        return Results.EINVAL;
      }
      if (old.gpa == gpa && old.flags == flags) {
        return 0;
      }
      moved = old.gpa != gpa;
    }
    if (old == null || moved) {
      for (MemorySlot s : sorted) {
        if (s.id != id && s.overlaps(gpa, size)) {
          return Results.EEXIST;
        }
      }
    }
    MemorySlot slotNow = new MemorySlot(id, flags, gpa, size, hva);
    refusal = change.refuses(old, slotNow);
    if (!refusal.isEmpty()) {
      return Results.EINVAL;
    }
    if (old != null && !moved) {
      replace(old, slotNow);
      change.flagsChanged(old, slotNow);
    } else {
      replace(old, slotNow);
      if (old != null) {
        change.removed(old);
      }
      change.added(slotNow);
    }
    return 0;
  }

  private void replace(@Nullable MemorySlot old, @Nullable MemorySlot slot) {
    MemorySlot[] now = Arrays.stream(sorted).filter(s -> s != old).toArray(MemorySlot[]::new);
    if (slot != null) {
      now = Arrays.copyOf(now, now.length + 1);
      now[now.length - 1] = slot;
      Arrays.sort(now, Comparator.comparingLong(s -> s.gpa));
    }
    sorted = now;
  }
}
