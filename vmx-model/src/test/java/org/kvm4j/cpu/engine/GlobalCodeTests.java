package org.kvm4j.cpu.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;
import static org.kvm4j.vmx.MinimalHypervisor.CODE;
import static org.kvm4j.vmx.MinimalHypervisor.EPT;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.LONG;
import static org.kvm4j.vmx.MinimalHypervisor.PAGE_TABLES;

import org.junit.jupiter.api.Test;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.exit.ExitReason;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.VmcsField;

/** Code of a global page that two PCIDs know, one of which may not execute it. */
class GlobalCodeTests {
  private static final long PAGE = 0x800000;
  private static final int PCIDE = 1 << 17;
  private static final int PGE = 1 << 7;

  private final MinimalHypervisor h = new MinimalHypervisor();

  /** A guest that calls a global user page, of which all but the rest is the supervisor's. */
  private void guest() {
    h.guest(LONG);
    h.secondary(Controls.SECONDARY_EXEC_ENABLE_VPID);
    h.set(VmcsField.VIRTUAL_PROCESSOR_ID, 1);
    h.set(VmcsField.EXCEPTION_BITMAP, 1 << Vector.PF);
    h.memory.writeLong(PAGE_TABLES + 0x2000, 0x83);
    h.memory.writeLong(PAGE_TABLES + 0x2000 + 8 * (PAGE >> 21), PAGE | 0x187);
    h.memory.writeByte(PAGE, (byte) 0xc3); // ret
    h.code(0xff, 0xd3, 0x0f, 0x01, 0xc1); // call rbx; vmcall
    h.cpu.r[Cpu.RBX] = PAGE;
  }

  private ExitReason run(int pcid, boolean calls) {
    h.set(VmcsField.GUEST_CR3, PAGE_TABLES | pcid);
    long smep = pcid == 1 ? ControlBits.CR4_SMEP : 0;
    h.set(VmcsField.GUEST_CR4, 0x2020 | PCIDE | PGE | smep);
    h.set(VmcsField.GUEST_RIP, calls ? CODE : CODE + 2);
    return h.run();
  }

  private void smepHolds() {
    guest();
    run(0, false);
    run(1, false);
    for (int k = 0; k < 3; k++) {
      assertEquals(ExitReason.VMCALL, run(0, true));
      assertEquals(ExitReason.EXCEPTION_NMI, run(1, true), "a user page at CPL 0");
      assertEquals(Vector.PF, h.get(VmcsField.VM_EXIT_INTR_INFO) & 0xff);
      assertEquals(PAGE, h.qualification());
    }
  }

  @Test
  void smepHoldsInTheOther() {
    smepHolds();
  }

  @Test
  void smepHoldsInMachineCode() {
    assumeTrue(h.engine.makeMachineCode(0), "no machine code on this host or JVM");
    smepHolds();
  }

  @Test
  void soDoesTheNestedRightOfSupervisorCode() {
    guest();
    h.memory.writeLong(PAGE_TABLES + 0x2000 + 8 * (PAGE >> 21), PAGE | 0x183);
    h.memory.writeLong(EPT + 0x2000 + 8 * (PAGE >> 21), PAGE | 1L << 10 | 0xb3);
    h.secondary(Controls.SECONDARY_EXEC_MODE_BASED_EPT_EXEC);
    run(0, false);
    assertEquals(ExitReason.EPT_VIOLATION, run(0, true), "executable for users alone");
    h.memory.writeLong(EPT + 0x2000 + 8 * (PAGE >> 21), PAGE | 0xb7);
    assertEquals(ExitReason.VMCALL, run(0, true));
  }
}
