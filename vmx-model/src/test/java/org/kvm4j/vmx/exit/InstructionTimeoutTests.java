package org.kvm4j.vmx.exit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.vmx.MinimalHypervisor.CODE;
import static org.kvm4j.vmx.MinimalHypervisor.GDT;
import static org.kvm4j.vmx.MinimalHypervisor.IDT;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.PROTECTED;
import static org.kvm4j.vmx.MinimalHypervisor.STACK;

import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.engine.Interpreter;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.instruction.InstructionError;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.VmcsField;

/**
 * Instruction timeout: SDM 26.2 "Other Causes of VM Exits". What keeps this processor from an
 * instruction boundary is an alignment check in the delivery of an alignment check, to a handler at
 * CPL 3 whose stack is not aligned (CVE-2015-5307).
 */
@Timeout(60)
class InstructionTimeoutTests {
  private static final int AC =
      InterruptionInfo.of(InterruptionInfo.HARDWARE_EXCEPTION, Vector.AC, true);

  private final MinimalHypervisor h = new MinimalHypervisor();

  @BeforeEach
  void guest() {
    h.guest(PROTECTED);
    h.memory.writeLong(GDT + 0x28, 0x00cffb000000ffffL);
    h.memory.writeLong(GDT + 0x30, 0x00cff3000000ffffL);
    h.segment(Cpu.CS, 0x2b, 0, 0xffffffffL, 0xc0fb);
    for (int s : new int[] {Cpu.SS, Cpu.DS, Cpu.ES, Cpu.FS, Cpu.GS}) {
      h.segment(s, 0x33, 0, 0xffffffffL, 0xc0f3);
    }
    for (int vector : new int[] {Vector.AC, 0x30}) {
      // An interrupt gate of DPL 3 to 0x2b:CODE+0x80, where VMCALL is.
      h.memory.writeLong(IDT + 8 * vector, 0x0000_ee00_002b_0080L | (CODE >> 16) << 48);
    }
    h.code(0x50); // push eax
    h.memory.writeInt((int) CODE + 0x80, 0x00c1010f);
    h.set(VmcsField.GUEST_RFLAGS, 0x40002);
    h.set(VmcsField.GUEST_RSP, STACK + 2);
  }

  private void timeout(long window) {
    h.secondary(Controls.SECONDARY_EXEC_NOTIFY_VM_EXITING);
    h.set(VmcsField.NOTIFY_WINDOW, window);
  }

  private Interpreter.Stop runs(long budget) {
    assertEquals(InstructionError.SUCCESS, h.enter());
    return h.engine.run(budget);
  }

  @Test
  void endlessDeliveryExits() {
    timeout(0);
    assertEquals(ExitReason.NOTIFY, h.run());
    assertEquals(0, h.qualification(), "the VM context is valid");
    assertEquals(CODE, h.get(VmcsField.GUEST_RIP));
    assertEquals(STACK + 2, h.get(VmcsField.GUEST_RSP));
    assertEquals(0, h.get(VmcsField.VM_EXIT_INTR_INFO));
    assertEquals(AC, (int) h.get(VmcsField.IDT_VECTORING_INFO_FIELD));
    assertEquals(0, h.get(VmcsField.IDT_VECTORING_ERROR_CODE));
    // It can be gone on with.
    h.set(VmcsField.GUEST_RSP, STACK);
    h.set(VmcsField.VM_ENTRY_INTR_INFO_FIELD, AC & 0xffffffffL);
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(CODE + 0x80, h.get(VmcsField.GUEST_RIP));
    assertEquals(STACK - 16, h.get(VmcsField.GUEST_RSP));
  }

  @Test
  void anInterruptLeadsThereToo() {
    timeout(0);
    h.set(VmcsField.GUEST_RFLAGS, 0x40202);
    h.set(
        VmcsField.VM_ENTRY_INTR_INFO_FIELD,
        InterruptionInfo.of(InterruptionInfo.EXTERNAL_INTERRUPT, 0x30, false) & 0xffffffffL);
    assertEquals(ExitReason.NOTIFY, h.run());
    assertEquals(AC, (int) h.get(VmcsField.IDT_VECTORING_INFO_FIELD));
  }

  @Test
  void oneAlignmentCheckIsNoTimeout() {
    timeout(0);
    h.set(VmcsField.GUEST_RSP, STACK);
    h.code(0x8b, 0x04, 0x24, 0x8b, 0x44, 0x24, 0x01); // mov eax, [esp]; mov eax, [esp+1]
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(CODE + 0x80, h.get(VmcsField.GUEST_RIP));
  }

  /** The way out before there was this control. */
  @Test
  void theExceptionBitmapComesFirst() {
    timeout(0);
    h.set(VmcsField.EXCEPTION_BITMAP, 1 << Vector.AC);
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
    assertEquals(AC, (int) h.get(VmcsField.VM_EXIT_INTR_INFO));
    assertEquals(0, h.get(VmcsField.IDT_VECTORING_INFO_FIELD), "of the push, not of a delivery");
  }

  @Test
  void theWindowIsWaitedFor() throws InterruptedException {
    timeout(1000);
    assertEquals(Interpreter.Stop.BUDGET, runs(5000));
    assertEquals(CODE, h.cpu.rip);
    long begin = h.clock.tsc;
    AtomicBoolean over = new AtomicBoolean();
    Thread clock =
        new Thread(
            () -> {
              while (!over.get()) {
                h.clock.tsc++;
              }
            });
    clock.start();
    try {
      assertEquals(Interpreter.Stop.LEFT, h.engine.run(1L << 60));
    } finally {
      over.set(true);
    }
    assertEquals(ExitReason.NOTIFY, h.reason());
    assertTrue(h.clock.tsc - begin >= 1000);
    clock.join();
  }

  /** Without the control the processor hangs, but the host's thread can be called back. */
  @Test
  void withoutTheControlItGoesOnUntilTheHostIntervenes() throws InterruptedException {
    assertEquals(Interpreter.Stop.BUDGET, runs(1000));
    assertEquals(CODE, h.cpu.rip);
    assertEquals(STACK + 2, h.cpu.r[Cpu.RSP]);
    Thread kicks =
        new Thread(
            () -> {
              try {
                Thread.sleep(50);
              } catch (InterruptedException e) {
                throw new AssertionError(e);
              }
              h.cpu.request(Cpu.REQUEST_KICK);
            });
    kicks.start();
    assertEquals(Interpreter.Stop.KICKED, h.engine.run(1L << 60));
    kicks.join();
    assertEquals(CODE, h.cpu.rip);
  }
}
