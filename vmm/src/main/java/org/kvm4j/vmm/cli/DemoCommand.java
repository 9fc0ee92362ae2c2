package org.kvm4j.vmm.cli;

import java.io.PrintWriter;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.doctor.BackendReport;
import org.kvm4j.kvm.doctor.Doctor;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.KernelOptions;
import org.kvm4j.kvm.syscall.KernelProvider;
import org.kvm4j.vmm.demo.DemoGuest;
import org.kvm4j.vmm.demo.DemoRun;
import org.kvm4j.vmm.demo.DemoRunner;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/** {@code kvm4j demo}. */
@Command(
    name = "demo",
    description =
        "Runs small guests through the KVM API on the emulated CPU, and where this machine has a usable"
            + " /dev/kvm on that too, and shows their output and VM exits side by side.",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    sortOptions = false,
    exitCodeListHeading = "%nExit codes:%n",
    exitCodeList = {
      "0:every guest did what it should, where it could run",
      "1:kvm4j or the system below it failed, or output could not be written (a full disk)",
      "2:the command line is wrong",
      "3:a backend that was asked for cannot be used on this machine",
      "9:a guest did not do what it should",
      "141:nobody reads the output any more"
    })
final class DemoCommand implements Callable<Integer> {

  private static final int NARROWEST = 60;
  private static final int DEFAULT_WIDTH = 100;
  private static final int WIDEST = 200;
  private static final Duration DOCTOR_LIMIT = Duration.ofSeconds(2);

  /** What to run on. */
  enum Backend {
    BOTH,
    EMULATED,
    NATIVE;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  @Spec
  @SuppressWarnings("NullAway.Init") // set by picocli
  private CommandSpec spec;

  @ParentCommand
  @SuppressWarnings("NullAway.Init") // set by picocli
  private Main main;

  @Parameters(
      paramLabel = "GUEST",
      arity = "0..*",
      description = "Which guests (default: all; --list names them).")
  private List<String> names = new ArrayList<>();

