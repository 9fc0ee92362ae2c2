package org.kvm4j.vmm.cli;

import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** The {@code kvm4j} command. */
@Command(
    name = "kvm4j",
    description = "Runs x86 guests through the KVM API, on an emulated CPU or the machine's own.",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    subcommands = DoctorCommand.class)
public final class Main implements Callable<Integer> {
  @Spec
  @SuppressWarnings("NullAway.Init") // set by picocli
  private CommandSpec spec;

  private Main() {}

  @Override
  public Integer call() {
    spec.commandLine().usage(spec.commandLine().getErr());
    return CommandLine.ExitCode.USAGE;
  }

  /**
   * Runs the command and ends the JVM with its exit code.
   *
   * @param args the command line, without the program's name
   */
  public static void main(String[] args) {
    System.exit(new CommandLine(new Main()).execute(args));
  }
}
