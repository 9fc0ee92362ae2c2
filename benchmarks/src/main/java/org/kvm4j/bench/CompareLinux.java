package org.kvm4j.bench;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * System work in a Linux guest under QEMU's TCG and under kvm4j, and under kvm4j with as many
 * processors as the machine has and with twice as many: {@code benchmarks/compare-linux}.
 *
 * <p>The guests do a piece of work when asked to and say how long it took by their own clock
 * ({@code benchmarks/linux/work.c}); until they are asked they are idle, so that they take turns.
 * That is held against the host's clock, and against the CPU time that the host has accounted,
 * which alone counts where the machine has other things to do.
 */
public final class CompareLinux {
  /** A kind of work, and a count that takes some tenths of a second. */
  private record Work(String name, String unit, long count) {}

  private static final List<Work> WORKS =
      List.of(
          new Work("syscall", "getppid", 400_000),
          new Work("pipe", "there and back", 10_000),
          new Work("forkexec", "fork, exec, wait", 200),
          new Work("fault", "page touched", 20_000),
          new Work("compute", "1,000 steps", 200_000));

  private static final String APPEND =
      "console=ttyS0 quiet loglevel=1 panic=-1 mitigations=off no5lvl";

  private final Path home;
  private final String kernel;
  private final String initrd;
  private final int turns;
  private final double warmUp;

  private CompareLinux(Path home, String kernel, String initrd, int turns, double warmUp) {
    this.home = home;
    this.kernel = kernel;
    this.initrd = initrd;
    this.turns = turns;
    this.warmUp = warmUp;
  }

  /**
   * @param args the source tree, kernel, initial RAM disk, the number of turns, the seconds of CPU
   *     time that kvm4j gets before the first; "tcg" or "processors"; then works, if not all
   */
  public static void main(String[] args) throws IOException {
    CompareLinux compare =
        new CompareLinux(
            Path.of(args[0]),
            args[1],
            args[2],
            Integer.parseInt(args[3]),
            Double.parseDouble(args[4]));
    List<String> names = Arrays.asList(args).subList(6, args.length);
    List<Work> works = new ArrayList<>(WORKS);
    if (!names.isEmpty()) {
      works.removeIf(work -> !names.contains(work.name));
    }
    if (args[5].equals("tcg")) {
      compare.withTcg(works);
    } else {
      compare.withMoreProcessors(works);
    }
  }

  private Guest tcg(int processors) throws IOException {
    return new Guest(
        "qemu-system-x86_64",
        "-accel",
        "tcg,thread=multi",
        "-smp",
        Integer.toString(processors),
        "-cpu",
        "Westmere",
        "-m",
        "256",
        "-display",
        "none",
        "-serial",
        "stdio",
        "-no-reboot",
        "-kernel",
        kernel,
        "-initrd",
        initrd,
        "-append",
        APPEND);
  }

  private Guest kvm4j(int processors) throws IOException {
    return new Guest(
        home.resolve("kvm4j").toString(),
        "run",
        "--cpu",
        "westmere",
        "--cpus",
        Integer.toString(processors),
        "-m",
        "256M",
        "--kernel",
        kernel,
        "--initrd",
        initrd,
        "--append",
        APPEND);
  }

  // ---- against TCG ----

  private void withTcg(List<Work> works) throws IOException {
    System.out.printf(
        Locale.ROOT,
        "%-9s %-17s %12s %12s %8s   %12s %12s %8s   %s%n",
        "work",
        "unit",
        "TCG ns CPU",
        "kvm4j",
        "ratio",
        "TCG ns guest",
        "kvm4j",
        "ratio",
        "guest's by host's clock: TCG, kvm4j");
    try (Guest tcg = tcg(1);
        Guest kvm4j = kvm4j(1)) {
      for (Work work : works) {
        tcg.ask(work, 1);
        warm(kvm4j, work, 1);
        Series t = new Series(turns);
        Series k = new Series(turns);
        for (int i = 0; i < turns; i++) {
          t.add(i, tcg.ask(work, 1), work.count);
          k.add(i, kvm4j.ask(work, 1), work.count);
        }
        System.out.printf(
            Locale.ROOT,
            "%-9s %-17s %12.0f %12.0f %8.3f   %12.0f %12.0f %8.3f   %.3f, %.3f%n",
            work.name,
            work.unit,
            ProcessTimes.median(t.thread),
            ProcessTimes.median(k.thread),
            ProcessTimes.median(quotients(t.thread, k.thread)),
            ProcessTimes.median(t.guest),
            ProcessTimes.median(k.guest),
            ProcessTimes.median(quotients(t.guest, k.guest)),
            ProcessTimes.median(t.clocks),
            ProcessTimes.median(k.clocks));
      }
    }
  }

