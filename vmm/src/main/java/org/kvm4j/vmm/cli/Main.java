package org.kvm4j.vmm.cli;

import java.io.PrintWriter;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.AutoComplete.GenerateCompletion;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.HelpCommand;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import picocli.CommandLine.UnmatchedArgumentException;

/** The {@code kvm4j} command. */
@Command(
    name = "kvm4j",
    description = "Runs x86 guests through the KVM API, on an emulated CPU or the machine's own.",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    synopsisSubcommandLabel = "COMMAND",
    subcommands = {
      DemoCommand.class,
      RunCommand.class,
      DoctorCommand.class,
      HelpCommand.class,
      GenerateCompletion.class
    },
    footer = {
      "",
      "Completion for bash and zsh: source <(kvm4j generate-completion)",
      "Colours: NO_COLOR=1 turns them off."
    })
public final class Main implements Callable<Integer> {

  /** Set to anything, lets failures show where in the program they came from. */
  private static final String TRACE_VARIABLE = "KVM4J_STACK_TRACES";

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

  /** The command line, ready to be executed. */
  static CommandLine commandLine(Environment environment) {
    CommandLine commandLine = new CommandLine(new Main(environment));
    commandLine.setCaseInsensitiveEnumValuesAllowed(true);
    commandLine.setUsageHelpAutoWidth(true);
    commandLine.setParameterExceptionHandler((e, args) -> usageError(e));
    commandLine.setExecutionExceptionHandler(
        (e, failed, result) -> {
          PrintWriter err = failed.getErr();
          if (e instanceof CommandException c) {
            err.println("kvm4j: " + c.getMessage());
            err.flush();
            return c.exitCode();
          }
          err.println("kvm4j: failed: " + e);
          if (environment.variables().containsKey(TRACE_VARIABLE)) {
            e.printStackTrace(err);
          }
          err.flush();
          return ExitCodes.FAILURE;
        });
    return commandLine;
  }

  /** One line: what was wrong, and perhaps what was meant. */
  private static int usageError(ParameterException e) {
    CommandLine command = e.getCommandLine();
    StringBuilder text = new StringBuilder("kvm4j: ").append(firstLine(e));
    if (e instanceof UnmatchedArgumentException unmatched) {
      List<String> near = unmatched.getSuggestions();
      if (!near.isEmpty()) {
        text.append("; did you mean ")
            .append(String.join(", ", near.subList(0, Math.min(3, near.size()))))
            .append('?');
      }
    }
    text.append(" (see '").append(command.getCommandSpec().qualifiedName()).append(" --help')");
    command.getErr().println(text);
    command.getErr().flush();
    return ExitCodes.USAGE;
  }

  private static String firstLine(ParameterException e) {
    String message = String.valueOf(e.getMessage());
    int end = message.indexOf('\n');
    return (end < 0 ? message : message.substring(0, end)).strip();
  }

  /**
   * Runs the command and ends the JVM with its exit code.
   *
   * @param args the command line, without the program's name
   */
  public static void main(String[] args) {
    System.exit(commandLine(Environment.ofProcess()).execute(args));
  }
}
