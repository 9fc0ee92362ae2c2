package org.kvm4j.vmm.cli;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.kvm4j.vmm.demo.DemoGuest;
import org.kvm4j.vmm.demo.DemoRun;
import org.kvm4j.vmm.demo.ExitGroup;

/** What {@code kvm4j demo} shows: each guest's output and exits, in a column for each backend. */
final class DemoReport {

  private static final String SEPARATOR = " \u2502 ";

  /** How many groups of exits are shown of each run. */
  private static final int MOST_EXITS = 12;

  private static final int REASON_WIDTH = 10;
  private static final int WHERE_WIDTH = 13;
  private static final int COUNT_WIDTH = 5;

  private final Styles styles;
  private final int width;

  /**
   * @param styles colours
   * @param width of a line
   */
  DemoReport(Styles styles, int width) {
    this.styles = styles;
    this.width = width;
  }

  /** A line of a column: what is seen of it, and how. */
  private record Line(String text, Style style) {}

  private enum Style {
    PLAIN,
    DIM,
    GOOD,
    BAD,
    CAUTION
  }

  /** A guest's title. */
  String title(DemoGuest guest) {
    return styles.bold(guest.name()) + "  " + styles.dim(guest.title());
  }

  /** The columns' heads. */
  String heads(List<String> backends) {
    List<List<Line>> columns = new ArrayList<>();
    for (String backend : backends) {
      columns.add(List.of(new Line(backend, Style.DIM)));
    }
    return columns(columns);
  }

  /** A guest's runs, side by side. */
  String runs(List<DemoRun> runs) {
    int column = columnWidth(runs.size());
    List<List<Line>> output = new ArrayList<>();
    List<List<Line>> exits = new ArrayList<>();
    List<List<Line>> summary = new ArrayList<>();
    for (DemoRun run : runs) {
      output.add(output(run, column));
      exits.add(exits(run, column));
      summary.add(summary(run, column));
    }
    return columns(output) + columns(exits) + columns(summary);
  }

  /** What kvm4j told while a guest ran: lines of their own, below. */
  String told(List<String> lines) {
    StringBuilder text = new StringBuilder();
    for (String line : lines) {
      String margin = "  kvm4j: ";
      for (String part : wrap(printable(line), Math.max(30, width - margin.length()))) {
        text.append(styles.yellow(margin + part)).append('\n');
        margin = " ".repeat(margin.length());
      }
    }
    return text.toString();
  }

  private static List<Line> output(DemoRun run, int column) {
    List<Line> lines = new ArrayList<>();
    for (String line : run.output().lines().toList()) {
      for (String part : wrap(printable(line), column)) {
        lines.add(new Line(part, Style.PLAIN));
      }
    }
    return lines;
  }

  private static List<Line> exits(DemoRun run, int column) {
    List<Line> lines = new ArrayList<>();
    List<ExitGroup> groups = run.exits();
    // One exit more is shown, rather than a line that says there is one more.
    int shown = groups.size() <= MOST_EXITS + 1 ? groups.size() : MOST_EXITS;
    for (ExitGroup group : groups.subList(0, shown)) {
      String count = group.count() == 1 ? "" : group.count() + "\u00d7";
      String head =
          String.format(
              "%" + COUNT_WIDTH + "s %-" + REASON_WIDTH + "s %-" + WHERE_WIDTH + "s ",
              count,
              group.reason(),
              group.where());
      lines.add(new Line(head + group.what(Math.max(8, column - head.length())), Style.DIM));
    }
    if (shown < groups.size()) {
      long rest = groups.subList(shown, groups.size()).stream().mapToLong(ExitGroup::count).sum();
      lines.add(new Line(String.format("%5s and %,d more", "", rest), Style.DIM));
    }
    return lines;
  }

  private static List<Line> summary(DemoRun run, int column) {
    String figures =
        String.format(
            Locale.ROOT,
            "%,d exit%s, %s",
            run.exitCount(),
            run.exitCount() == 1 ? "" : "s",
            StatisticsReport.time(run.nanos()));
    if (run.instructions().isPresent()) {
      figures += String.format(Locale.ROOT, ", %,d instructions", run.instructions().getAsLong());
    }
    List<Line> lines = new ArrayList<>();
    switch (run.result()) {
      case AS_EXPECTED:
        wrap(lines, "\u2713 " + figures, column, Style.GOOD);
        break;
      case WRONG:
        wrap(lines, "\u2717 not as it should be: " + run.reason(), column, Style.BAD);
        wrap(lines, figures, column, Style.DIM);
        break;
      case CANNOT_RUN:
        wrap(lines, "\u2013 cannot run it: " + run.reason(), column, Style.CAUTION);
        wrap(lines, figures, column, Style.DIM);
        break;
    }
    return lines;
  }

