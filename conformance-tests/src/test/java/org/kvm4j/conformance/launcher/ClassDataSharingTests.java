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
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import javax.tools.JavaCompiler;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The launcher's archive of classes, in a tree that is as kvm4j's to it: the same modules, with
 * nothing in them but a main class that says a word.
 */
class ClassDataSharingTests {
  private static final Path LAUNCHER = Path.of("../kvm4j").toAbsolutePath().normalize();
  private static final List<String> MODULES =
      List.of("ept", "machine-code", "vmx-model", "kvm-api", "host-bridge", "vmm");
  private static final String CLASS_LOADING = "-Xlog:class+load:stdout";

  /** What a run printed, standard output and error together, and its exit code. */
  private record Run(String output, int exitCode) {
    /** The origin of the main class, of what {@link #CLASS_LOADING} prints. */
    String origin() {
      return output
          .lines()
          .filter(line -> line.contains("org.kvm4j.vmm.cli.Main source:"))
          .findFirst()
          .orElseThrow(() -> new AssertionError(output));
    }
  }

  @TempDir
  @SuppressWarnings("NullAway.Init") // set by JUnit
  private Path directory;

  @SuppressWarnings("NullAway.Init") // set before each
  private Path tree;

  @BeforeEach
  void aBuiltTree() throws IOException {
    assumeTrue(Files.isExecutable(LAUNCHER), "no launcher script beside the modules");
    assumeTrue(ToolProvider.getSystemJavaCompiler() != null, "no compiler: a JRE, not a JDK");
    assumeTrue(onPath("flock"), "no flock: two launchers could not take turns");
    tree = Files.createDirectory(directory.resolve("tree"));
    Files.copy(LAUNCHER, tree.resolve("kvm4j"), StandardCopyOption.COPY_ATTRIBUTES);
    Files.createFile(tree.resolve("pom.xml"));
    for (String module : MODULES) {
      Files.createDirectories(tree.resolve(module + "/src/main"));
      Files.createFile(tree.resolve(module + "/pom.xml"));
      compile(tree.resolve(module + "/target/classes"), "module-info.java", "module launched {}");
    }
    Files.createDirectories(tree.resolve("vmm/target/lib"));
    Files.createFile(tree.resolve("vmm/target/kvm4j.built"));
    compile("one");
  }

  @Test
  void theClassesComeFromTheArchiveOnceItIsMade() throws IOException, InterruptedException {
    assertEquals(new Run("one\n", 7), make());
    assertTrue(Files.size(archive()) > 0);
    assertEquals(new Run("one\n", 7), run(Map.of()));
    String origin = run(Map.of("KVM4J_JAVA_OPTS", CLASS_LOADING)).origin();
    assertTrue(origin.contains("shared objects file"), origin);
    String without = run(Map.of("KVM4J_JAVA_OPTS", CLASS_LOADING, "KVM4J_CDS", "0")).origin();
    assertFalse(without.contains("shared objects file"), without);
  }

  @Test
  void aNewerClassIsWhatRuns() throws IOException, InterruptedException {
    make();
    compile("two");
    assertEquals(new Run("two\n", 7), run(Map.of()));
    assertEquals(new Run("two\n", 7), make());
    assertEquals(new Run("two\n", 7), run(Map.of()));
    String origin = run(Map.of("KVM4J_JAVA_OPTS", CLASS_LOADING)).origin();
    assertTrue(origin.contains("shared objects file"), origin);
  }

  @Test
  void anArchiveThatIsDamagedIsPassedOver() throws IOException, InterruptedException {
    make();
    Path archive = archive();
    byte[] whole = Files.readAllBytes(archive);
    archive.toFile().setWritable(true);
    for (int length : new int[] {0, 100, whole.length / 2}) {
      Files.write(archive, Arrays.copyOf(whole, length));
      assertEquals(new Run("one\n", 7), run(Map.of()), length + " bytes of " + whole.length);
    }
    // As long as it was, and nothing but text.
    Files.writeString(archive, "kvm4j ".repeat(whole.length / 6), UTF_8);
    assertEquals(new Run("one\n", 7), run(Map.of()));
  }

  @Test
  void anArchiveThatWasWrittenSinceIsPassedOverAndMadeAnew()
      throws IOException, InterruptedException {
    make();
    Path archive = archive();
    byte[] bytes = Files.readAllBytes(archive);
    // The JVM takes it for an archive, as its head is whole, and crashes by it.
    for (int k = bytes.length / 3; k < bytes.length / 2; k++) {
      bytes[k] ^= 0x5a;
    }
    archive.toFile().setWritable(true);
    Files.write(archive, bytes);
    assertEquals(new Run("one\n", 7), run(Map.of()));
    make();
    String origin = run(Map.of("KVM4J_JAVA_OPTS", CLASS_LOADING)).origin();
    assertTrue(origin.contains("shared objects file"), origin);
  }

