package org.kvm4j.cpu.event;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.cpu.testing.SystemMachine.*;

import java.util.List;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.testing.SystemMachine;

/**
 * Frames, error codes and composition of events. SDM Vol. 3, "Interrupt and Exception Handling".
 */
class EventDeliveryTests {
  private static final int INTERRUPT32 = 0x8e;
  private static final int TRAP32 = 0x8f;
  private static final int USER_TRAP32 = 0xef;
  private static final int INTERRUPT16 = 0x86;

  @Nested
  class Real {
    @Test
    void an_interrupt_pushes_flags_cs_ip_and_goes_through_the_table_at_0() {
      SystemMachine m = SystemMachine.real();
      m.memory.writeInt(0x21 * 4, 0x12340056);
      m.cpu.flagsRest |= Flags.IF | Flags.TF | Flags.AC;
      m.run("cd21");
      assertEquals(0x1234, m.cpu.seg[Cpu.CS].selector);
      assertEquals(0x12340, m.cpu.seg[Cpu.CS].base);
      assertEquals(0x56, m.cpu.rip);
      assertEquals(0xffa, m.cpu.r[Cpu.RSP]);
      assertEquals(2, m.stack(0, 2));
      assertEquals(CODE >> 4, m.stack(1, 2));
      assertEquals(Flags.IF | Flags.TF | 2, m.stack(2, 2) & ~Flags.ARITHMETIC);
      assertEquals(2, m.cpu.flagsRest);
    }

    @Test
    void an_exception_pushes_no_error_code_and_returns_to_the_instruction() {
      SystemMachine m = SystemMachine.real();
      m.memory.writeInt(6 * 4, 0x00000400);
      m.run("0f0b");
      assertEquals(0x400, m.cpu.rip);
      assertEquals(0xffa, m.cpu.r[Cpu.RSP]);
      assertEquals(0, m.stack(0, 2));
    }

    @Test
    void a_table_too_short_ends_in_shutdown() {
      SystemMachine m = SystemMachine.real();
      m.cpu.idtLimit = 3;
      m.run("cd21");
      assertEquals(Cpu.SHUTDOWN, m.cpu.activity);
      assertTrue(m.cpu.left);
      assertEquals(0x1000, m.cpu.r[Cpu.RSP]);
    }
  }

  @Nested
  class Protected {
    @ParameterizedTest
    @ValueSource(ints = {INTERRUPT32, TRAP32})
    void the_same_level_gets_eip_cs_eflags(int gate) {
      SystemMachine m = SystemMachine.protected32(0);
      m.idt(CODE0, gate);
      m.cpu.flagsRest |= Flags.IF | Flags.TF | Flags.NT;
      EventDelivery.interrupt(m.cpu, 0x40);
      assertEquals(0x40, m.handled());
      assertEquals(STACK0 - 12, m.cpu.r[Cpu.RSP]);
      assertEquals(CODE, m.stack(0, 4));
      assertEquals(CODE0, m.stack(1, 4));
      assertEquals(m.cpu.lazyFlags() | Flags.IF | Flags.TF | Flags.NT | 2, m.stack(2, 4));
      assertEquals(gate == TRAP32 ? Flags.IF | 2 : 2, m.cpu.flagsRest);
    }

    @Test
    void an_inner_level_gets_its_stack_from_the_tss() {
      SystemMachine m = SystemMachine.protected32(3);
      m.idt(CODE0, USER_TRAP32);
      m.run("cd80");
      assertEquals(0x80, m.handled());
      assertEquals(0, m.cpu.cpl);
      assertEquals(CODE0, m.cpu.seg[Cpu.CS].selector);
      assertEquals(DATA0, m.cpu.seg[Cpu.SS].selector);
      assertEquals(STACK0 - 20, m.cpu.r[Cpu.RSP]);
      assertEquals(CODE + 2, m.stack(0, 4));
      assertEquals(CODE3, m.stack(1, 4));
      assertEquals(STACK3, m.stack(3, 4));
      assertEquals(DATA3, m.stack(4, 4));
    }

    @Test
    void a_16_bit_tss_gives_a_16_bit_stack_pointer() {
      SystemMachine m = SystemMachine.protected32(3);
      m.idt(CODE0, USER_TRAP32);
      m.cpu.seg[Cpu.TR].ar = 0x83;
      m.memory.writeShort(TSS + 2, (short) 0x8000);
      m.memory.writeShort(TSS + 4, (short) DATA0);
      m.run("cd80");
      assertEquals(0x8000 - 20, m.cpu.r[Cpu.RSP]);
    }

