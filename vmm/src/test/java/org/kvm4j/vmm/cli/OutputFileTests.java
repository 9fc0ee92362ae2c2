package org.kvm4j.vmm.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The files that {@code kvm4j run} writes: which it refuses, and why. */
@Timeout(120)
class OutputFileTests {
  private static final byte[] HLT = {(byte) 0xf4};

  @TempDir
  @SuppressWarnings("NullAway.Init") // set by JUnit
  private Path directory;

  private final Cli cli = new Cli();
  private String kernel = "";

  @BeforeEach
  void writeGuest() throws IOException {
    kernel = Files.write(directory.resolve("flat.bin"), HLT).toString();
  }

  private int run(String... more) {
    List<String> line =
        new ArrayList<>(List.of("run", "--kernel", kernel, "--mode", "real", "--trace"));
    line.addAll(List.of(more));
    return cli.run(line.toArray(String[]::new));
  }

  private void refused(String message, String... more) {
    assertEquals(ExitCodes.USAGE, run(more), cli.err());
    assertEquals("kvm4j: " + message + "\n", cli.err());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "/no/such/directory/x|--trace-file /no/such/directory/x cannot be written: no such directory",
        "/|--trace-file / is a directory",
        "''|--trace-file names no file"
      })
  void trace_files_that_cannot_be(String file, String message) {
    refused(message, "--trace-file", file);
  }

  @ParameterizedTest
  @ValueSource(strings = {"--serial=file:", "--trace-file="})
  void the_kernel_is_not_overwritten_by_whatever_name(String option) throws IOException {
    Path link = Files.createSymbolicLink(directory.resolve("link"), Path.of(kernel));
    for (String name : List.of(kernel, directory + "/./flat.bin", link.toString())) {
      Cli one = new Cli();
      assertEquals(
          ExitCodes.USAGE,
          one.run("run", "--kernel", kernel, "--mode", "real", "--trace", option + name));
      assertTrue(
          one.err().endsWith(name + " is the kernel of this run, and would be overwritten\n"),
          one.err());
      assertArrayEquals(HLT, Files.readAllBytes(Path.of(kernel)));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"--serial=file:", "--trace-file="})
  void a_disk_is_not_overwritten(String option) throws IOException {
    Path disk = Files.write(directory.resolve("disk"), new byte[512]);
    assertEquals(ExitCodes.USAGE, run(option + disk, "--disk", disk + ",readonly"));
    assertTrue(cli.err().contains(" is the disk of this run, "), cli.err());
    assertEquals(512, Files.size(disk));
  }

  @Test
  void one_output_is_not_written_over_the_other() {
    String file = directory + "/./new";
    refused(
        "--serial file:" + file + " is the same file as that of --trace-file",
        "--serial",
        "file:" + file,
        "--trace-file",
        directory.resolve("new").toString());
  }

  @Test
  void one_device_takes_both() {
    assumeTrue(Files.isWritable(Path.of("/dev/null")));
    assertEquals(0, run("--serial", "file:/dev/null", "--trace-file", "/dev/null"), cli.err());
  }

  @Test
  void a_pipe_that_nobody_reads_does_not_hold_the_run_up() throws Exception {
    Path pipe = directory.resolve("pipe");
    assumeTrue(new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor() == 0);
    assertEquals(ExitCodes.FAILURE, run("--trace-file", pipe.toString()), cli.err());
    assertTrue(
        cli.err().startsWith("kvm4j: --trace-file " + pipe + " could not be written: "), cli.err());
  }

  @Test
  void a_pipe_that_somebody_reads_takes_the_trace() throws Exception {
    Path pipe = directory.resolve("pipe");
    assumeTrue(new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor() == 0);
    Path copy = directory.resolve("copy");
    Process reader =
        new ProcessBuilder("cat", pipe.toString()).redirectOutput(copy.toFile()).start();
    // Held open here too, so that there is a reader however late the other process comes.
    try (var held = Files.newByteChannel(pipe, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      assertEquals(0, run("--trace-file", pipe.toString()), cli.err());
    }
    assertEquals(0, reader.waitFor());
    assertTrue(Files.readString(copy).contains("VM exit: HLT"), "the trace");
  }

  @Test
  void a_serial_pipe_waits_for_its_reader_and_says_so() throws Exception {
    Path pipe = directory.resolve("pipe");
    assumeTrue(new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor() == 0);
    // mov al, '!'; mov dx, 0x3f8; out dx, al; hlt
    Files.write(
        Path.of(kernel),
        new byte[] {(byte) 0xb0, '!', (byte) 0xba, (byte) 0xf8, 3, (byte) 0xee, (byte) 0xf4});
    Path copy = directory.resolve("copy");
    Process reader =
        new ProcessBuilder("sh", "-c", "sleep 1; cat " + pipe)
            .redirectOutput(copy.toFile())
            .start();
    assertEquals(0, run("--serial", "file:" + pipe), cli.err());
    String told =
        "--serial file:" + pipe + " is a pipe that nobody reads yet: waiting for a reader";
    assertTrue(cli.err().startsWith("kvm4j: " + told + "\n"), cli.err());
    assertEquals(0, reader.waitFor());
    assertEquals("!", Files.readString(copy));
  }

  @Test
  void a_serial_pipe_waits_no_longer_than_the_timeout() throws Exception {
    Path pipe = directory.resolve("pipe");
    assumeTrue(new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor() == 0);
    assertEquals(ExitCodes.TIMEOUT, run("--serial", "file:" + pipe, "--timeout", "0.2"));
    assertTrue(
        cli.err()
            .endsWith(
                "kvm4j: --serial file:" + pipe + " had no reader within the 0.2 s of --timeout\n"),
        cli.err());
    // Whoever waits in open(2) still is let go.
    Files.newByteChannel(pipe, StandardOpenOption.READ, StandardOpenOption.WRITE).close();
  }
}
