package org.kvm4j.vmm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The command in a process that gets little address space, as {@code ulimit -v} makes one. */
@Timeout(120)
class AddressSpaceTests {

  @TempDir
  @SuppressWarnings("NullAway.Init") // set by JUnit
  private Path directory;

  @Test
  void guest_memory_that_the_process_cannot_have_is_one_line()
      throws IOException, InterruptedException {
    assumeTrue(Files.isExecutable(Path.of("/bin/sh")), "there is no /bin/sh");
    Path guest = Files.write(directory.resolve("flat.bin"), new byte[] {(byte) 0xf4});
    ProcessBuilder builder =
        new ProcessBuilder(
            "/bin/sh",
            "-c",
            "ulimit -v 4000000 && exec \"$@\"",
            "sh",
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-Xmx64m",
            "-XX:+UseSerialGC",
            "-XX:ReservedCodeCacheSize=32m",
            "-XX:CompressedClassSpaceSize=32m",
            "-cp",
            System.getProperty("java.class.path"),
            Main.class.getName(),
            "run",
            "--kernel",
            guest.toString(),
            "--mode",
            "real",
            "--memory",
            "16G");
    builder.environment().put("MALLOC_ARENA_MAX", "1");
    Process process = builder.redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertTrue(process.waitFor(60, TimeUnit.SECONDS));
    assertEquals(
        "kvm4j: there is no room for 16G of guest memory (mmap: ENOMEM: cannot map 3221225472 bytes"
            + " of anonymous memory); see --memory, and ulimit -v\n",
        output);
    assertEquals(ExitCodes.BACKEND, process.exitValue());
  }
}
