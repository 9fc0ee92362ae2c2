package org.kvm4j.cpu.event;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.cpu.testing.SystemMachine.*;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.testing.SystemMachine;

/** Single-step, breakpoints, shadows. SDM Vol. 3, "Debug Exceptions". */
class DebugUnitTests {

  private static SystemMachine machine() {
    SystemMachine m = SystemMachine.protected32(0);
    m.idt(CODE0, 0x8e);
    return m;
  }

  /** One instruction as an engine executes it in slow mode. */
  private static void step(SystemMachine m, String hex) {
    DebugUnit.slow(m.cpu);
    if (DebugUnit.pendingTraps(m.cpu) || DebugUnit.instructionBreakpoint(m.cpu)) {
      return;
    }
    int flags = m.cpu.flagsRest;
    int shadow = m.cpu.shadow;
    try {
      Instruction i = m.execute(hex);
      DebugUnit.retired(m.cpu, i, flags, shadow);
    } catch (CpuException e) {
      EventDelivery.exception(m.cpu, e);
    }
    DebugUnit.slow(m.cpu);
    DebugUnit.pendingTraps(m.cpu);
  }

  @Test
  void tf_traps_after_the_instruction() {
    SystemMachine m = machine();
    m.cpu.flagsRest |= Flags.TF;
    step(m, "90");
    assertEquals(Vector.DB, m.handled());
    assertEquals(CODE + 1, m.stack(0, 4));
    assertEquals(Flags.TF, m.stack(2, 4) & (Flags.TF | Flags.RF));
    assertEquals(0xffff4ff0L, m.cpu.dr6);
    assertEquals(0, m.cpu.flagsRest & Flags.TF);
  }

  @Test
  void popf_that_sets_tf_does_not_trap_and_one_that_clears_it_does() {
    SystemMachine m = machine();
    m.cpu.r[Cpu.RSP] -= 4;
    m.memory.writeInt(STACK0 - 4, Flags.TF);
    step(m, "9d");
    assertEquals(CODE + 1, m.cpu.rip);
    m.cpu.r[Cpu.RSP] -= 4;
    m.memory.writeInt(STACK0 - 4, 0);
    step(m, "9d");
    assertEquals(Vector.DB, m.handled());
    assertEquals(0, m.stack(2, 4) & Flags.TF);
  }

  @Test
  void iret_that_sets_tf_traps_after_the_next_instruction() {
    SystemMachine m = machine();
    m.cpu.r[Cpu.RSP] -= 12;
    m.memory.writeInt(STACK0 - 12, CODE + 0x100);
    m.memory.writeInt(STACK0 - 8, CODE0);
    m.memory.writeInt(STACK0 - 4, Flags.TF);
    step(m, "cf");
    assertEquals(CODE + 0x100, m.cpu.rip);
    step(m, "90");
    assertEquals(Vector.DB, m.handled());
    assertEquals(CODE + 0x101, m.stack(0, 4));
  }

  @Test
  void the_handler_of_a_software_interrupt_is_not_stepped() {
    SystemMachine m = machine();
    m.cpu.flagsRest |= Flags.TF;
    step(m, "cd80");
    assertEquals(0x80, m.handled());
    assertEquals(0, m.cpu.pendingDebug);
  }

  @Test
  void into_that_is_not_taken_is_stepped() {
    SystemMachine m = machine();
    m.cpu.flagsRest |= Flags.TF;
    step(m, "ce");
    assertEquals(Vector.DB, m.handled());
  }

  @Test
  void mov_ss_holds_the_step_off_for_one_instruction() {
    SystemMachine m = machine();
    m.cpu.flagsRest |= Flags.TF;
    m.cpu.r[Cpu.RAX] = DATA0;
    step(m, "8ed0");
    assertEquals(CODE + 2, m.cpu.rip);
    assertEquals(Cpu.SHADOW_MOV_SS, m.cpu.shadow);
    step(m, "90");
    assertEquals(Vector.DB, m.handled());
    assertEquals(CODE + 3, m.stack(0, 4));
    assertEquals(0, m.cpu.shadow);
  }

  @Test
  void a_data_breakpoint_of_mov_ss_meets_the_handler_of_the_next_int() {
    SystemMachine m = machine();
    m.cpu.dr[0] = DATA;
    m.cpu.dr7 = 0x403 | 3 << 16;
    m.memory.writeShort(DATA, (short) DATA0);
    step(m, "8e1500000500");
    assertEquals(CODE + 6, m.cpu.rip);
    assertEquals(1 | DebugUnit.ENABLED, m.cpu.pendingDebug);
    int flags = m.cpu.flagsRest;
    int shadow = m.cpu.shadow;
    DebugUnit.retired(m.cpu, m.execute("cd80"), flags, shadow);
    assertEquals(0x80, m.handled());
    assertTrue(DebugUnit.pendingTraps(m.cpu));
    assertEquals(Vector.DB, m.handled());
    assertEquals(handler(0x80), m.stack(0, 4));
  }

  @Test
  void INT1_in_the_shadow_of_MOV_SS_tells_of_its_breakpoints_too() {
    SystemMachine m = machine();
    m.cpu.shadow = Cpu.SHADOW_MOV_SS;
    m.cpu.pendingDebug = DebugUnit.ENABLED | 2;
    m.cpu.dr6 = 0xffff0ff0L;
    m.execute("f1");
    assertEquals(Vector.DB, m.handled());
    assertEquals(0xffff0ff2L, m.cpu.dr6);
    assertEquals(0, m.cpu.pendingDebug);
  }