  private static void wrap(List<Line> lines, String text, int column, Style style) {
    for (String part : wrap(text, column)) {
      lines.add(new Line(part, style));
    }
  }

  private int columnWidth(int count) {
    return Math.max(30, (width - 2 - SEPARATOR.length() * (count - 1)) / count);
  }

  private String columns(List<List<Line>> columns) {
    int column = columnWidth(columns.size());
    int height = columns.stream().mapToInt(List::size).max().orElse(0);
    StringBuilder text = new StringBuilder();
    for (int row = 0; row < height; row++) {
      StringBuilder line = new StringBuilder("  ");
      for (int i = 0; i < columns.size(); i++) {
        boolean last = i == columns.size() - 1;
        Line cell =
            row < columns.get(i).size() ? columns.get(i).get(row) : new Line("", Style.PLAIN);
        String cut = cut(cell.text(), column);
        line.append(styled(cut, cell.style()));
        if (!last) {
          line.append(" ".repeat(column - cut.length())).append(styles.dim(SEPARATOR));
        }
      }
      text.append(line.toString().stripTrailing()).append('\n');
    }
    return text.toString();
  }

  private String styled(String text, Style style) {
    switch (style) {
      case DIM:
        return styles.dim(text);
      case GOOD:
        return styles.green(text);
      case BAD:
        return styles.red(text);
      case CAUTION:
        return styles.yellow(text);
      default:
        return text;
    }
  }

  private static String cut(String text, int width) {
    return text.length() <= width ? text : text.substring(0, width - 1) + "\u2026";
  }

  static List<String> wrap(String text, int width) {
    List<String> lines = new ArrayList<>();
    String rest = text;
    while (rest.length() > width) {
      int space = rest.lastIndexOf(' ', width);
      int end = space > width / 2 ? space : width;
      lines.add(rest.substring(0, end));
      rest = rest.substring(end).stripLeading();
    }
    lines.add(rest);
    return lines;
  }

  /** A guest that went wrong may print anything: a terminal must not get it. */
  private static String printable(String text) {
    StringBuilder clean = new StringBuilder();
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      clean.append((c >= ' ' && c < 0x7f) || c >= 0xa0 ? c : '.');
    }
    return clean.toString();
  }

  /** What guests there are, for programs. */
  static String json(List<DemoGuest> guests) {
    List<Object> list = new ArrayList<>();
    for (DemoGuest guest : guests) {
      Map<String, @Nullable Object> g = new LinkedHashMap<>();
      g.put("guest", guest.name());
      g.put("title", guest.title());
      g.put("mode", guest.mode().toString());
      list.add(g);
    }
    Map<String, @Nullable Object> root = new LinkedHashMap<>();
    root.put("format", 1);
    root.put("guests", list);
    return Json.of(root);
  }

  /** The same for programs. */
  static String json(List<DemoRun> runs, Map<String, @Nullable String> unavailable) {
    List<Object> list = new ArrayList<>();
    for (DemoRun run : runs) {
      Map<String, @Nullable Object> r = new LinkedHashMap<>();
      r.put("guest", run.guest().name());
      r.put("title", run.guest().title());
      r.put("backend", run.backend());
      r.put("result", run.result().name().toLowerCase(Locale.ROOT).replace('_', '-'));
      r.put("reason", run.reason().isEmpty() ? null : run.reason());
      r.put("output", run.output());
      r.put("ending", run.ending().kind().name().toLowerCase(Locale.ROOT).replace('_', '-'));
      r.put("exits", run.exitCount());
      r.put("nanos", run.nanos());
      r.put(
          "instructions",
          run.instructions().isPresent() ? (Object) run.instructions().getAsLong() : null);
      List<Object> groups = new ArrayList<>();
      for (ExitGroup group : run.exits()) {
        Map<String, @Nullable Object> g = new LinkedHashMap<>();
        g.put("reason", group.reason());
        g.put("address", group.location() < 0 ? null : (Object) group.location());
        g.put("size", group.size() == 0 ? null : (Object) group.size());
        g.put("count", group.count());
        g.put("values", group.values());
        groups.add(g);
      }
      r.put("trace", groups);
      list.add(r);
    }
    Map<String, @Nullable Object> root = new LinkedHashMap<>();
    root.put("format", 1);
    root.put("unavailable", unavailable);
    root.put("runs", list);
    return Json.of(root);
  }
}
