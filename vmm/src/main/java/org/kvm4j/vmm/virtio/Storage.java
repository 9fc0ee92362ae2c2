package org.kvm4j.vmm.virtio;

import java.io.IOException;

/** Where a disk's contents are. Used by one thread at a time. */
public interface Storage extends AutoCloseable {

  /** What it is called in messages. */
  String name();

  /** Its size in bytes, a multiple of 512. */
  long size();

  /** Whether it can only be read. */
  boolean readOnly();

  /**
   * Reads.
   *
   * @param position in bytes; all of what is read lies within its size
   */
  void read(long position, byte[] target, int length) throws IOException;

  /** Writes, as {@link #read} reads. */
  void write(long position, byte[] source, int length) throws IOException;

  /** Returns when all that was written is kept, though the machine lose power. */
  void flush() throws IOException;

  @Override
  void close() throws IOException;
}
