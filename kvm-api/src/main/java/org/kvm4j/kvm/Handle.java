package org.kvm4j.kvm;

import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.uapi.KvmIoctl;

/**
 * What the typed handles share: a file descriptor of a kernel, closed once, and the calling of
 * ioctls on it.
 *
 * <p>Every ioctl that fails is a {@link KvmException} with the kernel's error number. Any ioctl can
 * fail with {@code EFAULT} (an argument outside of mapped memory; the handles' own arguments never
 * are) and, in a process other than the one that made the VM, with {@code EIO}; the methods name
 * the others.
 *
 * <p>The source of the rules given with the methods is the section titled with the ioctl's name in
 * Linux 6.1's Documentation/virt/kvm/api.rst, and the code in virt/kvm/kvm_main.c and arch/x86/kvm.
 */
public abstract sealed class Handle implements AutoCloseable permits Kvm, Vm, Vcpu, Device {

  /** Linux gives errors as -4095 to -1. */
  private static final int MAX_ERRNO = 4095;

  final Kernel kernel;
  private final int fd;
  private final String what;
  private volatile boolean closed;

  Handle(Kernel kernel, int fd, String what) {
    this.kernel = kernel;
    this.fd = fd;
    this.what = what;
  }

  static boolean isError(long result) {
    return result < 0 && result >= -MAX_ERRNO;
  }

  /** The kernel that the descriptor belongs to. */
  public final Kernel kernel() {
    return kernel;
  }

  /**
   * The file descriptor.
   *
   * @throws IllegalStateException if this handle is closed
   */
  public final int fd() {
    if (closed) {
      throw new IllegalStateException(what + " is closed");
    }
    return fd;
  }

  /** Whether {@link #close} was called. */
  public final boolean isClosed() {
    return closed;
  }

  /**
   * An ioctl as the kernel has it, for what has no method here. Nothing is thrown for its failure.
   *
   * @param request the full 32-bit request number
   * @param argument a plain value or a user-space address
   * @return the ioctl's result, or {@code -errno}
   */
  public final int ioctl(int request, long argument) {
    return kernel.ioctl(fd(), request, argument);
  }

  /**
   * {@code KVM_CHECK_EXTENSION}, on this descriptor.
   *
   * @return 0 if the capability is missing, else a positive value that means what the capability
   *     says
   */
  final int check(int capability) {
    return call(KvmIoctl.KVM_CHECK_EXTENSION, capability);
  }

  final int call(KvmIoctl ioctl, long argument) {
    return call(ioctl, argument, null);
  }

  /** An ioctl whose failure is thrown, with words for it that are only made up when it fails. */
  final int call(KvmIoctl ioctl, long argument, @Nullable Supplier<String> why) {
    int result = kernel.ioctl(fd(), ioctl.number(), argument);
    if (result < 0) {
      throw failed(ioctl, result, why);
    }
    return result;
  }

  /** A failure in the kernel's own words where it has any, or else in ours. */
  final KvmException failed(KvmIoctl ioctl, int result, @Nullable Supplier<String> why) {
    String words = kernel.diagnosis(fd);
    return new KvmException(
        ioctl.name(), -result, !words.isEmpty() ? words : why == null ? "" : why.get());
  }

  /** Marks the handle closed; false if it was. */
  final synchronized boolean closeOnce() {
    if (closed) {
      return false;
    }
    closed = true;
    return true;
  }

  final void closeFd() {
    kernel.close(fd);
  }

  /** Closes the descriptor; a second time does nothing. */
  @Override
  public abstract void close();

  @Override
  public String toString() {
    return what + (closed ? " (closed)" : " (fd " + fd + " of the " + kernel.name() + " kernel)");
  }
}
