package org.kvm4j.host;

import java.util.Optional;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.KernelProvider;

/** Gives the machine's own kernel: {@code "native"}. */
public final class NativeKernelProvider implements KernelProvider {

  /** For {@link java.util.ServiceLoader}. */
  public NativeKernelProvider() {}

  @Override
  public String name() {
    return "native";
  }

  @Override
  public Optional<Unavailable> unavailable() {
    return HostFacts.gather().obstacle();
  }

  @Override
  public Kernel open() {
    unavailable()
        .ifPresent(
            u -> {
              throw new IllegalStateException(u.reason() + "; " + u.remedy());
            });
    return new NativeKernel();
  }
}
