package org.kvm4j.vmx.entry;

import java.util.List;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.kvm4j.vmx.entry.EntryCheck.Value;

/**
 * Why a VM entry failed: the check, and the values that it read.
 *
 * @param check the first check that failed; null if an entry of the MSR-load list did
 * @param fields the fields that the check read, with their values at the time
 * @param nearest a value of one of the fields that would pass; null where none is proposed
 * @param others the checks after it that the state fails, too
 * @param msrEntry number of the failing entry of the MSR-load list, from 1; 0 if it was a check
 * @param msrIndex the MSR of that entry
 * @param msrValue the value of that entry
 */
public record VmEntryFailure(
    @Nullable EntryCheck check,
    List<Value> fields,
    @Nullable Value nearest,
    List<EntryCheck> others,
    int msrEntry,
    int msrIndex,
    long msrValue) {

  /** A failed check with the fields as they are. */
  static VmEntryFailure of(EntryCheck check, EntryContext context) {
    List<EntryCheck> others =
        EntryChecks.failures(context).stream().filter(c -> c.order() > check.order()).toList();
    return new VmEntryFailure(
        check, check.values(context), check.nearest(context), others, 0, 0, 0);
  }

  /** A failed entry of the MSR-load list. */
  static VmEntryFailure ofMsr(int entry, int index, long value) {
    return new VmEntryFailure(null, List.of(), null, List.of(), entry, index, value);
  }

  /** The failure in words: the check, its rule and section, the values, the nearest that passes. */
  @Override
  public String toString() {
    if (check == null) {
      return "VM-entry MSR-load entry %d: MSR 0x%x cannot be loaded with 0x%x (SDM 27.4 \"Loading MSRs\")"
          .formatted(msrEntry, msrIndex, msrValue);
    }
    StringBuilder text = new StringBuilder();
    text.append(check.id()).append(": ").append(check.rule());
    for (int k = 0; k < fields.size(); k++) {
      text.append(k == 0 ? "; " : ", ").append(fields.get(k));
    }
    if (nearest != null) {
      text.append("; nearest that passes: ").append(nearest);
    }
    if (!others.isEmpty()) {
      text.append("; the state fails, too: ")
          .append(others.stream().map(EntryCheck::id).collect(Collectors.joining(", ")));
    }
    return text.toString();
  }
}
