package org.kvm4j.vmm.cli;

import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalLong;
import org.kvm4j.vmm.ExitStatistics;
import org.kvm4j.vmm.Machine;

/** What {@code --stats} prints, in the manner of {@code perf kvm stat}. */
final class StatisticsReport {

  private static final int PORTS_OF_EACH = 8;

  private StatisticsReport() {}

  /**
   * The report.
   *
   * @param bareMetal whether the guest was on the processors themselves: what the kernel counts are
   *     then no VM exits
   */
  static String of(Machine machine, Duration cpuTime, boolean bareMetal) {
    ExitStatistics statistics = machine.statistics();
    StringBuilder text = new StringBuilder();
    List<ExitStatistics.Row> rows = statistics.rows(machine.ports(), PORTS_OF_EACH);
    long total = 0;
    long totalNanos = 0;
    for (ExitStatistics.Row row : rows) {
      if (!row.detail()) {
        total += row.count();
        totalNanos += row.nanos();
      }
    }
    text.append(
        String.format(
            Locale.ROOT,
            "%-34s %12s %9s %7s %10s %10s %10s %10s%n",
            "Exit to the VMM",
            "Samples",
            "Samples%",
            "Time%",
            "Time",
            "Min Time",
            "Max Time",
            "Avg time"));
    for (ExitStatistics.Row row : rows) {
      text.append(
          String.format(
              Locale.ROOT,
              "%-34s %,12d %8.2f%% %6.2f%% %10s %10s %10s %10s%n",
              (row.detail() ? "  " : "") + row.name(),
              row.count(),
              percent(row.count(), total),
              percent(row.nanos(), totalNanos),
              time(row.nanos()),
              time(row.least()),
              time(row.most()),
              time(row.average())));
    }
    text.append(
        String.format(
            Locale.ROOT, "%-34s %,12d %17s %10s%n", "total", total, "", time(totalNanos)));
    text.append(kernelExits(bareMetal ? "Stop of the CPU" : "VM exit", machine.kernelStatistics()));
    long unclaimed = machine.ports().unclaimedAccesses() + machine.mmio().unclaimedAccesses();
    if (unclaimed > 0) {
      text.append(String.format(Locale.ROOT, "accesses to no device: %,d%n", unclaimed));
    }
    if (machine.lastPostCode() >= 0) {
      text.append(String.format(Locale.ROOT, "last POST code: 0x%02x%n", machine.lastPostCode()));
    }
    text.append(instructions(machine.instructions(), statistics.guestNanos()));
    text.append(
        String.format(
            Locale.ROOT,
            "time: %s wall, %s CPU; %s in the guest, %s in the VMM%n",
            time(machine.wallNanos()),
            time(cpuTime.toNanos()),
            time(statistics.guestNanos()),
            time(statistics.vmmNanos())));
    return text.toString();
  }

  /**
   * VM exits as the kernel counts them, most of which it handles by itself: statistics named {@code
   * exits_KIND} by the emulated kernel, which has every kind so; otherwise those named {@code
   * KIND_exits}, as Linux names some; and {@code exits}, which is all.
   *
   * @param title what they are
   */
  static String kernelExits(String title, Map<String, Long> statistics) {
    long all = statistics.getOrDefault("exits", 0L);
    if (all == 0) {
      return "";
    }
    boolean everyKind = statistics.keySet().stream().anyMatch(name -> name.startsWith("exits_"));
    String kinds = everyKind ? "exits_.+" : ".+_exits";
    StringBuilder text = new StringBuilder();
    text.append(String.format(Locale.ROOT, "%n%-34s %12s %9s%n", title, "Samples", "Samples%"));
    statistics.entrySet().stream()
        .filter(e -> e.getValue() > 0 && e.getKey().matches(kinds))
        .sorted(Map.Entry.<String, Long>comparingByValue().reversed())
        .forEach(
            e ->
                text.append(
                    String.format(
                        Locale.ROOT,
                        "%-34s %,12d %8.2f%%%n",
                        e.getKey().replaceAll("^exits_|_exits$", "").toUpperCase(Locale.ROOT),
                        e.getValue(),
                        percent(e.getValue(), all))));
    return text.append(String.format(Locale.ROOT, "%-34s %,12d%n%n", "total", all)).toString();
  }

  static String instructions(OptionalLong instructions, long guestNanos) {
    if (instructions.isEmpty()) {
      return String.format("instructions: not available from this backend%n");
    }
    long count = instructions.getAsLong();
    double mips = guestNanos == 0 ? 0 : count * 1000.0 / guestNanos;
    return String.format(Locale.ROOT, "instructions: %,d; %.1f MIPS in the guest%n", count, mips);
  }

  private static double percent(long part, long whole) {
    return whole == 0 ? 0 : 100.0 * part / whole;
  }

  /** A time in the unit that suits it. */
  static String time(long nanos) {
    if (nanos < 1_000) {
      return nanos + " ns";
    }
    if (nanos < 1_000_000) {
      return String.format(Locale.ROOT, "%.2f us", nanos / 1e3);
    }
    if (nanos < 1_000_000_000) {
      return String.format(Locale.ROOT, "%.2f ms", nanos / 1e6);
    }
    return String.format(Locale.ROOT, "%.2f s", nanos / 1e9);
  }
}