    @Test
    void a_16_bit_gate_pushes_words() {
      SystemMachine m = SystemMachine.protected32(3);
      m.idt(13, CODE0, 0x98000 | handler(13) & 0xffff, INTERRUPT16, 0);
      m.run("f4");
      assertEquals(handler(13) & 0xffff, m.cpu.rip);
      assertEquals(STACK0 - 12, m.cpu.r[Cpu.RSP]);
      assertEquals(0, m.stack(0, 2));
      assertEquals(0, m.stack(1, 2));
      assertEquals(CODE3, m.stack(2, 2));
    }

    @Test
    void a_fault_has_an_error_code_and_rf_in_its_image() {
      SystemMachine m = SystemMachine.protected32(0);
      m.idt(CODE0, INTERRUPT32);
      m.cpu.r[Cpu.RAX] = ABSENT_DATA;
      m.run("8ed8");
      assertEquals(Vector.NP, m.handled());
      assertEquals(ABSENT_DATA, m.stack(0, 4));
      assertEquals(CODE, m.stack(1, 4));
      assertEquals(Flags.RF, m.stack(3, 4) & Flags.RF);
      assertEquals(0, m.cpu.flagsRest & Flags.RF);
    }

    @Test
    void virtual_8086_mode_leaves_its_segments_on_the_stack() {
      SystemMachine m = SystemMachine.v86(3);
      m.idt(CODE0, USER_TRAP32);
      m.cpu.flagsRest |= Flags.IF;
      m.run("cd80");
      assertEquals(0x80, m.handled());
      assertEquals(STACK0 - 36, m.cpu.r[Cpu.RSP]);
      long[] expected = {
        2, CODE >> 4, 0, 0x1000, STACK3 - 0x1000 >> 4, DATA >> 4, DATA >> 4, DATA >> 4, DATA >> 4
      };
      for (int k = 0; k < 9; k++) {
        if (k != 2) {
          assertEquals(expected[k], m.stack(k, 4), "slot " + k);
        }
      }
      assertEquals(Flags.VM | Flags.IOPL | Flags.IF | 2, m.stack(2, 4) & ~Flags.ARITHMETIC);
      assertFalse(m.cpu.v86);
      assertTrue(m.cpu.protectedMode);
      for (int s : new int[] {Cpu.DS, Cpu.ES, Cpu.FS, Cpu.GS}) {
        assertTrue(m.cpu.seg[s].unusable());
        assertEquals(0, m.cpu.seg[s].selector);
      }
    }

    @Test
    void virtual_8086_mode_cannot_go_to_a_level_other_than_0() {
      SystemMachine m = SystemMachine.v86(3);
      m.idt(CODE0, INTERRUPT32);
      m.idt(0x80, CODE1, handler(0x80), USER_TRAP32, 0);
      m.run("cd80");
      assertEquals(Vector.GP, m.handled());
      assertEquals(CODE1 & ~3, m.stack(0, 4));
    }

    @Test
    void int_n_in_virtual_8086_mode_needs_iopl_3() {
      SystemMachine m = SystemMachine.v86(0);
      m.idt(CODE0, USER_TRAP32);
      m.run("cd80");
      assertEquals(Vector.GP, m.handled());
      assertEquals(0, m.stack(0, 4));
      assertEquals(0, m.stack(1, 4));
    }

    @Test
    void int3_in_virtual_8086_mode_does_not_look_at_iopl() {
      SystemMachine m = SystemMachine.v86(0);
      m.idt(CODE0, USER_TRAP32);
      m.run("cc");
      assertEquals(Vector.BP, m.handled());
    }

    @ParameterizedTest
    @CsvSource({"0, false", "3, false", "0, true", "3, true"})
    void vme_redirects_int_n_to_the_8086_table(int iopl, boolean vif) {
      SystemMachine m = SystemMachine.v86(iopl);
      m.idt(CODE0, USER_TRAP32);
      m.cpu.cr4 |= ControlBits.CR4_VME;
      m.cpu.flagsRest |= Flags.IF | Flags.TF | (vif ? Flags.VIF : 0);
      m.memory.writeInt(0x80 * 4, 0x30000044);
      m.run("cd80");
      assertEquals(0x44, m.cpu.rip);
      assertEquals(0x3000, m.cpu.seg[Cpu.CS].selector);
      assertTrue(m.cpu.v86);
      long image = m.stack(2, 2);
      assertEquals(Flags.IOPL, image & Flags.IOPL);
      assertEquals(iopl == 3 || vif ? Flags.IF : 0, image & Flags.IF);
      assertEquals(0, m.cpu.flagsRest & Flags.TF);
      assertEquals(iopl == 3 ? 0 : Flags.IF, m.cpu.flagsRest & Flags.IF);
      if (iopl < 3) {
        assertEquals(0, m.cpu.flagsRest & Flags.VIF);
      }
    }

