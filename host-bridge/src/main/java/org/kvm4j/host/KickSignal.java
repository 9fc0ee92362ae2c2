package org.kvm4j.host;

import com.sun.jna.Memory;
import com.sun.jna.Pointer;

/**
 * The signal that gets a thread out of {@code KVM_RUN}: a real-time signal whose handler is the C
 * library's {@code abs}, which takes the signal's number, gives it back, and touches nothing. So no
 * Java and no JNA code ever runs in a signal handler. Without {@code SA_RESTART} the system call
 * that the thread is in ends with {@code EINTR}; the JVM's own waits are written to go on after
 * one.
 *
 * <p>The number is the first of {@value #FIRST} to {@value #LAST} that has no handler when it is
 * asked for. Below are the ordinary signals and those of the C library (32 and 33) and of other
 * VMMs (from 34 on); 62 is how the JVM interrupts blocked threads. The handler stays installed
 * until the process ends: a kick in flight must never meet the default action, which is to end it.
 *
 * <p>The frame that the kernel pushes on the thread's stack (up to 11 KB with all of AVX-512 and
 * AMX) has room at any time: HotSpot keeps {@code StackShadowPages} (80 KB) free below each Java
 * frame that calls native code.
 *
 * <p>Source: signal(7), sigaction(2), tgkill(2).
 */
final class KickSignal {
  static final int FIRST = 42;
  static final int LAST = 60;

  private static final int SIG_UNBLOCK = 1;

  // struct sigaction of the x86-64 C libraries: handler, mask (128 bytes), flags, restorer.
  private static final int SIGACTION_SIZE = 152;

  /** The signal's number, or 0 if all are taken. */
  static final int NUMBER = install();

  private static final Memory MASK = mask(NUMBER);

  private static int install() {
    long harmless = Pointer.nativeValue(Libc.LIBRARY.getFunction("abs"));
    try (Memory old = new Memory(SIGACTION_SIZE);
        Memory action = new Memory(SIGACTION_SIZE)) {
      action.clear();
      action.setLong(0, harmless);
      for (int signal = FIRST; signal <= LAST; signal++) {
        old.clear();
        if (Libc.sigaction(signal, 0, Pointer.nativeValue(old)) != 0) {
          continue;
        }
        long handler = old.getLong(0);
        if (handler == harmless) {
          return signal; // installed by this class in another class loader
        }
        if (handler == 0 && Libc.sigaction(signal, Pointer.nativeValue(action), 0) == 0) {
          return signal;
        }
      }
      return 0;
    }
  }

  private static Memory mask(int signal) {
    Memory mask = new Memory(128);
    mask.clear();
    mask.setLong(0, signal == 0 ? 0 : 1L << (signal - 1));
    return mask;
  }

  /** Lets the calling thread take the signal, should whoever made the thread have blocked it. */
  static void unblock() {
    Libc.pthread_sigmask(SIG_UNBLOCK, Pointer.nativeValue(MASK), 0);
  }

  private KickSignal() {}
}
