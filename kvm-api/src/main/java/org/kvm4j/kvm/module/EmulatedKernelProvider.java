package org.kvm4j.kvm.module;

import java.io.UncheckedIOException;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.cpu.profile.CpuProfile;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.cpu.profile.Feature;
import org.kvm4j.ept.memory.OutOfPhysicalMemoryException;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.KernelOptions;
import org.kvm4j.kvm.syscall.KernelProvider;

/** Offers the emulated kernel: on every machine that runs a JVM. */
public final class EmulatedKernelProvider implements KernelProvider {
  @Override
  public String name() {
    return "emulated";
  }

  @Override
  public Optional<Unavailable> unavailable() {
    return Optional.empty();
  }

  @Override
  public Kernel open() {
    return open(KernelOptions.NONE);
  }

  @Override
  public Kernel open(KernelOptions options) {
    CpuModel model = CpuProfiles.defaultProfile();
    MachineClock clock = MachineClock.HOST;
    Engine engine = Engine.DEFAULT;
    boolean bare = false;
    for (Map.Entry<String, String> option : options.asMap().entrySet()) {
      String value = option.getValue();
      switch (option.getKey()) {
        case KernelOptions.CPU -> model = CpuProfiles.named(value);
        case KernelOptions.CLOCK -> clock = named(MachineClock.values(), "clock", value);
        case KernelOptions.BARE_METAL -> bare = Boolean.parseBoolean(value);
        case KernelOptions.ENGINE -> engine = named(Engine.values(), "engine", value);
        default ->
            throw new IllegalArgumentException(
                "the emulated kernel has no option \"" + option.getKey() + "\"");
      }
    }
    try {
      PhysicalMemory.prepare();
      return new EmulatedKernel(new HostMachine(model, clock, engine, bare));
    } catch (UncheckedIOException | OutOfPhysicalMemoryException e) {
      throw new IllegalStateException(e.getMessage(), e);
    }
  }

  private <E extends Enum<E>> E named(E[] values, String option, String name) {
    return Arrays.stream(values)
        .filter(v -> v.name().toLowerCase(Locale.ROOT).equals(name))
        .findFirst()
        .orElseThrow(() -> unknown(option, name));
  }

  private static List<String> names(Enum<?>[] values) {
    return Arrays.stream(values).map(v -> v.name().toLowerCase(Locale.ROOT)).toList();
  }

  private IllegalArgumentException unknown(String option, String value) {
    return new IllegalArgumentException(
        "unknown "
            + option
            + " \""
            + value
            + "\"; known: "
            + String.join(", ", optionValues(option)));
  }

  @Override
  public List<String> optionValues(String option) {
    return switch (option) {
      case KernelOptions.CPU -> List.copyOf(CpuProfiles.names());
      case KernelOptions.CPU_FEATURE -> names(Feature.values());
      case KernelOptions.CLOCK -> names(MachineClock.values());
      case KernelOptions.ENGINE -> names(Engine.values());
      case KernelOptions.BARE_METAL -> List.of("false", "true");
      default -> List.of();
    };
  }

  @Override
  public String describe(String option, String value) {
    return switch (option) {
      case KernelOptions.CPU -> {
        CpuProfile model = CpuProfiles.named(value);
        yield (model.isAmd() ? "AMD: " : "Intel: ") + model.purpose();
      }
      case KernelOptions.CPU_FEATURE ->
          CpuProfiles.named(value).reported().asSet().stream()
              .map(f -> f.name().toLowerCase(Locale.ROOT))
              .collect(Collectors.joining(" "));
      default -> "";
    };
  }
}
