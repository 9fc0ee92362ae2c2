package org.kvm4j.conformance.guests;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Debian's generic kernel on a disk of its own. */
@Timeout(900)
class LinuxDiskTests {
  private static final Path CHECK = Path.of("/sbin/e2fsck");
  private static final Path DEBUG = Path.of("/sbin/debugfs");

  private static final int FILES = 5;
  private static final int LINES = 20000;

  @TempDir
  @SuppressWarnings("NullAway.Init") // set by JUnit
  private Path directory;

  /** A program's exit code and output. */
  private record Result(int exitCode, String output) {}

  private static Result run(Object... words) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    for (Object word : words) {
      command.add(word.toString());
    }
    Process process =
        new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
    process.getOutputStream().close();
    String output = new String(process.getInputStream().readAllBytes(), ISO_8859_1);
    return new Result(process.waitFor(), output);
  }

  @Test
  void what_was_synced_survives_a_kill_amid_writes() throws IOException, InterruptedException {
    assumeTrue(Files.isExecutable(CHECK) && Files.isExecutable(DEBUG), "no e2fsprogs");
    Path disk = Files.copy(Guest.file("root.ext4"), directory.resolve("disk"));
    String forever =
        "i=1; while true; do seq $i $((i + "
            + LINES
            + ")) > /file$i; sync; echo kept file $i; i=$((i+1)); done";
    List<String> command =
        Guest.linux(
            "amd64",
            "console=ttyS0 quiet root=/dev/vda -- -c \"" + forever + "\"",
            "--disk",
            disk.toString());
    try (Guest guest = Guest.start(command, directory.resolve("errors"))) {
      guest.await("kept file " + FILES);
      guest.kill();
    }
    Path repaired = Files.copy(disk, directory.resolve("repaired"));
    Result journal = run(CHECK, "-p", repaired);
    assertTrue(journal.exitCode() <= 1, journal.output()); // 1: the journal was replayed
    Result check = run(CHECK, "-fn", repaired);
    assertEquals(0, check.exitCode(), check.output());
    for (int i = 1; i <= FILES; i++) {
      String expected =
          IntStream.rangeClosed(i, i + LINES).mapToObj(n -> n + "\n").collect(Collectors.joining());
      assertEquals(expected, run(DEBUG, "-R", "cat /file" + i, repaired).output(), "file" + i);
    }
  }
}
