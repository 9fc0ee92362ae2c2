package org.kvm4j.vmm.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import picocli.CommandLine;
import picocli.CommandLine.MissingParameterException;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParameterException;

/**
 * What to say of a command line that cannot be understood: one line, with what was perhaps meant.
 */
final class UsageErrors {

  private UsageErrors() {}

  /**
   * The line to print.
   *
   * @param e what picocli found
   * @param arguments the whole command line
   */
  static String message(ParameterException e, String[] arguments) {
    CommandLine command = e.getCommandLine();
    List<String> unmatched = command.getUnmatchedArguments();
    String what;
    if (!unmatched.isEmpty()) {
      // First, even where something required is missing: a misspelt option is why it is.
      what = unmatched(e, command, unmatched.get(0), arguments);
    } else if (e.getClass() == ParameterException.class
        && arguments.length > 1
        && arguments[0].equals("help")) {
      what = noCommand(command, arguments[1]);
    } else {
      what = firstLine(e);
    }
    return what + " (see '" + command.getCommandSpec().qualifiedName() + " --help')";
  }

  private static String unmatched(
      ParameterException e, CommandLine command, String argument, String[] arguments) {
    for (String given : arguments) {
      // As some programs write it; here it is a short option with its value.
      if (given.matches("-[a-z-]{2,}")
          && command.getCommandSpec().findOption("-" + given) != null) {
        return "'"
            + given
            + "' is "
            + given.substring(0, 2)
            + " "
            + given.substring(2)
            + "; did you mean -"
            + given
            + "?";
      }
    }
    boolean dashed = argument.startsWith("-") && argument.length() > 1;
    if (dashed && command.getCommandSpec().findOption(argument) == null) {
      return unknownOption(command, argument.replaceFirst("(?s)=.*", ""));
    }
    if (!command.getSubcommands().isEmpty()) {
      return noCommand(command, argument);
    }
    String text = "unexpected argument '" + argument + "'";
    if (e instanceof MissingParameterException missing && !dashed && !argument.isEmpty()) {
      for (ArgSpec spec : missing.getMissing()) {
        if (spec instanceof OptionSpec option) {
          return text + "; did you mean " + option.longestName() + " " + argument + "?";
        }
      }
    }
    return followsValue(argument, arguments) ? text + "; a value with spaces needs quotes" : text;
  }

  /** Whether an argument comes after an option and its value, and so may be more of that. */
  private static boolean followsValue(String argument, String[] arguments) {
    int at = List.of(arguments).indexOf(argument);
    return at >= 2
        && (arguments[at - 1].startsWith("-")
            ? arguments[at - 1].contains("=")
            : arguments[at - 2].startsWith("-"));
  }

  private static String unknownOption(CommandLine command, String name) {
    String text = "unknown option '" + name + "'";
    List<String> owners = new ArrayList<>();
    for (Map.Entry<String, CommandLine> sub : command.getSubcommands().entrySet()) {
      if (sub.getValue().getCommandSpec().findOption(name) != null) {
        owners.add(sub.getKey());
      }
    }
    if (!owners.isEmpty()) {
      return text + " before a command; it goes after " + String.join(" or ", owners);
    }
    List<String> names = new ArrayList<>();
    for (OptionSpec option : command.getCommandSpec().options()) {
      names.add(option.longestName());
    }
    List<String> near = Nearest.to(name, names);
    return near.isEmpty() ? text : text + "; did you mean " + String.join(", ", near) + "?";
  }

  private static String noCommand(CommandLine command, String name) {
    return "there is no command '"
        + name
        + "'"
        + Nearest.hint(name, List.copyOf(command.getSubcommands().keySet()));
  }

  private static String firstLine(ParameterException e) {
    String message = String.valueOf(e.getMessage());
    int end = message.indexOf('\n');
    return (end < 0 ? message : message.substring(0, end)).strip();
  }
}
