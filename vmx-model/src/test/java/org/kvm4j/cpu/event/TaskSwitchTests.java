package org.kvm4j.cpu.event;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.cpu.testing.SystemMachine.*;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.testing.SystemMachine;
import org.kvm4j.cpu.testing.SystemMachine.Fault;

/** Task switches by CALL, JMP and IRET. SDM Vol. 3, "Task Switching". */
class TaskSwitchTests {
  private static final String CALL = "9a00000000a000";
  private static final String JMP = "ea00000000a000";
  private static final int EIP = 0x18000 + 99 * 16;

  private static SystemMachine machine() {
    SystemMachine m = SystemMachine.protected32(0);
    m.idt(CODE0, 0x8e);
    TaskStates.write32(m, CODE0, DATA0, EIP, STACK1);
    m.cpu.r[Cpu.RSI] = 0x66;
    return m;
  }

  @Test
  void jmp_leaves_the_old_task_available() {
    SystemMachine m = machine();
    m.cpu.dr7 = 0x7ff;
    m.run(JMP);
    assertEquals(99, m.handled());
    assertEquals(0x89, m.gdtAccess(TASK));
    assertEquals(0x8b, m.gdtAccess(TASK2));
    assertEquals(0, m.cpu.flagsRest & Flags.NT);
    assertEquals(0, m.read(TSS2, 2));
    // The old task's state.
    assertEquals(CODE + 7, m.read(TSS + 0x20, 4));
    assertEquals(STACK0, m.read(TSS + 0x38, 4));
    assertEquals(0x66, m.read(TSS + 0x40, 4));
    assertEquals(CODE0, m.read(TSS + 0x4c, 2));
    assertEquals(DATA0, m.read(TSS + 0x5c, 2));
    // The new one's.
    assertEquals(STACK1, m.cpu.r[Cpu.RSP]);
    assertEquals(0x1006, m.cpu.r[Cpu.RSI]);
    assertEquals(TASK2, m.cpu.seg[Cpu.TR].selector);
    assertEquals(0x8b, m.cpu.seg[Cpu.TR].ar);
    assertEquals(ControlBits.CR0_TS, m.cpu.cr0 & ControlBits.CR0_TS);
    assertEquals(0x6aa, m.cpu.dr7 & 0x7ff);
    assertTrue(m.cpu.seg[Cpu.LDTR].unusable());
  }

  @Test
  void call_nests_and_iret_returns() {
    SystemMachine m = machine();
    m.run(CALL);
    assertEquals(99, m.handled());
    assertEquals(0x8b, m.gdtAccess(TASK));
    assertEquals(Flags.NT, m.cpu.flagsRest & Flags.NT);
    assertEquals(TASK, m.read(TSS2, 2));
    m.run("cf");
    assertEquals(CODE + 7, m.cpu.rip);
    assertEquals(TASK, m.cpu.seg[Cpu.TR].selector);
    assertEquals(0x8b, m.gdtAccess(TASK));
    assertEquals(0x89, m.gdtAccess(TASK2));
    assertEquals(0x66, m.cpu.r[Cpu.RSI]);
    assertEquals(0, m.cpu.flagsRest & Flags.NT);
    // The image that the nested task left has no NT.
    assertEquals(0, m.read(TSS2 + 0x24, 4) & Flags.NT);
    assertEquals(EIP + 1, m.read(TSS2 + 0x20, 4));
  }

  @Test
  void a_task_gate_works_like_the_tss() {
    SystemMachine m = machine();
    m.gdt(FREE, gate(TASK2, 0, 0x85, 0));
    m.run("9a00000000b000");
    assertEquals(99, m.handled());
    assertEquals(Flags.NT, m.cpu.flagsRest & Flags.NT);
  }

  @ParameterizedTest
  @CsvSource({
    "0x008b, 0x67, 13", // busy
    "0x0009, 0x67, 11", // not present
    "0x0089, 0x66, 10", // too short
    "0x0081, 0x2a, 10"
  })
  void checks_of_the_new_tss(String access, String limit, int vector) {
    SystemMachine m = machine();
    m.gdt(TASK2, segment(TSS2, Integer.decode(limit), Integer.decode(access)));
    assertEquals(Fault.of(vector, TASK2), m.fault(JMP));
    assertEquals(CODE, m.cpu.rip);
    assertEquals(TASK, m.cpu.seg[Cpu.TR].selector);
  }

