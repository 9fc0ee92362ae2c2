package org.kvm4j.vmx.entry;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.exit.ExitReason;
import org.kvm4j.vmx.vmcs.Control;
import org.kvm4j.vmx.vmcs.ControlWord;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.Vmcs;
import org.kvm4j.vmx.vmcs.VmcsField;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/**
 * For each entry check of the table a passing and a failing state, found from the table alone: of a
 * guest that enters, bits of the fields that the check names are changed, as few as will do.
 */
class GeneratedEntryCheckTests {

  /** A field and what is exclusive-ored into it. */
  private record Flip(VmcsField field, long bits) {
    void apply(long[] v) {
      v[field.ordinal()] ^= bits;
    }
  }

  static List<EntryCheck> checks() {
    return EntryChecks.all();
  }

  /** Processors on which a check can fail at all: with every control, and without A/D of EPT. */
  private static List<VmxCapabilities> processors() {
    VmxCapabilities all = EntryCheckCases.everything();
    return List.of(all, all.withEptVpid(all.eptVpid & ~VmxCapabilities.EPT_ACCESSED_DIRTY));
  }

  private static EntryContext context(MinimalHypervisor h) {
    EntryContext c = new EntryContext(h.cpu, h.capabilities);
    c.v = h.vmcs().v;
    c.current = MinimalHypervisor.VMCS_REGION;
    c.hostLongMode = h.cpu.longMode;
    return c;
  }

  private static void apply(List<Flip> flips, long[] v) {
    flips.forEach(f -> f.apply(v));
  }

  /** So many bits whose change makes the check fail; null if none do. */
  private static @Nullable List<Flip> breaking(EntryCheck check, EntryContext c, int bits) {
    List<Flip> single = new ArrayList<>();
    for (VmcsField field : check.fields()) {
      for (int bit = 0; bit < field.width.bits; bit++) {
        single.add(new Flip(field, 1L << bit));
      }
      // The one value that a check compares with all at once.
      single.add(new Flip(field, (c.v[field.ordinal()] ^ c.current) & field.width.mask));
    }
    return search(check, c, single, 0, bits, new ArrayList<>());
  }

  private static @Nullable List<Flip> search(
      EntryCheck check, EntryContext c, List<Flip> single, int from, int depth, List<Flip> chosen) {
    if (depth == 0) {
      return check.predicate().passes(c) ? null : List.copyOf(chosen);
    }
    for (int k = from; k < single.size(); k++) {
      Flip flip = single.get(k);
      flip.apply(c.v);
      chosen.add(flip);
      List<Flip> found = search(check, c, single, k + 1, depth - 1, chosen);
      chosen.remove(chosen.size() - 1);
      flip.apply(c.v);
      if (found != null) {
        return found;
      }
    }
    return null;
  }

  /** A guest that enters and in which the check can fail. */
  private record Example(MinimalHypervisor hypervisor, List<Flip> flips) {}

  private static Example example(EntryCheck check) {
    for (int bits = 1; bits <= 3; bits++) {
      for (VmxCapabilities processor : processors()) {
        for (Kind kind : Kind.values()) {
          MinimalHypervisor h = kind.make(processor);
          List<Flip> flips = breaking(check, context(h), bits);
          if (flips != null) {
            return new Example(h, flips);
          }
        }
      }
    }
    throw new AssertionError("no state makes " + check.id() + " fail");
  }

  /** Guests to begin with, which enter. */
  private enum Kind {
    LONG,
    WITH_VIRTUAL_NMIS,
    PAE,
    PAE_WITHOUT_EPT,
    PROTECTED,
    PROTECTED_BY_32_BIT_HOST,
    REAL,
    UNPAGED,
    V86;

    MinimalHypervisor make(VmxCapabilities processor) {
      MinimalHypervisor h = new MinimalHypervisor(processor);
      switch (this) {
        case WITH_VIRTUAL_NMIS ->
            h.guest(MinimalHypervisor.Mode.LONG)
                .pin(Controls.PIN_BASED_NMI_EXITING | Controls.PIN_BASED_VIRTUAL_NMIS);
        case PAE_WITHOUT_EPT -> {
          h.guest(MinimalHypervisor.Mode.PAE);
          h.clear(VmcsField.SECONDARY_VM_EXEC_CONTROL, Controls.SECONDARY_EXEC_ENABLE_EPT);
          // Ones beside the table, so that a table that is moved is no table.
          h.memory.fill(MinimalHypervisor.PAE_TABLE + 0x20, 0x800, (byte) 0xff);
        }
        case PROTECTED_BY_32_BIT_HOST -> {
          h.guest(MinimalHypervisor.Mode.PROTECTED);
          EntryCheckCases.host32(h);
        }
        default -> h.guest(MinimalHypervisor.Mode.valueOf(name()));
      }
      return h;
    }
  }

