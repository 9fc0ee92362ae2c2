package org.kvm4j.vmx.entry;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;
import org.kvm4j.vmx.vmcs.VmcsField;

/**
 * The search for the value of one field with which a state passes a check that it fails.
 *
 * <p>Of all that are found the best is what leaves the fewest checks failing; then what does not
 * make another kind of guest of it, nor clear a control; then what changes the fewest bits; then
 * the field that the check names first. What a check proposes by its sense ({@link
 * EntryCheck#remedy}) counts for one changed bit.
 */
final class NearestValue {
  /** A segment register is unusable. */
  private static final long UNUSABLE = 1 << 16;

  /** Bits that make another kind of guest, or of event, of it. */
  private static final Map<VmcsField, Long> SWITCHES = new EnumMap<>(VmcsField.class);

  static {
    for (VmcsField field : VmcsField.values()) {
      if (field.name().endsWith("_AR_BYTES")) {
        SWITCHES.put(field, UNUSABLE);
      }
    }
    SWITCHES.put(VmcsField.GUEST_RFLAGS, 1L << 17); // VM
    SWITCHES.put(VmcsField.VM_ENTRY_INTR_INFO_FIELD, 1L << 11 | 1L << 31); // error code, valid
  }

  /** Who sets a control wants what it does. */
  private static final Set<VmcsField> CONTROLS =
      EnumSet.of(
          VmcsField.PIN_BASED_VM_EXEC_CONTROL,
          VmcsField.CPU_BASED_VM_EXEC_CONTROL,
          VmcsField.SECONDARY_VM_EXEC_CONTROL,
          VmcsField.TERTIARY_VM_EXEC_CONTROL,
          VmcsField.VM_EXIT_CONTROLS,
          VmcsField.VM_ENTRY_CONTROLS);

  private final EntryCheck check;
  private final EntryContext c;

  private EntryCheck.@Nullable Value best;
  private int bestFailing;
  private int bestSwitches;
  private int bestBits;

  // Of the field that is looked at.
  private VmcsField field;
  private long present;
  private List<EntryCheck> readers = List.of();
  private int failing;

  private NearestValue(EntryCheck check, EntryContext c) {
    this.check = check;
    this.c = c;
    this.field = check.fields().get(0);
  }

  /**
   * As {@link EntryCheck#nearest}.
   *
   * @param changeable the fields to look at
   */
  static EntryCheck.@Nullable Value of(
      EntryCheck check, EntryContext c, Predicate<VmcsField> changeable) {
    NearestValue search = new NearestValue(check, c);
    check.fields().stream().filter(changeable).forEach(search::look);
    return search.best;
  }

  private void look(VmcsField at) {
    field = at;
    present = c.v[at.ordinal()];
    readers = EntryChecks.all().stream().filter(o -> o.fields().contains(at)).toList();
    failing = failing(present);
    long all = at.width.mask;
    List<Long> seeds = new ArrayList<>(List.of(0L, all));
    if (at == check.fields().get(0)) {
      EntryCheck.Remedy own = check.remedy();
      if (own != null) {
        long proposed = own.nearest(c) & all;
        offer(proposed, true);
        long together = together(proposed);
        offer(together, true);
        seeds.add(together);
      }
    }
    around(present);
    for (long seed : seeds) {
      offer(leastChange(seed), false);
    }
    EntryCheck.Value found = best;
    if (found != null && found.field() == at && failing(found.value()) > 0) {
      // Other checks fail for the field's sake, too.
      around(found.value());
      if (best == found) {
        pairs(found.value());
      }
    }
  }

  /** Offers what differs by a bit, or if none of those passes by two. */
  private void around(long value) {
    boolean one = false;
    for (int bit = 0; bit < field.width.bits; bit++) {
      one |= offer(value ^ 1L << bit, false);
    }
    if (!one) {
      pairs(value);
    }
  }

  /** Offers what differs by two bits. */
  private void pairs(long value) {
    for (int high = 1; high < field.width.bits; high++) {
      for (int low = 0; low < high; low++) {
        offer(value ^ 1L << high ^ 1L << low, false);
      }
    }
  }

  /** What all checks that fail for the field's sake propose, one after the other. */
  private long together(long value) {
    long mended = value;
    for (EntryCheck other : readers) {
      EntryCheck.Remedy remedy = other.remedy();
      if (remedy != null && other.fields().get(0) == field) {
        c.v[field.ordinal()] = mended;
        if (!other.predicate().passes(c)) {
          mended = remedy.nearest(c) & field.width.mask;
        }
      }
    }
    c.v[field.ordinal()] = present;
    return mended;
  }

  /** A value that passes, with bits put back, alone and in pairs, that it passes with as well. */
  private long leastChange(long seed) {
    if (!passes(seed)) {
      return present;
    }
    long value = seed;
    for (long bits = value ^ present; bits != 0; bits &= ~Long.highestOneBit(bits)) {
      value = putBack(value, Long.highestOneBit(bits));
    }
    for (long bits = value ^ present; bits != 0; bits &= ~Long.highestOneBit(bits)) {
      long high = Long.highestOneBit(bits);
      for (long rest = bits ^ high; rest != 0 && ((value ^ present) & high) != 0; ) {
        long low = Long.highestOneBit(rest);
        rest ^= low;
        if (((value ^ present) & low) != 0) {
          value = putBack(value, high | low);
        }
      }
    }
    return value;
  }

  private long putBack(long value, long bits) {
    long back = value ^ bits;
    return passes(back) && failing(back) <= failing(value) ? back : value;
  }

  /** Whether the value passes, in which case it is the best if it is better. */
  private boolean offer(long value, boolean remedy) {
    if (value == present || !passes(value)) {
      return false;
    }
    int fails = failing(value) - failing;
    long changed = value ^ present;
    long kept = CONTROLS.contains(field) ? present : SWITCHES.getOrDefault(field, 0L);
    int switches = Long.bitCount(changed & kept);
    int bits = remedy ? 1 : Long.bitCount(changed);
    boolean better =
        best == null
            || (fails != bestFailing
                ? fails < bestFailing
                : switches != bestSwitches ? switches < bestSwitches : bits < bestBits);
    if (better) {
      best = new EntryCheck.Value(field, value);
      bestFailing = fails;
      bestSwitches = switches;
      bestBits = bits;
    }
    return true;
  }

  private boolean passes(long value) {
    c.v[field.ordinal()] = value;
    boolean passes = check.predicate().passes(c);
    c.v[field.ordinal()] = present;
    return passes;
  }

  /** How many checks that read the field fail with a value. */
  private int failing(long value) {
    int count = 0;
    c.v[field.ordinal()] = value;
    for (EntryCheck reader : readers) {
      if (!reader.predicate().passes(c)) {
        count++;
      }
    }
    c.v[field.ordinal()] = present;
    return count;
  }
}
