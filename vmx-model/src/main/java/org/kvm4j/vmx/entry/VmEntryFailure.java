package org.kvm4j.vmx.entry;

import java.util.List;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.kvm4j.vmx.entry.EntryCheck.Value;

/**
 * Why a VM entry failed: the check, and the values that it read. What takes a search is looked for
 * when it is asked for, in the VMCS as it was, and in memory as it is then: a hypervisor that tries
 * failing entries one after the other does not pay for it.
 */
public final class VmEntryFailure {
  private final @Nullable EntryCheck check;

  /** What the check read; null if it was none. */
  private final @Nullable EntryContext context;

  private final int msrEntry;
  private final int msrIndex;
  private final long msrValue;

  private @Nullable Value nearest;
  private boolean searched;

  private VmEntryFailure(
      @Nullable EntryCheck check,
      @Nullable EntryContext context,
      int msrEntry,
      int msrIndex,
      long msrValue) {
    this.check = check;
    this.context = context;
    this.msrEntry = msrEntry;
    this.msrIndex = msrIndex;
    this.msrValue = msrValue;
  }

  /** A failed check with the fields as they are. */
  static VmEntryFailure of(EntryCheck check, EntryContext context) {
    return new VmEntryFailure(check, context.copy(), 0, 0, 0);
  }

  /** A failed entry of the MSR-load list. */
  static VmEntryFailure ofMsr(int entry, int index, long value) {
    return new VmEntryFailure(null, null, entry, index, value);
  }

  /** The first check that failed; null if an entry of the MSR-load list did. */
  public @Nullable EntryCheck check() {
    return check;
  }

  /** The fields that the check read, with their values at the time. */
  public List<Value> fields() {
    return check == null || context == null ? List.of() : check.values(context);
  }

  /** A value of one of the fields that would pass; null where none is proposed. */
  public @Nullable Value nearest() {
    if (!searched && check != null && context != null) {
      nearest = check.nearest(context);
      searched = true;
    }
    return nearest;
  }

  /** The checks after it that the state fails, too. */
  public List<EntryCheck> others() {
    EntryCheck first = check;
    if (first == null || context == null) {
      return List.of();
    }
    return EntryChecks.failures(context).stream().filter(c -> c.order() > first.order()).toList();
  }

  /** Number of the failing entry of the MSR-load list, from 1; 0 if it was a check. */
  public int msrEntry() {
    return msrEntry;
  }

  /** The MSR of that entry. */
  public int msrIndex() {
    return msrIndex;
  }

  /** The value of that entry. */
  public long msrValue() {
    return msrValue;
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
    List<Value> fields = fields();
    for (int k = 0; k < fields.size(); k++) {
      text.append(k == 0 ? "; " : ", ").append(fields.get(k));
    }
    if (nearest() != null) {
      text.append("; nearest that passes: ").append(nearest());
    }
    List<EntryCheck> others = others();
    if (!others.isEmpty()) {
      text.append("; the state fails, too: ")
          .append(others.stream().map(EntryCheck::id).collect(Collectors.joining(", ")));
    }
    return text.toString();
  }
}
