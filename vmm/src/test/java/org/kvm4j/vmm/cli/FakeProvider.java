package org.kvm4j.vmm.cli;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.KernelOptions;
import org.kvm4j.kvm.syscall.KernelProvider;

/** A kernel that can never be opened, but has options. */
final class FakeProvider implements KernelProvider {

  private final String name;
  private final @Nullable Unavailable unavailable;
  private final Map<String, List<String>> values;
  KernelOptions opened = KernelOptions.NONE;

  FakeProvider(String name, @Nullable Unavailable unavailable, Map<String, List<String>> values) {
    this.name = name;
    this.unavailable = unavailable;
    this.values = values;
  }

  static FakeProvider emulated() {
    return new FakeProvider(
        Backends.EMULATED,
        null,
        Map.of(
            KernelOptions.CPU, List.of("max", "skylake-client", "skylake-server", "icelake-server"),
            KernelOptions.CLOCK, List.of("host", "virtual"),
            KernelOptions.ENGINE, List.of("t0")));
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public Optional<Unavailable> unavailable() {
    return Optional.ofNullable(unavailable);
  }

  @Override
  public Kernel open() {
    throw new IllegalStateException("a fake");
  }

  @Override
  public Kernel open(KernelOptions options) {
    opened = options;
    throw new IllegalStateException("a fake");
  }

  @Override
  public List<String> optionValues(String option) {
    return values.getOrDefault(option, List.of());
  }
}
