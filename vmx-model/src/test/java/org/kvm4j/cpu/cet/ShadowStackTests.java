package org.kvm4j.cpu.cet;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.cpu.cet.CetMachine.*;
import static org.kvm4j.cpu.testing.SystemMachine.*;

import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.core.CetControl;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.event.EventDelivery;
import org.kvm4j.cpu.testing.SystemMachine;
import org.kvm4j.cpu.testing.SystemMachine.Fault;

/** Shadow stacks in transfers of control. SDM Vol. 1, "Shadow Stacks". */
class ShadowStackTests {
  private static Fault cp(int errorCode) {
    return Fault.of(Vector.CP, errorCode);
  }

  private static Fault gp(int errorCode) {
    return Fault.of(Vector.GP, errorCode);
  }

  private static long ssp(SystemMachine m, int slot) {
    return m.read(m.cpu.ssp + 8L * slot, 8);
  }

  @Nested
  class Near {
    @ParameterizedTest
    @ValueSource(ints = {0, 3})
    void call_pushes_on_both_stacks_and_ret_compares(int cpl) {
      SystemMachine m = CetMachine.long64(cpl);
      long ssp = m.cpu.ssp;
      m.execute("e8 10000000");
      assertEquals(ssp - 8, m.cpu.ssp);
      assertEquals(CODE + 5, ssp(m, 0));
      assertEquals(CODE + 5, m.stack(0, 8));
      m.execute("c3");
      assertEquals(ssp, m.cpu.ssp);
      assertEquals(CODE + 5, m.cpu.rip);
    }

    @Test
    void a_changed_return_address_is_a_control_protection_exception() {
      SystemMachine m = CetMachine.long64(3);
      m.execute("e8 10000000");
      long rsp = m.cpu.r[Cpu.RSP];
      long ssp = m.cpu.ssp;
      m.memory.writeLong(rsp, CODE);
      assertEquals(cp(1), m.fault("c3"));
      assertEquals(cp(1), m.fault("c2 1000"));
      assertEquals(rsp, m.cpu.r[Cpu.RSP]);
      assertEquals(ssp, m.cpu.ssp);
    }

    @Test
    void a_call_of_the_next_instruction_is_not_pushed() {
      SystemMachine m = CetMachine.long64(3);
      m.execute("e8 00000000");
      assertEquals(USER, m.cpu.ssp);
      m.cpu.r[Cpu.RAX] = m.cpu.rip + 2;
      m.execute("ff d0");
      assertEquals(USER - 8, m.cpu.ssp);
    }

    @Test
    void outside_of_64_bit_mode_addresses_have_4_bytes() {
      SystemMachine m = CetMachine.compatibility(3);
      m.memory.writeInt(USER - 8, -1);
      m.execute("e8 10000000");
      assertEquals(USER - 4, m.cpu.ssp);
      assertEquals(CODE + 5, m.read(USER - 4, 4));
      m.execute("66 e8 0000");
      assertEquals(USER - 4, m.cpu.ssp);
      m.execute("66 e8 1000");
      assertEquals(USER - 8, m.cpu.ssp);
      assertEquals(m.stack(0, 2), m.read(USER - 8, 4));
      m.execute("66 c3");
      assertEquals(USER - 4, m.cpu.ssp);
    }

    @Test
    void nothing_is_pushed_where_the_shadow_stack_faults() {
      SystemMachine m = CetMachine.long64(3);
      long rsp = m.cpu.r[Cpu.RSP];
      m.memory.writeLong(rsp - 8, 77);
      m.page(USER_PAGE, 7);
      assertEquals(new Fault(Vector.PF, true, 0x47, USER - 8), m.fault("e8 10000000"));
      m.page(USER_PAGE, 0);
      assertEquals(new Fault(Vector.PF, true, 0x46, USER - 8), m.fault("ff d0"));
      m.cpu.ssp = 0x8000_0000_0000_0000L;
      assertEquals(gp(0), m.fault("e8 10000000"));
      assertEquals(77, m.memory.readLong(rsp - 8));
      assertEquals(rsp, m.cpu.r[Cpu.RSP]);
      m.cpu.ssp = SUPERVISOR;
      m.memory.writeLong(rsp, 5);
      assertEquals(new Fault(Vector.PF, true, 0x45, SUPERVISOR), m.fault("c3"));
    }

