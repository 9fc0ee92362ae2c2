package org.kvm4j.vmm.cli;

import java.io.PrintWriter;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.Kernels;
import org.kvm4j.kvm.doctor.Doctor;
import org.kvm4j.kvm.doctor.JsonReport;
import org.kvm4j.kvm.doctor.Report;
import org.kvm4j.kvm.doctor.TextReport;
import org.kvm4j.kvm.syscall.KernelProvider;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code kvm4j doctor}. */
@Command(
    name = "doctor",
    description =
        "Tells which backends can run guests here, by running a tiny one in each mode, and what to do"
            + " about those that cannot.",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    exitCodeListHeading = "%nExit codes:%n",
    exitCodeList = {
      "0:at least one backend runs guests",
      "1:the doctor itself failed, or output could not be written (a full disk)",
      "2:the command line is wrong",
      "3:no backend that was examined runs guests",
      "141:nobody reads the output any more"
    })
final class DoctorCommand implements Callable<Integer> {
  /** No backend runs guests. */
  static final int NO_BACKEND = 3;

  private static final String ALL = "all";

  @Spec
  @SuppressWarnings("NullAway.Init") // set by picocli
  private CommandSpec spec;

  @Option(names = "--json", description = "Print JSON, for programs.")
  private boolean json;

  @Option(
      names = "--backend",
      paramLabel = "NAME",
      defaultValue = ALL,
      description = "Examine one backend: emulated or native (default: ${DEFAULT-VALUE}).")
  @SuppressWarnings("NullAway.Init") // set by picocli
  private String backend;

  @Option(
      names = "--timeout",
      paramLabel = "SECONDS",
      defaultValue = "2",
      converter = Seconds.Converter.class,
      description =
          "How long each tiny guest may run (default: ${DEFAULT-VALUE}); on a machine too busy to run"
              + " it, five times as long.")
  @SuppressWarnings("NullAway.Init") // has a default
  private Seconds timeout;

  @Override
  public Integer call() {
    Report report = new Doctor(timeout.duration()).examine(chosen());
    PrintWriter out = spec.commandLine().getOut();
    out.print(
        json
            ? JsonReport.of(report)
            : TextReport.of(report, spec.commandLine().getColorScheme().ansi().enabled()));
    out.flush();
    return report.anyRunsGuests() ? 0 : NO_BACKEND;
  }

  private List<KernelProvider> chosen() {
    List<KernelProvider> providers = Kernels.providers();
    if (backend.equals(ALL)) {
      return providers;
    }
    @Nullable KernelProvider chosen =
        providers.stream().filter(p -> p.name().equals(backend)).findFirst().orElse(null);
    if (chosen == null) {
      throw new ParameterException(
          spec.commandLine(),
          "no backend is called '"
              + backend
              + "'"
              + Nearest.hint(backend, providers.stream().map(KernelProvider::name).toList()));
    }
    return List.of(chosen);
  }
}
