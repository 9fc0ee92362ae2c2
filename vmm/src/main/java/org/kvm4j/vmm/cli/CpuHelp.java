package org.kvm4j.vmm.cli;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.syscall.KernelOptions;
import org.kvm4j.kvm.syscall.KernelProvider;

/** What {@code --cpu help}, {@code --cpu NAME,help} and {@code --cpu NAME,+?} print. */
final class CpuHelp {

  private static final String WORD = "help";
  private static final String ALL_FEATURES = ",+?";
  private static final int WIDTH = 78;

  private CpuHelp() {}

  /** Whether a value of {@code --cpu} asks for help. */
  static boolean isAskedBy(@Nullable String cpu) {
    return cpu != null
        && (cpu.equals(WORD) || cpu.endsWith("," + WORD) || cpu.endsWith(ALL_FEATURES));
  }

  /**
   * The lines to print.
   *
   * @param cpu what asks for help
   * @throws CommandException if there is no such CPU
   */
  static List<String> lines(KernelProvider provider, String cpu) {
    if (cpu.equals(WORD)) {
      return models(provider);
    }
    if (cpu.endsWith(ALL_FEATURES)) {
      Backends.options(
          provider, cpu.substring(0, cpu.length() - ALL_FEATURES.length()), null, null);
      return wrapped(String.join(" ", provider.optionValues(KernelOptions.CPU_FEATURE)));
    }
    String model = cpu.substring(0, cpu.length() - WORD.length() - 1);
    Backends.options(provider, model, null, null); // tells what is wrong with it
    List<String> lines = new ArrayList<>();
    lines.add(model + ": " + provider.describe(KernelOptions.CPU, model));
    lines.addAll(wrapped(provider.describe(KernelOptions.CPU_FEATURE, model)));
    return lines;
  }

  private static List<String> models(KernelProvider provider) {
    List<String> names = provider.optionValues(KernelOptions.CPU);
    int width = names.stream().mapToInt(String::length).max().orElse(1);
    List<String> lines = new ArrayList<>();
    for (String name : names) {
      lines.add(
          String.format("%-" + width + "s  %s", name, provider.describe(KernelOptions.CPU, name)));
    }
    lines.add("");
    lines.add("--cpu NAME,help lists a model's features, --cpu NAME,+? all that there are.");
    return lines;
  }

  private static List<String> wrapped(String words) {
    List<String> lines = new ArrayList<>();
    StringBuilder line = new StringBuilder();
    for (String word : words.split(" ")) {
      if (line.length() + word.length() >= WIDTH) {
        lines.add(line.toString());
        line.setLength(0);
      }
      line.append(line.isEmpty() ? "  " : " ").append(word);
    }
    lines.add(line.toString());
    return lines;
  }
}
