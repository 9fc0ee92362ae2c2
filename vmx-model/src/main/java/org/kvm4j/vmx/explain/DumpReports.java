package org.kvm4j.vmx.explain;

import java.util.ArrayList;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.kvm4j.vmx.vmcs.VmcsField;

/**
 * Explains the VMCS dumps of a log as its lines come. Of dumps of which the same is to be told, it
 * is told once.
 */
public final class DumpReports {
  /** So many different reports are remembered. */
  private static final int MOST_REMEMBERED = 256;

  /** So many fields are named that differ where the reports do not. */
  private static final int MOST_FIELDS = 8;

  private final String cpu;
  private final boolean all;
  private final Consumer<String> out;
  private final DumpReader reader =
      new DumpReader(
          new DumpReader.Sink() {
            @Override
            public void dump(VmcsDump dump) {
              take(dump);
            }

            @Override
            public void late(int line, int error) {
              tellLate(line, error);
            }
          });

  /** Headings without fields, of which nothing is told unless there are dumps, too. */
  private final List<VmcsDump> empty = new ArrayList<>();

  /** The first dump of each report. */
  private final Map<String, VmcsDump> told =
      new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, VmcsDump> eldest) {
          return size() > MOST_REMEMBERED;
        }
      };

  /** That of the last dump. */
  private DumpReport.@Nullable Processor processor;

  private boolean any;
  private boolean anyText;
  private @Nullable Repeats repeats;

  /** Dumps, one behind the other, of which the same is to be told as of an earlier one. */
  private static final class Repeats {
    final VmcsDump of;
    final int first;
    final Set<VmcsField> differences = EnumSet.noneOf(VmcsField.class);
    int last;
    int count;

    Repeats(VmcsDump of, int first) {
      this.of = of;
      this.first = first;
    }

    @Override
    public String toString() {
      StringBuilder text = new StringBuilder();
      text.append(
          count == 1
              ? "VMCS dump at line %d: the same is to be told as of that at line %d"
                  .formatted(first, of.line())
              : "%d VMCS dumps at lines %d to %d: the same is to be told as of that at line %d"
                  .formatted(count, first, last, of.line()));
      if (differences.isEmpty()) {
        return text.append("; all fields are the same.\n").toString();
      }
      text.append(", though there differ ")
          .append(
              differences.stream()
                  .limit(MOST_FIELDS)
                  .map(VmcsField::toString)
                  .collect(Collectors.joining(", ")));
      int more = differences.size() - MOST_FIELDS;
      return text.append(more > 0 ? " and %d more.\n".formatted(more) : ".\n").toString();
    }
  }

  /**
   * @param cpu the CPU model that they are of; empty to go by what each dump says, and where it
   *     does not by a processor that has every control there is
   * @param all whether each check is listed that cannot be made; else, of many, what they lack
   * @param out takes each report as soon as its dump is complete, lines with their ends
   */
  public DumpReports(String cpu, boolean all, Consumer<String> out) {
    this.cpu = cpu;
    this.all = all;
    this.out = out;
  }

  /**
   * Reads the next line of the log, without its end.
   *
   * @throws IllegalArgumentException if a dump is complete with it whose CPU model there is not, or
   *     has no VMX; the message is a line
   */
  public void line(String line) {
    reader.line(line);
  }

  /**
   * Nothing more has come for a while: what was read is explained.
   *
   * @throws IllegalArgumentException as {@link #line}
   */
  public void pause() {
    reader.pause();
    tellRepeats();
  }

  /**
   * The log has ended.
   *
   * @throws IllegalArgumentException as {@link #line}, and if there was no dump in it
   */
  public void end() {
    pause();
    if (!any) {
      throw new IllegalArgumentException(
          empty.isEmpty()
              ? "there is no VMCS dump in it: no line \"*** Guest State ***\", as the kernel's"
                  + " dump_vmcs begins with"
              : "there is nothing of a VMCS dump in it but headings: no line with a field");
    }
  }

  private void take(VmcsDump dump) {
    if (!any && dump.isEmpty()) {
      if (empty.size() < MOST_REMEMBERED) {
        empty.add(dump);
      }
      return;
    }
    any = true;
    empty.forEach(this::report);
    empty.clear();
    report(dump);
  }

  private void report(VmcsDump dump) {
    String model = cpu.isEmpty() ? dump.cpu() : cpu;
    DumpReport.Processor of = processor;
    if (of == null || !of.isOf(model)) {
      of = new DumpReport.Processor(model);
      processor = of;
    }
    DumpReport report = DumpReport.of(dump, of, all);
    VmcsDump same = told.putIfAbsent(report.key(), dump);
    if (same == null) {
      tellRepeats();
      tell(report.text());
      return;
    }
    Repeats run = repeats;
    if (run == null || run.of != same) {
      tellRepeats();
      run = new Repeats(same, dump.line());
      repeats = run;
    }
    run.last = dump.line();
    run.count++;
    run.differences.addAll(dump.differences(same));
  }

  private void tellRepeats() {
    if (repeats != null) {
      tell(repeats.toString());
      repeats = null;
    }
  }

  private void tellLate(int line, int error) {
    tellRepeats();
    tell(
        "Line %d tells of the dump before it, which is explained above: hardware error 0x%x.\n"
            .formatted(line, error));
  }

  private void tell(String text) {
    out.accept(anyText ? "\n" + text : text);
    anyText = true;
  }
}