    @Test
    void a_set_bit_of_the_redirection_map_sends_int_n_to_the_idt() {
      SystemMachine m = SystemMachine.v86(3);
      m.idt(CODE0, USER_TRAP32);
      m.cpu.cr4 |= ControlBits.CR4_VME;
      m.memory.writeByte(TSS + 0x100 - 32 + 0x80 / 8, (byte) 1);
      m.run("cd80");
      assertEquals(0x80, m.handled());
    }
  }

  @Nested
  class ErrorCodes {
    /** The error code that a delivery fails with, when it is #GP, #NP or #TS. */
    private void expect(SystemMachine m, int vector, int errorCode) {
      assertEquals(vector, m.handled());
      assertEquals(errorCode, m.stack(0, 4));
    }

    private SystemMachine machine(int cpl) {
      SystemMachine m = SystemMachine.protected32(cpl);
      m.idt(CODE0, INTERRUPT32);
      return m;
    }

    @Test
    void past_the_idt_limit_is_gp_of_the_vector() {
      SystemMachine m = machine(0);
      m.cpu.idtLimit = 0x80 * 8 + 6;
      m.run("cd80");
      expect(m, Vector.GP, 0x80 * 8 + 2);
      EventDelivery.interrupt(m.cpu, 0x80);
      expect(m, Vector.GP, 0x80 * 8 + 3);
    }

    @Test
    void a_gate_of_another_type_is_gp_of_the_vector() {
      for (int type : new int[] {0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 0x10, 0x1e}) {
        SystemMachine m = machine(0);
        m.idt(0x80, CODE0, handler(0x80), 0x80 | type, 0);
        m.run("cd80");
        expect(m, Vector.GP, 0x80 * 8 + 2);
      }
    }

    @Test
    void a_software_interrupt_needs_the_gates_dpl() {
      SystemMachine m = machine(3);
      m.run("cd80");
      expect(m, Vector.GP, 0x80 * 8 + 2);
      m = machine(3);
      m.run("cc");
      expect(m, Vector.GP, 3 * 8 + 2);
    }

    @Test
    void int1_and_external_interrupts_do_not_look_at_the_gates_dpl() {
      SystemMachine m = machine(3);
      m.run("f1");
      assertEquals(Vector.DB, m.handled());
      m = machine(3);
      EventDelivery.interrupt(m.cpu, 0x40);
      assertEquals(0x40, m.handled());
    }

    @Test
    void a_gate_that_is_not_present_is_np_of_the_vector() {
      SystemMachine m = machine(0);
      m.idt(0x80, CODE0, handler(0x80), 0x0e, 0);
      m.run("cd80");
      expect(m, Vector.NP, 0x80 * 8 + 2);
    }

    @Test
    void dpl_comes_before_presence() {
      SystemMachine m = machine(3);
      m.idt(0x80, CODE0, handler(0x80), 0x0e, 0);
      m.run("cd80");
      expect(m, Vector.GP, 0x80 * 8 + 2);
    }

    @ParameterizedTest
    @CsvSource({
      "0, 13, 0", // null
      "0x1f8, 11, 0x1f8", // the last descriptor, all zero but present is no code
      "0x200, 13, 0x200", // past the limit
      "0x10, 13, 0x10", // data
      "0x70, 11, 0x70", // not present
      "0x1b, 13, 0x18" // DPL above CPL
    })
    void the_code_segment_of_the_gate(String selector, int vector, String code) {
      int s = Integer.decode(selector);
      SystemMachine m = machine(0);
      m.idt(0x80, s, handler(0x80), INTERRUPT32, 0);
      if (s == 0x1f8) {
        m.gdt(s, segment(0, 0xfffff, 0xc01b));
      }
      m.run("cd80");
      expect(m, vector, Integer.decode(code));
      m = machine(0);
      m.idt(0x80, s, handler(0x80), INTERRUPT32, 0);
      if (s == 0x1f8) {
        m.gdt(s, segment(0, 0xfffff, 0xc01b));
      }
      EventDelivery.interrupt(m.cpu, 0x80);
      expect(m, vector, Integer.decode(code) | 1);
    }

    @ParameterizedTest
    @CsvSource({
      "0, 10, 0", // null
      "0x200, 10, 0x200", // past the limit
      "0x13, 10, 0x10", // RPL is not the new CPL
      "0x23, 10, 0x20", // DPL and RPL are not
      "0x20, 10, 0x20", // DPL is not
      "0x08, 10, 0x08", // code
      "0x78, 12, 0x78" // not present
    })
    void the_stack_segment_of_the_tss(String selector, int vector, String code) {
      SystemMachine m = machine(3);
      m.idt(0x80, CODE0, handler(0x80), USER_TRAP32, 0);
      // The handlers of #TS and #SS stay at level 3, where there is a stack.
      m.gdt(FREE, segment(0, 0xfffff, 0xc0fb));
      m.idt(Vector.TS, FREE | 3, handler(Vector.TS), INTERRUPT32, 0);
      m.idt(Vector.SS, FREE | 3, handler(Vector.SS), INTERRUPT32, 0);
      m.memory.writeInt(TSS + 8, Integer.decode(selector));
      m.run("cd80");
      expect(m, vector, Integer.decode(code));
    }

