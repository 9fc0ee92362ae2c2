package org.kvm4j.vmx.entry;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.exit.ExitReason;
import org.kvm4j.vmx.instruction.InstructionError;
import org.kvm4j.vmx.vmcs.VmcsField;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/** Every entry check: a state that passes it, one step from it a state that fails it. */
class EntryCheckTests {
  static List<EntryCheckCases.Case> cases() {
    return EntryCheckCases.all();
  }

  static List<EntryCheck> checks() {
    return EntryChecks.all();
  }

  private static MinimalHypervisor prepared(EntryCheckCases.Case example) {
    MinimalHypervisor h = new MinimalHypervisor(EntryCheckCases.everything());
    h.guest(example.mode());
    example.prepare().accept(h);
    return h;
  }

  private static EntryContext context(MinimalHypervisor h) {
    EntryContext c = new EntryContext(h.cpu, h.capabilities);
    c.v = h.vmcs().v;
    c.current = MinimalHypervisor.VMCS_REGION;
    c.hostLongMode = h.cpu.longMode;
    return c;
  }

  @Test
  void every_check_has_a_case() {
    Set<String> ids =
        EntryChecks.all().stream()
            .map(EntryCheck::id)
            .collect(Collectors.toCollection(TreeSet::new));
    cases().forEach(c -> ids.remove(c.id()));
    // No profile of this model lacks accessed and dirty flags for EPT.
    // Of processors without accessed and dirty flags for EPT: GeneratedEntryCheckTests has it.
    ids.remove("CONTROL_EPTP_ACCESSED_DIRTY");
    assertEquals(Set.of(), ids);
    cases().forEach(c -> assertNotNull(EntryChecks.of(c.id()), c.id()));
  }

  @Test
  void accessed_and_dirty_flags_for_ept_need_a_processor_that_has_them() {
    VmxCapabilities without = VmxCapabilities.of(CpuProfiles.named("kvm4j-v1,-vmx-eptad"));
    MinimalHypervisor h = new MinimalHypervisor(without).guest(MinimalHypervisor.Mode.LONG);
    h.or(VmcsField.EPT_POINTER, 1 << 6);
    assertEquals(7, h.enter());
    assertEquals("CONTROL_EPTP_ACCESSED_DIRTY", h.failedCheck());
    h.clear(VmcsField.EPT_POINTER, 1 << 6);
    assertEquals(InstructionError.SUCCESS, h.enter());
  }

  @ParameterizedTest
  @MethodSource("cases")
  void the_state_before_enters(EntryCheckCases.Case example) {
    MinimalHypervisor h = prepared(example);
    assertEquals(InstructionError.SUCCESS, h.enter(), () -> "" + h.vmx.lastFailure());
    assertNull(h.vmx.lastFailure(), () -> "" + h.vmx.lastFailure());
    assertNotNull(h.cpu.guest);
  }

  @ParameterizedTest
  @MethodSource("cases")
  void the_state_after_fails_as_the_table_says(EntryCheckCases.Case example) {
    MinimalHypervisor h = prepared(example);
    example.breaks().accept(h);
    EntryCheck check = Objects.requireNonNull(EntryChecks.of(example.id()));
    assertTrue(
        EntryChecks.failures(context(h)).contains(check), "the predicate of " + example.id());
    boolean wasLong = h.cpu.longMode;
    int result = h.enter();
    VmEntryFailure failure = h.vmx.lastFailure();
    assertNotNull(failure);
    EntryCheck failed = failure.check();
    assertNotNull(failed);
    if (example.first()) {
      assertEquals(example.id(), failed.id());
    }
    switch (failed.group()) {
      case CONTROL -> {
        assertEquals(7, result);
        assertEquals(7, h.get(VmcsField.VM_INSTRUCTION_ERROR));
      }
      case HOST_STATE -> {
        assertEquals(8, result);
        assertEquals(8, h.get(VmcsField.VM_INSTRUCTION_ERROR));
      }
      case GUEST_STATE -> {
        assertEquals(InstructionError.SUCCESS, result);
        assertEquals(
            ExitReason.INVALID_GUEST_STATE.number | 1L << 31, h.get(VmcsField.VM_EXIT_REASON));
        assertEquals(failed.qualification(), h.qualification());
        assertEquals(MinimalHypervisor.HOST_CODE, h.cpu.rip);
        assertEquals(MinimalHypervisor.HOST_STACK, h.cpu.r[4]);
      }
    }
    assertNull(h.cpu.guest);
    assertEquals(wasLong, h.cpu.longMode);
    // A failed entry neither launches nor verifies anything.
    assertTrue(!h.vmcs().launched);
    assertEquals(failed.fields().size(), failure.fields().size());
    assertTrue(failure.toString().contains(failed.section()));
  }

  /** The incremental run finds what a full run does: the state that enters first, then breaks. */
  @ParameterizedTest
  @MethodSource("cases")
  void a_change_after_a_successful_entry_is_found(EntryCheckCases.Case example) {
    MinimalHypervisor h = prepared(example);
    h.code(0x0f, 0xa2);
    assertEquals(InstructionError.SUCCESS, h.enter());
    if (h.cpu.activity != 0 || h.engine.run(100) == null || h.cpu.guest != null) {
      return;
    }
    if (h.cpu.longMode != ((h.get(VmcsField.VM_EXIT_CONTROLS) >> 9 & 1) != 0)) {
      return;
    }
    example.breaks().accept(h);
    EntryCheck expected = EntryChecks.failures(context(h)).get(0);
    h.enter();
    VmEntryFailure failure = h.vmx.lastFailure();
    assertNotNull(failure);
    assertEquals(expected, failure.check());
  }

  /** With the nearest value in the field that it is of, the check passes, and nothing else has. */
  @ParameterizedTest
  @MethodSource("cases")
  void the_nearest_value_passes(EntryCheckCases.Case example) {
    EntryCheck check = Objects.requireNonNull(EntryChecks.of(example.id()));
    MinimalHypervisor h = prepared(example);
    example.breaks().accept(h);
    EntryContext c = context(h);
    long[] before = c.v.clone();
    EntryCheck.Value nearest = check.nearest(c);
    assertArrayEquals(before, c.v, "looking for it changes nothing");
    assertNotNull(nearest, check.id());
    assertTrue(check.fields().contains(nearest.field()), check.id());
    h.set(nearest.field(), nearest.value());
    assertTrue(check.predicate().passes(c), check.id() + ": " + nearest);
  }

  @ParameterizedTest
  @EnumSource(MinimalHypervisor.Mode.class)
  void a_guest_in_every_mode_passes_every_check(MinimalHypervisor.Mode mode) {
    MinimalHypervisor h = new MinimalHypervisor(EntryCheckCases.everything()).guest(mode);
    assertEquals(List.of(), EntryChecks.failures(context(h)));
  }

  @ParameterizedTest
  @MethodSource("checks")
  void a_check_is_documented(EntryCheck check) {
    assertTrue(check.id().matches("[A-Z][A-Z0-9_]+"), check.id());
    assertTrue(check.section().startsWith("27."), check.id());
    assertTrue(check.statement().endsWith("."), check.id());
    assertTrue(!check.fields().isEmpty(), check.id());
  }
}
