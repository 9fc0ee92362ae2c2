package org.kvm4j.bench;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Runs the benchmark guests under QEMU's TCG and under kvm4j and compares them: {@code
 * benchmarks/compare-tcg}.
 *
 * <p>Both run the same image, which prints a line after each round of its work. What counts is the
 * CPU time of the thread that runs the guest, from line to line, as the Linux kernel accounts it:
 * so neither start-up nor other processes nor the JVM's compiler threads are in a round. The two
 * take turns, the other one being stopped meanwhile.
 */
public final class CompareTcg {
  private static final List<String> HOT = List.of("sieve", "crc32", "list", "fib", "qsort", "vm");
  private static final List<String> OTHERS =
      List.of("flat", "nbody", "mandel", "matmul", "strings", "vectors", "crypto");

  private final Path home;
  private final Path guests;
  private final int turns;
  private final double warmUp;
  private final String engine;

  private CompareTcg(Path home, Path guests, int turns, double warmUp, String engine) {
    this.home = home;
    this.guests = guests;
    this.turns = turns;
    this.warmUp = warmUp;
    this.engine = engine;
  }

  /**
   * @param args the source tree, the directory with the guests, the number of turns, the seconds of
   *     CPU time that kvm4j gets before the first, its engine; then the guests, if not all
   */
  public static void main(String[] args) throws IOException, InterruptedException {
    List<String> names = new ArrayList<>(Arrays.asList(args).subList(5, args.length));
    if (names.isEmpty()) {
      names.addAll(HOT);
      names.addAll(OTHERS);
    }
    new CompareTcg(
            Path.of(args[0]),
            Path.of(args[1]),
            Integer.parseInt(args[2]),
            Double.parseDouble(args[3]),
            args[4])
        .compare(names);
  }

  private void compare(List<String> names) throws IOException, InterruptedException {
    System.out.printf(
        Locale.ROOT,
        "%-8s %12s %12s %10s %8s %8s %10s %10s%n",
        "guest",
        "instructions",
        "TCG ms",
        "kvm4j ms",
        "MIPS",
        "ratio",
        "warm-up s",
        "start s");
    double logarithms = 0;
    int hot = 0;
    for (String name : names) {
      Row row = measure(name);
      System.out.printf(
          Locale.ROOT,
          "%-8s %12d %12.1f %10.1f %8.0f %8.3f %10.1f %10.1f%n",
          name,
          row.instructions,
          row.tcg / 1e6,
          row.kvm4j / 1e6,
          row.instructions * 1e3 / row.kvm4j,
          row.ratio,
          row.warm / 1e9,
          row.start / 1e9);
      if (HOT.contains(name)) {
        logarithms += Math.log(row.ratio);
        hot++;
      }
    }
    if (hot > 1) {
      System.out.printf(
          Locale.ROOT,
          "geometric mean of the hot kernels: %.3f (kvm4j's speed by TCG's: 2 is twice as fast)%n",
          Math.exp(logarithms / hot));
    }
  }

  /**
   * What was found, all times in ns of CPU time.
   *
   * @param instructions of a round
   * @param tcg median of a round under TCG
   * @param kvm4j median of a round
   * @param ratio median of TCG's time by kvm4j's, of the rounds that followed each other
   * @param warm CPU time of the guest's thread until rounds took no more than 1.2 times the median
   * @param start CPU time of the whole process until the guest's first line
   */
  private record Row(
      long instructions, double tcg, double kvm4j, double ratio, long warm, long start) {}

  private Row measure(String name) throws IOException, InterruptedException {
    String image = guests.resolve(name + ".elf").toString();
    long instructions = instructions(image, 2) - instructions(image, 1);
    try (Runner tcg =
            new Runner(
                "qemu-system-x86_64",
                "-accel",
                "tcg",
                "-cpu",
                "max",
                "-m",
                "64",
                "-display",
                "none",
                "-serial",
                "stdio",
                "-no-reboot",
                "-device",
                "isa-debug-exit,iobase=0xf4,iosize=4",
                "-kernel",
                image,
                "-append",
                "rounds=0");
        Runner kvm4j =
            new Runner(
                home.resolve("kvm4j").toString(),
                "run",
                "--engine",
                engine,
                "-m",
                "64M",
                "--cpu",
                "kvm4j-v1,+aes",
                "--kernel",
                image,
                "--append",
                "rounds=0")) {
      String sum = tcg.round();
      tcg.turn();
      while (kvm4j.sample() < warmUp * 1e9) {
        String other = kvm4j.round();
        if (!other.equals(sum)) {
          throw new IllegalStateException(name + ": " + sum + " under TCG, " + other);
        }
      }
      double[] rounds = kvm4j.rounds();
      kvm4j.stop();
      double[] t = new double[turns];
      double[] k = new double[turns];
      double[] ratios = new double[turns];
      for (int i = 0; i < turns; i++) {
        t[i] = tcg.turn();
        k[i] = kvm4j.turn();
        ratios[i] = t[i] / k[i];
      }
      double median = ProcessTimes.median(k);
      long warm = 0;
      long sofar = 0;
      for (double one : rounds) {
        sofar += (long) one;
        if (one > 1.2 * median) {
          warm = sofar;
        }
      }
      return new Row(
          instructions,
          ProcessTimes.median(t),
          median,
          ProcessTimes.median(ratios),
          warm,
          kvm4j.start);
    }
  }

