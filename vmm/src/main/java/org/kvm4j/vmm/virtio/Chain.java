package org.kvm4j.vmm.virtio;

import org.kvm4j.vmm.memory.GuestRam;

/**
 * A chain of buffers that the driver made available: first those that the device reads, then those
 * that it writes, each within the guest's RAM. Both are seen here as one run of bytes.
 *
 * <p>Made once for each queue, and filled anew with each chain.
 */
final class Chain {

  private final GuestRam memory;
  private final long[] addresses;
  private final long[] lengths;
  private int head;
  private int count;
  private int readable;
  private long readableLength;
  private long writableLength;

  /**
   * @param most of how many buffers a chain may be made
   */
  Chain(GuestRam memory, int most) {
    this.memory = memory;
    addresses = new long[most];
    lengths = new long[most];
  }

  void start(int headDescriptor) {
    head = headDescriptor;
    count = 0;
    readable = 0;
    readableLength = 0;
    writableLength = 0;
  }

  /**
   * Adds a buffer.
   *
   * @throws DriverErrorException if it is not all RAM, comes in the wrong order, or is one too many
   */
  void add(long address, long length, boolean writable) throws DriverErrorException {
    if (count == addresses.length) {
      throw new DriverErrorException("a chain of more descriptors than the queue has: a loop");
    }
    if (!memory.contains(address, length)) {
      throw new DriverErrorException(
          String.format("0x%x bytes at 0x%x, which are not all RAM", length, address));
    }
    if (writable) {
      writableLength += length;
    } else if (readable < count) {
      throw new DriverErrorException("a buffer to read behind one to write");
    } else {
      readable++;
      readableLength += length;
    }
    addresses[count] = address;
    lengths[count] = length;
    count++;
  }

  /** The descriptor that it starts with, by which the driver knows it. */
  int head() {
    return head;
  }

  /** Bytes for the device to read. */
  long readableLength() {
    return readableLength;
  }

  /** Bytes for the device to write. */
  long writableLength() {
    return writableLength;
  }

  /**
   * Copies out of the readable part.
   *
   * @param from offset in it
   * @throws IndexOutOfBoundsException if it is not so long
   */
  void read(long from, byte[] target, int offset, int length) {
    copy(0, readable, from, target, offset, length, false);
  }

  /**
   * Copies into the writable part.
   *
   * @param to offset in it
   * @throws IndexOutOfBoundsException if it is not so long
   */
  void write(long to, byte[] source, int offset, int length) {
    copy(readable, count, to, source, offset, length, true);
  }

  private void copy(
      int first, int end, long at, byte[] bytes, int offset, int length, boolean write) {
    long skip = at;
    int done = 0;
    for (int i = first; i < end && done < length; i++) {
      if (skip >= lengths[i]) {
        skip -= lengths[i];
        continue;
      }
      int part = (int) Math.min(lengths[i] - skip, length - done);
      if (write) {
        memory.write(addresses[i] + skip, bytes, offset + done, part);
      } else {
        memory.read(addresses[i] + skip, bytes, offset + done, part);
      }
      done += part;
      skip = 0;
    }
    if (done < length) {
      throw new IndexOutOfBoundsException(
          length + " bytes at " + at + " are more than the chain has");
    }
  }
}
