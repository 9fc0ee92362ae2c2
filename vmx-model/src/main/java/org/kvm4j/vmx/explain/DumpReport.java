package org.kvm4j.vmx.explain;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.cpu.profile.Feature;
import org.kvm4j.vmx.entry.EntryCheck;
import org.kvm4j.vmx.entry.VmEntry;
import org.kvm4j.vmx.exit.ExitReason;
import org.kvm4j.vmx.exit.InterruptionInfo;
import org.kvm4j.vmx.explain.EntryExplanation.Finding;
import org.kvm4j.vmx.explain.EntryExplanation.Verdict;
import org.kvm4j.vmx.vmcs.Control;
import org.kvm4j.vmx.vmcs.Vmcs;
import org.kvm4j.vmx.vmcs.VmcsField;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/** What a VMCS dump tells, for people: the checks of VM entry that it fails, and its last exit. */
final class DumpReport {
  /** The widest of the models, for a dump whose processor nobody names. */
  private static final String WIDEST = "sapphire-rapids,+lam,phys-bits=52";

  /** Every bit of CR4 that the SDM defines. SDM 2.5 "Control Registers". */
  private static final long CR4_DEFINED = 0x1_1bff_7fffL;

  /**
   * So many checks that cannot be made are listed one by one; of more it is told what they lack.
   */
  private static final int MOST_LISTED = 10;

  /** So many checks are named in a line. */
  private static final int FEW = 4;

  /** So many things that they lack are told. */
  private static final int MOST_LACKS = 12;

  private final StringBuilder text = new StringBuilder();
  private final VmcsDump dump;
  private final String cpu;
  private final EntryExplanation checks;
  private final List<Finding> failures;

  /** Those that cannot be made, of which the dump does not say that they have passed. */
  private final List<Finding> open;

  /** How many have passed as the dump says, and cannot be made. */
  private final int passedBefore;

  /** A processor that dumps are of. */
  static final class Processor {
    private final String cpu;
    private final EntryExplanation.Explainer explainer;

    /**
     * @param cpu the CPU model; empty for a processor that has every control there is
     * @throws IllegalArgumentException if there is no such model, or it has no VMX; the message is
     *     a line
     */
    Processor(String cpu) {
      CpuModel model = CpuProfiles.named(cpu.isEmpty() ? WIDEST : cpu);
      if (!model.has(Feature.VMX)) {
        throw new IllegalArgumentException("the CPU " + cpu + " has no VMX");
      }
      VmxCapabilities capabilities = VmxCapabilities.of(model);
      if (cpu.isEmpty()) {
        capabilities = capabilities.with(Control.values()).withCr4Fixed1(CR4_DEFINED);
      }
      this.cpu = cpu;
      this.explainer = new EntryExplanation.Explainer(model, capabilities);
    }

    boolean isOf(String other) {
      return cpu.equals(other);
    }
  }

  private DumpReport(VmcsDump dump, Processor of) {
    this.dump = dump;
    this.cpu = of.cpu;
    this.checks = of.explainer.explain(dump.v, dump::isKnown);
    this.failures = checks.of(Verdict.FAILS);
    List<Finding> unknown = checks.of(Verdict.NOT_CHECKABLE);
    EntryCheck.Group reported = reportedGroup();
    this.open =
        unknown.stream()
            .filter(f -> reported == null || f.check().group().compareTo(reported) >= 0)
            .toList();
    this.passedBefore = unknown.size() - open.size();
  }

  /**
   * Explains a dump.
   *
   * @param all whether each check is listed that cannot be made
   */
  static DumpReport of(VmcsDump dump, Processor of, boolean all) {
    DumpReport report = new DumpReport(dump, of);
    report.entry();
    report.rest(all);
    report.exit();
    return report;
  }

  /** The report, lines with their ends. */
  String text() {
    String problems = problems(VmcsDump.Problem::toString);
    return "VMCS dump at line %d, %s\n\n".formatted(dump.line(), processor())
        + (problems.isEmpty() ? "" : problems + "\n")
        + text;
  }

  /** What two dumps have in common of which the same is to be told: all but lines' numbers. */
  String key() {
    return processor() + text + problems(VmcsDump.Problem::words);
  }

  private String processor() {
    return cpu.isEmpty()
        ? "of a processor that is not named: every control counts as one that it has"
        : "of a processor of model " + cpu;
  }

  private String problems(Function<VmcsDump.Problem, String> words) {
    return dump.problems().stream()
        .map(problem -> "not understood: " + words.apply(problem) + "\n")
        .collect(Collectors.joining());
  }

  private void line(String format, @Nullable Object... arguments) {
    text.append(format.formatted(arguments)).append('\n');
  }

  // ---- the entry

