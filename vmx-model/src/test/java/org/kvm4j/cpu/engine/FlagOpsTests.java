package org.kvm4j.cpu.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.engine.Interpreter.Stop;
import org.kvm4j.cpu.testing.SystemMachine;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.exit.ExitReason;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.VmcsField;

/** POPFQ goes on in line only if nothing waits for the flags that it sets. */
final class FlagOpsTests {
  /** Pushes flags, pops them, then INC EAX twice and HLT. */
  private static SystemMachine popping(long flags) {
    SystemMachine m = SystemMachine.long64(0);
    m.idt(SystemMachine.LONG0, 0x8e);
    for (int vector = 0; vector < 256; vector++) {
      Code.put(m, SystemMachine.handler(vector), "f4");
    }
    Code.put(m, "53 9d ff c0 ff c0 f4"); // push rbx
    m.cpu.r[Cpu.RBX] = flags | 2;
    return m;
  }

  @Test
  void an_interrupt_is_taken_before_the_next_instruction() {
    SystemMachine m = popping(Flags.IF);
    m.interrupt = 0x40;
    m.cpu.request(Cpu.REQUEST_INTERRUPT);
    assertEquals(Stop.INACTIVE, Code.engine(m).run(100));
    assertEquals(SystemMachine.handler(0x40) + 1, m.cpu.rip);
    assertEquals(0, m.cpu.r[Cpu.RAX]);
    assertEquals(SystemMachine.CODE + 2, m.stack(0, 8));
  }

  @Test
  void single_step_traps_after_the_next_instruction() {
    SystemMachine m = popping(Flags.TF);
    assertEquals(Stop.INACTIVE, Code.engine(m).run(100));
    assertEquals(SystemMachine.handler(Vector.DB) + 1, m.cpu.rip);
    assertEquals(1, m.cpu.r[Cpu.RAX]);
  }

  @Test
  void otherwise_execution_goes_on() {
    SystemMachine m = popping(Flags.IF | Flags.CF | Flags.DF);
    assertEquals(Stop.INACTIVE, Code.engine(m).run(100));
    assertEquals(2, m.cpu.r[Cpu.RAX]);
    assertNotEquals(0, m.cpu.flagsRest & Flags.IF);
    assertNotEquals(0, m.cpu.flagsRest & Flags.DF);
    assertEquals(SystemMachine.STACK0, m.cpu.r[Cpu.RSP]);
    assertEquals(5, m.cpu.retired());
  }

  /** SDM volume 2, PUSHF: RF and VM are pushed as 0. */
  @ParameterizedTest
  @ValueSource(ints = {0, Flags.RF})
  void pushfq_pushes_flags_and_zeros(int resume) {
    SystemMachine m = SystemMachine.long64(0);
    Code.put(m, "9c ff c0 f4"); // pushfq; inc eax; hlt
    m.cpu.setRflags(Flags.ARITHMETIC | Flags.DF | Flags.ID | resume | 2);
    assertEquals(Stop.INACTIVE, Code.engine(m).run(100));
    assertEquals(SystemMachine.STACK0 - 8, m.cpu.r[Cpu.RSP]);
    assertEquals(Flags.ARITHMETIC | Flags.DF | Flags.ID | 2, m.stack(0, 8));
    assertEquals(1, m.cpu.r[Cpu.RAX]);
    assertEquals(3, m.cpu.retired());
  }

  /** SDM volume 2, STI: interrupts stay blocked until the end of the next instruction. */
  @ParameterizedTest
  @CsvSource({"fb 90 90 90 f4, 2", "fb ff c0 90 90 f4, 3"})
  void an_interrupt_waits_for_the_instruction_after_sti(String code, int taken) {
    SystemMachine m = popping(0);
    Code.put(m, code);
    m.interrupt = 0x40;
    m.cpu.request(Cpu.REQUEST_INTERRUPT);
    assertEquals(Stop.INACTIVE, Code.engine(m).run(100));
    assertEquals(SystemMachine.handler(0x40) + 1, m.cpu.rip);
    assertEquals(SystemMachine.CODE + taken, m.stack(0, 8));
  }

