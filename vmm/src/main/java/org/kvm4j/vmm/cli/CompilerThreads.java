package org.kvm4j.vmm.cli;

import java.io.IOException;
import java.lang.ProcessBuilder.Redirect;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * The JVM's optimising compiler, made to give way to the virtual CPUs. It has work all the while
 * that a guest boots, and so has the quick compiler: on two processors a virtual CPU would get two
 * thirds of one.
 *
 * <p>Any program may make its own threads nicer (setpriority(2)), and threads that these start
 * inherit it. Where there is no /proc or no renice everything stays as it is.
 */
final class CompilerThreads {
  /** Nearer to the end of the scale than other threads by this: a third of their weight. */
  static final int NICER = 5;

  private static final int NICEST = 19;

  private static final Path TASKS = Path.of("/proc/self/task");

  private CompilerThreads() {}

  /**
   * The optimising compiler gives way if there is a processor left for it: where virtual CPUs keep
   * all of them busy it would never have a turn.
   *
   * @param virtual virtual CPUs that are about to run
   */
  static void giveWayTo(int virtual) {
    if (virtual >= Runtime.getRuntime().availableProcessors()) {
      return;
    }
    // It takes some milliseconds, in which the machine can be made.
    Thread thread = new Thread(CompilerThreads::makeNicer, "renice");
    thread.setDaemon(true);
    thread.start();
  }

  private static void makeNicer() {
    try {
      for (Path task : optimisers()) {
        renice(task.getFileName().toString(), Math.min(niceness(task) + NICER, NICEST));
      }
    } catch (IOException | RuntimeException e) {
      // No Linux, or the thread has ended.
    }
  }

  /** The optimising compiler's threads: their directories in /proc. */
  static List<Path> optimisers() throws IOException {
    List<Path> found = new ArrayList<>();
    try (Stream<Path> tasks = Files.list(TASKS)) {
      for (Path task : tasks.toList()) {
        if (Files.readString(task.resolve("comm"), StandardCharsets.ISO_8859_1).startsWith("C2 ")) {
          found.add(task);
        }
      }
    }
    return found;
  }

  /**
   * How nice a thread is.
   *
   * <p>Source: proc_pid_stat(5), field 19.
   */
  static int niceness(Path task) throws IOException {
    return Integer.parseInt(ProcStat.fields(task)[19 - 3]);
  }

  private static void renice(String thread, int niceness) throws IOException {
    new ProcessBuilder("renice", String.valueOf(niceness), "-p", thread)
        .redirectOutput(Redirect.DISCARD)
        .redirectError(Redirect.DISCARD)
        .start();
  }
}