  @Option(
      names = {"-b", "--backend"},
      paramLabel = "KERNEL",
      defaultValue = "both",
      description = "${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  @SuppressWarnings("NullAway.Init") // has a default
  private Backend backend;

  @Option(names = "--list", description = "Lists the guests, and runs none.")
  private boolean list;

  @Option(names = "--json", description = "Prints JSON, for programs.")
  private boolean json;

  @Option(
      names = "--timeout",
      paramLabel = "SECONDS",
      defaultValue = "30",
      converter = Seconds.Converter.class,
      description = "How long each guest may take (default: ${DEFAULT-VALUE}).")
  @SuppressWarnings("NullAway.Init") // has a default
  private Seconds timeout;

  @Override
  public Integer call() throws InterruptedException {
    PrintWriter out = spec.commandLine().getOut();
    List<DemoGuest> guests = guests();
    if (list) {
      if (json) {
        out.print(DemoReport.json(guests));
      } else {
        guests.forEach(guest -> out.printf("%-18s %s%n", guest.name(), guest.title()));
      }
      out.flush();
      return ExitCodes.OK;
    }
    Map<String, @Nullable String> unavailable = new LinkedHashMap<>();
    List<KernelProvider> providers = providers(unavailable);
    DemoReport report =
        new DemoReport(
            new Styles(spec.commandLine().getColorScheme().ansi().enabled()), lineWidth());
    if (!json) {
      unavailable.forEach((name, reason) -> out.println(name + ": " + reason + "\n"));
    }
    List<DemoRun> runs = new ArrayList<>();
    List<Kernel> kernels = new ArrayList<>();
    try {
      for (KernelProvider provider : providers) {
        kernels.add(Backends.open(provider, KernelOptions.NONE));
      }
      // The first run in a process loads classes: its time would tell of nothing else.
      for (Kernel kernel : kernels) {
        new DemoRunner(kernel, Duration.ofSeconds(1)).run(DemoGuest.all().get(0));
      }
      for (DemoGuest guest : guests) {
        if (kernels.isEmpty() || out.checkError()) {
          break; // nothing to run on, or nobody to show it to
        }
        List<DemoRun> sideBySide = new ArrayList<>();
        List<String> told = new ArrayList<>();
        if (guest.bareMetal()) {
          onBareMetal(guest, providers, sideBySide, told);
          if (sideBySide.isEmpty()) {
            continue;
          }
        } else {
          for (Kernel kernel : kernels) {
            sideBySide.add(new DemoRunner(kernel, timeout.duration()).run(guest));
          }
        }
        runs.addAll(sideBySide);
        if (!json) {
          out.println(report.title(guest));
          out.print(report.heads(sideBySide.stream().map(DemoRun::backend).toList()));
          out.println(report.runs(sideBySide) + report.told(told));
          out.flush();
        }
      }
    } finally {
      kernels.forEach(Kernel::close);
    }
    if (json) {
      out.print(DemoReport.json(runs, unavailable));
    } else {
      summary(out, runs, providers);
    }
    out.flush();
    if (runs.stream().anyMatch(this::failed)) {
      return ExitCodes.DEMO_FAILED;
    }
    boolean missing =
        backend == Backend.BOTH
            ? unavailable.containsKey(Backends.EMULATED)
            : !unavailable.isEmpty();
    return missing ? ExitCodes.BACKEND : ExitCodes.OK;
  }

  /**
   * Runs a guest with a processor for itself, where there is one.
   *
   * @param told gets what is told of entries that fail
   */
  private void onBareMetal(
      DemoGuest guest, List<KernelProvider> providers, List<DemoRun> runs, List<String> told)
      throws InterruptedException {
    for (KernelProvider provider : providers) {
      if (provider.optionValues(KernelOptions.BARE_METAL).isEmpty()) {
        continue;
      }
      try (Kernel kernel =
          Backends.open(provider, Backends.onBareMetal(provider, KernelOptions.NONE))) {
        kernel.trace(Set.of(TraceOptions.FAILURES), told::add);
        runs.add(new DemoRunner(kernel, timeout.duration()).run(guest));
      }
    }
  }

  /** The emulated backend must run every guest; the machine's own may be of a kind that cannot. */
  private boolean failed(DemoRun run) {
    return run.result() == DemoRun.Result.WRONG
        || (run.result() == DemoRun.Result.CANNOT_RUN && !run.backend().equals(Backends.NATIVE));
  }

  private List<DemoGuest> guests() {
    if (names.isEmpty()) {
      return DemoGuest.all();
    }
    List<String> known = DemoGuest.all().stream().map(DemoGuest::name).toList();
    List<DemoGuest> chosen = new ArrayList<>();
    for (String name : names) {
      if (!known.contains(name)) {
        throw new CommandException(
            ExitCodes.USAGE, "no guest is called '" + name + "'" + Nearest.hint(name, known));
      }
      chosen.add(DemoGuest.all().get(known.indexOf(name)));
    }
    return chosen;
  }

  /** The backends to run on; why others are not among them goes into the map. */
  private List<KernelProvider> providers(Map<String, @Nullable String> unavailable) {
    Backends backends = main.environment().backends();
    List<String> wanted =
        backend == Backend.BOTH
            ? List.of(Backends.EMULATED, Backends.NATIVE)
            : List.of(backend.toString());
    List<KernelProvider> usable = new ArrayList<>();
    for (String name : wanted) {
      Optional<KernelProvider> provider = backends.find(name);
      if (provider.isEmpty()) {
        unavailable.put(name, "not in this build");
        continue;
      }
      Optional<KernelProvider.Unavailable> why = provider.get().unavailable();
      if (why.isPresent()) {
        unavailable.put(name, "not usable here: " + why.get().reason() + "; " + why.get().remedy());
      } else {
        usable.add(provider.get());
      }
    }
    return usable;
  }

  private void summary(PrintWriter out, List<DemoRun> runs, List<KernelProvider> providers) {
    for (KernelProvider provider : providers) {
      String name = provider.name();
      List<DemoRun> of = runs.stream().filter(r -> r.backend().equals(name)).toList();
      if (of.isEmpty()) {
        continue; // it has no bare metal, and nothing else was to run
      }
      long good = of.stream().filter(r -> r.result() == DemoRun.Result.AS_EXPECTED).count();
      List<String> cannot =
          of.stream()
              .filter(r -> r.result() == DemoRun.Result.CANNOT_RUN)
              .map(r -> r.guest().name())
              .toList();
      List<String> wrong =
          of.stream()
              .filter(r -> r.result() == DemoRun.Result.WRONG)
              .map(r -> r.guest().name())
              .toList();
      StringBuilder text = new StringBuilder();
      text.append(name).append(": ").append(good).append(" of ").append(of.size());
      text.append(" guests did what they should");
      if (!wrong.isEmpty()) {
        text.append("; something else did: ").append(String.join(", ", wrong));
      }
      if (!cannot.isEmpty()) {
        text.append("; it cannot run: ").append(String.join(", ", cannot));
        BackendReport examined =
            new Doctor(DOCTOR_LIMIT).examine(List.of(provider)).backends().get(0);
        if (!examined.reason().isEmpty()) {
          text.append(". Why: ").append(examined.reason()).append(". See 'kvm4j doctor'");
        }
      }
      for (String line : DemoReport.wrap(text.append('.').toString(), lineWidth())) {
        out.println(line);
      }
    }
  }

  private int lineWidth() {
    String columns = main.environment().variables().getOrDefault("COLUMNS", "");
    try {
      int width = Integer.parseInt(columns);
      return width >= NARROWEST ? Math.min(width, WIDEST) : DEFAULT_WIDTH;
    } catch (NumberFormatException e) {
      return main.environment().outputTerminal()
          ? RawTerminal.size(1)
              .map(s -> Math.min(s.columns(), WIDEST))
              .filter(w -> w >= NARROWEST)
              .orElse(DEFAULT_WIDTH)
          : DEFAULT_WIDTH;
    }
  }
}
