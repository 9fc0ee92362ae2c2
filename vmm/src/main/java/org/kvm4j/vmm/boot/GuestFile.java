package org.kvm4j.vmm.boot;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/**
 * A file of the guest's, read.
 *
 * @param role what it is for: {@code "kernel"}, {@code "initrd"}, {@code "module"}
 * @param name as the user gave it
 * @param bytes its contents; not copied
 */
@SuppressWarnings("ArrayRecordComponent") // Nobody compares files.
public record GuestFile(String role, String name, byte[] bytes) {

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
      return new GuestFile(role, path.toString(), Files.readAllBytes(path));
    } catch (NoSuchFileException e) {
      throw new GuestImageException(role + " " + path + ": no such file");
    } catch (AccessDeniedException e) {
      throw new GuestImageException(role + " " + path + ": permission denied");
    } catch (IOException e) {
      throw new GuestImageException(role + " " + path + " cannot be read: " + e.getMessage());
    }
  }

  /** An error about this file. */
  GuestImageException error(String what) {
    return new GuestImageException(role + " " + name + " " + what);
  }
}
