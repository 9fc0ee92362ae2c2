package org.kvm4j.vmx.entry;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.MinimalHypervisor.Mode;
import org.kvm4j.vmx.exit.InterruptionInfo;
import org.kvm4j.vmx.vmcs.Control;
import org.kvm4j.vmx.vmcs.ControlWord;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.Vmcs;
import org.kvm4j.vmx.vmcs.VmcsField;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/** Where the rules of VM entry have their limits, and where they do not count at all. */
class EntryRuleTests {
  private static final VmxCapabilities ALL = EntryCheckCases.everything();
  private static final Map<Mode, MinimalHypervisor> GUESTS = new EnumMap<>(Mode.class);

  static {
    for (Mode mode : Mode.values()) {
      GUESTS.put(mode, new MinimalHypervisor(ALL).guest(mode));
    }
  }

  private static EntryContext guest(Mode mode) {
    return guest(mode, ALL);
  }

  private static EntryContext guest(Mode mode, VmxCapabilities capabilities) {
    MinimalHypervisor h = Objects.requireNonNull(GUESTS.get(mode));
    EntryContext c = new EntryContext(h.cpu, capabilities);
    c.v = h.vmcs().v.clone();
    c.current = MinimalHypervisor.VMCS_REGION;
    c.hostLongMode = true;
    return c;
  }

  private static boolean passes(EntryContext c, String id) {
    return Objects.requireNonNull(EntryChecks.of(id), id).predicate().passes(c);
  }

  private static List<String> failures(EntryContext c) {
    return EntryChecks.failures(c).stream().map(EntryCheck::id).toList();
  }

  private static void secondary(EntryContext c, int control) {
    c.v[Vmcs.SECONDARY_VM_EXEC_CONTROL] |= control & 0xffffffffL;
  }

  @Test
  void fields_whose_control_is_0_are_not_looked_at() {
    EntryContext c = guest(Mode.LONG);
    c.v[Vmcs.SECONDARY_VM_EXEC_CONTROL] = 0;
    c.v[Vmcs.VM_EXIT_CONTROLS] =
        ALL.required1(ControlWord.VM_EXIT) | Controls.VM_EXIT_HOST_ADDR_SPACE_SIZE;
    c.v[Vmcs.VM_ENTRY_CONTROLS] =
        ALL.required1(ControlWord.VM_ENTRY) | Controls.VM_ENTRY_IA32E_MODE;
    for (VmcsField field :
        new VmcsField[] {
          VmcsField.IO_BITMAP_A,
          VmcsField.IO_BITMAP_B,
          VmcsField.MSR_BITMAP,
          VmcsField.VM_EXIT_MSR_STORE_ADDR,
          VmcsField.VM_EXIT_MSR_LOAD_ADDR,
          VmcsField.VM_ENTRY_MSR_LOAD_ADDR,
          VmcsField.PML_ADDRESS,
          VmcsField.VIRTUAL_APIC_PAGE_ADDR,
          VmcsField.APIC_ACCESS_ADDR,
          VmcsField.POSTED_INTR_DESC_ADDR,
          VmcsField.POSTED_INTR_NV,
          VmcsField.VM_FUNCTION_CONTROL,
          VmcsField.EPT_POINTER,
          VmcsField.EPTP_LIST_ADDRESS,
          VmcsField.VMREAD_BITMAP,
          VmcsField.VMWRITE_BITMAP,
          VmcsField.VE_INFORMATION_ADDRESS,
          VmcsField.SPP_TABLE_POINTER,
          VmcsField.TERTIARY_VM_EXEC_CONTROL,
          VmcsField.SECONDARY_VM_EXIT_CONTROLS,
          VmcsField.HLATP,
          VmcsField.HLAT_PREFIX_SIZE,
          VmcsField.PID_POINTER_TABLE,
          VmcsField.LAST_PID_POINTER_INDEX,
          VmcsField.TPR_THRESHOLD,
          VmcsField.VM_ENTRY_EXCEPTION_ERROR_CODE,
          VmcsField.VM_ENTRY_INSTRUCTION_LEN,
          VmcsField.GUEST_IA32_DEBUGCTL,
          VmcsField.GUEST_DR7,
          VmcsField.GUEST_IA32_PAT,
          VmcsField.GUEST_IA32_EFER,
          VmcsField.GUEST_IA32_PERF_GLOBAL_CTRL,
          VmcsField.GUEST_IA32_PKRS,
          VmcsField.HOST_IA32_PAT,
          VmcsField.HOST_IA32_EFER,
          VmcsField.HOST_IA32_PERF_GLOBAL_CTRL,
          VmcsField.HOST_IA32_PKRS,
          VmcsField.GUEST_PDPTR0,
          VmcsField.GUEST_PDPTR3
        }) {
      c.v[field.ordinal()] = field.width.mask;
    }
    c.v[Vmcs.VIRTUAL_PROCESSOR_ID] = 0;
    c.v[Vmcs.TSC_MULTIPLIER] = 0;
    // A type that is reserved, of an event that is not injected.
    c.v[Vmcs.VM_ENTRY_INTR_INFO_FIELD] = 0x7fffffffL;
    assertEquals(List.of(), failures(c));
  }

