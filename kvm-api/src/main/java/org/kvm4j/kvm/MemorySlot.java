package org.kvm4j.kvm;

/**
 * A slot of guest memory: a range of guest-physical addresses backed by user-space memory.
 *
 * @param slot the slot's number in bits 0 to 15, the address space in bits 16 to 31
 * @param flags {@code KVM_MEM_*}
 * @param guestPhysicalAddress where the guest sees it, in bytes
 * @param size in bytes
 * @param userspaceAddress of the memory behind it
 */
public record MemorySlot(
    int slot, int flags, long guestPhysicalAddress, long size, long userspaceAddress) {

  /** The first guest-physical address past the slot. */
  public long end() {
    return guestPhysicalAddress + size;
  }

  /** Whether the slot has any address in [start, end). */
  boolean overlaps(long start, long end) {
    return Long.compareUnsigned(start, end()) < 0
        && Long.compareUnsigned(guestPhysicalAddress, end) < 0;
  }

  /** The slot and its range in words. */
  String describe() {
    return "slot " + name(slot) + " " + range(guestPhysicalAddress, size);
  }

  static String name(int slot) {
    int space = slot >>> 16;
    return (slot & 0xffff) + (space == 0 ? "" : " of address space " + space);
  }

  static String range(long start, long size) {
    return String.format("[0x%x, 0x%x)", start, start + size);
  }
}
