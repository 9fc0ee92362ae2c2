package org.kvm4j.bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.Stream;

/** The CPU times of a process' threads, in ns, as the Linux kernel accounts them. */
final class ProcessTimes {
  private ProcessTimes() {}

  /** The CPU time of each thread until now, by its id. */
  static Map<String, Long> threads(Process process) throws IOException {
    Map<String, Long> times = new HashMap<>();
    try (Stream<Path> tasks = Files.list(Path.of("/proc/" + process.pid() + "/task"))) {
      tasks.forEach(
          task -> {
            try {
              String s = Files.readString(task.resolve("schedstat"));
              times.put(
                  task.getFileName().toString(), Long.valueOf(s.substring(0, s.indexOf(' '))));
            } catch (NoSuchFileException e) {
              // The thread has ended.
            } catch (IOException e) {
              throw new UncheckedIOException(e);
            }
          });
    }
    return times;
  }

  /** What a thread has used between two moments. */
  static long used(Map<String, Long> first, Map<String, Long> last, String thread) {
    return last.getOrDefault(thread, 0L) - first.getOrDefault(thread, 0L);
  }

  /** What all threads have used between two moments. */
  static long used(Map<String, Long> first, Map<String, Long> last) {
    long sum = 0;
    for (String thread : last.keySet()) {
      sum += used(first, last, thread);
    }
    return sum;
  }

  /** The thread that has used most between two moments. */
  static String busiest(Map<String, Long> first, Map<String, Long> last) {
    String busiest = "";
    long most = -1;
    for (String thread : last.keySet()) {
      long used = used(first, last, thread);
      if (used > most) {
        most = used;
        busiest = thread;
      }
    }
    return busiest;
  }

  /** The median of some values. */
  static double median(double[] values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    int n = sorted.length;
    return n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
  }
}
