package org.kvm4j.kvm.module;

import org.jspecify.annotations.Nullable;
import org.kvm4j.ept.memory.PhysicalMemory;

/**
 * Memory slots on bare metal: a slot is physical memory of the machine. The user memory that it is
 * set from moves there, and stays reachable at its user addresses.
 */
final class PhysicalSlots implements MemorySlots.Change {
  private final UserSpace user;
  private final PhysicalMemory memory;
  private final Runnable flush;

  /**
   * @param flush has all processors drop what they have cached of the memory
   */
  PhysicalSlots(UserSpace user, PhysicalMemory memory, Runnable flush) {
    this.user = user;
    this.memory = memory;
    this.flush = flush;
  }

  @Override
  public String refuses(@Nullable MemorySlot old, MemorySlot slot) {
    if (slot.readOnly()) {
      return "on bare metal memory is not read-only";
    }
    if (old == null && !user.canMove(slot.hva, slot.size)) {
      return String.format(
          "on bare metal a slot is anonymous memory of one mapping, and of no other slot:"
              + " 0x%x bytes at 0x%x are not",
          slot.size, slot.hva);
    }
    if (old == null || old.gpa != slot.gpa) {
      try {
        memory.mapAt(slot.gpa, slot.size);
      } catch (IllegalArgumentException e) {
        return "on bare metal a slot cannot move onto itself: " + e.getMessage();
      }
    }
    return "";
  }

  @Override
  public void added(MemorySlot slot) {
    user.move(slot.hva, slot.size, memory, slot.gpa);
  }

  @Override
  public void removed(MemorySlot old) {
    flush.run();
    user.moveBack(old.hva);
    memory.unmap(old.gpa);
  }

  @Override
  public void flagsChanged(MemorySlot old, MemorySlot slot) {}

  @Override
  public void closed(MemorySlot slot) {
    user.moveBack(slot.hva);
  }

  /** Nobody sees what the processors write. */
  @Override
  public boolean tracksDirty() {
    return false;
  }
}
