package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** The README's first VMM: it compiles, prints what it should, and is what the README shows. */
class ExampleTests {
  private static final Path ROOT = Path.of("..").toAbsolutePath().normalize();
  private static final Path EXAMPLE = ROOT.resolve("docs/examples/FirstVmm.java");

  @Test
  void theFirstVmmAddsTwoNumbers() throws IOException, InterruptedException {
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                EXAMPLE.toString())
            .redirectErrorStream(true)
            .start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertTrue(process.waitFor(60, TimeUnit.SECONDS));
    assertEquals("port: 5\n", output);
    assertEquals(0, process.exitValue());
  }

  @Test
  void theReadmeShowsIt() throws IOException {
    assertTrue(Files.readString(ROOT.resolve("README.md")).contains(Files.readString(EXAMPLE)));
  }
}