    @Test
    void a_tss_too_short_for_the_stack_is_ts_of_the_tss() {
      SystemMachine m = machine(3);
      m.idt(0x80, CODE0, handler(0x80), USER_TRAP32, 0);
      m.idt(Vector.TS, CODE3, handler(Vector.TS), INTERRUPT32, 0);
      m.cpu.seg[Cpu.TR].limit = 8;
      m.run("cd80");
      expect(m, Vector.TS, TASK);
      m.cpu.seg[Cpu.TR].limit = 9;
      m.cpu.rip = CODE;
      m.run("cd80");
      assertEquals(0x80, m.handled());
    }

    @Test
    void a_new_stack_without_room_is_ss_of_the_stack() {
      SystemMachine m = machine(3);
      m.idt(0x80, CODE0, handler(0x80), USER_TRAP32, 0);
      m.idt(Vector.SS, CODE3, handler(Vector.SS), INTERRUPT32, 0);
      m.gdt(FREE, segment(0, 0xfff, 0x4093));
      m.memory.writeInt(TSS + 8, FREE);
      m.memory.writeInt(TSS + 4, 0x1001);
      m.run("cd80");
      expect(m, Vector.SS, FREE);
      // Nothing was pushed.
      assertEquals(0, m.read(0xffd, 4));
    }

    @Test
    void an_offset_past_the_code_segment_is_gp_0() {
      SystemMachine m = machine(0);
      m.gdt(FREE, segment(0, 0xfff, 0x409b));
      m.idt(0x80, FREE, 0x1000, INTERRUPT32, 0);
      m.run("cd80");
      expect(m, Vector.GP, 0);
      EventDelivery.interrupt(m.cpu, 0x80);
      expect(m, Vector.GP, 1);
    }

    @Test
    void the_accessed_bit_of_the_code_segment_is_set() {
      SystemMachine m = machine(0);
      m.gdt(FREE, segment(0, 0xfffff, 0xc09a));
      m.idt(0x80, FREE, handler(0x80), INTERRUPT32, 0);
      m.run("cd80");
      assertEquals(0x9b, m.gdtAccess(FREE));
    }
  }

  @Nested
  class Composition {
    @Test
    void a_fault_in_the_delivery_of_a_contributory_fault_is_a_double_fault() {
      SystemMachine m = SystemMachine.protected32(0);
      m.idt(CODE0, INTERRUPT32);
      m.idt(Vector.GP, CODE0, 0, 0x0e, 0);
      m.cpu.r[Cpu.RAX] = DATA0 | 3;
      m.run("8ed0");
      assertEquals(Vector.DF, m.handled());
      assertEquals(0, m.stack(0, 4));
      assertEquals(CODE, m.stack(1, 4));
      assertEquals(STACK0 - 16, m.cpu.r[Cpu.RSP]);
    }

    @Test
    void a_fault_in_the_delivery_of_a_benign_exception_replaces_it() {
      SystemMachine m = SystemMachine.protected32(0);
      m.idt(CODE0, INTERRUPT32);
      m.idt(Vector.UD, CODE0, 0, 0x0e, 0);
      m.run("0f0b");
      assertEquals(Vector.NP, m.handled());
      assertEquals(6 * 8 + 3, m.stack(0, 4));
      assertEquals(CODE, m.stack(1, 4));
    }

    @ParameterizedTest
    @CsvSource({
      // first, its delivery's fault, result
      "0, 11, 8",
      "13, 11, 8",
      "10, 13, 8",
      "14, 11, 8",
      "14, 14, 8",
      "13, 14, 14",
      "6, 14, 14",
      "6, 11, 11",
      "1, 13, 13",
      "16, 11, 11",
      "17, 11, 11"
    })
    void of_two_exceptions(int first, int second, int result) {
      SystemMachine m = SystemMachine.paged32(0);
      m.idt(CODE0, INTERRUPT32);
      // The gate of the first is in a page of its own, or absent, or of a wrong type.
      if (second == Vector.PF) {
        // The IDT's first page holds the gates up to 15; move the one that faults away.
        int base = PAGES + 0x1000 - first * 8;
        for (int v = 0; v < 256; v++) {
          m.memory.writeLong(base + v * 8, m.memory.readLong(IDT + v * 8));
        }
        m.cpu.idtBase = base;
        m.page(PAGES + 0x1000, 0);
        m.page(PAGES, 7);
        if (result >= first) {
          return;
        }
      } else {
        m.idt(first, CODE0, 0, second == Vector.NP ? 0x0e : 0x80, 0);
      }
      EventDelivery.exception(
          m.cpu,
          first == 0 || first == 1 || first == 6 || first == 16
              ? m.cpu.exception(first)
              : m.cpu.exception(first, 0));
      if (second == Vector.GP && result == second || second == Vector.NP && result == second) {
        assertEquals(first * 8 + 3, m.stack(0, 4));
      }
      assertEquals(result, m.handled());
    }

