package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.kvm4j.kvm.Kernels;
import org.kvm4j.kvm.syscall.KernelProvider;

/** The README's VMMs: they compile, print what they should, and are what the README shows. */
class ExampleTests {
  private static final Path ROOT = Path.of("..").toAbsolutePath().normalize();
  private static final Path EXAMPLE = ROOT.resolve("docs/examples/FirstVmm.java");
  private static final Path DEVICES = ROOT.resolve("docs/examples/DeviceVmm.java");

  @Test
  void theFirstVmmAddsTwoNumbers() throws IOException, InterruptedException {
    firstVmm(0, "port: 5\n");
  }

  @Test
  void theVmmWithDevicesAnswersReads() throws IOException, InterruptedException {
    run(DEVICES, 0, "0x20001: 42\n");
  }

  @Test
  void theFirstVmmNamesTheKernelsThereAre() throws IOException, InterruptedException {
    String names =
        Kernels.providers().stream().map(KernelProvider::name).collect(Collectors.joining(", "));
    firstVmm(1, "no kernel is called \"emulate\"; there are: " + names + "\n", "emulate");
  }

  private static void firstVmm(int exitCode, String expected, String... arguments)
      throws IOException, InterruptedException {
    run(EXAMPLE, exitCode, expected, arguments);
  }

  private static void run(Path example, int exitCode, String expected, String... arguments)
      throws IOException, InterruptedException {
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                example.toString()));
    command.addAll(List.of(arguments));
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertTrue(process.waitFor(60, TimeUnit.SECONDS));
    assertEquals(expected, output);
    assertEquals(exitCode, process.exitValue());
  }

  @Test
  void theReadmeShowsIt() throws IOException {
    String readme = Files.readString(ROOT.resolve("README.md"));
    assertTrue(readme.contains(Files.readString(EXAMPLE)));
    String devices = Files.readString(DEVICES);
    String serve = devices.substring(devices.indexOf("  static void serve"), devices.length() - 2);
    assertTrue(serve.endsWith("  }\n"), serve);
    assertTrue(readme.contains(serve), serve);
  }
}
