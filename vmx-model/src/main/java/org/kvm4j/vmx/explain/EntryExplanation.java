package org.kvm4j.vmx.explain;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.vmx.entry.EntryCheck;
import org.kvm4j.vmx.entry.EntryChecks;
import org.kvm4j.vmx.entry.EntryContext;
import org.kvm4j.vmx.vmcs.VmcsField;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/**
 * What the checks of VM entry say of a VMCS that is known in part.
 *
 * <p>A check counts as passed or failed only if it comes to the same whatever the unknown fields
 * hold, as where the control that it depends on is 0; else it is not checkable, and what it lacks
 * is named. A field is tried with no bit, with each bit alone, with all but one, and with all:
 * checks compare bits, and numbers with limits; and with what the check proposes itself.
 *
 * <p>Source: SDM 27.2 "Checks on VMX Controls and Host-State Area", 27.3.1 "Checks on the Guest
 * State Area".
 */
public final class EntryExplanation {
  /** What a check comes to. */
  public enum Verdict {
    PASSES,
    FAILS,
    NOT_CHECKABLE
  }

  /**
   * A check and what it comes to.
   *
   * @param values the fields that it reads and that are known, as they are
   * @param nearest where it fails: the nearest value that passes, or null
   * @param lacks where it is not checkable: what is unknown, in words
   */
  public record Finding(
      EntryCheck check,
      Verdict verdict,
      List<EntryCheck.Value> values,
      EntryCheck.@Nullable Value nearest,
      List<String> lacks) {}

  /** No VMCS has this address. */
  private static final long NO_REGION = -2;

  private static final String MEMORY = "memory";
  private static final String HOST_MODE = "whether the processor was in IA-32e mode";
  private static final String VMCS_POINTER = "the VMCS's own address";

  private final List<Finding> findings = new ArrayList<>();

  private EntryExplanation() {}

  /** All findings, in the order of the checks. */
  public List<Finding> findings() {
    return findings;
  }

  /** The findings with a verdict, in the order of the checks. */
  public List<Finding> of(Verdict verdict) {
    return findings.stream().filter(f -> f.verdict() == verdict).toList();
  }

  /**
   * Checks what is known of a VMCS. Memory, the VMCS's address and the host's mode are not.
   *
   * @param v the fields' values by ordinal
   * @param known which of them are known
   */
  public static EntryExplanation of(
      long[] v, Predicate<VmcsField> known, CpuModel model, VmxCapabilities capabilities) {
    EntryExplanation explanation = new EntryExplanation();
    EntryContext c = new EntryContext(model, null, capabilities);
    c.v = v.clone();
    c.current = NO_REGION;
    for (EntryCheck check : EntryChecks.all()) {
      explanation.findings.add(examine(check, c, known));
    }
    return explanation;
  }

  private static Finding examine(EntryCheck check, EntryContext c, Predicate<VmcsField> known) {
    List<EntryCheck.Value> values =
        check.values(c).stream().filter(x -> known.test(x.field())).toList();
    List<VmcsField> unknown = check.fields().stream().filter(known.negate()).toList();
    Trial trial = new Trial(check, c);
    trial.fields(unknown);
    if (!trial.differs()) {
      boolean passes = trial.passed;
      return new Finding(
          check,
          passes ? Verdict.PASSES : Verdict.FAILS,
          values,
          passes ? null : nearest(check, c, known),
          List.of());
    }
    List<String> lacks = new ArrayList<>();
    unknown.forEach(field -> lacks.add(field.toString()));
    lacks.addAll(trial.outside);
    return new Finding(check, Verdict.NOT_CHECKABLE, values, null, lacks);
  }

  /** The nearest value of a field that the dump has. */
  private static EntryCheck.@Nullable Value nearest(
      EntryCheck check, EntryContext c, Predicate<VmcsField> known) {
    EntryCheck.Value value = check.nearest(c, known);
    // What the search for it has met counts for nothing.
    c.takeMissedMemory();
    return value;
  }

  /** A check tried with everything that it may meet. */
  private static final class Trial {
    /** Of no more unknown fields all combinations are tried. */
    private static final int MOST_MIXED = 8;

    private final EntryCheck check;
    private final EntryContext c;
    final List<String> outside = new ArrayList<>();
    boolean passed;
    private boolean failed;
    private boolean last;
    private boolean missedMemory;

    Trial(EntryCheck check, EntryContext c) {
      this.check = check;
      this.c = c;
    }

    boolean differs() {
      return passed && failed || missedMemory;
    }

    void fields(List<VmcsField> unknown) {
      each(unknown, 0, true);
      each(unknown, -1, true);
      mixed(unknown);
      for (VmcsField field : unknown) {
        each(unknown, -1, false);
        tryValue(field, 0);
        each(unknown, 0, false);
        tryValue(field, -1);
        for (int high = 0; high < field.width.bits && !(passed && failed); high++) {
          for (int low = 0; low <= high; low++) {
            long bits = 1L << high | 1L << low;
            // The other unknown fields are all ones, or all zeros.
            each(unknown, -1, false);
            tryValue(field, bits);
            tryValue(field, ~bits);
            each(unknown, 0, false);
            tryValue(field, bits);
            tryValue(field, ~bits);
          }
        }
      }
      for (long all : new long[] {-1, 0}) {
        each(unknown, all, false);
        EntryCheck.Value proposed = check.nearest(c, unknown::contains);
        // What the search for it has met counts for nothing.
        c.takeMissedMemory();
        if (proposed != null) {
          c.v[proposed.field().ordinal()] = proposed.value();
          run();
        }
      }
      each(unknown, 0, false);
    }

    /** Each of the unknown fields all ones or all zeros, in every combination of a few. */
    private void mixed(List<VmcsField> unknown) {
      int few = Math.min(unknown.size(), MOST_MIXED);
      for (int ones = 1; ones < 1 << few && !(passed && failed); ones++) {
        each(unknown, 0, false);
        for (int k = 0; k < few; k++) {
          if ((ones >> k & 1) != 0) {
            c.v[unknown.get(k).ordinal()] = unknown.get(k).width.mask;
          }
        }
        run();
      }
    }

    private void tryValue(VmcsField field, long value) {
      c.v[field.ordinal()] = value & field.width.mask;
      run();
    }

    private void each(List<VmcsField> unknown, long value, boolean run) {
      for (VmcsField field : unknown) {
        c.v[field.ordinal()] = value & field.width.mask;
      }
      if (run) {
        run();
      }
    }

    private void run() {
      once();
      // What is outside of the VMCS may be either way, too.
      boolean before = last;
      c.hostLongMode = true;
      once();
      if (last != before) {
        note(HOST_MODE);
      }
      c.hostLongMode = false;
      for (EntryCheck.Value value : check.values(c)) {
        if ((value.value() & 0xfff) == 0) {
          c.current = value.value();
          once();
          if (last != before) {
            note(VMCS_POINTER);
          }
        }
      }
      c.current = NO_REGION;
    }

    private void once() {
      last = check.predicate().passes(c);
      passed |= last;
      failed |= !last;
      if (c.takeMissedMemory()) {
        missedMemory = true;
        note(MEMORY);
      }
    }

    private void note(String what) {
      if (!outside.contains(what)) {
        outside.add(what);
      }
    }
  }
}