  @Test
  void aJarThatWasCutShortIsPassedOver() throws IOException, InterruptedException {
    make();
    Path jar = archive().resolveSibling("vmm.jar");
    byte[] whole = Files.readAllBytes(jar);
    for (int length : new int[] {0, whole.length / 2, whole.length - 1}) {
      Files.write(jar, Arrays.copyOf(whole, length));
      assertEquals(new Run("one\n", 7), run(Map.of()), length + " bytes of " + whole.length);
    }
    Files.delete(jar);
    assertEquals(new Run("one\n", 7), run(Map.of()));
  }

  @Test
  void aTreeMayHaveAnOddName() throws IOException, InterruptedException {
    tree = Files.move(tree, directory.resolve("100%d of a tree"));
    assertEquals(new Run("one\n", 7), make());
    assertTrue(Files.size(archive()) > 0);
    assertEquals(new Run("one\n", 7), run(Map.of()));
  }

  @Test
  void whatWasNotMadeToTheEndIsNotUsed() throws IOException, InterruptedException {
    make();
    Files.move(archive().resolveSibling("made"), archive().resolveSibling("begun"));
    String origin = run(Map.of("KVM4J_JAVA_OPTS", CLASS_LOADING, "KVM4J_NO_BUILD", "1")).origin();
    assertTrue(origin.contains("vmm/target/classes"), origin);
  }

  @Test
  void withoutAPlaceForTheArchiveItRunsAsBefore() throws IOException, InterruptedException {
    // Nothing can be made in what is a file, even by root, whom no permission stops.
    Files.createFile(tree.resolve("vmm/target/cds"));
    assertEquals(new Run("one\n", 7), make());
    assertEquals(new Run("one\n", 7), run(Map.of()));
  }

  @Test
  void theUsersOwnCollectorIsObeyed() throws IOException, InterruptedException {
    assertEquals(new Run("one\n", 7), run(Map.of("KVM4J_JAVA_OPTS", "-XX:+UseSerialGC")));
  }

  @Test
  void theUsersOwnArchiveFlagsAreObeyed() throws IOException, InterruptedException {
    make();
    assertEquals(new Run("one\n", 7), run(Map.of("KVM4J_JAVA_OPTS", "-Xshare:off")));
  }

  private Run make() throws IOException, InterruptedException {
    return run(Map.of("KVM4J_CDS", "wait"));
  }

  /** Runs the launcher. It makes no archive beside the run unless it is asked to. */
  private Run run(Map<String, String> environment) throws IOException, InterruptedException {
    ProcessBuilder builder =
        new ProcessBuilder(tree.resolve("kvm4j").toString()).redirectErrorStream(true);
    Map<String, String> variables = builder.environment();
    variables.keySet().removeIf(name -> name.startsWith("KVM4J_"));
    variables.keySet().removeAll(List.of("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"));
    variables.put("JAVA_HOME", System.getProperty("java.home"));
    if (!"wait".equals(environment.get("KVM4J_CDS"))) {
      variables.put("KVM4J_NO_BUILD", "1");
    }
    variables.putAll(environment);
    Process process = builder.start();
    process.getOutputStream().close();
    String output = new String(process.getInputStream().readAllBytes(), UTF_8);
    return new Run(output, process.waitFor());
  }

  /** The main class: says a word, and exits by 7, or in order when it is the launcher's demo. */
  private void compile(String word) throws IOException {
    compile(
        tree.resolve("vmm/target/classes"),
        "Main.java",
        "package org.kvm4j.vmm.cli; public class Main { public static void main(String[] args) {"
            + " System.out.println(\""
            + word
            + "\"); System.exit(args.length > 0 ? 0 : 7); } }");
  }

  private void compile(Path classes, String name, String text) throws IOException {
    Path source = Files.createDirectories(tree.resolve("source")).resolve(name);
    Files.writeString(source, text, UTF_8);
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    String to = Files.createDirectories(classes).toString();
    assertEquals(0, compiler.run(null, null, null, "-d", to, source.toString()));
  }

  private Path archive() throws IOException {
    try (Stream<Path> files = Files.walk(tree.resolve("vmm/target/cds"))) {
      return files.filter(file -> file.endsWith("archive")).findFirst().orElseThrow();
    }
  }

  private static boolean onPath(String command) {
    return Stream.of(System.getenv("PATH").split(":"))
        .anyMatch(directory -> Files.isExecutable(Path.of(directory, command)));
  }
}