    @Test
    void a_page_fault_while_pushing_changes_nothing_and_reports_where() {
      SystemMachine m = SystemMachine.paged32(3);
      m.idt(CODE0, USER_TRAP32);
      m.memory.writeInt(TSS + 4, PAGES + 0x1008);
      m.page(PAGES, 0);
      m.idt(Vector.PF, CODE3, handler(Vector.PF), INTERRUPT32, 0);
      m.run("cd80");
      assertEquals(Vector.PF, m.handled());
      assertEquals(3, m.cpu.cpl);
      assertEquals(PAGES + 0x1008 - 20, m.cpu.cr2);
      // A supervisor write to a page that is not present.
      assertEquals(2, m.stack(0, 4));
      assertEquals(CODE, m.stack(1, 4));
      assertEquals(0, m.read(PAGES + 0x1000, 8));
    }

    @Test
    void a_fault_in_the_delivery_of_a_double_fault_shuts_down() {
      SystemMachine m = SystemMachine.protected32(0);
      m.idt(CODE0, 0x0e);
      long rsp = m.cpu.r[Cpu.RSP];
      m.run("0f0b");
      assertEquals(Cpu.SHUTDOWN, m.cpu.activity);
      assertTrue(m.cpu.left);
      assertEquals(rsp, m.cpu.r[Cpu.RSP]);
      assertEquals(CODE, m.cpu.rip);
    }

    @Test
    void a_guests_triple_fault_is_a_vm_exit() {
      SystemMachine m = SystemMachine.protected32(0);
      m.idt(CODE0, 0x0e);
      List<String> calls = m.guest("tripleFault");
      m.run("0f0b");
      assertEquals(Cpu.ACTIVE, m.cpu.activity);
      assertEquals(
          List.of(
              "exception 6 false 0 0 false",
              "deliveryInProgress 3 6 false 0 0",
              "exception 11 true 51 0 false",
              "deliveryInProgress 3 11 true 51 0",
              "exception 11 true 91 0 false",
              "exception 8 true 0 0 false",
              "deliveryInProgress 3 8 true 0 0",
              "exception 11 true 67 0 false",
              "tripleFault"),
          calls);
    }
  }

  @Nested
  class Registers {
    @Test
    void a_page_fault_loads_cr2_and_an_exit_does_not() {
      SystemMachine m = SystemMachine.paged32(0);
      m.idt(CODE0, INTERRUPT32);
      m.page(PAGES, 0);
      m.cpu.cr2 = 7;
      m.guest("exception");
      m.cpu.rip = CODE;
      m.run("8e0500002000");
      assertEquals(7, m.cpu.cr2);
      m.cpu.guest = null;
      m.run("8e0500002000");
      assertEquals(Vector.PF, m.handled());
      assertEquals(PAGES, m.cpu.cr2);
    }

    @Test
    void a_debug_exception_loads_dr6_and_clears_general_detect() {
      SystemMachine m = SystemMachine.protected32(0);
      m.idt(CODE0, INTERRUPT32);
      m.cpu.dr7 = 0x2400;
      m.cpu.dr6 = 0xffff0ff3L;
      m.run("0f21c0");
      assertEquals(Vector.DB, m.handled());
      assertEquals(0xffff2ff0L, m.cpu.dr6);
      assertEquals(0x400, m.cpu.dr7);
      assertEquals(CODE, m.stack(0, 4));
    }

    @Test
    void an_nmi_blocks_others_until_iret() {
      SystemMachine m = SystemMachine.protected32(0);
      m.idt(CODE0, INTERRUPT32);
      EventDelivery.nmi(m.cpu);
      assertEquals(2, m.handled());
      assertTrue(m.cpu.nmiBlocked);
      m.run("cf");
      assertFalse(m.cpu.nmiBlocked);
      assertEquals(CODE, m.cpu.rip);
    }

