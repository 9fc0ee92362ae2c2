package org.kvm4j.vmx.explain;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
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
    return new Explainer(model, capabilities).explain(v, known);
  }

  /**
   * Explains one VMCS after the other of one processor. What a check came to last it comes to again
   * where its fields are the same.
   */
  static final class Explainer {
    private final EntryContext c;
    private final Last[] last = new Last[EntryChecks.all().size()];

    /** The last VMCS: its fields, those that are not known being 0, and which are known. */
    private long[] lastFields = new long[0];

    private BitSet lastKnown = new BitSet();
    private EntryExplanation lastExplanation = new EntryExplanation();

    Explainer(CpuModel model, VmxCapabilities capabilities) {
      c = new EntryContext(model, null, capabilities);
      c.current = NO_REGION;
    }

    /** As {@link EntryExplanation#of(long[], Predicate, CpuModel, VmxCapabilities)}. */
    EntryExplanation explain(long[] v, Predicate<VmcsField> known) {
      long[] fields = new long[VmcsField.COUNT];
      BitSet has = new BitSet();
      for (VmcsField field : VmcsField.values()) {
        if (known.test(field)) {
          has.set(field.ordinal());
          fields[field.ordinal()] = v[field.ordinal()];
        }
      }
      if (!has.equals(lastKnown) || !Arrays.equals(fields, lastFields)) {
        c.v = fields.clone();
        EntryExplanation explanation = new EntryExplanation();
        for (EntryCheck check : EntryChecks.all()) {
          explanation.findings.add(examine(check, known));
        }
        lastFields = fields;
        lastKnown = has;
        lastExplanation = explanation;
      }
      return lastExplanation;
    }

    private Finding examine(EntryCheck check, Predicate<VmcsField> known) {
      Last before = last[check.order()];
      if (before == null || !before.isOf(c, known)) {
        before = new Last(check, c, known);
        last[check.order()] = before;
      }
      return before.verdict == Verdict.FAILS
          ? new Finding(check, Verdict.FAILS, before.values, nearest(check, c, known), List.of())
          : new Finding(check, before.verdict, before.values, null, before.lacks);
    }
  }

  /** What a check came to, and of what: what it reads of the VMCS. */
  private static final class Last {
    private final EntryCheck check;
    final List<EntryCheck.Value> values;
    final Verdict verdict;
    final List<String> lacks = new ArrayList<>();

    Last(EntryCheck check, EntryContext c, Predicate<VmcsField> known) {
      this.check = check;
      this.values = check.values(c).stream().filter(x -> known.test(x.field())).toList();
      List<VmcsField> unknown = check.fields().stream().filter(known.negate()).toList();
      Trial trial = new Trial(check, c);
      trial.fields(unknown);
      if (trial.differs()) {
        verdict = Verdict.NOT_CHECKABLE;
        unknown.forEach(field -> lacks.add(field.toString()));
        lacks.addAll(trial.outside);
      } else {
        verdict = trial.passed ? Verdict.PASSES : Verdict.FAILS;
      }
    }

    /** Whether the check reads the same now. */
    boolean isOf(EntryContext c, Predicate<VmcsField> known) {
      int k = 0;
      for (VmcsField field : check.fields()) {
        if (known.test(field)) {
          if (k == values.size()
              || values.get(k).field() != field
              || values.get(k).value() != c.v[field.ordinal()]) {
            return false;
          }
          k++;
        }
      }
      return k == values.size();
    }
  }

  /**
   * Whether a check reads more than fields of the VMCS: what {@link EntryCheck#always} says, or the
   * VMCS's address, which is compared with the link pointer.
   */
  static boolean readsOutside(EntryCheck check) {
    return check.always() || check.fields().contains(VmcsField.VMCS_LINK_POINTER);
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
    private final boolean readsOutside;
    final List<String> outside = new ArrayList<>();
    boolean passed;
    private boolean failed;
    private boolean last;
    private boolean missedMemory;

    Trial(EntryCheck check, EntryContext c) {
      this.check = check;
      this.c = c;
      this.readsOutside = readsOutside(check);
    }

    boolean differs() {
      return passed && failed || missedMemory;
    }

    /** Whether nothing that is tried can tell more. */
    private boolean isDecided() {
      return passed && failed && !readsOutside;
    }

    void fields(List<VmcsField> unknown) {
      each(unknown, 0);
      run();
      each(unknown, -1);
      run();
      mixed(unknown);
      for (VmcsField field : unknown) {
        if (isDecided()) {
          break;
        }
        bits(unknown, field);
      }
      for (long all : new long[] {-1, 0}) {
        // What is proposed passes: it tells something only if nothing has, or of what is outside.
        if (!passed || readsOutside) {
          each(unknown, all);
          proposed(unknown);
        }
      }
      each(unknown, 0);
    }

    /** Each of the unknown fields all ones or all zeros, in every combination of a few. */
    private void mixed(List<VmcsField> unknown) {
      int few = Math.min(unknown.size(), MOST_MIXED);
      for (int ones = 1; ones < 1 << few && !(passed && failed); ones++) {
        each(unknown, 0);
        for (int k = 0; k < few; k++) {
          if ((ones >> k & 1) != 0) {
            c.v[unknown.get(k).ordinal()] = unknown.get(k).width.mask;
          }
        }
        run();
      }
    }

    /** One field with no bit, with one or two, and with all but those, or with all. */
    private void bits(List<VmcsField> unknown, VmcsField field) {
      each(unknown, -1);
      tryValue(field, 0);
      each(unknown, 0);
      tryValue(field, -1);
      for (int high = 0; high < field.width.bits && !(passed && failed); high++) {
        // The other unknown fields are all ones, or all zeros.
        for (long others : new long[] {-1, 0}) {
          each(unknown, others);
          for (int low = 0; low <= high; low++) {
            long bits = 1L << high | 1L << low;
            tryValue(field, bits);
            tryValue(field, ~bits);
          }
        }
      }
    }

    private void proposed(List<VmcsField> unknown) {
      EntryCheck.Value proposed = check.nearest(c, unknown::contains);
      // What the search for it has met counts for nothing.
      c.takeMissedMemory();
      if (proposed != null) {
        c.v[proposed.field().ordinal()] = proposed.value();
        run();
      }
    }

    private void tryValue(VmcsField field, long value) {
      c.v[field.ordinal()] = value & field.width.mask;
      run();
    }

    private void each(List<VmcsField> unknown, long value) {
      for (VmcsField field : unknown) {
        c.v[field.ordinal()] = value & field.width.mask;
      }
    }

    private void run() {
      once();
      if (!readsOutside) {
        return;
      }
      // What is outside of the VMCS may be either way, too.
      boolean before = last;
      c.hostLongMode = true;
      once();
      if (last != before) {
        note(HOST_MODE);
      }
      c.hostLongMode = false;
      for (VmcsField field : check.fields()) {
        long value = c.v[field.ordinal()];
        if ((value & 0xfff) == 0) {
          c.current = value;
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
      if (readsOutside && c.takeMissedMemory()) {
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
