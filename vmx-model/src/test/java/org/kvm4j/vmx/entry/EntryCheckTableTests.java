package org.kvm4j.vmx.entry;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.vmcs.Vmcs;

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

  @Test
  void a_failure_searches_when_it_is_asked_and_of_what_failed() {
    State state = STATES.get(0);
    EntryCheck of = state.check();
    EntryContext c = state.after().copy();
    int[] tried = {0};
    EntryCheck counted =
        new EntryCheck(
            of.id(),
            of.order(),
            of.group(),
            of.section(),
            of.title(),
            of.statement(),
            of.fields(),
            of.always(),
            of.qualification(),
            x -> {
              tried[0]++;
              return of.predicate().passes(x);
            },
            of.remedy());
    EntryCheck.Value nearest = of.nearest(c);
    List<EntryCheck.Value> fields = of.values(c);
    VmEntryFailure failure = VmEntryFailure.of(counted, c);
    assertEquals(0, tried[0]);
    System.arraycopy(state.before().v, 0, c.v, 0, c.v.length);
    assertEquals(fields, failure.fields());
    assertEquals(nearest, failure.nearest());
    int once = tried[0];
    assertTrue(once > 0);
    assertEquals(nearest, failure.nearest());
    assertEquals(once, tried[0]);
  }

  /** Values that are the nearest by their sense, whatever the present one is. */
  private static final Set<String> CONSTANTS =
      Set.of(
          "CONTROL_CR3_TARGET_COUNT",
          "CONTROL_VPID",
          "CONTROL_TSC_MULTIPLIER",
          "CONTROL_TPR_THRESHOLD_VTPR",
          "CONTROL_PID_POINTER_TABLE_END");

  private static boolean isConstant(EntryCheck check) {
    return CONSTANTS.contains(check.id())
        || check
            .id()
            .matches(".*_(V86|PAT_TYPES|CANONICAL)|GUEST_ACTIVITY_.*|GUEST_LINK_POINTER_.*");
  }

  /**
   * What a check proposes for its first field passes wherever that field can be mended by two bits,
   * and changes no bit without need.
   */
  @Test
  void what_a_check_proposes_passes_and_changes_no_more_than_it_must() {
    Set<String> proposed = new TreeSet<>();
    Set<String> all = new TreeSet<>();
    for (State state : STATES) {
      EntryCheck check = state.check();
      EntryCheck.Remedy remedy = check.remedy();
      if (remedy == null) {
        continue;
      }
      all.add(check.id());
      EntryContext c = state.after();
      int field = check.fields().get(0).ordinal();
      long mask = check.fields().get(0).width.mask;
      long present = c.v[field];
      long value = remedy.nearest(c) & mask;
      if (!passesWith(check, c, field, value)) {
        continue;
      }
      proposed.add(check.id());
      if (isConstant(check)) {
        continue;
      }
      for (long bits = value ^ present; bits != 0; bits &= bits - 1) {
        long bit = Long.lowestOneBit(bits);
        assertFalse(
            passesWith(check, c, field, value ^ bit),
            check.id() + ": 0x" + Long.toHexString(value) + " changes 0x" + Long.toHexString(bit));
      }
    }
    assertEquals(all, proposed, "each proposal passes where its field is at fault");
  }

  private static boolean passesWith(EntryCheck check, EntryContext c, int field, long value) {
    long present = c.v[field];
    c.v[field] = value;
    boolean passes = check.predicate().passes(c);
    c.v[field] = present;
    return passes;
  }

  @Test
  void the_nearest_value_of_checks_that_propose_none_is_found() {
    MinimalHypervisor h = new MinimalHypervisor(EntryCheckCases.everything());
    h.guest(MinimalHypervisor.Mode.LONG);
    EntryContext c = context(h);
    c.v[Vmcs.EPT_POINTER] = MinimalHypervisor.EPT | 0x1d;
    assertEquals(
        "EPT_POINTER=0x1001e",
        nearest("CONTROL_EPTP_MEMORY_TYPE", c),
        "two bits of the first field");
    c.v[Vmcs.EPT_POINTER] = MinimalHypervisor.EPT | 0x16;
    assertEquals("EPT_POINTER=0x1001e", nearest("CONTROL_EPTP_WALK_LENGTH", c), "one bit");
    c.v[Vmcs.EPT_POINTER] = MinimalHypervisor.EPT | 0x1e;
    c.v[Vmcs.HOST_TR_SELECTOR] = 0;
    assertEquals(
        "HOST_TR_SELECTOR=0x8", nearest("HOST_TR_SELECTOR_NULL", c), "1 would be an RPL of 1");
    c.v[Vmcs.GUEST_CS_AR_BYTES] = 0xa091;
    assertEquals("GUEST_CS_AR_BYTES=0xa099", nearest("GUEST_CS_AR_TYPE", c));
  }

  @Test
  void the_nearest_value_mends_most_and_makes_no_other_guest_of_it() {
    MinimalHypervisor h = new MinimalHypervisor(EntryCheckCases.everything());
    h.guest(MinimalHypervisor.Mode.LONG);
    EntryContext c = context(h);
    long[] good = c.v.clone();
    c.v[Vmcs.GUEST_CS_LIMIT] = 0x12345678;
    assertEquals("GUEST_CS_LIMIT=0x12345fff", nearest("GUEST_CS_AR_G", c), "not RFLAGS.VM");
    c.v = good.clone();
    c.v[Vmcs.GUEST_RFLAGS] |= 1 << 17;
    for (EntryCheck check : EntryChecks.failures(c)) {
      assertEquals(
          "GUEST_RFLAGS=0x" + Long.toHexString(good[Vmcs.GUEST_RFLAGS]),
          nearest(check.id(), c),
          "mends all: " + check.id());
    }
    c.v = good.clone();
    c.v[Vmcs.GUEST_IA32_EFER] = 0x100;
    assertEquals("GUEST_IA32_EFER=0x500", nearest("GUEST_IA32_EFER_LME", c), "and its LMA");
    c.v = good.clone();
    c.v[Vmcs.EPT_POINTER] = MinimalHypervisor.EPT | 0xb5e;
    assertEquals("EPT_POINTER=0x1005e", nearest("CONTROL_EPTP_RESERVED", c), "EPT stays on");
  }

  private static String nearest(String id, EntryContext c) {
    return String.valueOf(Objects.requireNonNull(EntryChecks.of(id)).nearest(c));
  }
}
