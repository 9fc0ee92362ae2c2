package org.kvm4j.vmm.demo;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The guests' binaries are what their sources say. */
class GuestSourceTests {

  private static final Path SOURCES = Path.of("src/main/guests");
  private static final Path RESOURCES = Path.of("src/main/resources/org/kvm4j/vmm");

  /** What the conformance tests run. */
  private static final Path TESTS =
      Path.of("../conformance-tests/src/test/resources/org/kvm4j/conformance/guests");

  private static final Path ASSEMBLE = Path.of("../tools/assemble-guests").toAbsolutePath();

  private static boolean runs(String... command) throws InterruptedException {
    try {
      return new ProcessBuilder(command)
              .redirectOutput(ProcessBuilder.Redirect.DISCARD)
              .redirectError(ProcessBuilder.Redirect.DISCARD)
              .start()
              .waitFor()
          == 0;
    } catch (IOException e) {
      return false;
    }
  }

  @Test
  void binaries_are_their_sources_assembled(@TempDir Path directory)
      throws IOException, InterruptedException {
    for (String tool : List.of("as", "ld", "objcopy", "bash")) {
      assumeTrue(runs(tool, "--version"), tool + " is not installed");
    }
    assumeTrue(
        runs("bash", "-c", "echo nop | as --64 -o /dev/null -"), "as does not assemble for x86-64");
    Process process =
        new ProcessBuilder(ASSEMBLE.toString(), directory.toString())
            .redirectErrorStream(true)
            .start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), output);
    int compared = 0;
    try (Stream<Path> binaries = Files.list(directory)) {
      for (Path binary : binaries.toList()) {
        String name = binary.getFileName().toString();
        Path committed =
            name.equals("kvm-user.bin")
                ? TESTS.resolve(name)
                : RESOURCES.resolve(name.equals("bios.bin") ? "boot" : "demo").resolve(name);
        assertArrayEquals(
            Files.readAllBytes(binary),
            Files.readAllBytes(committed),
            name + " is not what its source says: run tools/assemble-guests");
        compared++;
      }
    }
    assertEquals(DemoGuest.all().size() + 2, compared);
  }

  @Test
  void each_guest_has_a_source_that_agrees_on_mode_and_address() throws IOException {
    TreeSet<String> sources = new TreeSet<>();
    try (Stream<Path> files = Files.list(SOURCES)) {
      files
          .map(f -> f.getFileName().toString())
          .filter(f -> f.endsWith(".S") && !f.equals("bios.S"))
          .forEach(f -> sources.add(f.substring(0, f.length() - 2)));
    }
    TreeSet<String> guests = new TreeSet<>();
    for (DemoGuest guest : DemoGuest.all()) {
      guests.add(guest.name());
      String first = Files.readAllLines(SOURCES.resolve(guest.name() + ".S")).get(0);
      assertEquals(
          String.format(
              "# guest mode=%s address=0x%x%s",
              guest.mode().name().toLowerCase(Locale.ROOT),
              guest.address(),
              guest.bareMetal() ? " bare-metal" : ""),
          first);
      assertTrue(guest.program().length > 0);
    }
    assertEquals(sources, guests);
  }
}
