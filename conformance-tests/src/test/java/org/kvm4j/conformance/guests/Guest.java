package org.kvm4j.conformance.guests;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A guest of those that {@code tools/fetch-guests} fetches, run by the launcher in a process of its
 * own. Tests of it are skipped where it was not fetched.
 */
final class Guest implements AutoCloseable {
  private static final Path ROOT = Path.of("..").toAbsolutePath().normalize();
  private static final Path GUESTS = ROOT.resolve("guests");
  private static final Pattern INSTRUCTIONS = Pattern.compile("instructions: ([0-9,]+);");

  /** What a guest may take at most. */
  private static final int MINUTES = 12;

  private final Process process;
  private final Path errors;
  private final StringBuilder output = new StringBuilder();

  private Guest(Process process, Path errors) {
    this.process = process;
    this.errors = errors;
    // A read waits for ever, whatever @Timeout says; the end of the process ends it.
    CompletableFuture.delayedExecutor(MINUTES, TimeUnit.MINUTES).execute(this::close);
  }

  /** A file that was fetched; the test is skipped if it was not. */
  static Path file(String name) {
    Path file = GUESTS.resolve(name);
    assumeTrue(Files.exists(file), "no guests: tools/fetch-guests fetches them");
    return file;
  }

  /** The launcher's command line for Debian's kernel of a flavour. */
  static List<String> linux(String flavour, String append, String... options) {
    return linuxWith(file("initrd-" + flavour + ".gz"), flavour, append, options);
  }

  /** The same with another initial RAM disk. */
  static List<String> linuxWith(Path initrd, String flavour, String append, String... options) {
    // What the launcher runs is what this build has made, which -Pfast test alone does not.
    assumeTrue(
        Files.isDirectory(ROOT.resolve("vmm/target/lib")),
        "nothing for ./kvm4j to run: mvn package makes it");
    List<String> command =
        new ArrayList<>(
            List.of(
                ROOT.resolve("kvm4j").toString(),
                "run",
                "--kernel",
                file("vmlinuz-" + flavour).toString(),
                "--initrd",
                initrd.toString(),
                "--memory",
                "256M",
                "--stats",
                "--append",
                append));
    command.addAll(List.of(options));
    return command;
  }

  /**
   * Starts a command.
   *
   * @param errors takes its standard error
   */
  static Guest start(List<String> command, Path errors) throws IOException {
    ProcessBuilder builder = new ProcessBuilder(command).redirectError(errors.toFile());
    builder.environment().put("KVM4J_NO_BUILD", "1");
    builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
    return new Guest(builder.start(), errors);
  }

  /** Reads what it prints until a text comes. */
  void await(String text) throws IOException {
    InputStream in = process.getInputStream();
    int from = output.length();
    while (output.indexOf(text, Math.max(from, output.length() - text.length())) < 0) {
      int b = in.read();
      if (b < 0) {
        fail("no \"" + text + "\" came:\n" + output + errors());
      }
      output.append((char) b);
    }
  }

  void type(String text) throws IOException {
    OutputStream keys = process.getOutputStream();
    keys.write(text.getBytes(ISO_8859_1));
    keys.flush();
  }

  void endInput() throws IOException {
    process.getOutputStream().close();
  }

  /** Waits for its end, and tells its exit code. */
  int exitCode() throws IOException, InterruptedException {
    output.append(new String(process.getInputStream().readAllBytes(), ISO_8859_1));
    return process.waitFor();
  }

  /** What it has printed so far, of what was read. */
  String output() {
    return output.toString();
  }

  /** What kvm4j itself says. */
  String errors() {
    try {
      return Files.readString(errors);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** How many instructions it retired, by the statistics. */
  String instructions() {
    Matcher matcher = INSTRUCTIONS.matcher(errors());
    assertTrue(matcher.find(), this::output);
    return matcher.group(1);
  }

  /** SIGKILL, as by nobody who asks. */
  void kill() throws InterruptedException {
    process.destroyForcibly().waitFor();
  }

  @Override
  public void close() {
    process.descendants().forEach(ProcessHandle::destroyForcibly);
    process.destroyForcibly();
  }
}