  @Test
  void segments_that_are_unusable_may_be_anything() {
    for (int s : new int[] {Cpu.SS, Cpu.DS, Cpu.ES, Cpu.FS, Cpu.GS, Cpu.LDTR}) {
      EntryContext c = guest(Mode.LONG);
      // SS keeps DPL 0: that is CPL.
      c.v[Vmcs.GUEST_ES_AR_BYTES + s] = s == Cpu.SS ? 0xfffffb0fL ^ 0xf : 0xffffffef;
      c.v[Vmcs.GUEST_ES_AR_BYTES + s] &= 0xffffffffL;
      c.v[Vmcs.GUEST_ES_AR_BYTES + s] |= 0x10000;
      c.v[Vmcs.GUEST_ES_AR_BYTES + s] &= s == Cpu.SS ? ~0x60L : -1L;
      c.v[Vmcs.GUEST_ES_LIMIT + s] = 0x100000;
      c.v[Vmcs.GUEST_ES_SELECTOR + s] = s == Cpu.SS ? 0 : 0xffff;
      if (s != Cpu.FS && s != Cpu.GS) {
        c.v[Vmcs.GUEST_ES_BASE + s] = 1L << 62;
      }
      assertEquals(List.of(), failures(c), "segment " + s);
      c.v[Vmcs.GUEST_ES_AR_BYTES + s] &= ~0x10000L;
      assertFalse(failures(c).isEmpty(), "the same, usable: segment " + s);
    }
  }

  @Test
  void an_MSR_area_may_end_with_physical_memory() {
    long end = 1L << ALL.physicalAddressBits;
    for (String id :
        List.of("CONTROL_EXIT_MSR_STORE", "CONTROL_EXIT_MSR_LOAD", "CONTROL_ENTRY_MSR_LOAD")) {
      EntryCheck check = Objects.requireNonNull(EntryChecks.of(id));
      EntryContext c = guest(Mode.LONG);
      c.v[check.fields().get(0).ordinal()] = end - 32;
      for (int count = 0; count <= 3; count++) {
        c.v[check.fields().get(1).ordinal()] = count;
        assertEquals(count <= 2, passes(c, id), id + " of " + count);
      }
    }
  }

  @Test
  void an_EPTP_is_what_the_processor_has() {
    for (long missing :
        new long[] {
          0,
          VmxCapabilities.EPT_UC,
          VmxCapabilities.EPT_WB,
          VmxCapabilities.EPT_PAGE_WALK_4,
          VmxCapabilities.EPT_PAGE_WALK_5,
          VmxCapabilities.EPT_ACCESSED_DIRTY
        }) {
      long all = ALL.eptVpid | VmxCapabilities.EPT_PAGE_WALK_5;
      VmxCapabilities some = ALL.withEptVpid(all & ~missing);
      EntryContext c = guest(Mode.LONG, some);
      for (int low = 0; low < 0x100; low++) {
        long eptp = MinimalHypervisor.EPT | low;
        c.v[Vmcs.EPT_POINTER] = eptp;
        boolean type =
            (low & 7) == 0 && missing != VmxCapabilities.EPT_UC
                || (low & 7) == 6 && missing != VmxCapabilities.EPT_WB;
        boolean length =
            (low >> 3 & 7) == 3 && missing != VmxCapabilities.EPT_PAGE_WALK_4
                || (low >> 3 & 7) == 4 && missing != VmxCapabilities.EPT_PAGE_WALK_5;
        boolean flags = (low & 0x40) == 0 || missing != VmxCapabilities.EPT_ACCESSED_DIRTY;
        boolean reserved = (low & 0x80) == 0;
        assertEquals(type, passes(c, "CONTROL_EPTP_MEMORY_TYPE"), "type " + low);
        assertEquals(length, passes(c, "CONTROL_EPTP_WALK_LENGTH"), "length " + low);
        assertEquals(flags, passes(c, "CONTROL_EPTP_ACCESSED_DIRTY"), "A/D " + low);
        assertEquals(reserved, passes(c, "CONTROL_EPTP_RESERVED"), "reserved " + low);
        assertEquals(
            type && length && flags && reserved, ControlChecks.isEptp(c, eptp), "EPTP " + low);
        EntryContext shadow =
            guest(Mode.LONG, some.withEptVpid(all | VmxCapabilities.EPT_SUPERVISOR_SHADOW_STACK));
        shadow.v = c.v;
        assertEquals(true, passes(shadow, "CONTROL_EPTP_RESERVED"), "reserved " + low);
      }
    }
  }

