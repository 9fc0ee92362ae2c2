package org.kvm4j.kvm.module;

import java.io.UncheckedIOException;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.kvm4j.cpu.engine.Interpreter;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.cpu.profile.CpuProfile;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.cpu.profile.Feature;
import org.kvm4j.cpu.profile.VmxFeature;
import org.kvm4j.ept.memory.OutOfPhysicalMemoryException;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.kvm.module.vendor.VmxVcpu;
import org.kvm4j.kvm.syscall.Explainer;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.KernelOptions;
import org.kvm4j.kvm.syscall.KernelProvider;
import org.kvm4j.vmx.explain.VmxTrace;

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
  public void load() {
    Interpreter.loadMachineCode();
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
    int instructionTime = 1;
    for (Map.Entry<String, String> option : options.asMap().entrySet()) {
      String value = option.getValue();
      switch (option.getKey()) {
        case KernelOptions.CPU -> model = CpuProfiles.named(value);
        case KernelOptions.CLOCK -> clock = named(MachineClock.values(), "clock", value);
        case KernelOptions.INSTRUCTION_TIME -> instructionTime = instructionTime(value);
        case KernelOptions.BARE_METAL -> bare = Boolean.parseBoolean(value);
        case KernelOptions.ENGINE -> engine = named(Engine.values(), "engine", value);
        default ->
            throw new IllegalArgumentException(
                "the emulated kernel has no option \"" + option.getKey() + "\"");
      }
    }
    if (clock != MachineClock.VIRTUAL && options.get(KernelOptions.INSTRUCTION_TIME).isPresent()) {
      throw new IllegalArgumentException("an instruction's time is the virtual clock's");
    }
    String cpu = options.get(KernelOptions.CPU).orElse(CpuProfiles.DEFAULT);
    Set<VmxFeature> missing = bare ? Set.of() : VmxVcpu.missing(model);
    if (!missing.isEmpty()) {
      throw new IllegalArgumentException(
          "the CPU '%s' lacks %s, without which the emulated kernel's KVM module runs no guest; it can be had on bare metal"
              .formatted(cpu, model.has(Feature.VMX) ? names(missing) : "vmx"));
    }
    try {
      PhysicalMemory.prepare();
      return new EmulatedKernel(
          new HostMachine(model, clock, engine, bare).named(cpu).instructionTime(instructionTime));
    } catch (UncheckedIOException | OutOfPhysicalMemoryException e) {
      throw new IllegalStateException(e.getMessage(), e);
    }
  }

  private static int instructionTime(String value) {
    if (!value.matches("[0-9]{1,4}")
        || Integer.parseInt(value) < 1
        || Integer.parseInt(value) > 1000) {
      throw new IllegalArgumentException(
          "an instruction's time is 1 to 1000 ns, not \"" + value + "\"");
    }
    return Integer.parseInt(value);
  }

  private <E extends Enum<E>> E named(E[] values, String option, String name) {
    return Arrays.stream(values)
        .filter(v -> name(v).equals(name))
        .findFirst()
        .orElseThrow(() -> unknown(option, name));
  }

  /** The first few of them. */
  private static String names(Set<VmxFeature> features) {
    String some = features.stream().limit(4).map(f -> "" + f).collect(Collectors.joining(", "));
    return features.size() <= 4 ? some : some + " and " + (features.size() - 4) + " more";
  }

  private static String name(Enum<?> value) {
    return value.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  private static List<String> names(Enum<?>[] values) {
    return Arrays.stream(values).map(EmulatedKernelProvider::name).toList();
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
      case KernelOptions.CPU_FEATURE -> CpuProfiles.featureNames();
      case KernelOptions.CLOCK -> names(MachineClock.values());
      case KernelOptions.ENGINE -> names(Engine.values());
      case KernelOptions.BARE_METAL -> List.of("false", "true");
      case KernelOptions.TRACE -> names(VmxTrace.Category.values());
      default -> List.of();
    };
  }

  @Override
  public Optional<Explainer> explainer() {
    return Optional.of(new ModelExplainer());
  }

  @Override
  public String describe(String option, String value) {
    return switch (option) {
      case KernelOptions.CPU -> {
        CpuProfile model = CpuProfiles.named(value);
        yield (model.isAmd() ? "AMD: " : "Intel: ") + model.purpose();
      }
      case KernelOptions.CPU_FEATURE -> {
        CpuProfile model = CpuProfiles.named(value);
        Stream<String> features =
            model.reported().asSet().stream().map(f -> f.name().toLowerCase(Locale.ROOT));
        Stream<String> vmx =
            model.reported().has(Feature.VMX)
                ? model.vmxFeatures().stream().map(VmxFeature::toString)
                : Stream.of();
        yield Stream.concat(features, vmx).collect(Collectors.joining(" "));
      }
      default -> "";
    };
  }
}
