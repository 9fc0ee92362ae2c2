package org.kvm4j.vmx.entry;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.Vmcs;
import org.kvm4j.vmx.vmcs.VmcsField;

/**
 * All checks of VM entry in their order, and the one method that runs them: only those that read a
 * field which software wrote since the last successful entry, so that a steady re-entry runs next
 * to none.
 *
 * <p>That is sound because whatever the processor itself stores into the guest-state area at a VM
 * exit passes the checks, or counts as written ({@link Vmcs#checkAgain}), and where a check depends
 * on more than the VMCS it says so ({@link EntryCheck#always}).
 *
 * <p>Source: SDM 27.2 "Checks on VMX Controls and Host-State Area", 27.3.1 "Checks on the Guest
 * State Area".
 */
public final class EntryChecks {
  private static final List<EntryCheck> ALL;
  private static final Map<String, EntryCheck> BY_ID = new HashMap<>();
  private static final EntryCheck.Predicate[] PREDICATES;

  /** Words of a bitmap by order of the checks. */
  private static final int WORDS;

  /** By field ordinal: the checks that read it, {@link #WORDS} words each. */
  private static final long[] BY_FIELD;

  /** Checks that run at every entry. */
  private static final long[] ALWAYS;

  /** Checks that read a field whose saving may be deferred. */
  private static final long[] READS_DEFERRABLE;

  static {
    List<CheckBuilder> builders = new ArrayList<>();
    ControlChecks.add(builders);
    HostStateChecks.add(builders);
    GuestStateChecks.add(builders);
    List<EntryCheck> checks = new ArrayList<>();
    for (CheckBuilder builder : builders) {
      checks.add(builder.build(checks.size()));
    }
    checks.sort(Comparator.comparingInt(EntryCheck::order));
    ALL = List.copyOf(checks);
    int n = ALL.size();
    WORDS = (n + 63) / 64;
    PREDICATES = new EntryCheck.Predicate[n];
    BY_FIELD = new long[VmcsField.COUNT * WORDS];
    ALWAYS = new long[WORDS];
    READS_DEFERRABLE = new long[WORDS];
    for (EntryCheck check : ALL) {
      int k = check.order();
      boolean wholePrimary = builders.get(k).readsWholePrimary;
      PREDICATES[k] = check.predicate();
      if (BY_ID.put(check.id(), check) != null) {
        throw new IllegalStateException("two checks are called " + check.id());
      }
      for (VmcsField field : check.fields()) {
        // A change of "activate secondary controls" counts as one of the secondary controls.
        if (field != VmcsField.CPU_BASED_VM_EXEC_CONTROL || wholePrimary) {
          BY_FIELD[field.ordinal() * WORDS + (k >> 6)] |= 1L << k;
        }
        if (Vmcs.isDeferrable(field.ordinal())) {
          READS_DEFERRABLE[k >> 6] |= 1L << k;
        }
      }
      if (check.always()) {
        ALWAYS[k >> 6] |= 1L << k;
      }
    }
  }

  private final long[] due = new long[WORDS];

  // Entries after the same kind of exit mostly find the same fields written: what is due then.
  private final long[] lastDirty = new long[Vmcs.DIRTY_WORDS];
  private boolean lastOutside;
  private int[] lastDue = new int[0];
  private boolean lastReadsDeferrable;

  /** Builds the tables now, and not while a guest waits for its first entry. */
  public static void load() {
    // Being here is enough: the class is initialised.
  }

  /** All checks in their order. */
  public static List<EntryCheck> all() {
    return ALL;
  }

  /** The check of an id, or null. */
  public static @Nullable EntryCheck of(String id) {
    return BY_ID.get(id);
  }

  /**
   * Runs the checks that may fail.
   *
   * @param verified as {@link Vmcs#isVerified}
   * @return the first that fails, or null
   */
  @Nullable EntryCheck run(Vmcs vmcs, boolean verified, EntryContext c) {
    boolean outside = readsOutside(vmcs, c);
    if (verified && !outside) {
      return null;
    }
    if (outside != lastOutside || differs(vmcs.dirty, lastDirty)) {
      select(vmcs.dirty, outside);
    }
    if (lastReadsDeferrable && vmcs.isDeferred()) {
      vmcs.complete();
    }
    for (int k : lastDue) {
      if (!PREDICATES[k].passes(c)) {
        return ALL.get(k);
      }
    }
    return null;
  }

  /** Of few words: a call of {@link Arrays#equals} takes longer. */
  private static boolean differs(long[] dirty, long[] last) {
    long difference = 0;
    for (int w = 0; w < Vmcs.DIRTY_WORDS; w++) {
      difference |= dirty[w] ^ last[w];
    }
    return difference != 0;
  }