  @Test
  void a_task_below_dpl_is_gp() {
    SystemMachine m = SystemMachine.protected32(3);
    TaskStates.write32(m, CODE0, DATA0, EIP, STACK1);
    assertEquals(Fault.of(Vector.GP, TASK2), m.fault(JMP));
  }

  /** A fault after the switch is the new task's, at its first instruction. */
  @ParameterizedTest
  @CsvSource({
    // offset in the TSS, value, vector, error code
    "0x4c, 0, 10, 0",
    "0x4c, 0x10, 10, 0x10", // CS is data
    "0x4c, 0x70, 11, 0x70", // CS is not present
    "0x4c, 0x1f8, 10, 0x1f8",
    "0x50, 0, 10, 0",
    "0x50, 0x20, 10, 0x20", // SS has DPL 3
    "0x50, 0x13, 10, 0x10", // SS has RPL 3
    "0x50, 0x78, 12, 0x78", // SS is not present
    "0x54, 0x98, 10, 0x98", // DS is execute-only
    "0x54, 0x78, 11, 0x78",
    "0x5c, 0x200, 10, 0x200",
    "0x60, 0x10, 10, 0x10", // LDT is none
    "0x60, 0x0c, 10, 0x0c"
  })
  void checks_of_the_new_task(String offset, String value, int vector, String code) {
    SystemMachine m = machine();
    // The handler has a task of its own: the new one may have no stack.
    int tss3 = 0x15000;
    m.gdt(FREE, segment(tss3, 0x67, 0x0089));
    byte[] image = new byte[0x68];
    m.memory.read(TSS2, image);
    m.memory.write(tss3, image);
    m.memory.writeInt(tss3 + 0x20, handler(vector));
    m.idt(vector, FREE, 0, 0x85, 0);
    m.memory.writeInt(TSS2 + Integer.decode(offset), Integer.decode(value));
    m.run(JMP);
    assertEquals(vector, m.handled());
    assertEquals(FREE, m.cpu.seg[Cpu.TR].selector);
    assertEquals(TASK2, m.read(tss3, 2));
    assertEquals(Integer.decode(code), (int) m.stack(0, 4));
    assertEquals(EIP, m.read(TSS2 + 0x20, 4));
    assertEquals(STACK1, m.read(TSS2 + 0x38, 4));
  }

  @Test
  void a_code_segment_that_was_not_loaded_is_no_unusable_one() {
    SystemMachine m = machine();
    m.memory.writeInt(TSS2 + 0x4c, ABSENT_CODE | 3);
    // Nothing can be delivered in the new task: the state stays as it was entered.
    m.cpu.idtLimit = 0;
    m.run(JMP);
    assertEquals(Cpu.SHUTDOWN, m.cpu.activity);
    assertEquals(ABSENT_CODE | 3, m.cpu.seg[Cpu.CS].selector);
    assertEquals(0xfb, m.cpu.seg[Cpu.CS].ar);
    assertEquals(0, m.cpu.seg[Cpu.CS].limit);
    assertEquals(3, m.cpu.seg[Cpu.SS].dpl());
    assertTrue(m.cpu.seg[Cpu.SS].unusable());
  }

  @Test
  void an_eip_past_the_limit_is_gp_in_the_new_task() {
    SystemMachine m = machine();
    m.gdt(FREE, segment(0, 0xfff, 0x409b));
    m.memory.writeInt(TSS2 + 0x4c, FREE);
    m.run(JMP);
    assertEquals(Vector.GP, m.handled());
    assertEquals(0, m.stack(0, 4));
    assertEquals(EIP, m.stack(1, 4));
    assertEquals(TASK2, m.cpu.seg[Cpu.TR].selector);
  }

  @Test
  void the_t_flag_is_a_trap_before_the_first_instruction() {
    SystemMachine m = machine();
    m.memory.writeInt(TSS2 + 0x64, 1);
    m.run(JMP);
    assertTrue(DebugUnit.slow(m.cpu));
    assertTrue(DebugUnit.pendingTraps(m.cpu));
    assertEquals(Vector.DB, m.handled());
    assertEquals(0xffff8ff0L, m.cpu.dr6);
    assertEquals(EIP, m.stack(0, 4));
  }

