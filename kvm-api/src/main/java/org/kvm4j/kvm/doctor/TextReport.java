package org.kvm4j.kvm.doctor;

import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/** A report as text, for people. */
public final class TextReport {
  private static final String RED = "31";
  private static final String GREEN = "32";
  private static final String YELLOW = "33";
  private static final String BOLD = "1";
  private static final int WIDTH = 100;

  private final boolean colour;
  private final StringBuilder out = new StringBuilder();

  private TextReport(boolean colour) {
    this.colour = colour;
  }

  /**
   * The report, on several lines.
   *
   * @param colour whether to colour it with ANSI escape sequences
   */
  public static String of(Report report, boolean colour) {
    TextReport text = new TextReport(colour);
    text.report(report);
    return text.out.toString();
  }

  private void report(Report report) {
    verdicts(report);
    line("");
    for (Map.Entry<String, String> fact : report.machine().entrySet()) {
      line("%-15s %s", fact.getKey(), fact.getValue());
    }
    for (BackendReport backend : report.backends()) {
      line("");
      backend(backend);
    }
  }

  /** First what a reader came for; the rest is why. */
  private void verdicts(Report report) {
    line(
        "%s",
        paint(
            report.anyRunsGuests() ? GREEN : RED,
            report.anyRunsGuests() ? "Guests run on this machine:" : "No guest runs here:"));
    for (BackendReport backend : report.backends()) {
      line(
          "  %-9s %s",
          backend.name(), paint(colourOf(backend.verdict()), backend.verdict().words()));
    }
  }

  private void backend(BackendReport backend) {
    line(
        "%s  %s",
        paint(BOLD, backend.name()), paint(colourOf(backend.verdict()), backend.verdict().words()));
    if (!backend.reason().isEmpty()) {
      wrapped("why: ", backend.reason());
    }
    if (!backend.remedy().isEmpty()) {
      wrapped("do:  ", backend.remedy());
    }
    if (!backend.modes().isEmpty()) {
      line("");
      line("  A tiny guest in each mode:");
      for (ModeResult mode : backend.modes()) {
        mode(mode);
      }
    }
    if (!backend.capabilities().isEmpty()) {
      line("");
      capabilities(backend);
    }
  }

  private void mode(ModeResult result) {
    boolean ok = result.outcome() == Outcome.OK;
    String time =
        result.exitNanos() == 0
            ? ""
            : String.format(Locale.ROOT, "%.2f us an exit", result.exitNanos() / 1000.0);
    line(
        "    %-46s %s%s",
        result.mode().title(),
        paint(ok ? GREEN : RED, String.format("%-10s", result.outcome().word())),
        time);
    if (!ok) {
      wrapped("      ", result.detail());
      wrapped("      ", "what needs it: " + result.mode().use());
    }
  }

  private void capabilities(BackendReport backend) {
    line(
        "  API version %d, %d bytes of kvm_run mapping. Capabilities (number, value):",
        backend.apiVersion(), backend.vcpuMmapSize());
    for (CapabilityValue c : backend.capabilities()) {
      if (c.value() != 0 || c.vmValue() != 0) {
        String onVm = c.vmValue() == c.value() ? "" : ", on a VM " + c.vmValue();
        line("    %-40s %4d  %d%s", c.name(), c.number(), c.value(), onVm);
      }
    }
    List<CapabilityValue> absent =
        backend.capabilities().stream().filter(c -> c.value() == 0 && c.vmValue() == 0).toList();
    if (!absent.isEmpty()) {
      wrapped(
          "  ",
          "absent (value 0): "
              + absent.stream()
                  .map(c -> c.name().substring("KVM_CAP_".length()) + " " + c.number())
                  .collect(Collectors.joining(", ")));
    }
  }

  private static String colourOf(Verdict verdict) {
    switch (verdict) {
      case GOOD:
        return GREEN;
      case LIMITED:
        return YELLOW;
      default:
        return RED;
    }
  }

  private String paint(String code, String text) {
    return colour ? "\033[" + code + "m" + text + "\033[0m" : text;
  }

  private void line(String format, Object... arguments) {
    out.append(String.format(Locale.ROOT, format, arguments).stripTrailing()).append('\n');
  }

  /** Text of any length, with lines that begin below its first word. */
  private void wrapped(String prefix, String text) {
    String first = "  " + prefix;
    String rest = " ".repeat(first.length());
    StringBuilder current = new StringBuilder(first);
    boolean empty = true;
    for (String word : text.split(" ")) {
      if (!empty && current.length() + 1 + word.length() > WIDTH) {
        line("%s", current);
        current = new StringBuilder(rest);
        empty = true;
      }
      current.append(empty ? "" : " ").append(word);
      empty = false;
    }
    line("%s", current);
  }
}