  @Test
  void sti_shadow_ends_after_one_instruction() {
    SystemMachine m = machine();
    step(m, "fb");
    assertTrue(DebugUnit.slow(m.cpu));
    step(m, "90");
    assertEquals(0, m.cpu.shadow);
    assertFalse(DebugUnit.slow(m.cpu));
  }

  @Test
  void an_instruction_breakpoint_is_a_fault_that_rf_holds_off() {
    SystemMachine m = machine();
    m.cpu.dr[1] = CODE;
    m.cpu.dr[2] = CODE;
    m.cpu.dr7 = 0x404;
    m.cpu.flagsRest |= Flags.ID;
    step(m, "90");
    assertEquals(Vector.DB, m.handled());
    assertEquals(CODE, m.stack(0, 4));
    // RF is as it was, and the breakpoint that is not enabled is reported too.
    assertEquals(0, m.stack(2, 4) & Flags.RF);
    assertEquals(0xffff0ff6L, m.cpu.dr6);
    m.cpu.rip = CODE;
    m.cpu.flagsRest |= Flags.RF;
    step(m, "90");
    assertEquals(CODE + 1, m.cpu.rip);
    assertEquals(0, m.cpu.flagsRest & Flags.RF);
  }

  @ParameterizedTest
  @CsvSource({
    // length field, breakpoint at, access at, bytes, hit
    "0, 0x50001, 0x50000, 1, false",
    "0, 0x50001, 0x50001, 1, true",
    "0, 0x50001, 0x50000, 4, true",
    "1, 0x50001, 0x50000, 1, true", // aligned down
    "3, 0x50002, 0x50000, 1, true",
    "3, 0x50000, 0x50004, 4, false",
    "3, 0x50000, 0x4ffff, 1, false",
    "3, 0x50000, 0x4fffd, 4, true"
  })
  void data_breakpoints_by_length(
      int length, String breakpoint, String access, int bytes, boolean hit) {
    SystemMachine m = machine();
    m.cpu.mmu.write32(DATA, 1);
    m.cpu.dr[3] = Long.decode(breakpoint);
    m.cpu.dr7 = 0x400 | 0x80 | 1L << 28 | (long) length << 30;
    m.cpu.r[Cpu.RBX] = Long.decode(access);
    step(m, bytes == 1 ? "8803" : "8903");
    assertEquals(hit ? Vector.DB : -1, m.handled());
    if (hit) {
      assertEquals(CODE + 2, m.stack(0, 4));
      assertEquals(0xffff0ff8L, m.cpu.dr6);
    }
  }

  @Test
  void reads_hit_read_write_breakpoints_alone() {
    SystemMachine m = machine();
    m.cpu.dr[0] = DATA;
    m.cpu.dr7 = 0x401 | 1 << 16;
    m.cpu.r[Cpu.RBX] = DATA;
    step(m, "8a03");
    assertEquals(-1, m.handled());
    m.cpu.dr7 = 0x401 | 3 << 16;
    step(m, "8a03");
    assertEquals(Vector.DB, m.handled());
    m.cpu.dr7 = 0x400;
    m.cpu.rip = CODE;
    step(m, "8a03");
    assertEquals(CODE + 2, m.cpu.rip);
    assertFalse(DebugUnit.slow(m.cpu));
  }

  @Test
  void repeated_strings_stop_after_each_iteration() {
    SystemMachine m = machine();
    m.cpu.r[Cpu.RCX] = 3;
    m.cpu.r[Cpu.RDI] = DATA;
    m.cpu.flagsRest |= Flags.TF;
    step(m, "f3aa");
    assertEquals(Vector.DB, m.handled());
    assertEquals(CODE, m.stack(0, 4));
    assertEquals(2, m.cpu.r[Cpu.RCX]);
  }

  @Test
  void a_port_breakpoint_needs_de() {
    SystemMachine m = machine();
    m.cpu.dr[0] = 0x60;
    m.cpu.dr7 = 0x401 | 2 << 16;
    step(m, "e460");
    assertEquals(-1, m.handled());
    m.cpu.cr4 |= ControlBits.CR4_DE;
    step(m, "e460");
    assertEquals(Vector.DB, m.handled());
    assertEquals(0xffff0ff1L, m.cpu.dr6);
  }

  @Test
  void branch_step_traps_taken_branches_alone() {
    SystemMachine m = machine();
    m.cpu.flagsRest |= Flags.TF;
    m.cpu.msr.debugCtl = 2;
    step(m, "90");
    assertEquals(CODE + 1, m.cpu.rip);
    step(m, "7410");
    assertEquals(CODE + 3, m.cpu.rip);
    step(m, "eb10");
    assertEquals(Vector.DB, m.handled());
    assertEquals(0, m.cpu.msr.debugCtl);
  }

  @Test
  void an_exit_gets_the_breakpoints_and_keeps_dr6() {
    SystemMachine m = machine();
    var calls = m.guest("exception");
    m.cpu.flagsRest |= Flags.TF;
    step(m, "90");
    assertEquals("exception 1 false 0 16384 false", calls.get(0));
    assertEquals(0xffff0ff0L, m.cpu.dr6);
  }

  @Test
  void a_fault_forgets_what_the_instruction_would_have_trapped_for() {
    SystemMachine m = machine();
    m.cpu.dr[0] = DATA;
    m.cpu.dr7 = 0x401 | 3 << 16;
    m.memory.writeShort(DATA, (short) ABSENT_DATA);
    step(m, "8e1d00000500");
    assertEquals(Vector.NP, m.handled());
    assertEquals(0, m.cpu.pendingDebug);
  }
}
