package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.MethodSource;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.KvmException;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.Kernel;

/** The base of the contract suites: each test runs over each backend, on a kernel of its own. */
@ParameterizedClass(name = "{0}")
@MethodSource("org.kvm4j.conformance.kvm.Backends#all")
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@SuppressWarnings("NullAway.Init") // JUnit fills the fields.
abstract class KvmContract {

  @Parameter Backend backend;

  Kernel kernel;
  Kvm kvm;

  @BeforeEach
  void openKernel() {
    kernel = backend.open();
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