  private static final Pattern INSTRUCTIONS = Pattern.compile("instructions: ([0-9,]+)");

  /** How many instructions the guest executes, as kvm4j counts them. */
  private long instructions(String image, int rounds) throws IOException {
    Process p =
        new ProcessBuilder(
                home.resolve("kvm4j").toString(),
                "run",
                "--stats",
                "-m",
                "64M",
                "--cpu",
                "kvm4j-v1,+aes",
                "--kernel",
                image,
                "--append",
                "rounds=" + rounds)
            .redirectErrorStream(true)
            .start();
    p.getOutputStream().close();
    String text = new String(p.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    Matcher m = INSTRUCTIONS.matcher(text);
    if (!m.find()) {
      throw new IllegalStateException(text);
    }
    return Long.parseLong(m.group(1).replace(",", ""));
  }

  /** A process that runs a guest. */
  private static final class Runner implements AutoCloseable {
    /** CPU time of a turn at least, in ns. */
    private static final double TURN = 4e8;

    private final Process process;
    private final BufferedReader out;

    /** What has been read of a line that has not ended yet. */
    private final StringBuilder begun = new StringBuilder();

    /** CPU time of each thread at each line. */
    private final List<Map<String, Long>> samples = new ArrayList<>();

    final long start;

    Runner(String... command) throws IOException {
      process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
      out =
          new BufferedReader(
              new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
      while (!line().endsWith("start")) {
        // Firmware may print first.
      }
      sample();
      start = samples.get(0).values().stream().mapToLong(Long::longValue).sum();
    }

    private String line() throws IOException {
      while (true) {
        int c = out.read();
        if (c < 0) {
          throw new IOException("the guest ended");
        }
        if (c == '\n') {
          String line = begun.toString();
          begun.setLength(0);
          return line;
        }
        begun.append((char) c);
      }
    }

    /** Waits for the end of a round; gives what it printed. */
    String round() throws IOException {
      return line().strip();
    }

    /** Goes on for a while; gives the CPU time of a round. Stopped before and after. */
    double turn() throws IOException, InterruptedException {
      signal("CONT");
      // The round that was stopped in its midst.
      round();
      Map<String, Long> first = ProcessTimes.threads(process);
      int n = 0;
      while (true) {
        round();
        n++;
        if (out.ready()) {
          // Late: this round's end was some time ago.
          continue;
        }
        Map<String, Long> last = ProcessTimes.threads(process);
        String guest = ProcessTimes.busiest(first, last);
        long used = ProcessTimes.used(first, last, guest);
        if (used >= TURN) {
          stop();
          return (double) used / n;
        }
      }
    }

    /** Stops, and takes note of what was printed until then. */
    void stop() throws IOException, InterruptedException {
      signal("STOP");
      // It may have been stopped in the midst of a line.
      while (out.ready()) {
        int c = out.read();
        if (c == '\n') {
          begun.setLength(0);
        } else if (c >= 0) {
          begun.append((char) c);
        } else {
          throw new IOException("the guest ended");
        }
      }
    }

    private void signal(String name) throws IOException, InterruptedException {
      new ProcessBuilder("kill", "-" + name, Long.toString(process.pid())).start().waitFor();
    }

    /**
     * Keeps the CPU times as they are now.
     *
     * @return that of the thread that has used most
     */
    long sample() throws IOException {
      Map<String, Long> now = ProcessTimes.threads(process);
      samples.add(now);
      return now.values().stream().mapToLong(Long::longValue).max().orElse(0);
    }

    /** The guest's CPU time from sample to sample. */
    double[] rounds() {
      String guest =
          ProcessTimes.busiest(samples.get(samples.size() / 2), samples.get(samples.size() - 1));
      double[] times = new double[samples.size() - 1];
      for (int i = 0; i < times.length; i++) {
        times[i] = ProcessTimes.used(samples.get(i), samples.get(i + 1), guest);
      }
      return times;
    }

    @Override
    public void close() {
      process.destroyForcibly();
    }
  }
}
