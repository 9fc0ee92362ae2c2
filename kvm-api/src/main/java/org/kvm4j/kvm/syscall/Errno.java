package org.kvm4j.kvm.syscall;

/**
 * Linux error numbers (x86-64) that the surface can give. Source: Linux 6.1 asm-generic/errno*.h.
 */
public enum Errno {
  EPERM(1),
  ENOENT(2),
  ESRCH(3),
  EINTR(4),
  EIO(5),
  ENXIO(6),
  E2BIG(7),
  EBADF(9),
  EAGAIN(11),
  ENOMEM(12),
  EACCES(13),
  EFAULT(14),
  EBUSY(16),
  EEXIST(17),
  ENODEV(19),
  ENOTDIR(20),
  EISDIR(21),
  EINVAL(22),
  ENFILE(23),
  EMFILE(24),
  ENOTTY(25),
  EFBIG(27),
  ENOSPC(28),
  ESPIPE(29),
  EPIPE(32),
  ENOSYS(38),
  EOVERFLOW(75),
  EOPNOTSUPP(95);

  private final int number;

  Errno(int number) {
    this.number = number;
  }

  /** The positive error number. */
  public int number() {
    return number;
  }

  /** What a system call returns for this error: the negative error number. */
  public int result() {
    return -number;
  }

  /**
   * The error for a system call's negative result, or {@code "errno N"} as text if it is unknown.
   */
  public static String nameOf(int result) {
    for (Errno e : values()) {
      if (e.number == -result) {
        return e.name();
      }
    }
    return "errno " + -result;
  }
}