  private static long info(int type, int vector, boolean errorCode) {
    return InterruptionInfo.of(type, vector, errorCode) & 0xffffffffL;
  }

  @Test
  void injected_events_have_limits() {
    EntryContext c = guest(Mode.LONG);
    for (int vector = 0; vector < 256; vector++) {
      for (int type = 0; type < 8; type++) {
        c.v[Vmcs.VM_ENTRY_INTR_INFO_FIELD] = info(type, vector, false);
        boolean fits =
            switch (type) {
              case InterruptionInfo.NMI -> vector == 2;
              case InterruptionInfo.HARDWARE_EXCEPTION -> vector < 32;
              case InterruptionInfo.OTHER_EVENT -> vector == 0;
              default -> true;
            };
        assertEquals(fits, passes(c, "CONTROL_INJECTION_VECTOR"), type + " " + vector);
        assertEquals(type != 1, passes(c, "CONTROL_INJECTION_TYPE"), "type " + type);
      }
    }
    EntryContext without = guest(Mode.LONG, ALL.without(Control.MONITOR_TRAP_FLAG));
    without.v[Vmcs.VM_ENTRY_INTR_INFO_FIELD] = info(InterruptionInfo.OTHER_EVENT, 0, false);
    assertFalse(passes(without, "CONTROL_INJECTION_TYPE"));

    for (int type : new int[] {0, 2, 3, 4, 5, 6}) {
      c.v[Vmcs.VM_ENTRY_INTR_INFO_FIELD] = info(type, 2, false);
      for (long length : new long[] {0, 1, 15, 16, 0xffffffffL}) {
        c.v[Vmcs.VM_ENTRY_INSTRUCTION_LEN] = length;
        boolean software = type >= 4;
        EntryContext strict =
            guest(Mode.LONG, ALL.withMisc(ALL.misc & ~VmxCapabilities.MISC_INJECT_LENGTH_0));
        EntryContext lenient =
            guest(Mode.LONG, ALL.withMisc(ALL.misc | VmxCapabilities.MISC_INJECT_LENGTH_0));
        strict.v = c.v;
        lenient.v = c.v;
        String id = "CONTROL_INJECTION_LENGTH";
        assertEquals(!software || length >= 1 && length <= 15, passes(strict, id), "" + length);
        assertEquals(!software || length <= 15, passes(lenient, id), "" + length);
      }
    }
  }

  /** SDM 27.2.1.3: vectors 8, 10 to 14, 17 and, with CET, 21. */
  @Test
  void error_codes_come_with_the_exceptions_that_have_them() {
    VmxCapabilities any = ALL.withBasic(ALL.basic | VmxCapabilities.BASIC_ANY_ERROR_CODE);
    VmxCapabilities strict = ALL.withBasic(ALL.basic & ~VmxCapabilities.BASIC_ANY_ERROR_CODE);
    for (Mode mode : new Mode[] {Mode.LONG, Mode.REAL}) {
      for (int vector = 0; vector < 32; vector++) {
        for (boolean code : new boolean[] {false, true}) {
          EntryContext c = guest(mode, strict);
          c.v[Vmcs.VM_ENTRY_INTR_INFO_FIELD] =
              info(InterruptionInfo.HARDWARE_EXCEPTION, vector, code);
          boolean has =
              mode == Mode.LONG && List.of(8, 10, 11, 12, 13, 14, 17, 21).contains(vector);
          assertEquals(has == code, passes(c, "CONTROL_INJECTION_DELIVERS_CODE"), "" + vector);
          EntryContext old =
              guest(mode, strict.withCr4Fixed1(strict.cr4Fixed1 & ~(long) (1 << 23)));
          old.v = c.v;
          assertEquals(
              (has && vector != 21) == code, passes(old, "CONTROL_INJECTION_DELIVERS_CODE"));
          EntryContext lenient = guest(mode, any);
          lenient.v = c.v;
          assertEquals(
              mode == Mode.LONG || !code, passes(lenient, "CONTROL_INJECTION_DELIVERS_CODE"));
          c.v[Vmcs.VM_ENTRY_INTR_INFO_FIELD] = info(InterruptionInfo.NMI, 2, code);
          assertEquals(!code, passes(c, "CONTROL_INJECTION_DELIVERS_CODE"));
        }
      }
    }
  }