    @Test
    void the_other_level_is_not_asked() {
      SystemMachine m = CetMachine.long64(3);
      m.cpu.msr.uCet = 0;
      m.cpu.updateMode();
      m.execute("e8 10000000");
      assertEquals(USER, m.cpu.ssp);
      m = CetMachine.long64(0);
      m.cpu.cr4 &= ~ControlBits.CR4_CET;
      m.cpu.updateMode();
      m.execute("e8 10000000");
      assertEquals(SUPERVISOR - 0x100, m.cpu.ssp);
    }
  }

  @Nested
  class Far {
    private final SystemMachine m = CetMachine.long64(0);

    /** CALL m16:64 to a selector, from DATA. */
    private void callFar(int selector, long rip) {
      m.memory.writeLong(DATA, rip);
      m.memory.writeShort(DATA + 8, (short) selector);
      m.cpu.r[Cpu.RBX] = DATA;
      m.execute("48 ff 1b");
    }

    @Test
    void call_pushes_a_frame_and_ret_compares_all_of_it() {
      long ssp = m.cpu.ssp;
      callFar(LONG0, CODE + 0x100);
      assertEquals(ssp - 24, m.cpu.ssp);
      assertEquals(ssp, ssp(m, 0));
      assertEquals(CODE + 3, ssp(m, 1));
      assertEquals(LONG0, ssp(m, 2));
      for (int slot = 0; slot < 3; slot++) {
        long at = m.cpu.ssp + 8L * slot;
        long was = m.memory.readLong(at);
        m.memory.writeLong(at, was ^ 1L << (slot == 2 ? 40 : slot));
        assertEquals(cp(2), m.fault("48 cb"), "slot " + slot);
        m.memory.writeLong(at, was);
      }
      m.cpu.ssp -= 4;
      assertEquals(cp(2), m.fault("48 cb"));
      m.cpu.ssp += 4;
      m.execute("48 cb");
      assertEquals(ssp, m.cpu.ssp);
      assertEquals(CODE + 3, m.cpu.rip);
    }

    @Test
    void a_frame_is_aligned_to_8_bytes() {
      m.cpu.ssp -= 4;
      long ssp = m.cpu.ssp;
      m.memory.writeInt(ssp - 4, -1);
      callFar(LONG0, CODE + 0x100);
      assertEquals(ssp - 4 - 24, m.cpu.ssp);
      assertEquals(0, m.read(ssp - 4, 4));
      assertEquals(ssp, ssp(m, 0));
      m.execute("48 cb");
      assertEquals(ssp, m.cpu.ssp);
    }

    @Test
    void code_outside_of_64_bit_mode_needs_a_shadow_stack_below_4_gbytes() {
      m.cpu.ssp = 1L << 32;
      m.memory.writeLong(DATA, CODE);
      m.memory.writeShort(DATA + 8, (short) CODE0);
      m.cpu.r[Cpu.RBX] = DATA;
      assertEquals(gp(0), m.fault("48 ff 1b"));
      assertEquals(gp(0), m.fault("48 ff 2b"));
      m.cpu.ssp = SUPERVISOR - 0x100;
      assertNull(m.fault("48 ff 1b"));
      assertEquals(CODE0, m.cpu.seg[Cpu.CS].selector);
    }

    @Test
    void a_call_gate_to_an_inner_level_takes_that_levels_shadow_stack() {
      SystemMachine u = CetMachine.long64(3);
      u.gdt(FREE, gate(LONG0, CODE + 0x200, 0xec, 0));
      u.memory.writeLong(DATA, 0);
      u.memory.writeShort(DATA + 8, (short) (FREE | 3));
      u.cpu.r[Cpu.RBX] = DATA;
      u.execute("48 ff 1b");
      assertEquals(0, u.cpu.cpl);
      assertEquals(SUPERVISOR, u.cpu.ssp);
      assertEquals(SUPERVISOR | 1, u.memory.readLong(SUPERVISOR));
      assertEquals(USER, u.cpu.msr.plSsp[3]);
      u.execute("48 cb");
      assertEquals(3, u.cpu.cpl);
      assertEquals(USER, u.cpu.ssp);
      assertEquals(SUPERVISOR, u.memory.readLong(SUPERVISOR));
    }
  }

