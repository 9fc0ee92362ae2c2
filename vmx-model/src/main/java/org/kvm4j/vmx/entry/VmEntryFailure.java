package org.kvm4j.vmx.entry;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kvm4j.vmx.vmcs.VmcsField;

/**
 * Why a VM entry failed: the check, and the values that it read.
 *
 * @param check the first check that failed; null if an entry of the MSR-load list did
 * @param fields the fields that the check read, with their values at the time
 * @param nearest a value of the first field that would pass; null where none is proposed
 * @param msrEntry number of the failing entry of the MSR-load list, from 1; 0 if it was a check
 * @param msrIndex the MSR of that entry
 * @param msrValue the value of that entry
 */
public record VmEntryFailure(
    @Nullable EntryCheck check,
    List<Value> fields,
    @Nullable Long nearest,
    int msrEntry,
    int msrIndex,
    long msrValue) {

  /** A field with its value. */
  public record Value(VmcsField field, long value) {
    @Override
    public String toString() {
      return field + "=0x" + Long.toHexString(value);
    }
  }

  /** A failed check with the fields as they are. */
  static VmEntryFailure of(EntryCheck check, EntryContext context) {
    List<Value> values = new ArrayList<>();
    for (VmcsField field : check.fields()) {
      values.add(new Value(field, context.v[field.ordinal()]));
    }
    EntryCheck.Remedy remedy = check.remedy();
    Long nearest = remedy == null ? null : remedy.nearest(context);
    return new VmEntryFailure(check, List.copyOf(values), nearest, 0, 0, 0);
  }

  /** A failed entry of the MSR-load list. */
  static VmEntryFailure ofMsr(int entry, int index, long value) {
    return new VmEntryFailure(null, List.of(), null, entry, index, value);
  }

  /** The failure in words: the check, its rule and section, the values, the nearest that passes. */
  @Override
  public String toString() {
    if (check == null) {
      return "VM-entry MSR-load entry %d: MSR 0x%x cannot be loaded with 0x%x (SDM 27.4 \"Loading MSRs\")"
          .formatted(msrEntry, msrIndex, msrValue);
    }
    StringBuilder text = new StringBuilder();
    text.append(check.id()).append(": ").append(check.statement());
    text.append(" (SDM ").append(check.section()).append(" \"").append(check.title()).append("\")");
    for (int k = 0; k < fields.size(); k++) {
      text.append(k == 0 ? "; " : ", ").append(fields.get(k));
    }
    if (nearest != null) {
      text.append("; nearest that passes: ").append(new Value(check.fields().get(0), nearest));
    }
    return text.toString();
  }
}
