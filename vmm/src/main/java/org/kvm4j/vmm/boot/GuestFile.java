package org.kvm4j.vmm.boot;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * A file of the guest's, read.
 *
 * @param role what it is for: {@code "kernel"}, {@code "initrd"}, {@code "module"}
 * @param name as the user gave it
 * @param bytes its contents; not copied
 */
@SuppressWarnings("ArrayRecordComponent") // Nobody compares files.
public record GuestFile(String role, String name, byte[] bytes) {
  /** How much of a file is read at a time. */
  private static final int PART = 64 << 10;

  /**
   * Reads a file.
   *
   * @param role for messages
   * @param memorySize in bytes: a file that is larger cannot be of use, and is not read
   * @throws GuestImageException if it cannot be read, or is empty or too large
   */
  public static GuestFile read(String role, Path path, long memorySize) throws GuestImageException {
    try {
      if (Files.isDirectory(path)) {
        throw new GuestImageException(role + " " + path + " is a directory");
      }
      if (!Files.exists(path)) {
        throw new GuestImageException(role + " " + path + ": no such file");
      }
      if (!Files.isRegularFile(path)) {
        throw new GuestImageException(role + " " + path + " is not a regular file");
      }
      long size = Files.size(path);
      if (size == 0) {
        throw new GuestImageException(role + " " + path + " is empty");
      }
      if (size > Integer.MAX_VALUE - 8) {
        throw new GuestImageException(
            role
                + " "
                + path
                + " of "
                + Sizes.format(size)
                + " is larger than the 2G a file may be");
      }
      if (size > memorySize) {
        throw new GuestImageException(
            role
                + " "
                + path
                + " of "
                + Sizes.format(size)
                + " does not fit into "
                + Sizes.format(memorySize)
                + " of memory");
      }
      return new GuestFile(role, path.toString(), contents(path, (int) size));
    } catch (NoSuchFileException e) {
      throw new GuestImageException(role + " " + path + ": no such file");
    } catch (AccessDeniedException e) {
      throw new GuestImageException(role + " " + path + ": permission denied");
    } catch (IOException e) {
      throw new GuestImageException(role + " " + path + " cannot be read: " + e.getMessage());
    }
  }

  /**
   * Reads a file a part at a time: for all at once the JVM would take as much memory again, of its
   * own, which takes longer than the file does.
   */
  private static byte[] contents(Path path, int size) throws IOException {
    byte[] bytes = new byte[size];
    int length = 0;
    try (InputStream in = Files.newInputStream(path)) {
      int n = in.read(bytes, 0, Math.min(PART, size));
      while (n > 0) {
        length += n;
        n = in.read(bytes, length, Math.min(PART, size - length));
      }
    }
    // One that grows or shrinks meanwhile is taken as it was, or as it is now.
    return length == size ? bytes : Arrays.copyOf(bytes, length);
  }

  /** An error about this file. */
  GuestImageException error(String what) {
    return new GuestImageException(role + " " + name + " " + what);
  }
}