  private void entry() {
    EntryCheck.Group reported = reportedGroup();
    Finding first = first(reported);
    if (failures.isEmpty()) {
      line("No check of VM entry fails, of those that can be made.");
    } else {
      line(
          "VM entry fails %s.",
          failures.size() == 1 ? "a check" : "%d checks".formatted(failures.size()));
    }
    if (reported != null) {
      line("The dump itself says that %s.", says(reported));
      if (first == null) {
        none(reported);
      }
    }
    for (Finding failure : failures) {
      failure(failure, failure.equals(first), reported);
    }
    line("");
  }

  /** No check of the group that the dump tells of is found to fail. */
  private void none(EntryCheck.Group group) {
    boolean others = failures.stream().anyMatch(f -> f.check().group() == group);
    List<String> instead = new ArrayList<>();
    List<String> left =
        open.stream()
            .filter(f -> f.check().group() == group && mayBeReported(f.check()))
            .map(f -> f.check().id())
            .toList();
    if (!left.isEmpty()) {
      instead.add(
          left.size() > FEW
              ? "it is one of those below that cannot"
              : left.size() == 1
                  ? "it is " + left.get(0) + ", which cannot"
                  : "it is one of " + String.join(", ", left) + ", which cannot");
    }
    if (dump.cpu().isEmpty()) {
      instead.add("that processor can do less than this one");
    }
    line(
        "None of the checks of the %s that can be made fails%s%s.",
        name(group),
        others ? " with the dump's qualification" : "",
        instead.isEmpty() ? "" : ": " + String.join(", or ", instead));
  }

  private static String name(EntryCheck.Group group) {
    return switch (group) {
      case CONTROL -> "controls";
      case HOST_STATE -> "host state";
      case GUEST_STATE -> "guest state";
    };
  }

  /** What failed as the dump has it, or null if it does not say. */
  private EntryCheck.@Nullable Group reportedGroup() {
    OptionalInt error = dump.hardwareError();
    int code =
        error.isPresent()
            ? error.getAsInt()
            : dump.isKnown(VmcsField.VM_EXIT_REASON) ? (int) dump.v[Vmcs.VM_EXIT_REASON] : 0;
    if (code == (ExitReason.ENTRY_FAILURE | ExitReason.INVALID_GUEST_STATE.number)) {
      return EntryCheck.Group.GUEST_STATE;
    }
    if (error.isEmpty()) {
      return null;
    }
    return code == VmEntry.INVALID_CONTROL
        ? EntryCheck.Group.CONTROL
        : code == VmEntry.INVALID_HOST_STATE ? EntryCheck.Group.HOST_STATE : null;
  }

  private static String says(EntryCheck.Group group) {
    return switch (group) {
      case CONTROL -> "a check of the controls failed (VMfailValid, error 7)";
      case HOST_STATE -> "a check of the host state failed (VMfailValid, error 8)";
      case GUEST_STATE ->
          "a check of the guest state failed (exit reason 0x80000021), and those of controls and host"
              + " state passed";
    };
  }

  /** Whether the dump's qualification is that of a check, if it tells of an entry that failed. */
  private boolean mayBeReported(EntryCheck check) {
    return !dump.isKnown(VmcsField.EXIT_QUALIFICATION)
        || !hasEntryFailureReason()
        || check.qualification() == dump.v[Vmcs.EXIT_QUALIFICATION];
  }

  /** The check that a processor reports: the first in their order, of the group that is told. */
  private @Nullable Finding first(EntryCheck.@Nullable Group reported) {
    return failures.stream()
        .filter(f -> reported == null || f.check().group() == reported)
        .filter(f -> reported != EntryCheck.Group.GUEST_STATE || mayBeReported(f.check()))
        .findFirst()
        .orElse(null);
  }

  private boolean hasEntryFailureReason() {
    return (dump.v[Vmcs.VM_EXIT_REASON] & 1L << 31) != 0;
  }

  private void failure(Finding failure, boolean isFirst, EntryCheck.@Nullable Group reported) {
    EntryCheck check = failure.check();
    line("");
    line(
        "  %s%s",
        check.id(),
        isFirst
            ? "  <- this is what a processor reports: " + outcome(check, reported)
            : reported != null && check.group().compareTo(reported) < 0
                ? "  (the processor of the dump passed it: it is of another model than this)"
                : "");
    line("      %s", check.rule());
    line(
        "      %s%s",
        failure.values().stream().map(EntryCheck.Value::toString).collect(Collectors.joining(", ")),
        failure.nearest() == null ? "" : "; nearest that passes: " + failure.nearest());
  }