  @Nested
  class Events {
    private SystemMachine user() {
      SystemMachine m = CetMachine.long64(3);
      m.idt(LONG0, 0xee);
      return m;
    }

    @Test
    void an_event_of_the_users_takes_the_supervisors_shadow_stack_and_iret_frees_it() {
      SystemMachine m = user();
      m.run("cd 80");
      assertEquals(0x80, m.handled());
      assertEquals(SUPERVISOR, m.cpu.ssp);
      assertEquals(SUPERVISOR | 1, m.memory.readLong(SUPERVISOR));
      assertEquals(USER, m.cpu.msr.plSsp[3]);
      m.cpu.msr.plSsp[3] = USER - 0x40;
      m.execute("48 cf");
      assertEquals(3, m.cpu.cpl);
      assertEquals(USER - 0x40, m.cpu.ssp);
      assertEquals(SUPERVISOR, m.memory.readLong(SUPERVISOR));
    }

    @Test
    void a_token_that_is_busy_or_wrong_is_refused() {
      for (long token : new long[] {SUPERVISOR | 1, 0, SUPERVISOR + 8}) {
        SystemMachine m = user();
        m.memory.writeLong(SUPERVISOR, token);
        m.run("cd 80");
        // The general-protection exception finds no shadow stack either, and so on.
        assertEquals(Cpu.SHUTDOWN, m.cpu.activity, "token " + token);
        assertEquals(token, m.memory.readLong(SUPERVISOR));
        assertEquals(USER, m.cpu.ssp);
        assertEquals(3, m.cpu.cpl);
      }
    }

    @Test
    void the_token_and_what_is_pushed_lie_in_32_bytes() {
      SystemMachine m = user();
      long at = SUPERVISOR - 8;
      m.memory.writeLong(at, at);
      m.cpu.msr.plSsp[0] = at;
      m.run("cd 80");
      assertEquals(Cpu.SHUTDOWN, m.cpu.activity);
      assertEquals(at, m.memory.readLong(at));
    }

    @Test
    void an_event_of_a_supervisors_pushes_a_frame() {
      SystemMachine m = CetMachine.long64(0);
      m.idt(LONG0, 0x8e);
      long ssp = m.cpu.ssp;
      m.run("cd 80");
      assertEquals(ssp - 24, m.cpu.ssp);
      assertEquals(ssp, ssp(m, 0));
      assertEquals(CODE + 2, ssp(m, 1));
      assertEquals(LONG0, ssp(m, 2));
      assertEquals(0, m.cpu.msr.plSsp[3]);
      long frame = m.cpu.ssp;
      m.memory.writeLong(frame + 8, CODE + 3);
      m.run("48 cf");
      assertEquals(Vector.CP, m.handled());
      assertEquals(2, m.stack(0, 8));
      m.cpu.ssp = frame;
      m.memory.writeLong(frame + 8, CODE + 2);
      m.cpu.r[Cpu.RSP] = STACK0 - 40;
      m.execute("48 cf");
      assertEquals(ssp, m.cpu.ssp);
      assertEquals(CODE + 2, m.cpu.rip);
    }

    @Test
    void the_interrupt_stack_table_has_shadow_stacks_too() {
      SystemMachine m = CetMachine.long64(0);
      m.idt(LONG0, 0x8e);
      m.idt(0x80, LONG0, handler(0x80), 0x8e, 1);
      long ssp = m.cpu.ssp;
      m.run("cd 80");
      assertEquals(0x80, m.handled());
      assertEquals(INTERRUPT - 24, m.cpu.ssp);
      assertEquals(INTERRUPT | 1, m.memory.readLong(INTERRUPT));
      assertEquals(ssp, ssp(m, 0));
      m.execute("48 cf");
      assertEquals(ssp, m.cpu.ssp);
      assertEquals(INTERRUPT, m.memory.readLong(INTERRUPT));

      m = user();
      m.idt(0x80, LONG0, handler(0x80), 0xee, 1);
      m.run("cd 80");
      assertEquals(INTERRUPT, m.cpu.ssp);
      assertEquals(SUPERVISOR, m.memory.readLong(SUPERVISOR));
      m.execute("48 cf");
      assertEquals(USER, m.cpu.ssp);
      assertEquals(INTERRUPT, m.memory.readLong(INTERRUPT));
    }

