package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmDirtyGfn;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * A vCPU's dirty ring: the pages that it has written, in order, as an alternative to the bitmaps of
 * {@link Vm#getDirtyLog}. Harvest it, have the kernel take the entries back ({@link
 * Vm#resetDirtyRings}), and only then copy the pages: writes after that are in the ring again.
 *
 * <p>One thread at a time may harvest; the vCPU may run meanwhile.
 *
 * <p>Source: api.rst "KVM_CAP_DIRTY_LOG_RING/KVM_CAP_DIRTY_LOG_RING_ACQ_REL".
 */
public final class DirtyRing {

  /** Size of an entry in bytes: what {@link Vm#enableDirtyRing} has to be told entries in. */
  public static final int ENTRY_SIZE = KvmDirtyGfn.SIZEOF;

  private final UserMemory ring;
  private final int entries;
  private int next;

  /**
   * @param ring the pages of the ring
   */
  DirtyRing(UserMemory ring) {
    this.ring = ring;
    this.entries = (int) (ring.size() / ENTRY_SIZE);
  }

  /** Takes the entries, in order. */
  @FunctionalInterface
  public interface Sink {

    /**
     * A page was written.
     *
     * @param slot number in bits 0 to 15, address space in bits 16 to 31
     * @param page counted from the start of the slot
     */
    void dirty(int slot, long page);
  }

  /** How many entries the ring has. The vCPU stops some before it is full. */
  public int entries() {
    return entries;
  }

  /**
   * Shows the entries that are new, and marks them as harvested for {@link Vm#resetDirtyRings}.
   *
   * @return how many
   */
  public int harvest(Sink sink) {
    int count = 0;
    while (count < entries) {
      long at = (long) next * ENTRY_SIZE;
      int flags = ring.getIntAcquire(at + KvmDirtyGfn.FLAGS);
      if ((flags & Uapi.KVM_DIRTY_GFN_F_MASK) != Uapi.KVM_DIRTY_GFN_F_DIRTY) {
        break;
      }
      sink.dirty(ring.getInt(at + KvmDirtyGfn.SLOT), ring.getLong(at + KvmDirtyGfn.OFFSET));
      ring.putIntRelease(at + KvmDirtyGfn.FLAGS, flags | Uapi.KVM_DIRTY_GFN_F_RESET);
      next = (next + 1) % entries;
      count++;
    }
    return count;
  }
}
