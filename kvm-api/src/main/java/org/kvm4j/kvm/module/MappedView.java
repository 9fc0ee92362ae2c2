package org.kvm4j.kvm.module;

import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.kvm.syscall.UserMemory;

/**
 * User memory of one mapping. Its pages lie together (anonymous memory) or anywhere (those of a
 * file: a vCPU's {@code kvm_run} and the VM's ring behind it). Stores go by the device-write path,
 * so that decoded code they hit is dropped.
 */
final class MappedView implements UserMemory {
  private final PhysicalMemory memory;
  private final UserSpace.Mapping mapping;
  private final long address;
  private final long size;

  /** The first pages of a file as far as they lie together, to read without looking for them. */
  private final ByteBuffer front;

  MappedView(PhysicalMemory memory, UserSpace.Mapping mapping, long address, long size) {
    this.memory = memory;
    this.mapping = mapping;
    this.address = address;
    this.size = size;
    this.front = front();
  }

  private ByteBuffer front() {
    long hpa = mapping.pages == null ? -1 : mapping.physical(address);
    if (hpa < 0) {
      return ByteBuffer.allocate(0);
    }
    int length = together(0, size);
    while (length < size
        && mapping.physical(address + length) == hpa + length
        && (hpa + length & PhysicalMemory.BANK_MASK) != 0) {
      length += together(length, size - length);
    }
    return memory.slice(hpa, length);
  }

  /** Whether bytes are in {@link #front}. */
  private boolean isFront(long offset, int length) {
    return offset >= 0 && offset <= front.capacity() - length && mapping.alive;
  }

  private void check(long offset, long length) {
    if (offset < 0 || length < 0 || offset > size - length) {
      throw new IndexOutOfBoundsException(
          "offset " + offset + " length " + length + " of " + size + " bytes");
    }
    if (!mapping.alive) {
      throw new IllegalStateException("unmapped: " + Long.toHexString(address));
    }
  }

  /** The host-physical address of a byte within the view. */
  private long physical(long offset) {
    long hpa = mapping.physical(address + offset);
    if (hpa < 0) {
      throw new IndexOutOfBoundsException("offset " + offset + " is past the end of the file");
    }
    return hpa;
  }

  /** The memory that a byte is in. */
  private PhysicalMemory memory(long offset) {
    return mapping.memory(address + offset, memory);
  }

  private long at(long offset, int length) {
    check(offset, length);
    return physical(offset);
  }

  /** Where bytes are that are about to be written. */
  private long forStore(long offset, int length) {
    long hpa = at(offset, length);
    mapping.markWritten();
    return hpa;
  }

  /** How many of some bytes lie together from an offset on. */
  private int together(long offset, long length) {
    return mapping.together(address + offset, length);
  }

  private boolean isSplit(long offset, int length) {
    return together(offset, length) < length;
  }

  private long gather(long offset, int length) {
    check(offset, length);
    long value = 0;
    for (int i = 0; i < length; i++) {
      value |= (memory(offset + i).readByte(physical(offset + i)) & 0xffL) << i * 8;
    }
    return value;
  }

  private void scatter(long offset, int length, long value) {
    check(offset, length);
    mapping.markWritten();
    for (int i = 0; i < length; i++) {
      memory(offset + i).deviceWriteByte(physical(offset + i), (byte) (value >>> i * 8));
    }
  }

  @Override
  public long address() {
    return address;
  }

  @Override
  public long size() {
    return size;
  }

  @Override
  public byte getByte(long offset) {
    return isFront(offset, 1) ? front.get((int) offset) : memory(offset).readByte(at(offset, 1));
  }

  @Override
  public short getShort(long offset) {
    if (isFront(offset, 2)) {
      return front.getShort((int) offset);
    }
    return isSplit(offset, 2) ? (short) gather(offset, 2) : memory(offset).readShort(at(offset, 2));
  }

  @Override
  public int getInt(long offset) {
    if (isFront(offset, 4)) {
      return front.getInt((int) offset);
    }
    return isSplit(offset, 4) ? (int) gather(offset, 4) : memory(offset).readInt(at(offset, 4));
  }

  @Override
  public long getLong(long offset) {
    if (isFront(offset, 8)) {
      return front.getLong((int) offset);
    }
    return isSplit(offset, 8) ? gather(offset, 8) : memory(offset).readLong(at(offset, 8));
  }

  @Override
  public void putByte(long offset, byte value) {
    memory(offset).deviceWriteByte(forStore(offset, 1), value);
  }

  @Override
  public void putShort(long offset, short value) {
    if (isSplit(offset, 2)) {
      scatter(offset, 2, value);
    } else {
      memory(offset).deviceWriteShort(forStore(offset, 2), value);
    }
  }

  @Override
  public void putInt(long offset, int value) {
    if (isSplit(offset, 4)) {
      scatter(offset, 4, value);
    } else {
      memory(offset).deviceWriteInt(forStore(offset, 4), value);
    }
  }

  @Override
  public void putLong(long offset, long value) {
    if (isSplit(offset, 8)) {
      scatter(offset, 8, value);
    } else {
      memory(offset).deviceWriteLong(forStore(offset, 8), value);
    }
  }

  @Override
  public int getIntAcquire(long offset) {
    int value = getInt(offset);
    VarHandle.acquireFence();
    return value;
  }

  @Override
  public void putIntRelease(long offset, int value) {
    VarHandle.releaseFence();
    putInt(offset, value);
  }

  @Override
  public void read(long offset, byte[] target, int targetOffset, int length) {
    check(offset, length);
    for (int done = 0; done < length; ) {
      int n = together(offset + done, length - done);
      memory(offset + done).read(physical(offset + done), target, targetOffset + done, n);
      done += n;
    }
  }

  @Override
  public void write(long offset, byte[] source, int sourceOffset, int length) {
    check(offset, length);
    mapping.markWritten();
    for (int done = 0; done < length; ) {
      int n = together(offset + done, length - done);
      memory(offset + done).deviceWrite(physical(offset + done), source, sourceOffset + done, n);
      done += n;
    }
  }

  @Override
  public void fill(long offset, long length, byte value) {
    check(offset, length);
    mapping.markWritten();
    for (long done = 0; done < length; ) {
      int n = together(offset + done, length - done);
      memory(offset + done).deviceFill(physical(offset + done), n, value);
      done += n;
    }
  }

  @Override
  public UserMemory slice(long offset, long length) {
    check(offset, length);
    return new MappedView(memory, mapping, address + offset, length);
  }
}