    @Test
    void a_control_protection_exception_has_its_error_code_and_is_contributory() {
      SystemMachine m = user();
      m.memory.writeLong(m.cpu.r[Cpu.RSP], CODE);
      m.run("c3");
      assertEquals(Vector.CP, m.handled());
      assertEquals(1, m.stack(0, 8));
      assertEquals(CODE, m.stack(1, 8));
      m = user();
      m.idt(Vector.CP, 0, 0, 0, 0);
      m.memory.writeLong(m.cpu.r[Cpu.RSP], CODE);
      m.run("c3");
      assertEquals(Vector.DF, m.handled());
    }

    @Test
    void in_32_bit_mode_an_event_does_the_same() {
      SystemMachine m = CetMachine.protected32(3);
      m.idt(CODE0, 0xee);
      m.run("cd 80");
      assertEquals(0x80, m.handled());
      assertEquals(SUPERVISOR, m.cpu.ssp);
      assertEquals(USER, m.cpu.msr.plSsp[3]);
      long rip = m.cpu.rip;
      m.run("cd 81");
      assertEquals(SUPERVISOR - 24, m.cpu.ssp);
      assertEquals(SUPERVISOR, ssp(m, 0));
      assertEquals(rip + 2, ssp(m, 1));
      m.execute("cf");
      m.execute("cf");
      assertEquals(3, m.cpu.cpl);
      assertEquals(USER, m.cpu.ssp);
      assertEquals(SUPERVISOR, m.memory.readLong(SUPERVISOR));
    }

    @Test
    void IRET_to_virtual_8086_mode_needs_the_users_CET_off() {
      SystemMachine m = CetMachine.protected32(0);
      m.cpu.ssp = SUPERVISOR;
      m.memory.writeLong(SUPERVISOR, SUPERVISOR | 1);
      m.cpu.r[Cpu.RSP] = STACK0 - 36;
      int[] frame = {0, CODE >> 4, Flags.VM | 2, 0x1000, STACK3 >> 4, 0, 0, 0, 0};
      for (int k = 0; k < frame.length; k++) {
        m.memory.writeInt(STACK0 - 36 + 4 * k, frame[k]);
      }
      assertEquals(gp(0), m.fault("cf"));
      m.cpu.msr.uCet = 0;
      m.execute("cf");
      assertTrue(m.cpu.v86);
      assertFalse(m.cpu.shadowStack);
      assertEquals(SUPERVISOR, m.memory.readLong(SUPERVISOR));
      m.cpu.msr.uCet = CetControl.SH_STK_EN;
      m.cpu.updateMode();
      assertFalse(m.cpu.shadowStack);
      m.idt(CODE0, 0xee);
      EventDelivery.interrupt(m.cpu, 0x81);
      assertEquals(SUPERVISOR, m.cpu.ssp);
      assertEquals(0, m.cpu.msr.plSsp[3]);
    }
  }

  @Nested
  class SystemCalls {
    @Test
    void SYSCALL_keeps_the_users_pointer_and_SYSRET_takes_it_back() {
      SystemMachine m = CetMachine.long64(3);
      m.cpu.msr.star = (long) (LONG3 - 16 & ~3) << 48 | (long) CODE0 << 32;
      m.cpu.msr.lstar = CODE + 0x300;
      m.execute("0f 05");
      assertEquals(0, m.cpu.cpl);
      assertEquals(0, m.cpu.ssp);
      assertEquals(USER, m.cpu.msr.plSsp[3]);
      m.execute("f3 0f 01 e8");
      assertEquals(SUPERVISOR, m.cpu.ssp);
      m.execute("48 0f 07");
      assertEquals(USER, m.cpu.ssp);
    }

