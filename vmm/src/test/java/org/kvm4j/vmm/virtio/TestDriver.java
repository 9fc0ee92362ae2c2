package org.kvm4j.vmm.virtio;

import java.util.ArrayList;
import java.util.List;
import org.kvm4j.vmm.memory.GuestRam;
import org.kvm4j.vmm.memory.HeapUserMemory;

/** The driver's side of a queue of 8 descriptors, in memory of its own. */
final class TestDriver {

  static final int SIZE = 8;
  static final long DESCRIPTORS = 0x1000;
  static final long AVAILABLE = 0x2000;
  static final long USED = 0x3000;
  static final long DATA = 0x1_0000;
  static final long MEMORY = 0x10_0000;

  static final int NEXT = 1;
  static final int WRITE = 2;
  static final int INDIRECT = 4;

  final GuestRam memory = HeapUserMemory.ram(MEMORY);
  private int nextDescriptor;
  private int availableIndex;
  private int usedIndex;
  private long nextData = DATA;

  /** A chain as the device gave it back. */
  record Used(int head, int written) {}

  /** The queue as the device sees it. */
  Virtqueue queue(boolean eventIndex, boolean indirect) throws DriverErrorException {
    return new Virtqueue(memory, SIZE, DESCRIPTORS, AVAILABLE, USED, eventIndex, indirect);
  }

  void descriptor(long table, int index, long address, long length, int flags, int next) {
    long at = table + 16L * index;
    memory.putLong(at, address);
    memory.putInt(at + 8, (int) length);
    memory.putShort(at + 12, flags);
    memory.putShort(at + 14, next);
  }

  void descriptor(int index, long address, long length, int flags, int next) {
    descriptor(DESCRIPTORS, index, address, length, flags, next);
  }

  /** Puts bytes where a buffer can be. */
  long put(byte... bytes) {
    long at = room(bytes.length);
    memory.write(at, bytes);
    return at;
  }

  /** So many bytes for a buffer. */
  long room(int length) {
    long at = nextData;
    nextData += length + 15 & ~15;
    return at;
  }

  /** Makes a chain available that starts with a descriptor. */
  void offer(int head) {
    memory.putShort(AVAILABLE + 4 + 2L * (availableIndex % SIZE), head);
    availableIndex = availableIndex + 1 & 0xffff;
    memory.putShort(AVAILABLE + 2, availableIndex);
  }

  /**
   * Makes a chain of what the device reads and what it writes.
   *
   * @param readable the bytes of each buffer to read
   * @param writable the length of each buffer to write
   * @return the addresses of those
   */
  long[] request(List<byte[]> readable, int... writable) {
    int count = readable.size() + writable.length;
    int head = nextDescriptor % SIZE;
    List<long[]> buffers = new ArrayList<>();
    for (byte[] bytes : readable) {
      buffers.add(new long[] {put(bytes), bytes.length, 0});
    }
    long[] addresses = new long[writable.length];
    for (int i = 0; i < writable.length; i++) {
      addresses[i] = room(writable[i]);
      buffers.add(new long[] {addresses[i], writable[i], WRITE});
    }
    for (int i = 0; i < count; i++) {
      long[] b = buffers.get(i);
      int flags = (int) b[2] | (i + 1 < count ? NEXT : 0);
      descriptor((head + i) % SIZE, b[0], b[1], flags, (head + i + 1) % SIZE);
    }
    nextDescriptor += count;
    offer(head);
    return addresses;
  }

  /** What the device has given back since this was last asked. */
  List<Used> used() {
    List<Used> all = new ArrayList<>();
    while (usedIndex != memory.getShort(USED + 2)) {
      long entry = USED + 4 + 8L * (usedIndex % SIZE);
      all.add(new Used(memory.getInt(entry), memory.getInt(entry + 4)));
      usedIndex = usedIndex + 1 & 0xffff;
    }
    return all;
  }
}
