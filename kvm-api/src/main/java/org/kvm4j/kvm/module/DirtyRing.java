package org.kvm4j.kvm.module;

import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.kvm.uapi.KvmDirtyGfn;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * The dirty ring of a virtual CPU, which user space maps from its descriptor: pages that it has
 * written, in order. The module pushes entries, user space marks those that it has taken, and
 * {@link #reset} takes them back. Source: Linux 6.1 virt/kvm/dirty_ring.c; api.rst
 * "KVM_CAP_DIRTY_LOG_RING/KVM_CAP_DIRTY_LOG_RING_ACQ_REL".
 */
final class DirtyRing {
  /** KVM_DIRTY_RING_MAX_ENTRIES. */
  private static final int MAX_ENTRIES = 65536;

  /**
   * KVM_DIRTY_RING_RSVD_ENTRIES: what may be pushed yet between a look at the ring and the next,
   * for a processor without a page-modification log.
   */
  private static final int RESERVED_ENTRIES = 64;

  /** The largest ring in bytes: the value of the capability. */
  static final int MAX_SIZE = MAX_ENTRIES * KvmDirtyGfn.SIZEOF;

  /** Is shown the entries that are taken back. */
  interface Visitor {
    /**
     * What user space left in the entry, which may be anything.
     *
     * @param slot number and, above, address space
     * @param page counted from the start of the slot
     */
    void visit(int slot, long page);
  }

  final FilePages pages;
  private final ByteBuffer entries;
  private final int count;

  /** Entries pushed; written by the vCPU's thread alone. */
  private volatile int pushed;

  /** Entries taken back; written under the lock of the nested tables. */
  private volatile int taken;

  /**
   * @param size in bytes, as {@link #check} allows
   */
  DirtyRing(PhysicalMemory memory, int size) {
    this.pages = new FilePages(memory, size / UserSpace.PAGE);
    this.entries = pages.content;
    this.count = size / KvmDirtyGfn.SIZEOF;
  }

  /** The error for a ring of that many bytes; 0 if it can be. */
  static int check(long size) {
    if (Long.bitCount(size) != 1
        || Long.compareUnsigned(size, UserSpace.PAGE) < 0
        || Long.compareUnsigned(size, (long) RESERVED_ENTRIES * KvmDirtyGfn.SIZEOF) < 0) {
      return Results.EINVAL;
    }
    return Long.compareUnsigned(size, MAX_SIZE) > 0 ? Results.E2BIG : 0;
  }

  /** Whether the vCPU must not run before entries are taken back. */
  boolean isSoftFull() {
    return pushed - taken >= count - RESERVED_ENTRIES;
  }

  private int at(int index) {
    return (index & count - 1) * KvmDirtyGfn.SIZEOF;
  }

  /** A page was written. */
  void push(int slot, long page) {
    int index = pushed;
    int at = at(index);
    entries.putInt(at + KvmDirtyGfn.SLOT, slot);
    entries.putLong(at + KvmDirtyGfn.OFFSET, page);
    VarHandle.releaseFence();
    entries.putInt(at + KvmDirtyGfn.FLAGS, Uapi.KVM_DIRTY_GFN_F_DIRTY);
    pushed = index + 1;
  }

  /**
   * Takes back the entries that user space has harvested, up to the first that it has not.
   *
   * @return how many
   */
  int reset(Visitor visitor) {
    int done = 0;
    while (done < count) {
      int at = at(taken);
      if ((entries.getInt(at + KvmDirtyGfn.FLAGS) & Uapi.KVM_DIRTY_GFN_F_RESET) == 0) {
        break;
      }
      VarHandle.acquireFence();
      int slot = entries.getInt(at + KvmDirtyGfn.SLOT);
      long page = entries.getLong(at + KvmDirtyGfn.OFFSET);
      entries.putInt(at + KvmDirtyGfn.FLAGS, 0);
      VarHandle.releaseFence();
      taken++;
      done++;
      visitor.visit(slot, page);
    }
    return done;
  }
}