  @Test
  void a_task_of_virtual_8086_mode() {
    SystemMachine m = machine();
    m.memory.writeInt(TSS2 + 0x24, Flags.VM | Flags.IOPL | 2);
    for (int s = 0; s < 6; s++) {
      m.memory.writeInt(TSS2 + 0x48 + 4 * s, 0x1000 + s);
    }
    m.memory.writeInt(TSS2 + 0x20, 0x77);
    m.run(JMP);
    assertTrue(m.cpu.v86);
    assertEquals(3, m.cpu.cpl);
    assertEquals(0x10030, m.cpu.seg[Cpu.DS].base);
    assertEquals(0x77, m.cpu.rip);
  }

  @Test
  void a_16_bit_task() {
    SystemMachine m = machine();
    m.gdt(TASK2, segment(TSS2, 0x2b, 0x0081));
    for (int k = 0; k < 0x2c; k += 2) {
      m.memory.writeShort(TSS2 + k, (short) 0);
    }
    m.memory.writeShort(TSS2 + 0x0e, (short) 0x4321);
    m.memory.writeShort(TSS2 + 0x10, (short) 2);
    m.memory.writeShort(TSS2 + 0x1a, (short) 0x8000);
    m.memory.writeShort(TSS2 + 0x22, (short) DATA0);
    m.memory.writeShort(TSS2 + 0x24, (short) CODE0);
    m.memory.writeShort(TSS2 + 0x26, (short) DATA0);
    m.memory.writeShort(TSS2 + 0x28, (short) DATA3);
    m.run(CALL);
    assertEquals(0x4321, m.cpu.rip);
    assertEquals(0x8000, m.cpu.r[Cpu.RSP]);
    assertEquals(DATA3, m.cpu.seg[Cpu.DS].selector);
    assertTrue(m.cpu.seg[Cpu.FS].unusable());
    assertEquals(0x83, m.gdtAccess(TASK2));
    m.cpu.rip = CODE;
    m.run("cf");
    assertEquals(CODE + 7, m.cpu.rip);
    assertEquals(CODE + 1 & 0xffff, m.read(TSS2 + 0x0e, 2));
    assertEquals(0x81, m.gdtAccess(TASK2));
  }

  @Test
  void the_new_tasks_page_directory_is_taken() {
    SystemMachine m = SystemMachine.paged32(0);
    TaskStates.write32(m, CODE0, DATA0, EIP, STACK1);
    byte[] directory = new byte[4096];
    m.memory.read(0x20000, directory);
    m.memory.write(0x3e000, directory);
    m.memory.writeInt(TSS2 + 0x1c, 0x3e000);
    m.run(JMP);
    assertEquals(0x3e000, m.cpu.cr3);
    assertEquals(99, m.handled());
  }

  @Test
  void a_page_fault_on_a_tss_is_the_old_tasks() {
    SystemMachine m = SystemMachine.paged32(0);
    m.page(PAGES, 0);
    m.gdt(TASK2, segment(PAGES - 0x20, 0x67, 0x0089));
    Fault f = m.fault(JMP);
    assertEquals(new Fault(Vector.PF, true, 0, PAGES), f);
    assertEquals(0x89, m.gdtAccess(TASK2));
    assertEquals(TASK, m.cpu.seg[Cpu.TR].selector);
  }

  @Test
  void iret_checks_the_back_link() {
    SystemMachine m = machine();
    m.cpu.flagsRest |= Flags.NT;
    m.memory.writeShort(TSS, (short) TASK2);
    assertEquals(Fault.of(Vector.TS, TASK2), m.fault("cf"));
    m.memory.writeShort(TSS, (short) 0);
    assertEquals(Fault.of(Vector.TS, 0), m.fault("cf"));
    m.memory.writeShort(TSS, (short) (TASK2 | 4));
    assertEquals(Fault.of(Vector.TS, TASK2 | 4), m.fault("cf"));
    m.memory.writeShort(TSS, (short) 0x200);
    assertEquals(Fault.of(Vector.TS, 0x200), m.fault("cf"));
  }
}
