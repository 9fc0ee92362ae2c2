package org.kvm4j.kvm;

import java.util.List;
import java.util.ServiceLoader;
import java.util.stream.Collectors;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.KernelProvider;

/** Finds the kernels that this program can use. */
public final class Kernels {

  private Kernels() {}

  /** Every provider on the module path or class path, usable on this machine or not. */
  public static List<KernelProvider> providers() {
    return ServiceLoader.load(KernelProvider.class).stream()
        .map(ServiceLoader.Provider::get)
        .toList();
  }

  /**
   * Opens a kernel by name.
   *
   * @param name {@code "emulated"} or {@code "native"}
   * @throws IllegalArgumentException if no provider has that name; the message lists those there
   *     are
   * @throws IllegalStateException if it cannot be used on this machine; the message says why
   */
  public static Kernel open(String name) {
    List<KernelProvider> providers = providers();
    for (KernelProvider provider : providers) {
      if (provider.name().equals(name)) {
        return provider.open();
      }
    }
    throw new IllegalArgumentException(
        "no kernel is called \""
            + name
            + "\"; there are: "
            + providers.stream().map(KernelProvider::name).collect(Collectors.joining(", ")));
  }
}
