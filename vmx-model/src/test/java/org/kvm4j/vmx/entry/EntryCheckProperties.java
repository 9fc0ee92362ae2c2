package org.kvm4j.vmx.entry;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;

import java.util.EnumSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.exit.ExitReason;
import org.kvm4j.vmx.vmcs.VmcsField;

/** Properties of the check table that no single case shows. */
class EntryCheckProperties {
  private static final MinimalHypervisor.Mode[] MODES = MinimalHypervisor.Mode.values();
  private static final VmcsField[] FIELDS = VmcsField.values();

  private static EntryContext context(MinimalHypervisor h) {
    EntryContext c = new EntryContext(h.cpu, h.capabilities);
    c.v = h.vmcs().v;
    c.current = MinimalHypervisor.VMCS_REGION;
    c.hostLongMode = h.cpu.longMode;
    return c;
  }

  /** Values that are near to what passes, and others. */
  private static long value(Random random, long present) {
    return switch (random.nextInt(8)) {
      case 0 -> 0;
      case 1 -> -1;
      case 2 -> random.nextLong();
      case 3 -> random.nextInt(16);
      case 4 -> present ^ 1L << random.nextInt(64);
      case 5 -> present + 1;
      case 6 -> 1L << random.nextInt(64);
      default -> present ^ 1L << random.nextInt(32);
    };
  }

  /** A check reads no field that it does not name: changing any other leaves its answer. */
  @Property(tries = 60)
  void a_check_reads_only_the_fields_that_it_names(@ForAll long seed) {
    Random random = new Random(seed);
    MinimalHypervisor h =
        new MinimalHypervisor(EntryCheckCases.everything())
            .guest(MODES[random.nextInt(MODES.length)]);
    EntryContext c = context(h);
    for (int k = random.nextInt(8); k > 0; k--) {
      int f = random.nextInt(FIELDS.length);
      c.v[f] = value(random, c.v[f]) & FIELDS[f].width.mask;
    }
    for (EntryCheck check : EntryChecks.all()) {
      boolean before = check.predicate().passes(c);
      Set<VmcsField> others = EnumSet.allOf(VmcsField.class);
      check.fields().forEach(others::remove);
      long[] saved = c.v.clone();
      for (VmcsField other : others) {
        c.v[other.ordinal()] = value(random, c.v[other.ordinal()]) & other.width.mask;
      }
      assertEquals(before, check.predicate().passes(c), check.id());
      System.arraycopy(saved, 0, c.v, 0, saved.length);
    }
  }

  /** What an entry runs, after any writes since the last, finds the same as all checks in order. */
  @Property(tries = 150)
  void an_entry_finds_what_a_full_run_finds(@ForAll long seed) {
    Random random = new Random(seed);
    MinimalHypervisor h =
        new MinimalHypervisor(EntryCheckCases.everything())
            .guest(MODES[random.nextInt(MODES.length)])
            .code(0x0f, 0xa2);
    h.vmx.hostedByJava = random.nextBoolean();
    // What the model has no semantics for may not run.
    assertEquals(ExitReason.CPUID, h.run());
    for (int round = 0; round < 20; round++) {
      VmcsField[] changed = new VmcsField[1 + random.nextInt(3)];
      long[] before = new long[changed.length];
      for (int k = 0; k < changed.length; k++) {
        changed[k] = FIELDS[random.nextInt(FIELDS.length)];
        if (!changed[k].exists(h.capabilities) || h.vmx.vmread(changed[k].encoding) != 0) {
          changed[k] = VmcsField.GUEST_RIP;
        }
        before[k] = h.get(changed[k]);
        h.set(changed[k], value(random, before[k]));
      }
      h.vmcs().complete();
      EntryContext c = context(h);
      if (h.vmx.hostedByJava) {
        c.hostLongMode = true;
      }
      List<EntryCheck> failures = EntryChecks.failures(c);
      if (!failures.isEmpty()) {
        h.enter();
        VmEntryFailure failure = h.vmx.lastFailure();
        assertNotNull(failure, () -> failures.get(0).id());
        assertSame(failures.get(0), failure.check());
        for (int k = changed.length - 1; k >= 0; k--) {
          h.set(changed[k], before[k]);
        }
      } else {
        for (int k = changed.length - 1; k >= 0; k--) {
          h.set(changed[k], before[k]);
        }
        assertEquals(ExitReason.CPUID, h.run());
        assertNull(h.vmx.lastFailure());
      }
    }
  }

  /**
   * What a VM exit saves passes the checks, so that it need not be checked again. But for a single
   * step whose #DB, or its delivery, exits behind HLT or STI: there is the HLT state or the shadow
   * still, and nothing is pending any more, which the next entry finds.
   */
  @Property(tries = 100)
  void saved_guest_state_passes_every_check(@ForAll long seed) {
    Random random = new Random(seed);
    MinimalHypervisor h = new MinimalHypervisor().guest(MODES[random.nextInt(MODES.length)]);
    byte[] code = new byte[256];
    random.nextBytes(code);
    h.memory.write(MinimalHypervisor.CODE, code);
    for (int r = 0; r < 16; r++) {
      h.cpu.r[r] = random.nextBoolean() ? random.nextLong() : random.nextInt(0x400000);
    }
    h.primary(random.nextBoolean() ? 1 << 24 : 1 << 7);
    h.set(VmcsField.EXCEPTION_BITMAP, random.nextBoolean() ? -1 : random.nextInt());
    for (int round = 0; round < 20; round++) {
      if (h.enter() != 0 || h.cpu.guest == null) {
        return;
      }
      h.engine.run(200);
      if (h.cpu.guest != null) {
        return;
      }
      EntryContext c = context(h);
      List<EntryCheck> failures = EntryChecks.failures(c);
      if (!failures.isEmpty()) {
        assertEquals(
            List.of("GUEST_PENDING_DEBUG_BS"), failures.stream().map(EntryCheck::id).toList());
        assertNotEquals(0, h.get(VmcsField.GUEST_RFLAGS) & 0x100);
        h.enter();
        VmEntryFailure failure = h.vmx.lastFailure();
        assertNotNull(failure);
        assertSame(failures.get(0), failure.check());
      }
      // Go on somewhere else.
      h.set(
          VmcsField.GUEST_RIP,
          (h.get(VmcsField.GUEST_RIP) & ~0xffL) + random.nextInt(240) & 0xffffffffL);
      h.set(VmcsField.GUEST_ACTIVITY_STATE, 0);
    }
  }
}
