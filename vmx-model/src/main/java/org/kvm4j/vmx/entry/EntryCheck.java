package org.kvm4j.vmx.entry;

import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kvm4j.vmx.vmcs.VmcsField;

/**
 * One check of VM entry, as data: what it is called, where the SDM states it, which fields it
 * reads, how the entry fails, and the predicate itself. {@link EntryChecks} has them all.
 *
 * @param id stable name, {@code "GUEST_CR0_FIXED"}
 * @param order place in the sequence of all checks; the first that fails decides
 * @param group what is checked, which decides how the entry fails
 * @param section number of the SDM's section
 * @param title title of the SDM's section
 * @param statement the rule in a sentence
 * @param fields what the predicate reads of the VMCS
 * @param always to be run at every entry, because it reads more than the fields: memory, or the
 *     processor's state
 * @param qualification exit qualification of a VM-entry failure, for the guest-state group
 * @param predicate true if the state passes
 * @param remedy the nearest state that passes, where that is simple
 */
public record EntryCheck(
    String id,
    int order,
    Group group,
    String section,
    String title,
    String statement,
    List<VmcsField> fields,
    boolean always,
    int qualification,
    Predicate predicate,
    @Nullable Remedy remedy) {

  /** What is checked, in the order in which the groups are. */
  public enum Group {
    /** VMfailValid with error 7. */
    CONTROL,
    /** VMfailValid with error 8. */
    HOST_STATE,
    /** A VM exit with reason 33 and bit 31. */
    GUEST_STATE
  }

  /** The rule itself. It reads nothing of the VMCS but {@link #fields}. */
  @FunctionalInterface
  public interface Predicate {
    /** Whether the state passes. */
    boolean passes(EntryContext c);
  }

  /** Finds a value that would pass. */
  @FunctionalInterface
  public interface Remedy {
    /** The value of the check's first field that is nearest to the present one and passes. */
    long nearest(EntryContext c);
  }

  /** A field with a value. */
  public record Value(VmcsField field, long value) {
    @Override
    public String toString() {
      return field + "=0x" + Long.toHexString(value);
    }
  }

  /** The fields that the check reads, as they are. */
  public List<Value> values(EntryContext c) {
    return fields.stream().map(f -> new Value(f, c.v[f.ordinal()])).toList();
  }

  /**
   * The nearest value of one of the fields with which the state passes this check, all others as
   * they are ({@link NearestValue} says what is near).
   *
   * @param c a state that fails this check
   * @return null if no field alone makes the state pass
   */
  public @Nullable Value nearest(EntryContext c) {
    return nearest(c, field -> true);
  }

  /**
   * As {@link #nearest(EntryContext)}.
   *
   * @param changeable which fields may have another value
   */
  public @Nullable Value nearest(
      EntryContext c, java.util.function.Predicate<VmcsField> changeable) {
    return NearestValue.of(this, c, changeable);
  }

  /** The rule in a sentence, with the SDM's section. */
  public String rule() {
    return statement + " (SDM " + section + " \"" + title + "\")";
  }
}
