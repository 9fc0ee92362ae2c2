package org.kvm4j.kvm.module;

import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.kvm.syscall.UserMemory;

/** User memory whose pages lie anywhere: a vCPU's {@code kvm_run} and the VM's ring behind it. */
final class PagedView implements UserMemory {
  private final PhysicalMemory memory;
  private final UserSpace.Mapping mapping;
  private final long address;
  private final long size;

  PagedView(PhysicalMemory memory, UserSpace.Mapping mapping, long address, long size) {
    this.memory = memory;
    this.mapping = mapping;
    this.address = address;
    this.size = size;
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

  private long page(long offset) {
    long hpa = mapping.physical(address + offset);
    if (hpa < 0) {
      throw new IndexOutOfBoundsException("offset " + offset + " is past the end of the file");
    }
    return hpa;
  }

  private long at(long offset, int length) {
    check(offset, length);
    return page(offset);
  }

  private boolean crosses(long offset, int length) {
    return (address + offset & 0xfff) + length > 4096;
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
    return memory.readByte(at(offset, 1));
  }

  @Override
  public short getShort(long offset) {
    return crosses(offset, 2) ? (short) gather(offset, 2) : memory.readShort(at(offset, 2));
  }

  @Override
  public int getInt(long offset) {
    return crosses(offset, 4) ? (int) gather(offset, 4) : memory.readInt(at(offset, 4));
  }

  @Override
  public long getLong(long offset) {
    return crosses(offset, 8) ? gather(offset, 8) : memory.readLong(at(offset, 8));
  }

  private long gather(long offset, int length) {
    check(offset, length);
    long value = 0;
    for (int i = 0; i < length; i++) {
      value |= (memory.readByte(page(offset + i)) & 0xffL) << i * 8;
    }
    return value;
  }

  @Override
  public void putByte(long offset, byte value) {
    memory.writeByte(at(offset, 1), value);
  }

  @Override
  public void putShort(long offset, short value) {
    if (crosses(offset, 2)) {
      scatter(offset, 2, value);
    } else {
      memory.writeShort(at(offset, 2), value);
    }
  }

  @Override
  public void putInt(long offset, int value) {
    if (crosses(offset, 4)) {
      scatter(offset, 4, value);
    } else {
      memory.writeInt(at(offset, 4), value);
    }
  }

  @Override
  public void putLong(long offset, long value) {
    if (crosses(offset, 8)) {
      scatter(offset, 8, value);
    } else {
      memory.writeLong(at(offset, 8), value);
    }
  }

  private void scatter(long offset, int length, long value) {
    check(offset, length);
    for (int i = 0; i < length; i++) {
      memory.writeByte(page(offset + i), (byte) (value >>> i * 8));
    }
  }

  @Override
  public int getIntAcquire(long offset) {
    int value = getInt(offset);
    java.lang.invoke.VarHandle.acquireFence();
    return value;
  }

  @Override
  public void putIntRelease(long offset, int value) {
    java.lang.invoke.VarHandle.releaseFence();
    putInt(offset, value);
  }

  @Override
  public void read(long offset, byte[] target, int targetOffset, int length) {
    check(offset, length);
    for (int i = 0; i < length; i++) {
      target[targetOffset + i] = memory.readByte(page(offset + i));
    }
  }

  @Override
  public void write(long offset, byte[] source, int sourceOffset, int length) {
    check(offset, length);
    for (int i = 0; i < length; i++) {
      memory.writeByte(page(offset + i), source[sourceOffset + i]);
    }
  }

  @Override
  public void fill(long offset, long length, byte value) {
    check(offset, length);
    for (long i = 0; i < length; i++) {
      memory.writeByte(page(offset + i), value);
    }
  }

  @Override
  public UserMemory slice(long offset, long length) {
    check(offset, length);
    return new PagedView(memory, mapping, address + offset, length);
  }
}
