package org.kvm4j.vmm.memory;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.kvm4j.kvm.syscall.UserMemory;

/** User memory that is an array, to test what writes guest memory without a kernel. */
public final class HeapUserMemory implements UserMemory {

  private final byte[] bytes;
  private final ByteBuffer buffer;
  private final int offset;
  private final int size;

  public HeapUserMemory(long size) {
    this(new byte[Math.toIntExact(size)], 0, Math.toIntExact(size));
  }

  private HeapUserMemory(byte[] bytes, int offset, int size) {
    this.bytes = bytes;
    this.buffer = ByteBuffer.wrap(bytes, offset, size).slice().order(ByteOrder.LITTLE_ENDIAN);
    this.offset = offset;
    this.size = size;
  }

  /** So much RAM, all of it below the hole. */
  public static GuestRam ram(long size) {
    return new GuestRam(new HeapUserMemory(size), null);
  }

  private int at(long where) {
    if (where < 0 || where >= size) {
      throw new IndexOutOfBoundsException("offset " + where + " of " + size);
    }
    return (int) where;
  }

  @Override
  public long address() {
    return offset;
  }

  @Override
  public long size() {
    return size;
  }

  @Override
  public byte getByte(long where) {
    return buffer.get(at(where));
  }

  @Override
  public short getShort(long where) {
    return buffer.getShort(at(where));
  }

  @Override
  public int getInt(long where) {
    return buffer.getInt(at(where));
  }

  @Override
  public long getLong(long where) {
    return buffer.getLong(at(where));
  }

  @Override
  public void putByte(long where, byte value) {
    buffer.put(at(where), value);
  }

  @Override
  public void putShort(long where, short value) {
    buffer.putShort(at(where), value);
  }

  @Override
  public void putInt(long where, int value) {
    buffer.putInt(at(where), value);
  }

  @Override
  public void putLong(long where, long value) {
    buffer.putLong(at(where), value);
  }

  @Override
  public int getIntAcquire(long where) {
    return getInt(where);
  }

  @Override
  public void putIntRelease(long where, int value) {
    putInt(where, value);
  }

  @Override
  public void read(long where, byte[] target, int targetOffset, int length) {
    buffer.get(length == 0 ? 0 : at(where), target, targetOffset, length);
  }

  @Override
  public void write(long where, byte[] source, int sourceOffset, int length) {
    buffer.put(length == 0 ? 0 : at(where), source, sourceOffset, length);
  }

  @Override
  public void fill(long where, long length, byte value) {
    int from = offset + at(where);
    Arrays.fill(bytes, from, Math.toIntExact(from + length), value);
  }

  @Override
  public UserMemory slice(long where, long length) {
    return new HeapUserMemory(bytes, offset + (int) where, (int) length);
  }
}
