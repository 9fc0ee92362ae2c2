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
   * The same options, with another time of an instruction.
   *
   * @param nanos as the user gave it
   * @throws CommandException if there is no such time, or it is not the virtual clock's
   */
  static KernelOptions withInstructionTime(KernelOptions options, int nanos) {
    if (nanos < 1 || nanos > 1000) {
      throw usage("--instruction-time is 1 to 1000 ns, not " + nanos);
    }
    if (options.get(KernelOptions.CLOCK).filter(c -> !c.equals(HOST_CLOCK)).isEmpty()) {
      throw usage("--instruction-time is for --clock virtual");
    }
    return options.with(KernelOptions.INSTRUCTION_TIME, Integer.toString(nanos));
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

  /** Its kernel knows what can be said of a CPU. */
  private static void checkCpu(KernelProvider provider, String cpu) {
    known(provider, KernelOptions.CPU, "--cpu");
    try {
      provider.describe(KernelOptions.CPU, cpu);
    } catch (IllegalArgumentException e) {
      throw usage("--cpu '" + cpu + "': " + e.getMessage());
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