  @ParameterizedTest
  @MethodSource("checks")
  void passes_before_and_fails_after_a_change_of_what_it_reads(EntryCheck check) {
    Example example = example(check);
    MinimalHypervisor h = example.hypervisor();
    EntryContext c = context(h);
    assertEquals(List.of(), EntryChecks.failures(c), "the state before enters");
    long[] before = h.vmcs().v.clone();

    apply(example.flips(), h.vmcs().v);
    assertTrue(!check.predicate().passes(c), check.id());
    EntryCheck first = EntryChecks.failures(c).get(0);
    assertTrue(first.order() <= check.order(), "the first that fails decides");
    int result = h.enter();
    VmEntryFailure failure = h.vmx.lastFailure();
    assertNotNull(failure, check.id());
    assertEquals(first, failure.check());
    assertTrue(first == check || failure.others().contains(check), "all that fail are told");
    switch (first.group()) {
      case CONTROL -> assertEquals(VmEntry.INVALID_CONTROL, result);
      case HOST_STATE -> assertEquals(VmEntry.INVALID_HOST_STATE, result);
      case GUEST_STATE -> {
        assertEquals(0, result);
        assertEquals(
            ExitReason.INVALID_GUEST_STATE.number | 1L << 31, h.vmcs().read(Vmcs.VM_EXIT_REASON));
        assertEquals(first.qualification(), h.vmcs().read(Vmcs.EXIT_QUALIFICATION));
      }
    }
    assertNull(h.cpu.guest, check.id());

    // As it was, it passes again.
    apply(example.flips(), h.vmcs().v);
    for (VmcsField field : check.fields()) {
      assertEquals(before[field.ordinal()], h.vmcs().v[field.ordinal()], field.toString());
    }
    assertTrue(check.predicate().passes(c), check.id());
  }

  /** The change of a single bit of a control that must be 1, or may not be. */
  @ParameterizedTest
  @MethodSource("controls")
  void a_control_that_the_processor_does_not_have_is_refused(Control control) {
    VmxCapabilities all = EntryCheckCases.everything();
    MinimalHypervisor h = new MinimalHypervisor(all).guest(MinimalHypervisor.Mode.LONG);
    VmcsField field = control.word.field();
    EntryContext c = new EntryContext(h.cpu, all.without(control));
    c.v = h.vmcs().v;
    c.current = MinimalHypervisor.VMCS_REGION;
    c.hostLongMode = true;
    c.v[field.ordinal()] |= control.mask;
    if (control.word == ControlWord.SECONDARY || control.word == ControlWord.VM_FUNCTION) {
      c.v[Vmcs.CPU_BASED_VM_EXEC_CONTROL] |= Controls.CPU_BASED_ACTIVATE_SECONDARY_CONTROLS;
      c.v[Vmcs.CPU_BASED_VM_EXEC_CONTROL] &= 0xffffffffL;
    }
    switch (control.word) {
      case TERTIARY ->
          c.v[Vmcs.CPU_BASED_VM_EXEC_CONTROL] |= Controls.CPU_BASED_ACTIVATE_TERTIARY_CONTROLS;
      case SECONDARY_VM_EXIT ->
          c.v[Vmcs.VM_EXIT_CONTROLS] |= Control.ACTIVATE_SECONDARY_EXIT_CONTROLS.mask;
      case VM_FUNCTION ->
          c.v[Vmcs.SECONDARY_VM_EXEC_CONTROL] |= Controls.SECONDARY_EXEC_ENABLE_VMFUNC;
      default -> {}
    }
    List<String> failed = EntryChecks.failures(c).stream().map(EntryCheck::id).toList();
    assertTrue(
        failed.stream().anyMatch(id -> id.endsWith("_RESERVED") && id.startsWith("CONTROL_")),
        control + ": " + failed);
  }

  static List<Control> controls() {
    // Bits that older processors have fixed to 1 cannot be taken away.
    return Arrays.stream(Control.values()).filter(c -> (c.mask & c.word.default1) == 0).toList();
  }
}
