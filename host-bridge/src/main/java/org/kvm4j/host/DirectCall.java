package org.kvm4j.host;

import com.sun.jna.Pointer;
import org.kvm4j.machine.JniMethod;

/**
 * A system call as a JNI method whose body is six machine instructions: they move the arguments
 * from where JNI puts them to where the kernel wants them. Against JNA's direct mapping this saves
 * libffi's two passes over the arguments and the saving of {@code errno} (the kernel's own result
 * carries it): 150 ns of the 220 that a call costs more than from C, which is what a VM exit on a
 * machine with VT-x must be measured against (1 to 2 µs).
 *
 * <p>JNA makes the page of code and calls JNI's RegisterNatives, so nothing need be compiled or
 * shipped. Where a page cannot be made executable, {@link #bind} says so and calls go through JNA.
 */
final class DirectCall {
  private static final int PROT_READ_WRITE = 3;
  private static final int PROT_READ_EXEC = 5;
  private static final int MAP_PRIVATE_ANONYMOUS = 0x22;
  private static final long CODE_LENGTH = 4096;

  /**
   * System V calling convention in: rdi JNIEnv, rsi class, edx number, rcx, r8, r9 the arguments.
   * System call convention out: eax number, rdi, rsi, rdx the arguments; rcx and r11 are clobbered.
   */
  private static final byte[] CODE = {
    (byte) 0xf3,
    0x0f,
    0x1e,
    (byte) 0xfa, // endbr64
    (byte) 0x89,
    (byte) 0xd0, //             mov eax, edx
    0x48,
    (byte) 0x89,
    (byte) 0xcf, //       mov rdi, rcx
    0x4c,
    (byte) 0x89,
    (byte) 0xc6, //       mov rsi, r8
    0x4c,
    (byte) 0x89,
    (byte) 0xca, //       mov rdx, r9
    0x0f,
    0x05, //                           syscall
    (byte) 0xc3, //                          ret
  };

  static native long call(int number, long a, long b, long c);

  /** Gives {@link #call} its body. False if this machine does not allow it. */
  static boolean bind() {
    try {
      long code = Libc.mmap(0, CODE_LENGTH, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
      if (code == -1) {
        return false;
      }
      new Pointer(code).write(0, CODE, 0, CODE.length);
      if (Libc.mprotect(code, CODE_LENGTH, PROT_READ_EXEC) == 0
          && JniMethod.bind(DirectCall.class, "call", "(IJJJ)J", code)) {
        return true;
      }
      Libc.munmap(code, CODE_LENGTH);
      return false;
    } catch (IllegalArgumentException | LinkageError e) {
      return false;
    }
  }

  private DirectCall() {}
}
