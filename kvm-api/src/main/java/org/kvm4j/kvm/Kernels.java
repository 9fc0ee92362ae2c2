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
   * @throws KernelUnavailableException if no provider has that name, or it cannot be used on this
   *     machine
   */
  public static Kernel open(String name) {
    List<KernelProvider> providers = providers();
    for (KernelProvider provider : providers) {
      if (provider.name().equals(name)) {
        return open(provider);
      }
    }
    throw new KernelUnavailableException(
        "no kernel is called \""
            + name
            + "\"; there are: "
            + providers.stream().map(KernelProvider::name).collect(Collectors.joining(", ")));
  }

  private static Kernel open(KernelProvider provider) {
    try {
      return provider.open();
    } catch (IllegalStateException e) {
      throw new KernelUnavailableException(
          "the " + provider.name() + " kernel cannot be used here: " + e.getMessage());
    }
  }
}