    @Test
    void delivery_ends_halt_and_shadows() {
      SystemMachine m = SystemMachine.protected32(0);
      m.idt(CODE0, INTERRUPT32);
      m.cpu.activity = Cpu.HALTED;
      m.cpu.shadow = Cpu.SHADOW_STI;
      EventDelivery.nmi(m.cpu);
      assertEquals(Cpu.ACTIVE, m.cpu.activity);
      assertEquals(0, m.cpu.shadow);
    }
  }

  @Nested
  class LongMode {
    private SystemMachine machine(int cpl) {
      SystemMachine m = SystemMachine.long64(cpl);
      m.idt(LONG0, INTERRUPT32);
      return m;
    }

    @Test
    void the_same_level_gets_ss_and_an_aligned_rsp() {
      SystemMachine m = machine(0);
      m.cpu.r[Cpu.RSP] = STACK0 - 5;
      EventDelivery.interrupt(m.cpu, 0x40);
      assertEquals(0x40, m.handled());
      assertEquals(STACK0 - 16 - 40, m.cpu.r[Cpu.RSP]);
      assertEquals(CODE, m.stack(0, 8));
      assertEquals(LONG0, m.stack(1, 8));
      assertEquals(STACK0 - 5, m.stack(3, 8));
      assertEquals(DATA0, m.stack(4, 8));
      assertEquals(DATA0, m.cpu.seg[Cpu.SS].selector);
    }

    @Test
    void an_inner_level_gets_rsp0_and_a_null_ss() {
      SystemMachine m = machine(3);
      EventDelivery.interrupt(m.cpu, 0x40);
      assertEquals(0, m.cpu.cpl);
      assertEquals(STACK0 - 40, m.cpu.r[Cpu.RSP]);
      assertEquals(0, m.cpu.seg[Cpu.SS].selector);
      assertTrue(m.cpu.seg[Cpu.SS].unusable());
      assertEquals(LONG3, m.stack(1, 8));
      assertEquals(STACK3, m.stack(3, 8));
      assertEquals(DATA3, m.stack(4, 8));
    }

    @Test
    void an_ist_stack_is_taken_at_any_level() {
      SystemMachine m = machine(0);
      m.idt(8, LONG0, handler(8), INTERRUPT32, 1);
      EventDelivery.exception(m.cpu, m.cpu.exception(8, 0));
      assertEquals(8, m.handled());
      assertEquals(IST1 - 48, m.cpu.r[Cpu.RSP]);
      assertEquals(0, m.stack(0, 8));
      assertEquals(STACK0, m.stack(4, 8));
    }

    @Test
    void compatibility_mode_is_left() {
      SystemMachine m = SystemMachine.compatibility(3);
      m.idt(LONG0, 0xee);
      m.run("cd80");
      assertEquals(0x80, m.handled());
      assertEquals(8, m.cpu.codeSize);
      assertEquals(CODE3, m.stack(1, 8));
      assertEquals(CODE + 2, m.stack(0, 8));
    }

    @ParameterizedTest
    @CsvSource({"6", "7", "5", "12", "0"})
    void other_gates_are_gp(int type) {
      SystemMachine m = machine(0);
      m.idt(0x80, LONG0, handler(0x80), 0x80 | type, 0);
      m.run("cd80");
      assertEquals(Vector.GP, m.handled());
      assertEquals(0x80 * 8 + 2, m.stack(0, 8));
    }

    @Test
    void code_that_is_not_64_bit_is_gp_of_its_selector() {
      SystemMachine m = machine(0);
      m.idt(0x80, CODE0, handler(0x80), INTERRUPT32, 0);
      m.run("cd80");
      assertEquals(Vector.GP, m.handled());
      assertEquals(CODE0, m.stack(0, 8));
    }

    @Test
    void a_handler_that_is_not_canonical_is_gp_0() {
      SystemMachine m = machine(0);
      m.idt(0x80, LONG0, 1L << 47, INTERRUPT32, 0);
      m.run("cd80");
      assertEquals(Vector.GP, m.handled());
      assertEquals(0, m.stack(0, 8));
    }

    @Test
    void a_stack_that_is_not_canonical_is_ss_0() {
      SystemMachine m = machine(0);
      m.memory.writeLong(TSS + 44, 1L << 47);
      m.idt(0x80, LONG0, handler(0x80), INTERRUPT32, 2);
      m.run("cd80");
      assertEquals(Vector.SS, m.handled());
      assertEquals(0, m.stack(0, 8));
    }

    @Test
    void a_tss_too_short_for_an_ist_entry_is_ts() {
      SystemMachine m = machine(0);
      m.cpu.seg[Cpu.TR].limit = 36 + 6;
      m.idt(0x80, LONG0, handler(0x80), INTERRUPT32, 1);
      m.run("cd80");
      assertEquals(Vector.TS, m.handled());
      assertEquals(TASK, m.stack(0, 8));
    }

