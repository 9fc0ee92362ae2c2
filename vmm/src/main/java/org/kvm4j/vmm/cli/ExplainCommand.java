package org.kvm4j.vmm.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.syscall.Explainer;
import org.kvm4j.kvm.syscall.KernelOptions;
import org.kvm4j.kvm.syscall.KernelProvider;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/** {@code kvm4j explain}. */
@Command(
    name = "explain",
    description =
        "Explains a failed VM entry from a VMCS dump in the kernel's log: which checks of the SDM it"
            + " fails, with the values, and the nearest that would pass. Or explains VM-exit"
            + " information given by options.",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    sortOptions = false,
    footer = {
      "",
      "Linux dumps a VMCS with the parameter dump_invalid_vmcs=1 of kvm_intel; "
          + "'kvm4j run --trace dump' does, too."
    },
    exitCodeListHeading = "%nExit codes:%n",
    exitCodeList = {
      "0:it is explained",
      "1:kvm4j or the system below it failed, or output could not be written (a full disk)",
      "2:the command line is wrong",
      "3:this build has nothing that explains",
      "4:the file cannot be read, or there is no VMCS dump in it",
      "141:nobody reads the output any more"
    })
final class ExplainCommand implements Callable<Integer> {

  /** A log of which no more comes for so long has its last dump explained. */
  private static final int PAUSE_MILLIS = 1000;

  private static final String STDIN = "-";

  @Spec
  @SuppressWarnings("NullAway.Init") // set by picocli
  private CommandSpec spec;

  @ParentCommand
  @SuppressWarnings("NullAway.Init") // set by picocli
  private Main main;

  @Parameters(
      paramLabel = "FILE",
      arity = "0..*",
      description =
          "Logs with VMCS dumps; - for standard input. Each is explained as soon as it is read, so"
              + " that 'dmesg --follow' can be looked at.")
  private List<String> files = List.of();

  @Option(
      names = "--cpu",
      paramLabel = "NAME[,+f,-f]",
      completionCandidates = EmulatedValues.CpuModels.class,
      description =
          "The CPU model whose capabilities count, as for 'kvm4j run' (default: what the dump says;"
              + " else one that has every control).")
  private @Nullable String cpu;

  @Option(
      names = "--all",
      description =
          "Lists each check that cannot be made for what the dump lacks (default: of more than ten it"
              + " is told how many lack what).")
  private boolean all;

  @Option(
      names = "--exit-reason",
      paramLabel = "N",
      converter = FieldValue.Converter.class,
      description = "An exit reason, all 32 bits of the field, to be told in words.")
  private @Nullable FieldValue reason;

  @Option(
      names = "--qualification",
      paramLabel = "N",
      converter = FieldValue.Converter.class,
      description = "Its exit qualification.")
  private @Nullable FieldValue qualification;

  @Option(
      names = "--intr-info",
      paramLabel = "N",
      converter = FieldValue.Converter.class,
      description = "Interruption information, of an exit or an entry.")
  private @Nullable FieldValue interruption;

  @Option(
      names = "--error-code",
      paramLabel = "N",
      converter = FieldValue.Converter.class,
      description = "Its error code.")
  private @Nullable FieldValue interruptionError;

  @Option(
      names = "--idt-vectoring",
      paramLabel = "N",
      converter = FieldValue.Converter.class,
      description = "IDT-vectoring information.")
  private @Nullable FieldValue vectoring;

  @Option(
      names = "--instruction-info",
      paramLabel = "N",
      converter = FieldValue.Converter.class,
      description = "VM-exit instruction information, which --exit-reason gives its format.")
  private @Nullable FieldValue instruction;

  @Option(
      names = "--instruction-error",
      paramLabel = "N",
      converter = FieldValue.Converter.class,
      description = "A VM-instruction error.")
  private @Nullable FieldValue instructionError;

