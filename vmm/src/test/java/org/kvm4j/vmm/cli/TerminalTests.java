package org.kvm4j.vmm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * {@code kvm4j run} at a terminal, which util-linux's {@code script} makes: a shell runs it, and
 * looks at the terminal's modes before, while and after.
 */
@Timeout(60)
class TerminalTests {

  private static final String TAKEN = "Ctrl-A x ends it";

  // again: mov dx, 0x3fd; in al, dx; test al, 1; jz again; mov dl, 0xf8; in al, dx; out dx, al;
  // cmp al, '!'; jne again; hlt
  private static final String ECHO = "bafd03eca80174f8b2f8ecee3c2175f0f4";
  private static final String LOOP = "ebfe";

  @TempDir
  @SuppressWarnings("NullAway.Init") // set by JUnit
  private Path directory;

  @SuppressWarnings("NullAway.Init") // set by start
  private Process process;

  private final StringBuilder output = new StringBuilder();

  @BeforeEach
  void needsScript() {
    assumeTrue(Files.isExecutable(Path.of("/usr/bin/script")), "no script of util-linux");
  }

  @AfterEach
  void kill() {
    if (process != null) {
      process.descendants().forEach(ProcessHandle::destroyForcibly);
      process.destroyForcibly();
    }
  }

  private void start(String code) throws IOException {
    start(code, "-m 1M --mode real");
  }

  private void start(String code, String options) throws IOException {
    Path guest = Files.write(directory.resolve("guest"), HexFormat.of().parseHex(code));
    String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
    Path script =
        Files.writeString(
            directory.resolve("session"),
            String.join(
                "\n",
                "stty rows 33 cols 111",
                "stty -g > before",
                "'"
                    + java
                    + "' -cp '"
                    + System.getProperty("java.class.path")
                    + "'"
                    + " org.kvm4j.vmm.cli.Main run "
                    + options
                    + " -k '"
                    + guest
                    + "'",
                "echo exit code $?",
                "stty -g > after"));
    process =
        new ProcessBuilder("script", "-qec", "sh " + script, "/dev/null")
            .directory(directory.toFile())
            .redirectErrorStream(true)
            .start();
    await(TAKEN);
  }

  /** Reads what the terminal shows until a text comes. */
  private void await(String text) throws IOException {
    InputStream in = process.getInputStream();
    int from = output.length();
    while (output.indexOf(text, from) < 0) {
      int b = in.read();
      assertTrue(b >= 0, () -> "the terminal is gone: " + output);
      output.append((char) b);
    }
  }

  private void type(String text) throws IOException {
    OutputStream keys = process.getOutputStream();
    keys.write(text.getBytes(StandardCharsets.ISO_8859_1));
    keys.flush();
  }

  private void endsWith(int exitCode) throws IOException, InterruptedException {
    await("exit code " + exitCode);
    assertEquals(0, process.waitFor());
    assertEquals(
        Files.readString(directory.resolve("before")),
        Files.readString(directory.resolve("after")),
        "the terminal is as it was");
  }

  private ProcessHandle kvm4j() {
    return process
        .descendants()
        .filter(p -> p.info().command().orElse("").endsWith("java"))
        .findFirst()
        .orElseThrow();
  }

  @Test
  void every_key_reaches_the_guest_and_nothing_is_echoed_but_by_it() throws Exception {
    start(ECHO);
    type("a");
    await("a");
    type("\3\32\34\21\23\r"); // Ctrl-C, Ctrl-Z, Ctrl-\, Ctrl-Q, Ctrl-S, Enter
    await("\3\32\34\21\23\r");
    type("\1\1");
    await("\1");
    type("!");
    await("!");
    endsWith(ExitCodes.OK);
  }

  @Test
  void the_escape_ends_a_guest_that_reads_nothing() throws Exception {
    start(LOOP);
    type("more than a serial port holds, of which the guest takes no byte");
    type("\1x");
    endsWith(ExitCodes.INTERRUPTED);
  }

  @Test
  void the_keys_are_explained() throws Exception {
    start(LOOP);
    type("\1h");
    await("Ctrl-A h       this help\r\n");
    type("\1x");
    endsWith(ExitCodes.INTERRUPTED);
  }

  @Test
  void the_guests_shell_can_be_told_the_windows_size() throws Exception {
    start(ECHO);
    type("\1w");
    await("stty rows 33 cols 111\r");
    type("!");
    endsWith(ExitCodes.OK);
  }

  @Test
  void a_console_knows_the_windows_size_and_its_changes() throws Exception {
    // mov ebx, 0xfeb00100; mov dx, 0x3f8; mov al, [ebx]; out dx, al; mov al, [ebx+2]; out dx, al;
    // again: cmp byte [ebx], 111; je again; mov al, [ebx]; out dx, al; hlt
    start(
        "bb0001b0fe 66baf803 8a03 ee 8a4302 ee 803b6f 74fb 8a03 ee f4".replace(" ", ""),
        "-m 2M --mode protected --console --virtio mmio");
    await("o!"); // 111 columns, 33 rows
    Path terminal = Files.readSymbolicLink(Path.of("/proc/" + kvm4j().pid() + "/fd/0"));
    assertEquals("", stty(terminal, "cols", "90"));
    await("Z");
    endsWith(ExitCodes.OK);
  }

  @Test
  void a_signal_gives_the_terminal_back() throws Exception {
    start(LOOP);
    assertTrue(kvm4j().destroy()); // SIGTERM
    endsWith(143);
  }

  @Test
  void a_stop_gives_the_terminal_back_and_going_on_takes_it_again() throws Exception {
    start(ECHO);
    long pid = kvm4j().pid();
    signal("TSTP", pid);
    awaitState(pid, 'T');
    Path terminal = Files.readSymbolicLink(Path.of("/proc/" + pid + "/fd/0"));
    String stopped = stty(terminal, "-g");
    assertEquals(Files.readString(directory.resolve("before")).strip(), stopped);
    signal("CONT", pid);
    while (stty(terminal, "-g").equals(stopped)) {
      Thread.sleep(10);
    }
    type("b");
    await("b");
    type("!");
    endsWith(ExitCodes.OK);
  }

  private static void signal(String name, long pid) throws IOException, InterruptedException {
    assertEquals(0, new ProcessBuilder("sh", "-c", "kill -" + name + " " + pid).start().waitFor());
  }

  /** Waits for a state of proc_pid_stat(5): T is stopped. */
  private static void awaitState(long pid, char state) throws IOException, InterruptedException {
    while (true) {
      String stat = Files.readString(Path.of("/proc/" + pid + "/stat"));
      if (stat.charAt(stat.lastIndexOf(')') + 2) == state) {
        return;
      }
      Thread.sleep(10);
    }
  }

  private static String stty(Path terminal, String... arguments) throws IOException {
    List<String> command = new ArrayList<>(List.of("stty"));
    command.addAll(List.of(arguments));
    Process stty =
        new ProcessBuilder(command)
            .redirectInput(ProcessBuilder.Redirect.from(terminal.toFile()))
            .start();
    return new String(stty.getInputStream().readAllBytes(), StandardCharsets.US_ASCII).strip();
  }
}