  @Test
  void events_are_injected_into_the_activity_states_that_take_them() {
    EntryContext c = guest(Mode.LONG);
    for (int type = 0; type < 8; type++) {
      for (int vector = 0; vector < 256; vector++) {
        c.v[Vmcs.VM_ENTRY_INTR_INFO_FIELD] = info(type, vector, false);
        boolean exception = type == InterruptionInfo.HARDWARE_EXCEPTION;
        boolean[] takes = {
          true,
          type == InterruptionInfo.EXTERNAL_INTERRUPT
              || type == InterruptionInfo.NMI
              || exception && (vector == 1 || vector == 18)
              || type == InterruptionInfo.OTHER_EVENT && vector == 0,
          type == InterruptionInfo.NMI || exception && vector == 18,
          false
        };
        for (int state = 0; state < 4; state++) {
          c.v[Vmcs.GUEST_ACTIVITY_STATE] = state;
          assertEquals(
              takes[state],
              passes(c, "GUEST_ACTIVITY_INJECTION"),
              "type " + type + ", vector " + vector + ", state " + state);
        }
      }
    }
    for (int state = 0; state < 8; state++) {
      c.v[Vmcs.GUEST_ACTIVITY_STATE] = state;
      assertEquals(state < 4, passes(c, "GUEST_ACTIVITY_SUPPORTED"), "state " + state);
      EntryContext without =
          guest(Mode.LONG, ALL.withMisc(ALL.misc & ~VmxCapabilities.MISC_ACTIVITY_SHUTDOWN));
      without.v = c.v;
      assertEquals(state < 4 && state != Cpu.SHUTDOWN, passes(without, "GUEST_ACTIVITY_SUPPORTED"));
    }
  }

  @Test
  void each_PDPTE_counts_if_it_is_present() {
    for (int k = 0; k < 4; k++) {
      EntryContext c = guest(Mode.PAE);
      c.v[Vmcs.GUEST_PDPTR0 + k] = 0x1e6;
      assertTrue(passes(c, "GUEST_PDPTES_FIELDS"), "not present");
      c.v[Vmcs.GUEST_PDPTR0 + k] = 0x19 | 0xe00;
      assertTrue(passes(c, "GUEST_PDPTES_FIELDS"), "PWT, PCD and ignored bits");
      for (long reserved : new long[] {2, 4, 0x20, 0x40, 0x80, 0x100, 1L << 52, 1L << 63}) {
        c.v[Vmcs.GUEST_PDPTR0 + k] = 1 | reserved;
        assertFalse(passes(c, "GUEST_PDPTES_FIELDS"), Long.toHexString(reserved));
      }
    }
    // In memory, without EPT: at bits 31:5 of CR3.
    MinimalHypervisor h = new MinimalHypervisor(ALL).guest(Mode.PAE);
    h.clear(VmcsField.SECONDARY_VM_EXEC_CONTROL, Controls.SECONDARY_EXEC_ENABLE_EPT);
    h.set(VmcsField.GUEST_CR3, 0x70020 | 0x18);
    EntryContext c = new EntryContext(h.cpu, ALL);
    c.v = h.vmcs().v;
    for (int k = -1; k < 5; k++) {
      h.memory.writeLong(0x70020 + 8 * k, 3);
      assertEquals(k < 0 || k > 3, passes(c, "GUEST_PDPTES_MEMORY"), "entry " + k);
      h.memory.writeLong(0x70020 + 8 * k, 0);
    }
  }

  @Test
  void the_current_VMCS_and_a_region_are_what_the_link_pointer_is_held_against() {
    EntryContext c = guest(Mode.LONG);
    MinimalHypervisor h = Objects.requireNonNull(GUESTS.get(Mode.LONG));
    c.v[Vmcs.VMCS_LINK_POINTER] = MinimalHypervisor.LINKED_VMCS;
    assertTrue(passes(c, "GUEST_LINK_POINTER_REVISION"));
    assertTrue(passes(c, "GUEST_LINK_POINTER_CURRENT"));
    secondary(c, Controls.SECONDARY_EXEC_SHADOW_VMCS);
    assertFalse(passes(c, "GUEST_LINK_POINTER_REVISION"), "no shadow VMCS");
    int revision = h.memory.readInt(MinimalHypervisor.LINKED_VMCS);
    h.memory.writeInt(MinimalHypervisor.LINKED_VMCS, revision | Vmcs.SHADOW_INDICATOR);
    assertTrue(passes(c, "GUEST_LINK_POINTER_REVISION"), "a shadow VMCS");
    h.memory.writeInt(MinimalHypervisor.LINKED_VMCS, revision);
    c.v[Vmcs.VMCS_LINK_POINTER] = MinimalHypervisor.VMCS_REGION;
    assertFalse(passes(c, "GUEST_LINK_POINTER_CURRENT"));
  }

