package org.kvm4j.host;

import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;

/**
 * The C library's functions, directly mapped: each call goes from compiled Java through one JNI
 * transition and libffi, with primitive arguments alone (but for the path of {@link #open}, which
 * is no hot call). A failed call leaves its error number in {@link Native#getLastError()}, which
 * JNA saves per thread before anything else of the JVM can overwrite {@code errno}.
 *
 * <p>Loading this class loads JNA's native library and can fail with {@link UnsatisfiedLinkError}.
 */
final class Libc {
  static final NativeLibrary LIBRARY = NativeLibrary.getProcess();

  static {
    Native.register(Libc.class, LIBRARY);
  }

  /** syscall(2): -1 with an error number for a result in -4095..-1. */
  static native long syscall(long number, long a, long b, long c);

  /** pread(2); -1 with {@link #error} if it failed. */
  static native long pread(int fd, long buffer, long count, long offset);

  static native int open(String path, int flags, int mode);

  static native long mmap(
      long address, long length, int protection, int flags, int fd, long offset);

  static native int munmap(long address, long length);

  static native int mprotect(long address, long length, int protection);

  static native int memfd_create(String name, int flags);

  static native int sigaction(int signal, long action, long oldAction);

  static native int pthread_sigmask(int how, long set, long oldSet);

  /** The negative error number of the calling thread's last failed call. */
  static int error() {
    return -Native.getLastError();
  }

  private Libc() {}
}
