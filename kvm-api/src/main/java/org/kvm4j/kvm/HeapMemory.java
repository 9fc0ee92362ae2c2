package org.kvm4j.kvm;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Objects;
import org.kvm4j.kvm.syscall.UserMemory;

/**
 * Bytes on the Java heap seen as {@link UserMemory}: for building and inspecting structs away from
 * any kernel. No kernel can be given its {@link #address}, which is 0.
 */
public final class HeapMemory implements UserMemory {

  private static final VarHandle SHORT =
      MethodHandles.byteArrayViewVarHandle(short[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle INT =
      MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle LONG =
      MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

  private final byte[] bytes;
  private final int start;
  private final int length;

  /** Zeroed memory. */
  public HeapMemory(int length) {
    this(new byte[length]);
  }

  /** Memory over an array, which is not copied. */
  public HeapMemory(byte[] bytes) {
    this(bytes, 0, bytes.length);
  }

  private HeapMemory(byte[] bytes, int start, int length) {
    this.bytes = bytes;
    this.start = start;
    this.length = length;
  }

  private int at(long offset, int size) {
    return start + (int) Objects.checkFromIndexSize(offset, size, (long) length);
  }

  /** A copy of the bytes. */
  public byte[] toBytes() {
    return Arrays.copyOfRange(bytes, start, start + length);
  }

  @Override
  public long address() {
    return 0;
  }

  @Override
  public long size() {
    return length;
  }

  @Override
  public byte getByte(long offset) {
    return bytes[at(offset, 1)];
  }

  @Override
  public short getShort(long offset) {
    return (short) SHORT.get(bytes, at(offset, 2));
  }

  @Override
  public int getInt(long offset) {
    return (int) INT.get(bytes, at(offset, 4));
  }

  @Override
  public long getLong(long offset) {
    return (long) LONG.get(bytes, at(offset, 8));
  }

  @Override
  public void putByte(long offset, byte value) {
    bytes[at(offset, 1)] = value;
  }

  @Override
  public void putShort(long offset, short value) {
    SHORT.set(bytes, at(offset, 2), value);
  }

  @Override
  public void putInt(long offset, int value) {
    INT.set(bytes, at(offset, 4), value);
  }

  @Override
  public void putLong(long offset, long value) {
    LONG.set(bytes, at(offset, 8), value);
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
  public void read(long offset, byte[] target, int targetOffset, int count) {
    System.arraycopy(bytes, at(offset, count), target, targetOffset, count);
  }

  @Override
  public void write(long offset, byte[] source, int sourceOffset, int count) {
    System.arraycopy(source, sourceOffset, bytes, at(offset, count), count);
  }

  @Override
  public void fill(long offset, long count, byte value) {
    int from = start + (int) Objects.checkFromIndexSize(offset, count, (long) length);
    Arrays.fill(bytes, from, from + (int) count, value);
  }

  @Override
  public UserMemory slice(long offset, long count) {
    int from = start + (int) Objects.checkFromIndexSize(offset, count, (long) length);
    return new HeapMemory(bytes, from, (int) count);
  }
}
