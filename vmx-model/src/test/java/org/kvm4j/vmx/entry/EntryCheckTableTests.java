package org.kvm4j.vmx.entry;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.kvm4j.vmx.MinimalHypervisor;

/**
 * The predicates of the checks by themselves, on the states of all cases, which are made once: so
 * quick that mutation testing can run it for each mutant.
 */
class EntryCheckTableTests {

  /** A case with its states before and after. */
  private record State(EntryCheckCases.Case example, EntryContext before, EntryContext after) {
    EntryCheck check() {
      return Objects.requireNonNull(EntryChecks.of(example.id()));
    }
  }

  /** What is the same for all that is checked: kept, as a processor takes long to make. */
  private static final List<State> STATES = new ArrayList<>();

  static {
    for (EntryCheckCases.Case example : EntryCheckCases.all()) {
      MinimalHypervisor h = new MinimalHypervisor(EntryCheckCases.everything());
      h.guest(example.mode());
      example.prepare().accept(h);
      EntryContext before = context(h);
      example.breaks().accept(h);
      EntryContext after = context(h);
      // What breaks it in memory has broken the state before, too: EntryCheckTests has those.
      if (!Arrays.equals(before.v, after.v)) {
        STATES.add(new State(example, before, after));
      }
    }
  }

  private static EntryContext context(MinimalHypervisor h) {
    EntryContext c = new EntryContext(h.cpu, h.capabilities);
    c.v = h.vmcs().v.clone();
    c.current = MinimalHypervisor.VMCS_REGION;
    c.hostLongMode = h.cpu.longMode;
    return c;
  }

  @Test
  void every_state_before_passes_every_check() {
    for (State state : STATES) {
      assertEquals(List.of(), EntryChecks.failures(state.before()), state.example().id());
    }
  }

  @Test
  void every_state_after_fails_its_check_first() {
    for (State state : STATES) {
      assertFalse(state.check().predicate().passes(state.after()), state.example().id());
      if (state.example().first()) {
        assertEquals(state.check(), EntryChecks.failures(state.after()).get(0));
      }
    }
  }

  @Test
  void the_nearest_value_passes_and_harms_no_other_check_where_that_can_be() {
    for (State state : STATES) {
      EntryContext c = state.after();
      EntryCheck.Value nearest = state.check().nearest(c);
      assertNotNull(nearest, state.example().id());
      int field = nearest.field().ordinal();
      long present = c.v[field];
      List<EntryCheck> before = EntryChecks.failures(c);
      c.v[field] = nearest.value();
      List<EntryCheck> after = EntryChecks.failures(c);
      c.v[field] = present;
      assertFalse(after.contains(state.check()), state.example().id() + ": " + nearest);
      assertTrue(after.size() <= before.size(), state.example().id() + ": " + after);
    }
  }

  @Test
  void a_failure_says_what_failed_and_what_else() {
    for (State state : STATES) {
      VmEntryFailure failure = VmEntryFailure.of(state.check(), state.after());
      assertEquals(state.check(), failure.check());
      assertEquals(state.check().fields().size(), failure.fields().size());
      assertEquals(state.check().nearest(state.after()), failure.nearest());
      assertFalse(failure.others().contains(state.check()));
      String text = failure.toString();
      assertTrue(text.startsWith(state.check().id() + ": " + state.check().statement()), text);
      assertTrue(text.contains(failure.fields().get(0).toString()), text);
      assertTrue(text.contains("nearest that passes: " + failure.nearest()), text);
      for (EntryCheck other : failure.others()) {
        assertTrue(text.contains(other.id()), text);
        assertTrue(other.order() > state.check().order());
      }
    }
    assertEquals(
        "VM-entry MSR-load entry 3: MSR 0xc0000080 cannot be loaded with 0x1 (SDM 27.4 \"Loading"
            + " MSRs\")",
        VmEntryFailure.ofMsr(3, 0xc0000080, 1).toString());
  }
}
