package org.kvm4j.vmm.virtio;

import java.lang.invoke.VarHandle;
import org.kvm4j.vmm.memory.GuestRam;

/**
 * A split virtqueue, seen from the device. All of it lies in guest memory, which the driver may
 * change at any time and in any way: every number is read once, and checked before it is used.
 *
 * <p>Not safe for use by several threads: the device's lock guards it.
 *
 * <p>Source: Virtual I/O Device Version 1.2, section 2.7, "Split Virtqueues".
 */
final class Virtqueue {

  /** The greatest number of descriptors. */
  static final int MOST = 0x8000;

  private static final int DESCRIPTOR_SIZE = 16;
  private static final int NEXT = 1;
  private static final int WRITE = 2;
  private static final int INDIRECT = 4;

  private static final int AVAIL_NO_INTERRUPT = 1;
  private static final int USED_NO_NOTIFY = 1;
  private static final int USED_ENTRY_SIZE = 8;

  private final GuestRam memory;
  private final int size;
  private final long descriptors;
  private final long available;
  private final long used;
  private final boolean eventIndex;
  private final boolean indirect;
  private final Chain chain;

  /** How many chains were taken, and how many given back: 16 bits count. */
  private int taken;

  private int usedIndex;

  /** What {@link #usedIndex} was when the driver was last told, or it was last asked whether to. */
  private int signalledIndex;

  /**
   * @param size how many descriptors there are, a power of two up to 32,768
   * @param descriptors where the descriptors are, guest-physical
   * @param available where the driver's ring is
   * @param used where the device's ring is
   * @param eventIndex whether {@code VIRTIO_F_EVENT_IDX} was agreed on
   * @param indirect whether {@code VIRTIO_F_INDIRECT_DESC} was agreed on
   * @throws DriverErrorException if they are not in RAM or not aligned, or the size is none
   */
  Virtqueue(
      GuestRam memory,
      int size,
      long descriptors,
      long available,
      long used,
      boolean eventIndex,
      boolean indirect)
      throws DriverErrorException {
    this.memory = memory;
    this.size = size;
    this.descriptors = descriptors;
    this.available = available;
    this.used = used;
    this.eventIndex = eventIndex;
    this.indirect = indirect;
    if (Integer.bitCount(size) != 1 || size > MOST) {
      throw new DriverErrorException("a queue of " + size + " descriptors");
    }
    this.chain = new Chain(memory, size);
    check("descriptor table", descriptors, (long) DESCRIPTOR_SIZE * size, 16);
    check("available ring", available, 6 + 2L * size, 2);
    check("used ring", used, 6 + (long) USED_ENTRY_SIZE * size, 4);
  }

  private void check(String what, long address, long length, int alignment)
      throws DriverErrorException {
    if (!memory.contains(address, length) || address % alignment != 0) {
      throw new DriverErrorException(
          String.format("a %s at 0x%x, which is not RAM or not aligned", what, address));
    }
  }

  /** The chain that was taken last. */
  Chain chain() {
    return chain;
  }

  /**
   * Takes the next chain that the driver has made available.
   *
   * @return whether there is one; it is {@link #chain} then
   * @throws DriverErrorException if the queue cannot be used any more
   */
  boolean next() throws DriverErrorException {
    int waiting = memory.getShort(available + 2) - taken & 0xffff;
    if (waiting == 0) {
      return false;
    }
    if (waiting > size) {
      throw new DriverErrorException(waiting + " chains in a queue of " + size);
    }
    VarHandle.acquireFence(); // the index before what it stands for
    int head = memory.getShort(available + 4 + 2L * (taken & size - 1));
    taken = taken + 1 & 0xffff;
    chain.start(head);
    gather(head);
    return true;
  }

  private void gather(int head) throws DriverErrorException {
    long table = descriptors;
    long tableSize = size;
    boolean nested = false;
    long index = head;
    while (true) {
      if (index >= tableSize) {
        throw new DriverErrorException("descriptor " + index + " of " + tableSize);
      }
      long at = table + DESCRIPTOR_SIZE * index;
      long address = memory.getLong(at);
      long length = memory.getInt(at + 8) & 0xffff_ffffL;
      int flags = memory.getShort(at + 12);
      int next = memory.getShort(at + 14);
      if ((flags & INDIRECT) != 0) {
        boolean whole = length > 0 && length % DESCRIPTOR_SIZE == 0;
        if (!indirect || nested || (flags & NEXT) != 0 || !whole) {
          throw new DriverErrorException("an indirect descriptor where none may be");
        }
        if (!memory.contains(address, length)) {
          throw new DriverErrorException(
              String.format("an indirect table at 0x%x, which is not RAM", address));
        }
        table = address;
        tableSize = length / DESCRIPTOR_SIZE;
        nested = true;
        index = 0;
        continue;
      }
      chain.add(address, length, (flags & WRITE) != 0);
      if ((flags & NEXT) == 0) {
        return;
      }
      index = next;
    }
  }

  /**
   * Gives a chain back.
   *
   * @param head by which the driver knows it
   * @param written how many bytes the device wrote into it
   */
  void complete(int head, long written) {
    long entry = used + 4 + USED_ENTRY_SIZE * (long) (usedIndex & size - 1);
    memory.putInt(entry, head);
    memory.putInt(entry + 4, (int) written);
    usedIndex = usedIndex + 1 & 0xffff;
    VarHandle.releaseFence(); // the entry before the index
    memory.putShort(used + 2, usedIndex);
  }

  /** Whether the driver wants an interrupt for what was given back since this was last asked. */
  boolean interruptDue() {
    int before = signalledIndex;
    if (usedIndex == before) {
      return false;
    }
    signalledIndex = usedIndex;
    VarHandle.fullFence(); // our index before the driver's wish
    if (!eventIndex) {
      return (memory.getShort(available) & AVAIL_NO_INTERRUPT) == 0;
    }
    int wanted = memory.getShort(available + 4 + 2L * size);
    return (usedIndex - wanted - 1 & 0xffff) < (usedIndex - before & 0xffff);
  }

  /** Tells the driver that the device looks by itself for a while. */
  void stopNotifications() {
    if (!eventIndex) {
      memory.putShort(used, USED_NO_NOTIFY);
    }
  }

  /**
   * Asks the driver to tell of the next chain.
   *
   * @return false if there is one already, which it may not tell of
   */
  boolean wantNotifications() {
    if (eventIndex) {
      memory.putShort(used + 4 + USED_ENTRY_SIZE * (long) size, taken);
    } else {
      memory.putShort(used, 0);
    }
    VarHandle.fullFence(); // our wish before the driver's index
    return memory.getShort(available + 2) == taken;
  }
}