    @Test
    void a_double_fault_for_a_lost_stack_finds_its_ist() {
      SystemMachine m = machine(0);
      m.page(PAGES, 0);
      m.idt(8, LONG0, handler(8), INTERRUPT32, 1);
      m.cpu.r[Cpu.RSP] = PAGES + 0x800;
      EventDelivery.interrupt(m.cpu, 0x40);
      assertEquals(8, m.handled());
      assertEquals(PAGES + 0x800 - 48, m.cpu.cr2);
      assertEquals(PAGES + 0x800, m.stack(4, 8));
    }
  }

  @Nested
  class Hooks {
    @Test
    void an_exception_is_asked_about_before_its_delivery_and_marked_during_it() {
      SystemMachine m = SystemMachine.protected32(0);
      m.idt(CODE0, INTERRUPT32);
      List<String> calls = m.guest();
      m.cpu.r[Cpu.RAX] = ABSENT_DATA;
      m.run("8ed8");
      assertEquals(
          List.of(
              "exception 11 true 120 0 false",
              "deliveryInProgress 3 11 true 120 0",
              "deliveryInProgress -1 0 false 0 0"),
          calls);
    }

    @Test
    void an_exit_leaves_everything_as_it_was() {
      SystemMachine m = SystemMachine.protected32(0);
      m.idt(CODE0, INTERRUPT32);
      m.guest("exception");
      m.run("0f0b");
      assertEquals(CODE, m.cpu.rip);
      assertEquals(STACK0, m.cpu.r[Cpu.RSP]);
    }

    @Test
    void int3_is_asked_about_and_int_n_is_not() {
      SystemMachine m = SystemMachine.protected32(0);
      m.idt(CODE0, INTERRUPT32);
      List<String> calls = m.guest();
      m.run("cc");
      m.run("cd80");
      assertEquals(
          List.of(
              "exception 3 false 0 0 true",
              "deliveryInProgress 6 3 false 0 1",
              "deliveryInProgress -1 0 false 0 0",
              "deliveryInProgress 4 128 false 0 2",
              "deliveryInProgress -1 0 false 0 0"),
          calls);
    }

    @Test
    void a_fault_in_the_delivery_of_int_n_exits_with_it_in_progress() {
      SystemMachine m = SystemMachine.protected32(0);
      m.idt(CODE0, INTERRUPT32);
      m.cpu.idtLimit = 0x100;
      List<String> calls = m.guest("exception");
      m.run("cd80");
      assertEquals(
          List.of("deliveryInProgress 4 128 false 0 2", "exception 13 true 1026 0 false"), calls);
      assertEquals(CODE, m.cpu.rip);
    }

    @Test
    void real_mode_exceptions_have_no_error_code() {
      SystemMachine m = SystemMachine.real();
      List<String> calls = m.guest("exception");
      EventDelivery.exception(m.cpu, m.cpu.gp(0));
      assertEquals(List.of("exception 13 false 0 0 false"), calls);
    }
  }

  @Nested
  class Injection {
    @Test
    void a_software_interrupt_returns_behind_the_instruction() {
      SystemMachine m = SystemMachine.protected32(0);
      m.idt(CODE0, INTERRUPT32);
      List<String> calls = m.guest("exception");
      EventDelivery.inject(m.cpu, EventDelivery.SOFTWARE_INTERRUPT, 0x80, false, 0, 2);
      assertEquals(0x80, m.handled());
      assertEquals(CODE + 2, m.stack(0, 4));
      assertEquals("deliveryInProgress 4 128 false 0 2", calls.get(0));
    }

    @Test
    void a_page_fault_loads_no_cr2_and_is_not_asked_about() {
      SystemMachine m = SystemMachine.protected32(0);
      m.idt(CODE0, INTERRUPT32);
      List<String> calls = m.guest("exception");
      m.cpu.cr2 = 5;
      EventDelivery.inject(m.cpu, EventDelivery.HARDWARE_EXCEPTION, Vector.PF, true, 6, 0);
      assertEquals(Vector.PF, m.handled());
      assertEquals(6, m.stack(0, 4));
      assertEquals(5, m.cpu.cr2);
      assertEquals(
          List.of("deliveryInProgress 3 14 true 6 0", "deliveryInProgress -1 0 false 0 0"), calls);
    }

    @Test
    void the_resume_flag_is_pushed_as_it_was_loaded() {
      for (int rf : new int[] {0, Flags.RF}) {
        SystemMachine m = SystemMachine.protected32(0);
        m.idt(CODE0, INTERRUPT32);
        m.cpu.flagsRest = m.cpu.flagsRest & ~Flags.RF | rf;
        EventDelivery.inject(m.cpu, EventDelivery.HARDWARE_EXCEPTION, Vector.DB, false, 0, 0);
        assertEquals(rf, m.stack(2, 4) & Flags.RF);
      }
    }

