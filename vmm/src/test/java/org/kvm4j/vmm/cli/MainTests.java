package org.kvm4j.vmm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;

class MainTests {

  private final Cli cli = new Cli();

  @Test
  void version_and_help_go_to_standard_output() {
    assertEquals(0, cli.run("--version"));
    assertTrue(cli.out().startsWith("kvm4j "), cli.out());
    assertEquals(0, cli.run("--help"));
    assertTrue(cli.out().contains("Usage: kvm4j"), cli.out());
    assertEquals("", cli.err());
  }

  @Test
  void without_a_command_the_usage_goes_to_standard_error() {
    assertEquals(2, cli.run());
    assertTrue(cli.err().contains("Usage: kvm4j"), cli.err());
    assertEquals("", cli.out());
  }

  @ParameterizedTest
  @ValueSource(strings = {"run", "demo", "doctor"})
  void each_command_documents_its_exit_codes(String command) {
    assertEquals(0, cli.run(command, "--help"));
    assertTrue(cli.out().contains("Exit codes:"), cli.out());
  }

  @Test
  void the_completion_script_knows_commands_and_options() {
    assertEquals(0, cli.run("generate-completion"));
    assertTrue(cli.out().contains("--kernel"), "options");
    assertTrue(cli.out().contains("doctor"), "commands");
    assertTrue(cli.out().contains("native"), "values");
  }

  @Test
  void an_unknown_command_is_one_line_with_what_was_perhaps_meant() {
    assertEquals(2, cli.run("rum"));
    assertEquals(
        "kvm4j: Unmatched argument at index 0: 'rum'; did you mean run?"
            + " (see 'kvm4j --help')\n",
        cli.err());
  }

  @Test
  void an_unknown_option_is_one_line_with_what_was_perhaps_meant() {
    assertEquals(2, cli.run("run", "--kernel", "x", "--memmory", "4M"));
    assertEquals(1, cli.err().lines().count());
    assertTrue(cli.err().contains("--memmory"), cli.err());
    assertTrue(cli.err().contains("did you mean"), cli.err());
  }

  @Test
  void the_guide_documents_every_exit_code_of_run() throws IOException {
    String guide = Files.readString(Path.of("../docs/vmm.md"));
    CommandLine run = Main.commandLine(Environment.ofProcess()).getSubcommands().get("run");
    for (String code :
        Objects.requireNonNull(run).getCommandSpec().usageMessage().exitCodeList().keySet()) {
      String first = code.replaceAll("\\D.*", "");
      assertTrue(
          guide.lines().anyMatch(l -> l.matches("\\| ([0-9]+, )?" + first + "\\b.*")),
          "docs/vmm.md has no exit code " + code);
    }
  }
}