  /** SDM volume 2, PUSHF and POPF: #SS(0) if the stack address is not canonical. */
  @ParameterizedTest
  @ValueSource(strings = {"90 9c 90", "90 9d 90"})
  void a_stack_pointer_that_is_not_canonical_is_a_stack_fault(String code) {
    SystemMachine m = SystemMachine.long64(3);
    m.idt(SystemMachine.LONG0, 0x8e);
    Code.put(m, SystemMachine.handler(Vector.SS), "f4");
    Code.put(m, code);
    m.cpu.r[Cpu.RSP] = 1L << 62;
    assertEquals(Stop.INACTIVE, Code.engine(m).run(100));
    assertEquals(SystemMachine.handler(Vector.SS) + 1, m.cpu.rip);
    assertEquals(SystemMachine.CODE + 1, m.stack(1, 8));
  }

  @ParameterizedTest
  @CsvSource({
    "fb 90 ff c0 fa ff c0 f4, 2",
    "fb 90 ff c0 fa ff c0 f4, 202",
    "fb ff c0 90 fa ff c0 f4, 202"
  })
  void where_nothing_waits_nothing_is_seen_of_it(String code, String flags) {
    SystemMachine m = popping(0);
    Code.put(m, code); // sti; nop and inc eax; cli; inc eax; hlt
    m.cpu.setRflags(Integer.parseInt(flags, 16));
    assertEquals(Stop.INACTIVE, Code.engine(m).run(100));
    assertEquals(2, m.cpu.r[Cpu.RAX]);
    assertEquals(0, m.cpu.flagsRest & Flags.IF);
    assertEquals(0, m.cpu.shadow);
    assertEquals(6, m.cpu.retired());
  }

  /** An STI that finds interrupts enabled blocks none. */
  @Test
  void sti_casts_no_shadow_where_interrupts_are_enabled() {
    MinimalHypervisor h =
        new MinimalHypervisor().guest(MinimalHypervisor.Mode.LONG).code(0xfb, 0x0f, 0xa2);
    assertEquals(ExitReason.CPUID, h.run());
    assertEquals(1, h.get(VmcsField.GUEST_INTERRUPTIBILITY_INFO), "blocking by STI");
    h.set(VmcsField.GUEST_INTERRUPTIBILITY_INFO, 0);
    h.set(VmcsField.GUEST_RIP, MinimalHypervisor.CODE);
    h.set(VmcsField.GUEST_RFLAGS, Flags.IF | 2);
    assertEquals(ExitReason.CPUID, h.run());
    assertEquals(0, h.get(VmcsField.GUEST_INTERRUPTIBILITY_INFO));
  }

  @Test
  void the_interrupt_window_exits_before_the_next_instruction() {
    MinimalHypervisor h =
        new MinimalHypervisor().guest(MinimalHypervisor.Mode.LONG).code(0x53, 0x9d, 0x0f, 0xa2);
    h.cpu.r[Cpu.RBX] = 0x202;
    h.primary(Controls.CPU_BASED_INTR_WINDOW_EXITING);
    assertEquals(ExitReason.INTERRUPT_WINDOW, h.run());
    assertEquals(MinimalHypervisor.CODE + 2, h.get(VmcsField.GUEST_RIP));
  }

  @Test
  void cli_without_privilege_faults() {
    SystemMachine m = SystemMachine.long64(3);
    m.idt(SystemMachine.LONG0, 0x8e);
    Code.put(m, SystemMachine.handler(Vector.GP), "f4");
    Code.put(m, "90 fa 90");
    m.cpu.flagsRest |= Flags.IF;
    assertEquals(Stop.INACTIVE, Code.engine(m).run(100));
    assertEquals(SystemMachine.CODE + 1, m.stack(1, 8));
  }
}