    @Test
    void SYSENTER_and_SYSEXIT_do_the_same() {
      SystemMachine m = CetMachine.long64(3);
      m.cpu.msr.sysenterCs = CODE0;
      m.cpu.msr.sysenterEip = CODE;
      m.execute("0f 34");
      assertEquals(0, m.cpu.ssp);
      assertEquals(USER, m.cpu.msr.plSsp[3]);
      m.cpu.r[Cpu.RDX] = CODE;
      m.execute("48 0f 35");
      assertEquals(USER, m.cpu.ssp);
    }
  }

  @Nested
  class Tasks {
    private static final String CALL = "9a00000000a000";

    private SystemMachine machine(int cpl) {
      SystemMachine m = CetMachine.protected32(cpl);
      m.idt(CODE0, 0xee);
      m.gdt(TASK2, segment(TSS2, 0x6b, 0x00e9));
      int[] selectors = {DATA0, CODE0, DATA0, DATA0, DATA0, DATA0};
      m.memory.writeInt(TSS2 + 0x20, handler(99));
      m.memory.writeInt(TSS2 + 0x24, 2);
      m.memory.writeInt(TSS2 + 0x38, STACK1);
      for (int s = 0; s < 6; s++) {
        m.memory.writeInt(TSS2 + 0x48 + 4 * s, selectors[s]);
      }
      m.memory.writeInt(TSS2 + 0x68, (int) INTERRUPT);
      return m;
    }

    @Test
    void CALL_takes_the_shadow_stack_of_the_new_task_and_IRET_comes_back() {
      SystemMachine m = machine(0);
      long ssp = m.cpu.ssp;
      m.memory.writeLong(ssp, ssp | 1);
      m.run(CALL);
      assertEquals(99, m.handled());
      assertEquals(INTERRUPT - 24, m.cpu.ssp);
      assertEquals(INTERRUPT | 1, m.memory.readLong(INTERRUPT));
      assertEquals(ssp, ssp(m, 0));
      assertEquals(CODE + 7, ssp(m, 1));
      m.run("cf");
      assertEquals(CODE + 7, m.cpu.rip);
      assertEquals(ssp, m.cpu.ssp);
      assertEquals(INTERRUPT, m.memory.readLong(INTERRUPT));
    }

    @Test
    void the_users_pointer_is_kept_in_its_register() {
      SystemMachine m = machine(3);
      m.run(CALL);
      assertEquals(99, m.handled());
      assertEquals(INTERRUPT, m.cpu.ssp);
      assertEquals(USER, m.cpu.msr.plSsp[3]);
    }

    @Test
    void a_TSS_without_room_for_a_pointer_and_a_16_bit_one_are_refused() {
      SystemMachine m = machine(0);
      m.gdt(TASK2, segment(TSS2, 0x6a, 0x0089));
      m.run(CALL);
      assertEquals(Vector.TS, m.handled());
      assertEquals(TASK2, m.stack(0, 4));
      m = machine(0);
      m.gdt(TASK2, segment(TSS2, 0x6b, 0x0081));
      m.run(CALL);
      assertEquals(Vector.TS, m.handled());
    }

    @Test
    void a_busy_token_is_a_fault_of_the_new_task() {
      SystemMachine m = machine(0);
      m.memory.writeLong(INTERRUPT, INTERRUPT | 1);
      m.run(CALL);
      assertEquals(Vector.TS, m.handled());
      assertEquals(TASK2, m.cpu.seg[Cpu.TR].selector);
      assertEquals(handler(99), m.stack(1, 4));
    }

    @Test
    void IRET_compares_where_it_leads() {
      SystemMachine m = machine(0);
      m.memory.writeLong(m.cpu.ssp, m.cpu.ssp | 1);
      m.run(CALL);
      m.memory.writeInt(TSS + 0x20, CODE + 8);
      m.run("cf");
      assertEquals(Vector.CP, m.handled());
      assertEquals(2, m.stack(0, 4));
    }
  }
}
