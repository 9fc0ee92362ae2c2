package org.kvm4j.vmx.explain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.BitSet;
import java.util.EnumSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.function.Predicate;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.entry.EntryCheck;
import org.kvm4j.vmx.entry.EntryChecks;
import org.kvm4j.vmx.entry.EntryContext;
import org.kvm4j.vmx.explain.EntryExplanation.Finding;
import org.kvm4j.vmx.explain.EntryExplanation.Verdict;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.VmcsField;

/** What checks say of a VMCS that is known in part. */
class EntryExplanationTests {
  private static final VmcsField[] FIELDS = VmcsField.values();

  private static EntryExplanation ofDump(MinimalHypervisor h) {
    VmcsDump dump = VmcsDump.parse(VmcsDump.write(h.vmcs(), "", 0, 0)).get(0);
    return EntryExplanation.of(dump.v, dump::isKnown, h.model, h.capabilities);
  }

  private static Finding finding(EntryExplanation explanation, String id) {
    return explanation.findings().stream()
        .filter(f -> f.check().id().equals(id))
        .findFirst()
        .orElseThrow();
  }

  private static List<String> ids(EntryExplanation explanation, Verdict verdict) {
    return explanation.of(verdict).stream().map(f -> f.check().id()).toList();
  }

  @Test
  void a_dump_of_a_guest_that_enters_fails_no_check() {
    for (MinimalHypervisor.Mode mode : MinimalHypervisor.Mode.values()) {
      EntryExplanation explanation = ofDump(new MinimalHypervisor().guest(mode));
      assertEquals(List.of(), ids(explanation, Verdict.FAILS), mode.toString());
      assertTrue(explanation.of(Verdict.PASSES).size() > 170, mode.toString());
    }
  }

  @Test
  void what_the_dump_lacks_is_named_where_it_matters() {
    MinimalHypervisor h = new MinimalHypervisor().guest(MinimalHypervisor.Mode.LONG);
    EntryExplanation explanation = ofDump(h);
    assertEquals(
        List.of("whether the processor was in IA-32e mode"),
        finding(explanation, "HOST_OUTSIDE_IA32E").lacks());
    // kvm4j's dumps have the link pointer, which is all ones here.
    assertEquals(Verdict.PASSES, finding(explanation, "GUEST_LINK_POINTER_REVISION").verdict());
    h.set(VmcsField.VMCS_LINK_POINTER, 0x7000);
    EntryExplanation linked = ofDump(h);
    assertEquals(List.of("memory"), finding(linked, "GUEST_LINK_POINTER_REVISION").lacks());
    assertEquals(
        List.of("the VMCS's own address"), finding(linked, "GUEST_LINK_POINTER_CURRENT").lacks());
    // The bitmap's address is not in the dump, and does not matter while there is no bitmap.
    assertEquals(Verdict.PASSES, finding(explanation, "CONTROL_MSR_BITMAP").verdict());
    h.primary(Controls.CPU_BASED_USE_MSR_BITMAPS);
    Finding bitmap = finding(ofDump(h), "CONTROL_MSR_BITMAP");
    assertEquals(Verdict.NOT_CHECKABLE, bitmap.verdict());
    assertEquals(List.of("MSR_BITMAP"), bitmap.lacks());
  }

  /** PAE paging without EPT: CR0 and CR4 with bits set, two controls with bits clear. */
  @Test
  void a_check_that_applies_for_some_unknown_fields_alone_is_not_taken_to_pass() {
    MinimalHypervisor h = new MinimalHypervisor().guest(MinimalHypervisor.Mode.LONG);
    Set<VmcsField> unknown =
        EnumSet.of(
            VmcsField.GUEST_CR0,
            VmcsField.GUEST_CR4,
            VmcsField.VM_ENTRY_CONTROLS,
            VmcsField.SECONDARY_VM_EXEC_CONTROL);
    Finding finding =
        finding(
            EntryExplanation.of(h.vmcs().v, f -> !unknown.contains(f), h.model, h.capabilities),
            "GUEST_PDPTES_MEMORY");
    assertEquals(Verdict.NOT_CHECKABLE, finding.verdict());
    assertTrue(finding.lacks().contains("memory"), finding.lacks().toString());
  }

  @Test
  void all_checks_that_fail_are_found_with_values_and_the_nearest_that_passes() {
    MinimalHypervisor h = new MinimalHypervisor().guest(MinimalHypervisor.Mode.LONG);
    h.set(VmcsField.GUEST_RFLAGS, 0);
    h.set(VmcsField.HOST_CS_SELECTOR, 9);
    h.set(VmcsField.VIRTUAL_PROCESSOR_ID, 0);
    EntryExplanation explanation = ofDump(h);
    assertEquals(
        List.of("CONTROL_VPID", "HOST_CS_SELECTOR_RPL_TI", "GUEST_RFLAGS_RESERVED"),
        ids(explanation, Verdict.FAILS));
    Finding rflags = finding(explanation, "GUEST_RFLAGS_RESERVED");
    assertEquals("[GUEST_RFLAGS=0x0]", rflags.values().toString());
    assertEquals(new EntryCheck.Value(VmcsField.GUEST_RFLAGS, 2), rflags.nearest());
    assertEquals(
        new EntryCheck.Value(VmcsField.HOST_CS_SELECTOR, 8),
        finding(explanation, "HOST_CS_SELECTOR_RPL_TI").nearest());
  }

