package org.kvm4j.kvm.syscall;

/**
 * A checked view of user-space memory, little endian: guest memory, {@code kvm_run} pages, or the
 * blocks that hold ioctl arguments. There is no raw buffer behind it that could outlive the
 * mapping, and the emulated kernel sees every store, so code that a device writes into guest memory
 * is never executed stale.
 *
 * <p>Every access checks its bounds ({@link IndexOutOfBoundsException}) and that the memory is
 * still mapped ({@link IllegalStateException}). Offsets are in bytes from {@link #address()} and
 * need not be aligned, but for the acquire and release forms, which must be naturally aligned.
 */
public interface UserMemory {

  /** The user-space address of offset 0. */
  long address();

  /** Length in bytes. */
  long size();

  byte getByte(long offset);

  short getShort(long offset);

  int getInt(long offset);

  long getLong(long offset);

  void putByte(long offset, byte value);

  void putShort(long offset, short value);

  void putInt(long offset, int value);

  void putLong(long offset, long value);

  /** Load with acquire ordering. */
  int getIntAcquire(long offset);

  /** Store with release ordering. */
  void putIntRelease(long offset, int value);

  /** Copies {@code length} bytes out of this memory. */
  void read(long offset, byte[] target, int targetOffset, int length);

  /** Copies {@code length} bytes into this memory. */
  void write(long offset, byte[] source, int sourceOffset, int length);

  /** Sets {@code length} bytes to {@code value}. */
  void fill(long offset, long length, byte value);

  /** A view of a part of this memory. */
  UserMemory slice(long offset, long length);
}
