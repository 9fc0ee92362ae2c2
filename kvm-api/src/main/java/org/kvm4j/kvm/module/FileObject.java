package org.kvm4j.kvm.module;

import org.kvm4j.kvm.syscall.Kernel;

/**
 * What a file descriptor of the emulated kernel stands for. Results are Linux's: negative errors.
 */
abstract class FileObject {

  /** ioctl(2) on this file. */
  int ioctl(int request, long argument) {
    return Results.ENOTTY;
  }

  /**
   * mmap(2) of this file: an address, or a negative error.
   *
   * @param protection {@code PROT_*}
   * @param flags {@code MAP_*}
   */
  long mmap(long length, int protection, int flags, long offset) {
    return Results.ENODEV;
  }

  long read(long buffer, long count) {
    return Results.EINVAL;
  }

  long pread(long buffer, long count, long offset) {
    return Results.ESPIPE;
  }

  long write(long buffer, long count) {
    return Results.EINVAL;
  }

  /** {@link Kernel#diagnosis} of this file. */
  String diagnosis() {
    return "";
  }

  /** {@link Kernel#operation} of this file. */
  String operation() {
    return "";
  }

  /** The poll(2) events that are ready now. */
  int ready() {
    return Kernel.POLLIN | Kernel.POLLOUT;
  }

  /** The last descriptor was closed. */
  void release() {}
}