  @Test
  void a_notification_vector_is_a_byte() {
    EntryContext c = guest(Mode.LONG);
    c.v[Vmcs.PIN_BASED_VM_EXEC_CONTROL] |=
        Controls.PIN_BASED_POSTED_INTR | Controls.PIN_BASED_EXT_INTR_MASK;
    secondary(c, Controls.SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY);
    c.v[Vmcs.VM_EXIT_CONTROLS] |= Controls.VM_EXIT_ACK_INTR_ON_EXIT;
    for (int vector : new int[] {0, 0x20, 0xff}) {
      c.v[Vmcs.POSTED_INTR_NV] = vector;
      assertTrue(passes(c, "CONTROL_POSTED_INTERRUPTS"), "vector " + vector);
    }
    c.v[Vmcs.POSTED_INTR_NV] = 0x100;
    assertFalse(passes(c, "CONTROL_POSTED_INTERRUPTS"));
    c.v[Vmcs.POSTED_INTR_NV] = 0;
    c.v[Vmcs.SECONDARY_VM_EXEC_CONTROL] &= ~(long) Controls.SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY;
    assertFalse(passes(c, "CONTROL_POSTED_INTERRUPTS"));
  }

  @Test
  void memory_that_is_not_there_is_told() {
    MinimalHypervisor h = Objects.requireNonNull(GUESTS.get(Mode.LONG));
    EntryContext c = new EntryContext(h.model, null, ALL);
    c.v = h.vmcs().v.clone();
    assertTrue(passes(c, "GUEST_LINK_POINTER_REVISION"));
    assertFalse(c.takeMissedMemory(), "there is no link");
    c.v[Vmcs.VMCS_LINK_POINTER] = 0x9000;
    passes(c, "GUEST_LINK_POINTER_REVISION");
    assertTrue(c.takeMissedMemory());
    assertFalse(c.takeMissedMemory(), "it is told once");
    EntryContext with = guest(Mode.LONG);
    with.v[Vmcs.VMCS_LINK_POINTER] = 0x9000;
    passes(with, "GUEST_LINK_POINTER_REVISION");
    assertFalse(with.takeMissedMemory());
  }

  /** One bit of each field changed after an entry that passed: what is written is checked again. */
  @Test
  void an_entry_after_a_change_finds_what_all_checks_find() {
    for (Mode mode : new Mode[] {Mode.LONG, Mode.PAE, Mode.REAL}) {
      MinimalHypervisor h = new MinimalHypervisor().guest(mode).code(0x0f, 0xa2);
      EntryContext c = new EntryContext(h.cpu, h.capabilities);
      c.current = MinimalHypervisor.VMCS_REGION;
      c.hostLongMode = true;
      int failed = 0;
      for (VmcsField field : VmcsField.values()) {
        for (int bit : new int[] {0, 1, 3, 5, 7, 11, 13, 16, 29, 31, 52, 63}) {
          if (bit >= field.width.bits || !h.vmx.exists(field.ordinal())) {
            continue;
          }
          long present = h.get(field);
          h.set(field, present ^ 1L << bit);
          c.v = h.vmcs().v;
          List<EntryCheck> failures = EntryChecks.failures(c);
          if (!failures.isEmpty()) {
            failed++;
            h.enter();
            VmEntryFailure failure = Objects.requireNonNull(h.vmx.lastFailure(), field.toString());
            assertEquals(failures.get(0), failure.check(), field + " bit " + bit);
            assertEquals(failures.subList(1, failures.size()), failure.others());
          }
          h.set(field, present);
          if (!failures.isEmpty()) {
            // What failed is mended: it enters again, and what was checked counts as checked.
            assertEquals(0, h.enter(), field + " bit " + bit);
            assertNull(h.vmx.lastFailure(), field + " bit " + bit);
            h.engine.run(10);
            h.set(VmcsField.GUEST_RIP, h.get(VmcsField.GUEST_RIP) & ~0xfL);
          }
        }
      }
      assertTrue(failed > 200, mode + ": " + failed);
    }
  }
}