    @Test
    void int_n_in_virtual_8086_mode_does_not_look_at_iopl() {
      SystemMachine m = SystemMachine.v86(0);
      m.idt(CODE0, USER_TRAP32);
      EventDelivery.inject(m.cpu, EventDelivery.SOFTWARE_INTERRUPT, 0x80, false, 0, 2);
      assertEquals(0x80, m.handled());
    }

    @Test
    void a_contributory_fault_in_the_delivery_of_an_injected_one_is_a_double_fault() {
      SystemMachine m = SystemMachine.protected32(0);
      m.idt(CODE0, INTERRUPT32);
      m.idt(Vector.GP, CODE0, 0, 0x0e, 0);
      EventDelivery.inject(m.cpu, EventDelivery.HARDWARE_EXCEPTION, Vector.GP, true, 0, 0);
      assertEquals(Vector.DF, m.handled());
    }
  }

  @Nested
  class Tasks {
    private SystemMachine machine() {
      SystemMachine m = SystemMachine.protected32(3);
      m.idt(CODE0, INTERRUPT32);
      m.gdt(FREE, 0);
      TaskStates.write32(m, CODE0, DATA0, handler(99), STACK1);
      return m;
    }

    @Test
    void a_task_gate_switches_and_pushes_the_error_code_on_the_new_stack() {
      SystemMachine m = machine();
      m.idt(Vector.GP, TASK2, 0, 0x85, 0);
      m.cpu.r[Cpu.RBX] = 0x1234;
      m.run("f4");
      assertEquals(99, m.handled());
      assertEquals(TASK2, m.cpu.seg[Cpu.TR].selector);
      assertEquals(0, m.cpu.cpl);
      assertEquals(STACK1 - 4, m.cpu.r[Cpu.RSP]);
      assertEquals(0, m.stack(0, 4));
      // The old task is nested in the new one, and will go on at the instruction.
      assertEquals(TASK, m.read(TSS2, 2));
      assertEquals(Flags.NT, m.cpu.flagsRest & Flags.NT);
      assertEquals(0x8b, m.gdtAccess(TASK));
      assertEquals(0x8b, m.gdtAccess(TASK2));
      assertEquals(CODE, m.read(TSS + 0x20, 4));
      assertEquals(Flags.RF, m.read(TSS + 0x24, 4) & Flags.RF);
      assertEquals(0x1234, m.read(TSS + 0x34, 4));
      assertEquals(ControlBits.CR0_TS, m.cpu.cr0 & ControlBits.CR0_TS);
    }

    @Test
    void a_busy_task_is_gp_of_the_tss() {
      SystemMachine m = machine();
      m.idt(0x80, TASK2, 0, 0xe5, 0);
      m.gdt(TASK2, segment(TSS2, 0x67, 0x008b));
      m.run("cd80");
      assertEquals(Vector.GP, m.handled());
      assertEquals(TASK2, m.stack(0, 4));
    }

    @Test
    void a_short_tss_is_ts_of_the_tss() {
      SystemMachine m = machine();
      m.idt(0x80, TASK2, 0, 0xe5, 0);
      m.gdt(TASK2, segment(TSS2, 0x66, 0x0089));
      m.run("cd80");
      assertEquals(Vector.TS, m.handled());
      assertEquals(TASK2, m.stack(0, 4));
      assertEquals(0x89, m.gdtAccess(TASK2));
    }

    @Test
    void a_guest_exits_after_the_checks() {
      SystemMachine m = machine();
      m.idt(0x80, TASK2, 0, 0xe5, 0);
      List<String> calls = m.guest("taskSwitch");
      m.run("cd80");
      assertEquals("taskSwitch " + TASK2 + " 3", calls.get(1));
      assertEquals(0x89, m.gdtAccess(TASK2));
      assertEquals(TASK, m.cpu.seg[Cpu.TR].selector);
    }
  }

  @Test
  void a_16_bit_stack_wraps() {
    SystemMachine m = SystemMachine.protected32(0);
    m.idt(CODE0, INTERRUPT32);
    m.load(Cpu.SS, DATA16);
    m.cpu.r[Cpu.RSP] = 0x55550004;
    m.cpu.updateMode();
    EventDelivery.interrupt(m.cpu, 0x40);
    assertEquals(0x5555fff8L, m.cpu.r[Cpu.RSP]);
    assertEquals(CODE, m.read(STACK0 + 0xfff8, 4));
    assertEquals(CODE0, m.read(STACK0 + 0xfffc, 4));
    assertEquals(2, m.read(STACK0, 4) & 2);
    assertEquals(Segment.P, m.cpu.seg[Cpu.SS].ar & Segment.P);
  }
}
