package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.KvmException;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.Kernel;

/**
 * The base of the contract suites: tests with {@link EachBackend} run over each backend, on a
 * kernel of their own.
 */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@SuppressWarnings("NullAway.Init") // Set before each test.
abstract class KvmContract {

  Backend backend;
  Kernel kernel;
  Kvm kvm;

  /** Opens the kernel that the test runs on, or skips the test with the reason. */
  final void open(Backend over) {
    backend = over;
    kernel = over.open();
    kvm = Kvm.open(kernel);
  }

  /**
   * As {@link #open(Backend)}, the emulated kernel on a processor of a model.
   *
   * @param model for the emulated kernel; a real one has what it has
   */
  final void open(Backend over, String model) {
    backend = over;
    kernel = over.open(model);
    kvm = Kvm.open(kernel);
  }

  @AfterEach
  void closeKernel() {
    if (kernel != null) {
      kernel.close();
    }
  }

  /** The call is refused with this error. */
  static KvmException refused(Errno errno, Executable call) {
    KvmException e = assertThrows(KvmException.class, call);
    assertTrue(e.is(errno), () -> "not " + errno + " but " + e.getMessage());
    return e;
  }
}
