package org.kvm4j.conformance.launcher;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the launcher's build prints, of a tree that Maven cannot build. */
class BuildOutputTests {
  private static final Path LAUNCHER = Path.of("../kvm4j").toAbsolutePath().normalize();

  @TempDir
  @SuppressWarnings("NullAway.Init") // set by JUnit
  private Path directory;

  @Test
  void aBuildThatFailsSaysSoAndHasNoColoursButAtATerminal()
      throws IOException, InterruptedException {
    assumeTrue(Files.isExecutable(LAUNCHER), "no launcher script beside the modules");
    assumeTrue(
        Stream.of(System.getenv("PATH").split(":"))
            .anyMatch(d -> Files.isExecutable(Path.of(d, "mvn"))),
        "no mvn to build with");
    Path launcher = directory.resolve("kvm4j");
    Files.copy(LAUNCHER, launcher, StandardCopyOption.COPY_ATTRIBUTES);
    Files.writeString(directory.resolve("pom.xml"), "<project>", UTF_8);
    ProcessBuilder builder = new ProcessBuilder(launcher.toString()).redirectErrorStream(true);
    Map<String, String> variables = builder.environment();
    variables.keySet().removeIf(name -> name.startsWith("KVM4J_") || name.startsWith("MAVEN_"));
    variables.put("JAVA_HOME", System.getProperty("java.home"));
    Process process = builder.start();
    process.getOutputStream().close();
    String output = new String(process.getInputStream().readAllBytes(), UTF_8);
    assertEquals(1, process.waitFor(), output);
    assertTrue(output.endsWith("kvm4j: the build failed (see above)\n"), output);
    assertTrue(output.contains("Non-readable POM"), output);
    assertFalse(output.contains("\33"), output);
  }
}
