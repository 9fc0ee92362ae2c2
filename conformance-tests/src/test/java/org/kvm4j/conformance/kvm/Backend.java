package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.abort;

import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.KernelOptions;
import org.kvm4j.kvm.syscall.KernelProvider;
import org.kvm4j.kvm.uapi.KvmCap;

/**
 * A kernel that the contract suites run over, or the reason why they do not.
 *
 * @param name {@code "emulated"} or {@code "native"}
 * @param provider null if there is none on the class path
 */
record Backend(String name, @Nullable KernelProvider provider) {

  /** A new kernel; a skip with its reason if there cannot be one here. */
  Kernel open() {
    return open(KernelOptions.NONE);
  }

  /** A new kernel, the emulated one on a processor of a model. */
  Kernel open(String model) {
    return open(
        isEmulated() ? KernelOptions.NONE.with(KernelOptions.CPU, model) : KernelOptions.NONE);
  }

  private Kernel open(KernelOptions options) {
    if (provider == null) {
      return isEmulated()
          ? fail("no provider of the emulated kernel on the class path")
          : abort(name + ": no provider of this kernel on the class path");
    }
    provider
        .unavailable()
        .ifPresent(
            why -> {
              if (isEmulated()) {
                fail("the emulated kernel must work everywhere, but: " + why.reason());
              }
              abort(name + ": " + why.reason());
            });
    return options.isEmpty() ? provider.open() : provider.open(options);
  }

  boolean isEmulated() {
    return name.equals("emulated");
  }

  /** What a test needs. The machine's kernel may lack it; the emulated one may not. */
  void needs(Kvm kvm, KvmCap... capabilities) {
    for (KvmCap cap : capabilities) {
      if (kvm.checkExtension(cap) == 0) {
        if (isEmulated()) {
          fail("the emulated kernel lacks " + cap);
        }
        abort(name + ": " + cap + " is 0");
      }
    }
  }

  /** A skip of what this machine's kernel is known not to do as KVM does. */
  void limit(String reason) {
    if (isEmulated()) {
      fail("the emulated kernel must do this: " + reason);
    }
    abort(name + ": " + reason);
  }

  @Override
  public String toString() {
    return name;
  }
}
