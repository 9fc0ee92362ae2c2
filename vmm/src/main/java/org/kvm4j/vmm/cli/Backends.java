package org.kvm4j.vmm.cli;

import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.KvmException;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.KernelOptions;
import org.kvm4j.kvm.syscall.KernelProvider;

/** Chooses a kernel by what the command line says, and opens it. */
final class Backends {

  static final String EMULATED = "emulated";
  static final String NATIVE = "native";
  static final String AUTO = "auto";

  static final String HOST_CLOCK = "host";
  static final String VIRTUAL_CLOCK = "virtual";

  private final List<KernelProvider> providers;

  Backends(List<KernelProvider> providers) {
    this.providers = providers;
  }

  /** The provider of a name. */
  Optional<KernelProvider> find(String name) {
    return providers.stream().filter(p -> p.name().equals(name)).findFirst();
  }

  /**
   * The provider that {@code --backend} means.
   *
   * @throws CommandException if it is not there, or cannot be used on this machine
   */
  KernelProvider choose(String backend) {
    if (backend.equals(AUTO)) {
      Optional<KernelProvider> usable =
          find(NATIVE).filter(p -> p.unavailable().isEmpty()).or(() -> find(EMULATED));
      return usable.orElseThrow(
          () -> new CommandException(ExitCodes.BACKEND, "no backend can be used on this machine"));
    }
    KernelProvider provider =
        find(backend)
            .orElseThrow(
                () ->
                    new CommandException(
                        ExitCodes.BACKEND,
                        "there is no "
                            + backend
                            + " backend in this build; there are: "
                            + providers.stream()
                                .map(KernelProvider::name)
                                .collect(Collectors.joining(", "))));
    provider
        .unavailable()
        .ifPresent(
            u -> {
              throw new CommandException(
                  ExitCodes.BACKEND,
                  "the " + backend + " backend cannot be used: " + u.reason() + "; " + u.remedy());
            });
    return provider;
  }

  /**
   * Options for a kernel, checked as far as its provider tells what there is.
   *
   * @throws CommandException for a value that there is not, with the names that are near
   */
  static KernelOptions options(
      KernelProvider provider,
      @Nullable String cpu,
      @Nullable String clock,
      @Nullable String engine) {
    KernelOptions options = KernelOptions.NONE;
    if (cpu != null) {
      checkCpu(provider, cpu);
      options = options.with(KernelOptions.CPU, cpu);
    }
    if (clock != null && !(clock.equals(HOST_CLOCK) && hasNone(provider, KernelOptions.CLOCK))) {
      check(provider, KernelOptions.CLOCK, clock);
      options = options.with(KernelOptions.CLOCK, clock);
    }
    if (engine != null) {
      check(provider, KernelOptions.ENGINE, engine);
      options = options.with(KernelOptions.ENGINE, engine);
    }
    return options;
  }

  /**
   * The same options, for a guest on bare metal.
   *
   * @throws CommandException if the kernel has none
   */
  static KernelOptions onBareMetal(KernelProvider provider, KernelOptions options) {
    if (!provider.optionValues(KernelOptions.BARE_METAL).contains("true")) {
      throw usage(
          "--bare-metal is for the emulated CPU, and the backend is the "
              + provider.name()
              + " one");
    }
    return options.with(KernelOptions.BARE_METAL, "true");
  }

  /** A kernel without a choice of clocks lives in the host's time. */
  private static boolean hasNone(KernelProvider provider, String option) {
    return provider.optionValues(option).isEmpty();
  }

  private static void checkCpu(KernelProvider provider, String cpu) {
    String[] parts = cpu.split(",", -1);
    List<String> models = known(provider, KernelOptions.CPU, "--cpu");
    if (parts[0].isEmpty() || "+-".indexOf(parts[0].charAt(0)) >= 0) {
      throw usage(
          "--cpu '"
              + cpu
              + "' does not begin with a CPU's name; there are: "
              + String.join(", ", models));
    }
    if (!models.contains(parts[0])) {
      throw usage("unknown CPU '" + parts[0] + "'" + Nearest.hint(parts[0], models));
    }
    List<String> features = provider.optionValues(KernelOptions.CPU_FEATURE);
    for (int i = 1; i < parts.length; i++) {
      String part = parts[i];
      if (part.startsWith("phys-bits=")) {
        if (!part.matches("phys-bits=(3[2-9]|4[0-9]|5[0-2])")) {
          throw usage("'" + part + "' in --cpu: a physical address has 32 to 52 bits");
        }
        continue;
      }
      if (part.startsWith("vmx-timer-rate=")) {
        if (!part.matches("vmx-timer-rate=([0-9]|[12][0-9]|3[01])")) {
          throw usage("'" + part + "' in --cpu: the rate of the VMX-preemption timer is 0 to 31");
        }
        continue;
      }
      if (part.length() < 2 || (part.charAt(0) != '+' && part.charAt(0) != '-')) {
        throw usage("'" + part + "' in --cpu '" + cpu + "' is no +feature or -feature");
      }
      String feature = part.substring(1);
      if (!features.isEmpty() && !features.contains(feature)) {
        throw usage("unknown CPU feature '" + feature + "'" + Nearest.hint(feature, features));
      }
    }
  }

  private static void check(KernelProvider provider, String option, String value) {
    List<String> values = known(provider, option, "--" + option);
    if (!values.contains(value)) {
      throw usage("unknown " + option + " '" + value + "'" + Nearest.hint(value, values));
    }
  }

  private static List<String> known(KernelProvider provider, String option, String flag) {
    List<String> values = provider.optionValues(option);
    if (values.isEmpty()) {
      throw usage(
          flag + " does not apply to the " + provider.name() + " backend: its machine is as it is");
    }
    return values;
  }

  private static CommandException usage(String message) {
    return new CommandException(ExitCodes.USAGE, message);
  }

  /**
   * Opens a kernel.
   *
   * @throws CommandException if it cannot be opened so
   */
  static Kernel open(KernelProvider provider, KernelOptions options) {
    try {
      return options.isEmpty() ? provider.open() : provider.open(options);
    } catch (IllegalArgumentException e) {
      throw usage(String.valueOf(e.getMessage()));
    } catch (IllegalStateException | KvmException e) {
      throw new CommandException(
          ExitCodes.BACKEND,
          "the " + provider.name() + " backend cannot be used: " + e.getMessage());
    }
  }
}
