package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.Errno;

/**
 * A system call that failed. It carries the call's name and its error number, and says in words
 * what was wrong as far as that can be told from outside of the kernel.
 */
public final class KvmException extends RuntimeException {

  private static final long serialVersionUID = 1L;

  private final String call;
  private final int errno;
  private final String detail;

  /**
   * @param call the ioctl ({@code "KVM_CREATE_VCPU"}) or other system call ({@code "mmap"})
   * @param errno the positive error number; 0 if the call came back early without one, as {@code
   *     KVM_GET_MSRS} does at an MSR that it refuses
   * @param detail what was wrong, in words; may be empty
   */
  public KvmException(String call, int errno, String detail) {
    super(message(call, errno, detail));
    this.call = call;
    this.errno = errno;
    this.detail = detail;
  }

  private static String message(String call, int errno, String detail) {
    StringBuilder text = new StringBuilder(call);
    if (errno != 0) {
      text.append(": ").append(Errno.nameOf(-errno));
    }
    if (!detail.isEmpty()) {
      text.append(": ").append(detail);
    }
    return text.toString();
  }

  @Override
  public String getMessage() {
    return message(call, errno, detail);
  }

  /** The ioctl or other system call that failed. */
  public String call() {
    return call;
  }

  /** The positive error number, as in errno(3); 0 if there was none. */
  public int errno() {
    return errno;
  }

  /** The error's name, such as {@code "EINVAL"}. */
  public String errnoName() {
    return Errno.nameOf(-errno);
  }

  /** What was wrong, in words; may be empty. */
  public String detail() {
    return detail;
  }

  /** Whether the call failed with this error. */
  public boolean is(Errno error) {
    return errno == error.number();
  }
}
