package org.kvm4j.vmm.cli;

import java.io.IOException;
import java.io.OutputStreamWriter;
import java.io.PrintWriter;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import org.kvm4j.vmm.boot.CpuMode;
import picocli.AutoComplete.GenerateCompletion;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.HelpCommand;
import picocli.CommandLine.MissingParameterException;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** The {@code kvm4j} command. */
@Command(
    name = "kvm4j",
    description = "Runs x86 guests through the KVM API, on an emulated CPU or the machine's own.",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    synopsisSubcommandLabel = "COMMAND",
    footer = {
      "",
      "Completion for bash and zsh: source <(kvm4j generate-completion)",
      "Colours: NO_COLOR=1 turns them off."
    })
public final class Main implements Callable<Integer> {

  /** Set to anything, lets failures show where in the program they came from. */
  private static final String TRACE_VARIABLE = "KVM4J_STACK_TRACES";

  /** The commands, in the order in which help has them. */
  private static final Map<String, Class<?>> COMMANDS = new LinkedHashMap<>();

  static {
    COMMANDS.put("demo", DemoCommand.class);
    COMMANDS.put("run", RunCommand.class);
    COMMANDS.put("explain", ExplainCommand.class);
    COMMANDS.put("doctor", DoctorCommand.class);
    COMMANDS.put("help", HelpCommand.class);
    COMMANDS.put("generate-completion", GenerateCompletion.class);
  }

  /** Those that know of no other. */
  private static final Set<String> BY_THEMSELVES = Set.of("demo", "run", "explain", "doctor");

  private final Environment environment;

  @Spec
  @SuppressWarnings("NullAway.Init") // set by picocli
  private CommandSpec spec;

  private Main(Environment environment) {
    this.environment = environment;
  }

  Environment environment() {
    return environment;
  }

  @Override
  public Integer call() {
    spec.commandLine().usage(spec.commandLine().getErr());
    return ExitCodes.USAGE;
  }

  /**
   * The command line, ready to be executed.
   *
   * @param args what it will be executed with: of a command that is the first of them, no other is
   *     made, as each takes the JVM some 20 ms
   */
  static CommandLine commandLine(Environment environment, String... args) {
    CommandLine commandLine = new CommandLine(new Main(environment));
    if (args.length != 0 && BY_THEMSELVES.contains(args[0])) {
      commandLine.addSubcommand(args[0], COMMANDS.get(args[0]));
    } else {
      COMMANDS.forEach(commandLine::addSubcommand);
    }
    for (Class<? extends Enum<?>> words :
        List.of(
            CpuMode.class,
            RunCommand.Backend.class,
            RunCommand.Clock.class,
            RunCommand.Chips.class,
            RunCommand.OnReset.class,
            DeviceOptions.Transport.class,
            DemoCommand.Backend.class)) {
      register(commandLine, words);
    }
    commandLine.setOut(
        new PrintWriter(new OutputStreamWriter(environment.output(), charset()), true));
    commandLine.setUsageHelpAutoWidth(true);
    commandLine.setParameterExceptionHandler(
        (e, given) -> {
          PrintWriter err = e.getCommandLine().getErr();
          if (e instanceof MissingParameterException
              && e.getCommandLine().getUnmatchedArguments().isEmpty()
              && e.getCommandLine().getCommand() instanceof RunCommand run
              && run.asksForCpus()) {
            try {
              return run.cpuHelp();
            } catch (CommandException c) {
              err.println(line(String.valueOf(c.getMessage())));
              err.flush();
              return c.exitCode();
            }
          }
          err.println(line(UsageErrors.message(e, given)));
          err.flush();
          return ExitCodes.USAGE;
        });
    commandLine.setExecutionExceptionHandler(
        (e, failed, result) -> {
          PrintWriter err = failed.getErr();
          if (e instanceof CommandException c) {
            err.println(line(String.valueOf(c.getMessage())));
            err.flush();
            return c.exitCode();
          }
          return failed(e, err, environment);
        });
    return commandLine;
  }

  private static int failed(Throwable e, PrintWriter err, Environment environment) {
    err.println(line("failed: " + e));
    if (environment.variables().containsKey(TRACE_VARIABLE)) {
      e.printStackTrace(err);
    }
    err.flush();
    return ExitCodes.FAILURE;
  }

  /** A message's line. What it names may be any text, and stays harmless to a terminal. */
  private static String line(String message) {
    return "kvm4j: " + message.replaceAll("\\p{Cntrl}", "?");
  }

  @SuppressWarnings({"unchecked", "rawtypes"}) // an enum's class is that of its constants
  private static void register(CommandLine commandLine, Class<? extends Enum<?>> words) {
    commandLine.registerConverter((Class) words, new Word(words));
  }

  /** What standard output's reader takes text for. */
  private static Charset charset() {
    for (String property : List.of("stdout.encoding", "sun.stdout.encoding", "native.encoding")) {
      String name = System.getProperty(property, "");
      if (!name.isEmpty() && Charset.isSupported(name)) {
        return Charset.forName(name);
      }
    }
    return StandardCharsets.UTF_8;
  }

  /**
   * Executes a command line, and sees to it that output which was lost does not look like success.
   *
   * @return the exit code
   */
  static int execute(CommandLine commandLine, Environment environment, String... args) {
    int code;
    try {
      code = commandLine.execute(args);
    } catch (Error e) {
      // Out of memory, of stack, of file descriptors to load a class from.
      code = failed(e, commandLine.getErr(), environment);
    }
    commandLine.getOut().flush();
    IOException lost = environment.output().failure();
    if (lost == null) {
      return code;
    }
    boolean readerGone = environment.output().readerGone();
    if (!readerGone) {
      commandLine
          .getErr()
          .println("kvm4j: standard output cannot be written: " + lost.getMessage());
      commandLine.getErr().flush();
    }
    boolean otherwiseWell = code == ExitCodes.OK || code == ExitCodes.OUTPUT_CLOSED;
    return !otherwiseWell ? code : readerGone ? ExitCodes.OUTPUT_CLOSED : ExitCodes.FAILURE;
  }

  /**
   * Runs the command and ends the JVM with its exit code.
   *
   * @param args the command line, without the program's name
   */
  public static void main(String[] args) {
    HeadStart.begin(args);
    Environment environment = Environment.ofProcess();
    System.exit(execute(commandLine(environment, args), environment, args));
  }
}