  @Override
  public Integer call() {
    KernelProvider provider = main.environment().backends().choose(Backends.EMULATED);
    if (CpuHelp.isAskedBy(cpu)) {
      CpuHelp.lines(provider, String.valueOf(cpu)).forEach(spec.commandLine().getOut()::println);
      return ExitCodes.OK;
    }
    Explainer explainer =
        provider
            .explainer()
            .orElseThrow(
                () -> new CommandException(ExitCodes.BACKEND, "this build has no explainer"));
    PrintWriter out = spec.commandLine().getOut();
    boolean fields =
        Stream.of(reason, interruption, vectoring, instructionError).anyMatch(x -> x != null);
    if (files.isEmpty() && !fields) {
      throw usage(
          qualification == null && instruction == null && interruptionError == null
              ? "explain needs a file with a VMCS dump (- for standard input), or --exit-reason"
              : "what a qualification or instruction information says depends on --exit-reason,"
                  + " and an error code belongs to --intr-info");
    }
    if (!files.isEmpty() && (fields || qualification != null || instruction != null)) {
      throw usage("a file has its own exit reason: FILE cannot go with options of single fields");
    }
    if (files.isEmpty() && all) {
      throw usage("--all is for the checks of a FILE: single fields have none");
    }
    checkCpu(provider);
    if (files.isEmpty()) {
      try {
        out.print(explainer.exit(exitFields()));
      } catch (IllegalArgumentException e) {
        throw usage(String.valueOf(e.getMessage()));
      }
      out.flush();
    } else {
      for (String file : files) {
        if (files.size() > 1) {
          out.println("Of " + file + ":\n");
        }
        dumps(explainer, file, out);
      }
    }
    return ExitCodes.OK;
  }

  private void checkCpu(KernelProvider provider) {
    if (cpu == null) {
      return;
    }
    Backends.options(provider, cpu, null, null); // tells what is wrong with it
    if (!List.of(provider.describe(KernelOptions.CPU_FEATURE, cpu).split(" ")).contains("vmx")) {
      throw usage("--cpu '" + cpu + "': that processor has no VMX");
    }
  }

  private Explainer.ExitFields exitFields() {
    if (reason == null && (qualification != null || instruction != null)) {
      throw usage("what a qualification or instruction information says depends on --exit-reason");
    }
    return new Explainer.ExitFields(
        int32(reason, "--exit-reason"),
        qualification == null ? OptionalLong.empty() : OptionalLong.of(qualification.value()),
        int32(interruption, "--intr-info"),
        int32(interruptionError, "--error-code"),
        int32(vectoring, "--idt-vectoring"),
        OptionalInt.empty(),
        int32(instruction, "--instruction-info"),
        int32(instructionError, "--instruction-error"));
  }

  private static OptionalInt int32(@Nullable FieldValue number, String option) {
    return number == null ? OptionalInt.empty() : OptionalInt.of(number.value32(option));
  }

  private void dumps(Explainer explainer, String path, PrintWriter out) {
    String what = path.equals(STDIN) ? "standard input" : path;
    Explainer.LogReader reader =
        explainer.dumps(
            cpu == null ? "" : cpu,
            all,
            text -> {
              out.print(text);
              out.flush();
            });
    try (LogLines lines = open(path)) {
      // What nobody reads any more need not be looked for.
      while (main.environment().output().failure() == null) {
        LogLines.Next next = next(lines, reader);
        if (next == LogLines.Next.LINE) {
          reader.line(lines.line());
        } else if (next == LogLines.Next.PAUSE) {
          reader.pause();
        } else {
          reader.end();
          return;
        }
      }
    } catch (IllegalArgumentException e) {
      throw new CommandException(ExitCodes.GUEST_FILE, what + ": " + e.getMessage());
    } catch (NoSuchFileException e) {
      throw new CommandException(ExitCodes.GUEST_FILE, what + ": no such file");
    } catch (IOException e) {
      throw new CommandException(ExitCodes.GUEST_FILE, what + " cannot be read: " + e.getMessage());
    }
  }

  /** What comes next; if nothing more can be read, what was read is explained before. */
  private static LogLines.Next next(LogLines lines, Explainer.LogReader reader) throws IOException {
    try {
      return lines.next(PAUSE_MILLIS);
    } catch (IOException e) {
      reader.pause();
      throw e;
    }
  }

  private LogLines open(String path) throws IOException {
    if (path.equals(STDIN)) {
      return new LogLines(main.environment().input(), false);
    }
    Path of;
    try {
      of = Path.of(path);
    } catch (InvalidPathException e) {
      throw new NoSuchFileException(path);
    }
    if (Files.isDirectory(of)) {
      throw new IOException("it is a directory");
    }
    return new LogLines(Files.newInputStream(of), true);
  }

  private static CommandException usage(String message) {
    return new CommandException(ExitCodes.USAGE, message);
  }
}