  /** Finds what is due where these fields were written. */
  private void select(long[] dirty, boolean outside) {
    long[] due = this.due;
    if (outside) {
      System.arraycopy(ALWAYS, 0, due, 0, WORDS);
    } else {
      Arrays.fill(due, 0);
    }
    for (int w = 0; w < dirty.length; w++) {
      long bits = dirty[w];
      while (bits != 0) {
        int field = (w << 6) + Long.numberOfTrailingZeros(bits);
        bits &= bits - 1;
        for (int k = 0; k < WORDS; k++) {
          due[k] |= BY_FIELD[field * WORDS + k];
        }
      }
    }
    long reads = 0;
    int n = 0;
    for (int w = 0; w < WORDS; w++) {
      reads |= due[w] & READS_DEFERRABLE[w];
      n += Long.bitCount(due[w]);
    }
    lastDue = new int[n];
    n = 0;
    for (int w = 0; w < WORDS; w++) {
      for (long bits = due[w]; bits != 0; bits &= bits - 1) {
        lastDue[n++] = (w << 6) + Long.numberOfTrailingZeros(bits);
      }
    }
    lastReadsDeferrable = reads != 0;
    lastOutside = outside;
    System.arraycopy(dirty, 0, lastDirty, 0, dirty.length);
  }

  /** Whether a check of those that always run may find something: memory, or another host mode. */
  private static boolean readsOutside(Vmcs vmcs, EntryContext c) {
    return c.v[Vmcs.VMCS_LINK_POINTER] != -1
        || c.hostLongMode != vmcs.verifiedInLongMode
        || !c.secondary(Controls.SECONDARY_EXEC_ENABLE_EPT)
        || c.primary(Controls.CPU_BASED_TPR_SHADOW);
  }

  /** Every check that the state fails, in order: for explanation, not for entry. */
  public static List<EntryCheck> failures(EntryContext c) {
    List<EntryCheck> failed = new ArrayList<>();
    for (EntryCheck check : ALL) {
      if (!check.predicate().passes(c)) {
        failed.add(check);
      }
    }
    return failed;
  }

  /** A check being written down. */
  static final class CheckBuilder {
    private final String id;
    private final EntryCheck.Group group;
    private final Section section;
    private final String statement;
    private final List<VmcsField> fields = new ArrayList<>();
    private boolean always;
    private boolean readsWholePrimary;
    private int qualification;
    private EntryCheck.@Nullable Predicate predicate;
    private EntryCheck.@Nullable Remedy remedy;

    CheckBuilder(EntryCheck.Group group, Section section, String id, String statement) {
      this.group = group;
      this.section = section;
      this.id = id;
      this.statement = statement;
    }

    /** What the predicate reads. */
    CheckBuilder reads(VmcsField... more) {
      List<VmcsField> added = Arrays.asList(more);
      fields.addAll(added);
      readsWholePrimary |= added.contains(VmcsField.CPU_BASED_VM_EXEC_CONTROL);
      return this;
    }

    /** SECONDARY_VM_EXEC_CONTROL, and of CPU_BASED_VM_EXEC_CONTROL what activates it. */
    CheckBuilder readsSecondary() {
      fields.add(VmcsField.SECONDARY_VM_EXEC_CONTROL);
      fields.add(VmcsField.CPU_BASED_VM_EXEC_CONTROL);
      return this;
    }

    CheckBuilder always() {
      always = true;
      return this;
    }

    CheckBuilder qualification(int value) {
      qualification = value;
      return this;
    }

    CheckBuilder passes(EntryCheck.Predicate rule) {
      predicate = rule;
      return this;
    }

    /** The nearest value of the first field that passes. */
    CheckBuilder nearest(EntryCheck.Remedy value) {
      remedy = value;
      return this;
    }

    EntryCheck build(int order) {
      EntryCheck.Predicate rule = predicate;
      if (rule == null) {
        throw new IllegalStateException(id + " has no predicate");
      }
      return new EntryCheck(
          id,
          order,
          group,
          section.number,
          section.title,
          statement,
          List.copyOf(fields.stream().distinct().toList()),
          always,
          qualification,
          rule,
          remedy);
    }
  }

  /** The SDM's sections on checks. */
  enum Section {
    EXECUTION_CONTROLS("27.2.1.1", "VM-Execution Control Fields"),
    EXIT_CONTROLS("27.2.1.2", "VM-Exit Control Fields"),
    ENTRY_CONTROLS("27.2.1.3", "VM-Entry Control Fields"),
    HOST_REGISTERS("27.2.2", "Checks on Host Control Registers, MSRs, and SSP"),
    HOST_SEGMENTS("27.2.3", "Checks on Host Segment and Descriptor-Table Registers"),
    ADDRESS_SPACE_SIZE("27.2.4", "Checks Related to Address-Space Size"),
    GUEST_REGISTERS("27.3.1.1", "Checks on Guest Control Registers, Debug Registers, and MSRs"),
    GUEST_SEGMENTS("27.3.1.2", "Checks on Guest Segment Registers"),
    GUEST_TABLES("27.3.1.3", "Checks on Guest Descriptor-Table Registers"),
    GUEST_RIP("27.3.1.4", "Checks on Guest RIP, RFLAGS, and SSP"),
    GUEST_NON_REGISTER("27.3.1.5", "Checks on Guest Non-Register State"),
    GUEST_PDPTES("27.3.1.6", "Checks on Guest Page-Directory-Pointer-Table Entries");

    final String number;
    final String title;

    Section(String number, String title) {
      this.number = number;
      this.title = title;
    }
  }
}
