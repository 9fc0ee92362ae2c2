package org.kvm4j.machine;

import com.sun.jna.JNIEnv;
import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;

/**
 * The C library's functions, by JNA: those that the JVM's process has, so that no library is looked
 * for.
 *
 * <p>Loading this class loads JNA's native library and can fail with {@link LinkageError}.
 */
final class Libc {
  static {
    Native.register(Libc.class, NativeLibrary.getProcess());
  }

  static native int memfd_create(String name, int flags);

  static native int ftruncate(int fd, long length);

  static native long mmap(
      long address, long length, int protection, int flags, int fd, long offset);

  static native int munmap(long address, long length);

  static native int madvise(long address, long length, int advice);

  static native int close(int fd);

  /** Gives back the JNI environment of the calling thread as a number: it is a positive one. */
  static native long labs(JNIEnv environment);

  private Libc() {}
}
