package org.kvm4j.vmm.virtio;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Set;

/**
 * A disk image that is the disk's contents byte for byte. The file is locked while it is in use: by
 * one writer, or by any number of readers.
 */
public final class RawImage implements Storage {

  private final Path file;
  private final boolean readOnly;
  private final FileChannel channel;
  private final long size;

  private RawImage(Path file, boolean readOnly, FileChannel channel, long size) {
    this.file = file;
    this.readOnly = readOnly;
    this.channel = channel;
    this.size = size;
  }

  /**
   * Opens an image.
   *
   * @throws IOException if it cannot be opened, is in use, or is not made of whole sectors; the
   *     message says so, and names it
   */
  public static RawImage open(Path file, boolean readOnly) throws IOException {
    FileChannel channel = channel(file, readOnly);
    boolean good = false;
    try {
      lock(file, channel, readOnly);
      long size = channel.size();
      if (size == 0 || size % VirtioBlock.SECTOR != 0) {
        throw new IOException(
            size == 0
                ? file + " is empty"
                : String.format(
                    "%s has %d bytes, and a disk is made of whole sectors of 512", file, size));
      }
      good = true;
      return new RawImage(file, readOnly, channel, size);
    } finally {
      if (!good) {
        channel.close();
      }
    }
  }

  private static FileChannel channel(Path file, boolean readOnly) throws IOException {
    if (Files.isDirectory(file)) {
      throw new IOException(file + " is a directory");
    }
    if (Files.exists(file) && !Files.isRegularFile(file) && !isBlockDevice(file)) {
      throw new IOException(file + " is neither a file nor a block device");
    }
    try {
      return FileChannel.open(
          file,
          readOnly
              ? Set.of(StandardOpenOption.READ)
              : Set.of(StandardOpenOption.READ, StandardOpenOption.WRITE));
    } catch (NoSuchFileException e) {
      throw new IOException(file + ": no such file", e);
    } catch (AccessDeniedException e) {
      throw new IOException(
          file + (readOnly ? " may not be read" : " may not be written; say readonly to read it"),
          e);
    }
  }

  /** S_ISBLK of inode(7). A FIFO would have us wait for its other end. */
  private static boolean isBlockDevice(Path file) throws IOException {
    try {
      return ((int) Files.getAttribute(file, "unix:mode") & 0170000) == 0060000;
    } catch (UnsupportedOperationException e) {
      return false;
    }
  }

  private static void lock(Path file, FileChannel channel, boolean shared) throws IOException {
    FileLock lock;
    try {
      lock = channel.tryLock(0, Long.MAX_VALUE, shared);
    } catch (OverlappingFileLockException e) {
      throw new IOException(file + " is in use already", e);
    }
    if (lock == null) {
      throw new IOException(file + " is in use by another process");
    }
  }

  @Override
  public String name() {
    return file.toString();
  }

  @Override
  public long size() {
    return size;
  }

  @Override
  public boolean readOnly() {
    return readOnly;
  }

  @Override
  public void read(long position, byte[] target, int length) throws IOException {
    ByteBuffer into = ByteBuffer.wrap(target, 0, length);
    while (into.hasRemaining()) {
      if (channel.read(into, position + into.position()) < 0) {
        throw new EOFException(file + " has become shorter");
      }
    }
  }

  @Override
  public void write(long position, byte[] source, int length) throws IOException {
    ByteBuffer from = ByteBuffer.wrap(source, 0, length);
    while (from.hasRemaining()) {
      channel.write(from, position + from.position());
    }
  }

  @Override
  public void flush() throws IOException {
    // The size does not change, so that what is kept of the file beside its contents can wait.
    channel.force(false);
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