  private void warm(Guest guest, Work work, int workers) throws IOException {
    double used = 0;
    while (used < warmUp * 1e9) {
      used += guest.ask(work, workers).thread;
    }
  }

  private static double[] quotients(double[] a, double[] b) {
    double[] quotients = new double[a.length];
    for (int i = 0; i < a.length; i++) {
      quotients[i] = a[i] / b[i];
    }
    return quotients;
  }

  // ---- more processors than the machine has ----

  private void withMoreProcessors(List<Work> works) throws IOException {
    int few = Runtime.getRuntime().availableProcessors();
    int many = 2 * few;
    System.out.printf(
        Locale.ROOT,
        "%-9s %-6s %-17s   ns of all CPUs: %d processors, %d  ratio   ns of the guest: %d, %d  ratio%n",
        "work",
        "under",
        "unit",
        few,
        many,
        few,
        many);
    try (Guest small = kvm4j(few);
        Guest large = kvm4j(many);
        Guest smallTcg = tcg(few);
        Guest largeTcg = tcg(many)) {
      for (Work work : works) {
        warm(small, work, few);
        warm(large, work, many);
        smallTcg.ask(work, few);
        largeTcg.ask(work, many);
        Scaling ours = new Scaling();
        Scaling theirs = new Scaling();
        for (int i = 0; i < turns; i++) {
          ours.add(i, work, small, few, large, many);
          theirs.add(i, work, smallTcg, few, largeTcg, many);
        }
        ours.print(work, "kvm4j");
        theirs.print(work, "TCG");
      }
    }
  }

  /** The same work by few processors and by many. */
  private final class Scaling {
    private final Series few = new Series(turns);
    private final Series many = new Series(turns);

    void add(int i, Work work, Guest small, int ofSmall, Guest large, int ofLarge)
        throws IOException {
      few.add(i, small.ask(work, ofSmall), work.count * ofSmall);
      many.add(i, large.ask(work, ofLarge), work.count * ofLarge);
    }

    void print(Work work, String under) {
      System.out.printf(
          Locale.ROOT,
          "%-9s %-6s %-17s %30.0f %9.0f %6.3f %21.0f %9.0f %6.3f%n",
          work.name,
          under,
          work.unit,
          ProcessTimes.median(few.process),
          ProcessTimes.median(many.process),
          ProcessTimes.median(quotients(few.process, many.process)),
          ProcessTimes.median(few.guest),
          ProcessTimes.median(many.guest),
          ProcessTimes.median(quotients(few.guest, many.guest)));
    }
  }

  /**
   * What a piece of work took, in ns.
   *
   * @param guest by the guest's clock
   * @param host by the host's
   * @param thread CPU time of the busiest thread
   * @param process CPU time of all threads
   */
  private record Sample(double guest, double host, double thread, double process) {}

  /** The samples of all turns, for a single one of what was counted. */
  private static final class Series {
    final double[] guest;
    final double[] thread;
    final double[] process;

    /** The guest's time by the host's. */
    final double[] clocks;

    Series(int turns) {
      guest = new double[turns];
      thread = new double[turns];
      process = new double[turns];
      clocks = new double[turns];
    }

    void add(int i, Sample sample, long count) {
      guest[i] = sample.guest / count;
      thread[i] = sample.thread / count;
      process[i] = sample.process / count;
      clocks[i] = sample.guest / sample.host;
    }
  }

  /** A process that runs the guest. */
  private static final class Guest implements AutoCloseable {
    private final Process process;
    private final BufferedReader out;
    private final OutputStream in;

    Guest(String... command) throws IOException {
      process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
      out =
          new BufferedReader(
              new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
      in = process.getOutputStream();
      Runtime.getRuntime().addShutdownHook(new Thread(process::destroyForcibly));
      until("ready");
    }

    /** Reads until a line that begins like this. */
    private String until(String start) throws IOException {
      while (true) {
        String line = out.readLine();
        if (line == null) {
          throw new IOException("the guest ended");
        }
        if (line.startsWith(start)) {
          return line.strip();
        }
      }
    }

    Sample ask(Work work, int workers) throws IOException {
      String request = work.name + " " + work.count + " " + workers;
      Map<String, Long> before = ProcessTimes.threads(process);
      long start = System.nanoTime();
      in.write((request + "\n").getBytes(StandardCharsets.US_ASCII));
      in.flush();
      String answer = until(request);
      long end = System.nanoTime();
      Map<String, Long> after = ProcessTimes.threads(process);
      String busiest = ProcessTimes.busiest(before, after);
      return new Sample(
          Double.parseDouble(answer.substring(request.length())),
          end - start,
          ProcessTimes.used(before, after, busiest),
          ProcessTimes.used(before, after));
    }

    @Override
    public void close() {
      process.destroyForcibly();
    }
  }
}
