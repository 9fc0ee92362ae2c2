package org.kvm4j.conformance.kvm;

import java.util.List;
import java.util.stream.Stream;
import org.kvm4j.kvm.Kernels;
import org.kvm4j.kvm.syscall.KernelProvider;

/** The kernels that the contract suites run over. */
final class Backends {

  private static final List<String> NAMES = List.of("emulated", "native");

  private Backends() {}

  /** Both, whether they are there or not: what is not there is skipped by name, not left out. */
  static Stream<Backend> all() {
    List<KernelProvider> providers = Kernels.providers();
    return NAMES.stream()
        .map(
            name ->
                new Backend(
                    name,
                    providers.stream()
                        .filter(p -> p.name().equals(name))
                        .findFirst()
                        .orElse(null)));
  }
}
