package org.kvm4j.host;

/**
 * System calls of up to three arguments that give {@code -errno}, as the kernel itself does:
 * through {@link DirectCall} where that can be had, else through the C library's {@code syscall}.
 *
 * <p>Numbers: Linux arch/x86/entry/syscalls/syscall_64.tbl.
 */
final class SystemCalls {
  static final int READ = 0;
  static final int WRITE = 1;
  static final int CLOSE = 3;
  static final int POLL = 7;
  static final int IOCTL = 16;
  static final int GETPID = 39;
  static final int GETTID = 186;
  static final int TGKILL = 234;
  static final int EVENTFD2 = 290;

  /** Whether calls take {@link DirectCall}'s way. */
  static final boolean DIRECT =
      !"false".equals(System.getProperty("org.kvm4j.host.direct")) && DirectCall.bind();

  /**
   * One system call.
   *
   * @return the kernel's result: {@code -errno} if the call failed
   */
  static long call(int number, long a, long b, long c) {
    return DIRECT ? DirectCall.call(number, a, b, c) : throughJna(number, a, b, c);
  }

  static long throughJna(int number, long a, long b, long c) {
    long result = Libc.syscall(number, a, b, c);
    return result == -1 ? Libc.error() : result;
  }

  private SystemCalls() {}
}