  /** What a check came to is taken again only where it reads the same. */
  @Property(tries = 30)
  void what_was_explained_before_changes_nothing(@ForAll long seed) {
    Random random = new Random(seed);
    MinimalHypervisor h = new MinimalHypervisor().guest(MinimalHypervisor.Mode.LONG);
    EntryExplanation.Explainer explainer = new EntryExplanation.Explainer(h.model, h.capabilities);
    long[] v = h.vmcs().v.clone();
    BitSet unknown = new BitSet();
    for (int round = 0; round < 6; round++) {
      for (int k = random.nextInt(3); k > 0; k--) {
        int f = random.nextInt(FIELDS.length);
        v[f] = (v[f] ^ 1L << random.nextInt(64)) & FIELDS[f].width.mask;
        unknown.flip(random.nextInt(FIELDS.length));
      }
      Predicate<VmcsField> known = f -> !unknown.get(f.ordinal());
      assertEquals(
          EntryExplanation.of(v, known, h.model, h.capabilities).findings(),
          explainer.explain(v, known).findings());
    }
  }

  @Test
  void of_what_is_the_same_nothing_is_looked_at_again() {
    MinimalHypervisor h = new MinimalHypervisor().guest(MinimalHypervisor.Mode.LONG);
    EntryExplanation.Explainer explainer = new EntryExplanation.Explainer(h.model, h.capabilities);
    long[] v = h.vmcs().v.clone();
    EntryExplanation first = explainer.explain(v, f -> true);
    assertSame(first, explainer.explain(v.clone(), f -> true));
    v[VmcsField.GUEST_RIP.ordinal()]++;
    EntryExplanation second = explainer.explain(v, f -> true);
    for (int k = 0; k < first.findings().size(); k++) {
      Finding before = first.findings().get(k);
      Finding after = second.findings().get(k);
      boolean again = before.check().fields().contains(VmcsField.GUEST_RIP);
      assertEquals(again, before.values() != after.values(), before.check().id());
    }
  }

  /** Of all other checks it is enough to try the fields. */
  @Property(tries = 50)
  void few_checks_read_more_than_fields(@ForAll long seed) {
    Random random = new Random(seed);
    MinimalHypervisor.Mode[] modes = MinimalHypervisor.Mode.values();
    MinimalHypervisor h = new MinimalHypervisor().guest(modes[random.nextInt(modes.length)]);
    EntryContext c = new EntryContext(h.model, null, h.capabilities);
    c.v = h.vmcs().v.clone();
    for (int k = random.nextInt(6); k > 0; k--) {
      int f = random.nextInt(FIELDS.length);
      c.v[f] = random.nextLong() & FIELDS[f].width.mask;
    }
    for (EntryCheck check : EntryChecks.all()) {
      if (EntryExplanation.readsOutside(check)) {
        continue;
      }
      c.current = -2;
      c.hostLongMode = false;
      boolean passes = check.predicate().passes(c);
      c.hostLongMode = true;
      assertEquals(passes, check.predicate().passes(c), check.id());
      for (VmcsField field : check.fields()) {
        c.current = c.v[field.ordinal()];
        assertEquals(passes, check.predicate().passes(c), check.id());
      }
      assertFalse(c.takeMissedMemory(), check.id());
    }
  }

  /** A verdict about a VMCS known in part holds whatever the rest of it is. */
  @Property(tries = 50)
  void a_verdict_holds_whatever_unknown_fields_are(@ForAll long seed) {
    Random random = new Random(seed);
    MinimalHypervisor.Mode[] modes = MinimalHypervisor.Mode.values();
    MinimalHypervisor h = new MinimalHypervisor().guest(modes[random.nextInt(modes.length)]);
    long[] v = h.vmcs().v.clone();
    for (int k = random.nextInt(6); k > 0; k--) {
      int f = random.nextInt(FIELDS.length);
      v[f] = random.nextBoolean() ? v[f] ^ 1L << random.nextInt(64) : random.nextLong();
      v[f] &= FIELDS[f].width.mask;
    }
    BitSet unknown = new BitSet();
    for (int k = random.nextInt(30); k > 0; k--) {
      unknown.set(random.nextInt(FIELDS.length));
    }
    long[] blank = v.clone();
    unknown.stream().forEach(f -> blank[f] = 0);
    EntryExplanation explanation =
        EntryExplanation.of(blank, f -> !unknown.get(f.ordinal()), h.model, h.capabilities);
    EntryContext c = new EntryContext(h.cpu, h.capabilities);
    c.v = v;
    for (int round = 0; round < 8; round++) {
      c.hostLongMode = random.nextBoolean();
      c.current = (long) random.nextInt(16) << 12;
      for (Finding finding : explanation.findings()) {
        if (finding.verdict() != Verdict.NOT_CHECKABLE) {
          assertEquals(
              finding.verdict() == Verdict.PASSES,
              finding.check().predicate().passes(c),
              finding.check().id());
        }
        if (finding.nearest() != null) {
          assertTrue(!unknown.get(finding.nearest().field().ordinal()), finding.check().id());
        }
        assertEquals(
            finding.verdict() == Verdict.NOT_CHECKABLE,
            !finding.lacks().isEmpty(),
            finding.check().id());
      }
      unknown.stream()
          .forEach(
              f ->
                  v[f] =
                      (random.nextBoolean() ? random.nextLong() : 1L << random.nextInt(64))
                          & FIELDS[f].width.mask);
    }
    assertNotNull(explanation);
  }
}