  private String outcome(EntryCheck check, EntryCheck.@Nullable Group reported) {
    boolean mayBeLater =
        open.stream()
            .map(Finding::check)
            .filter(c -> reported == null || c.group() == reported)
            .anyMatch(c -> c.order() < check.order());
    return switch (check.group()) {
          case CONTROL -> "VMfailValid, error 7";
          case HOST_STATE -> "VMfailValid, error 8";
          case GUEST_STATE ->
              "VM exit, %s, qualification %d"
                  .formatted(
                      ExitReason.describe(
                          ExitReason.ENTRY_FAILURE | ExitReason.INVALID_GUEST_STATE.number),
                      check.qualification());
        }
        + (mayBeLater ? ", unless one before it that cannot be made fails, too" : "");
  }

  private void rest(boolean all) {
    line(
        "%d checks pass%s.",
        checks.of(Verdict.PASSES).size(),
        passedBefore == 0
            ? ""
            : ", and %d have passed, as the dump says, that cannot be made"
                .formatted(passedBefore));
    if (!open.isEmpty()) {
      String what = "%d cannot be made, as the dump does not have what they depend on";
      if (all || open.size() <= MOST_LISTED) {
        line(what + ":", open.size());
        for (Finding finding : open) {
          line("  %s: %s", finding.check().id(), String.join(", ", finding.lacks()));
        }
      } else {
        line(what + " (--all lists them):", open.size());
        lacks();
      }
    }
    line("");
  }

  /** What most checks lack that cannot be made, then what most of the others do, and so on. */
  private void lacks() {
    List<List<String>> left = new ArrayList<>();
    open.forEach(finding -> left.add(finding.lacks()));
    for (int told = 0; told < MOST_LACKS && !left.isEmpty(); told++) {
      Map<String, Integer> counts = new LinkedHashMap<>();
      left.forEach(lacks -> lacks.forEach(what -> counts.merge(what, 1, Integer::sum)));
      Map.Entry<String, Integer> most =
          Collections.max(counts.entrySet(), Map.Entry.comparingByValue());
      line("  %d for lack of %s", most.getValue(), most.getKey());
      left.removeIf(lacks -> lacks.contains(most.getKey()));
    }
    if (!left.isEmpty()) {
      line("  %d for lack of others", left.size());
    }
  }

  // ---- the exit

  private long get(VmcsField field) {
    return dump.v[field.ordinal()];
  }

  private void exit() {
    if (!dump.isKnown(VmcsField.VM_EXIT_REASON)) {
      line("The dump has no exit reason.");
      return;
    }
    int reason = (int) get(VmcsField.VM_EXIT_REASON);
    int info = (int) get(VmcsField.VM_EXIT_INTR_INFO);
    if (isVmFail()) {
      // An exit of reason 0 has valid interruption information: this VMCS has had none. SDM 28.2.2.
      if (reason == 0 && !InterruptionInfo.isValid(info)) {
        line("No VM exit took place.");
        entryInterruption();
        return;
      }
      line("No VM exit took place; the last one before it:");
    } else if (dump.hardwareError().isEmpty() && !hasEntryFailureReason() && !failures.isEmpty()) {
      line(
          "The dump does not tell how the entry ended. If it failed, this exit is of one before it:");
    }
    line("Exit reason 0x%x: %s", reason, ExitExplanation.reason(reason));
    if (dump.isKnown(VmcsField.EXIT_QUALIFICATION)) {
      long q = get(VmcsField.EXIT_QUALIFICATION);
      String words = ExitExplanation.qualification(reason, info, q);
      line("Qualification 0x%x%s", q, words.isEmpty() ? "" : ": " + words);
    }
    interruption(
        "VM-exit interruption information",
        VmcsField.VM_EXIT_INTR_INFO,
        VmcsField.VM_EXIT_INTR_ERROR_CODE);
    interruption(
        "IDT-vectoring information",
        VmcsField.IDT_VECTORING_INFO_FIELD,
        VmcsField.IDT_VECTORING_ERROR_CODE);
    entryInterruption();
  }

  /** Whether the instruction failed without a VM exit. SDM 31.2 "Conventions". */
  private boolean isVmFail() {
    OptionalInt error = dump.hardwareError();
    return error.isPresent() && (error.getAsInt() & ExitReason.ENTRY_FAILURE) == 0;
  }

  private void entryInterruption() {
    interruption(
        "VM-entry interruption information",
        VmcsField.VM_ENTRY_INTR_INFO_FIELD,
        VmcsField.VM_ENTRY_EXCEPTION_ERROR_CODE);
  }

  private void interruption(String name, VmcsField field, VmcsField errorCode) {
    int info = (int) get(field);
    if (dump.isKnown(field) && InterruptionInfo.isValid(info)) {
      line("%s 0x%x: %s", name, info, ExitExplanation.interruption(info, get(errorCode)));
    }
  }
}
