package org.kvm4j.vmm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.KernelProvider;
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

  @ParameterizedTest
  @CsvSource({
    "rum,there is no command 'rum'; did you mean run?",
    "help rum,there is no command 'rum'; did you mean run?",
    "frobnicate,there is no command 'frobnicate'; there are: demo",
    "--kernel x,unknown option '--kernel' before a command; it goes after run",
    "--versoin,unknown option '--versoin'; did you mean --version?",
    "-x,unknown option '-x' (see",
    "run --kernel x --memmory 4M,unknown option '--memmory'; did you mean --memory?",
    "run --kernel x --memmory=4M,unknown option '--memmory'; did you mean --memory?",
    "run --kernle x,unknown option '--kernle'; did you mean --kernel?",
    "run --kernel x -- --mode real,unexpected argument '--mode' (see",
    "run -kernel x,'-kernel' is -k ernel; did you mean --kernel?",
    "run -k x -append y,'-append' is -a ppend; did you mean --append?",
    "run x,unexpected argument 'x'; did you mean --kernel x?",
    "run --kernel x --append a b,unexpected argument 'b'; a value with spaces needs quotes",
    "run --kernel x --append=a b,unexpected argument 'b'; a value with spaces needs quotes",
    "doctor x,unexpected argument 'x' (see 'kvm4j doctor --help')",
    "doctor --backend nativ,no backend is called 'nativ'; did you mean native?",
    "demo --backend native_,there is no 'native_'; did you mean native?",
    "demo --timeout 0,'0' is no number of seconds"
  })
  void what_is_not_understood_is_one_line_with_what_was_perhaps_meant(String line, String words) {
    assertEquals(ExitCodes.USAGE, cli.run(line.split(" ")));
    assertEquals(1, cli.err().lines().count(), cli.err());
    assertTrue(cli.err().startsWith("kvm4j: "), cli.err());
    assertTrue(cli.err().contains(words), cli.err());
    assertEquals("", cli.out());
  }

  @Test
  void an_empty_argument_gets_no_suggestion() {
    assertEquals(ExitCodes.USAGE, cli.run("run", ""));
    assertEquals("kvm4j: unexpected argument '' (see 'kvm4j run --help')\n", cli.err());
  }

  @Test
  void what_is_wrong_stays_on_its_line_whatever_it_is() {
    assertEquals(ExitCodes.GUEST_FILE, cli.run("run", "--kernel", "a\nb\u001b[2J"));
    assertEquals("kvm4j: kernel a?b?[2J: no such file\n", cli.err());
    assertEquals(ExitCodes.USAGE, new Cli().run("run", "--mo\nde"));
  }

  @Test
  void an_error_of_the_JVM_is_one_line_too() {
    KernelProvider broken =
        new KernelProvider() {
          @Override
          public String name() {
            throw new OutOfMemoryError("no heap left");
          }

          @Override
          public Optional<Unavailable> unavailable() {
            return Optional.empty();
          }

          @Override
          public Kernel open() {
            throw new IllegalStateException();
          }
        };
    assertEquals(ExitCodes.FAILURE, cli.withProviders(broken).run("demo"));
    assertEquals("kvm4j: failed: java.lang.OutOfMemoryError: no heap left\n", cli.err());
  }

  private static OutputStream failing(String message) {
    return new OutputStream() {
      @Override
      public void write(int b) throws IOException {
        throw new IOException(message);
      }
    };
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "--version",
        "--help",
        "run --help",
        "doctor --backend emulated",
        "demo --backend emulated real-hello",
        "demo --list",
        "generate-completion"
      })
  void output_that_is_lost_is_told_and_no_success(String line) {
    cli.withOutput(failing("No space left on device"));
    assertEquals(ExitCodes.FAILURE, cli.run(line.split(" ")));
    assertEquals("kvm4j: standard output cannot be written: No space left on device\n", cli.err());
  }

  @ParameterizedTest
  @ValueSource(strings = {"--version", "doctor --backend emulated", "demo --list"})
  void a_reader_that_has_gone_is_no_news(String line) {
    cli.withOutput(failing("Broken pipe"));
    assertEquals(ExitCodes.OUTPUT_CLOSED, cli.run(line.split(" ")));
    assertEquals("", cli.err());
  }

  @Test
  void lost_output_does_not_hide_another_failure() {
    cli.withOutput(failing("No space left on device"));
    assertEquals(ExitCodes.BACKEND, cli.withProviders().run("demo"));
    assertTrue(cli.err().contains("No space left on device"), cli.err());
  }

  @Test
  void the_guide_documents_every_exit_code_of_run() throws IOException {
    String guide = Files.readString(Path.of("../docs/vmm.md"));
    CommandLine run = Main.commandLine(Environment.ofProcess()).getSubcommands().get("run");
    for (String code :
        Objects.requireNonNull(run).getCommandSpec().usageMessage().exitCodeList().keySet()) {
      String first = code.replaceAll("\\D.*", "");
      assertTrue(
          guide.lines().anyMatch(l -> l.matches("\\| ([0-9]+, )*" + first + "\\b.*")),
          "docs/vmm.md has no exit code " + code);
    }
  }
}
