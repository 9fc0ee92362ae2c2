package org.kvm4j.cpu.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;
import static org.kvm4j.vmx.MinimalHypervisor.CODE;
import static org.kvm4j.vmx.MinimalHypervisor.EPT;
import static org.kvm4j.vmx.MinimalHypervisor.IDT;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.LONG;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.PROTECTED;
import static org.kvm4j.vmx.MinimalHypervisor.PAGE_TABLES;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.exit.ExitReason;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.VmcsField;

/** A move that has touched devices again and again does what it did at first. */
class DeviceMoveTests {
  private static final long DATA = 0x400000;
  private static final long ENTRY = EPT + 0x2000 + 8 * (DATA >> 21);
  private static final long MAPPED = DATA | 0xb7;
  private static final long UNMAPPED_BY_GUEST = 1L << 40;
  private static final int OFTEN = 8;

  /** mov [rdi], eax. */
  private static final int[] STORE = {0x90, 0x89, 0x07, 0x0f, 0x01, 0xc1};

  /** mov eax, [rdi]. */
  private static final int[] LOAD = {0x90, 0x8b, 0x07, 0x0f, 0x01, 0xc1};

  private final MinimalHypervisor h = new MinimalHypervisor();

  /** Whose block holds the move. */
  enum By {
    INTERPRETER,
    TRANSLATOR,
    MACHINE_CODE
  }

  /** A guest that does nothing, moves, and makes a hypercall. */
  private void guest(By engine, int[] code) {
    switch (engine) {
      case TRANSLATOR -> h.engine.translate(0, null);
      case MACHINE_CODE ->
          assumeTrue(h.engine.makeMachineCode(0), "no machine code on this host or JVM");
      default -> {}
    }
    h.guest(LONG);
    h.memory.writeLong(ENTRY, 0);
    h.set(VmcsField.EXCEPTION_BITMAP, 1 << Vector.GP | 1 << Vector.PF | 1 << Vector.SS);
    h.code(code);
    h.cpu.r[Cpu.RAX] = 0x12345678;
    h.cpu.r[Cpu.RDI] = DATA + 8;
  }

  private ExitReason again() {
    h.set(VmcsField.GUEST_RIP, CODE);
    h.set(VmcsField.GUEST_RFLAGS, 2);
    return h.run();
  }

  private void violates(long qualification) {
    assertEquals(ExitReason.EPT_VIOLATION, again());
    assertEquals(qualification, h.qualification());
    assertEquals(CODE + 1, h.get(VmcsField.GUEST_RIP));
    assertEquals(DATA + 8, h.get(VmcsField.GUEST_LINEAR_ADDRESS));
    assertEquals(DATA + 8, h.get(VmcsField.GUEST_PHYSICAL_ADDRESS));
    assertTrue((h.get(VmcsField.GUEST_RFLAGS) & Flags.RF) != 0, "a fault");
  }

  private void violatesOften(long qualification) {
    for (int k = 0; k < 3 * OFTEN; k++) {
      violates(qualification);
    }
  }

  private boolean isDevice() {
    return h.engine.isDevice(CODE + 1);
  }

  @ParameterizedTest
  @EnumSource
  void aStore(By engine) {
    guest(engine, STORE);
    assertFalse(isDevice());
    violatesOften(0x782);
    assertEquals(engine != By.TRANSLATOR, isDevice());
    // Memory comes to be there, and goes.
    h.memory.writeLong(ENTRY, MAPPED);
    for (int k = 0; k < 150; k++) {
      h.cpu.r[Cpu.RAX] = k;
      assertEquals(ExitReason.VMCALL, again());
      assertEquals(k, h.memory.readInt(DATA + 8));
    }
    assertFalse(isDevice(), "it is one like others");
    h.memory.writeLong(ENTRY, 0);
    h.cpu.mmu.flushAll();
    violatesOften(0x782);
    assertEquals(engine != By.TRANSLATOR, isDevice());
  }

  @ParameterizedTest
  @EnumSource
  void aLoad(By engine) {
    guest(engine, LOAD);
    violatesOften(0x781);
    assertEquals(0x12345678, h.cpu.r[Cpu.RAX]);
    h.memory.writeInt(DATA + 8, 0x11223344);
    h.memory.writeLong(ENTRY, MAPPED);
    assertEquals(ExitReason.VMCALL, again());
    assertEquals(0x11223344, h.cpu.r[Cpu.RAX]);
  }

  @ParameterizedTest
  @EnumSource
  void otherFaultsAreWhatTheyAre(By engine) {
    guest(engine, STORE);
    violatesOften(0x782);
    h.cpu.r[Cpu.RDI] = 1L << 62;
    assertEquals(ExitReason.EXCEPTION_NMI, again());
    assertEquals(Vector.GP, h.get(VmcsField.VM_EXIT_INTR_INFO) & 0xff);
    h.cpu.r[Cpu.RDI] = UNMAPPED_BY_GUEST;
    assertEquals(ExitReason.EXCEPTION_NMI, again());
    assertEquals(Vector.PF, h.get(VmcsField.VM_EXIT_INTR_INFO) & 0xff);
    assertEquals(UNMAPPED_BY_GUEST, h.qualification());
    assertEquals(2, h.get(VmcsField.VM_EXIT_INTR_ERROR_CODE), "a write");
    assertEquals(CODE + 1, h.get(VmcsField.GUEST_RIP));
    // Part of it in memory: nothing is written.
    h.memory.writeInt(DATA - 4, 0x55555555);
    h.cpu.r[Cpu.RDI] = DATA - 2;
    assertEquals(ExitReason.EPT_VIOLATION, again());
    assertEquals(DATA, h.get(VmcsField.GUEST_PHYSICAL_ADDRESS));
    assertEquals(0x55555555, h.memory.readInt(DATA - 4));
    h.memory.writeLong(ENTRY, DATA | 0xb2);
    h.cpu.r[Cpu.RDI] = DATA + 8;
    assertEquals(ExitReason.EPT_MISCONFIG, again());
    h.memory.writeLong(ENTRY, DATA | 0xb1);
    violates(0x78a);
  }

  /** A code segment is no place to write, though it is flat: mov cs:[edi], eax. */
  @Test
  void aCodeSegmentIsNotWritten() {
    MinimalHypervisor other = new MinimalHypervisor();
    other.guest(PROTECTED);
    other.set(VmcsField.EXCEPTION_BITMAP, 1 << Vector.GP);
    other.code(0x90, 0x2e, 0x89, 0x07, 0x0f, 0x01, 0xc1);
    other.memory.writeLong(ENTRY, 0);
    other.cpu.r[Cpu.RDI] = DATA + 8;
    for (int k = 0; k < 2 * OFTEN; k++) {
      other.set(VmcsField.GUEST_RIP, CODE);
      assertEquals(ExitReason.EXCEPTION_NMI, other.run());
      assertEquals(Vector.GP, other.get(VmcsField.VM_EXIT_INTR_INFO) & 0xff);
    }
    other.code(0x90, 0x2e, 0x8b, 0x07, 0x0f, 0x01, 0xc1); // mov eax, cs:[edi]
    other.memory.writeLong(ENTRY, MAPPED);
    other.segment(Cpu.CS, 0x18, 0, 0xffffffffL, 0xc099); // execute-only
    other.set(VmcsField.GUEST_RIP, CODE);
    assertEquals(ExitReason.EXCEPTION_NMI, other.run());
  }

  /** EPT's flags for the guest's page tables, which the hypervisor clears to see what is used. */
  @ParameterizedTest
  @EnumSource
  void flagsThatAreClearedAreSetAgainOnceThatIsKnown(By engine) {
    long tables = 0x600000;
    long entry = EPT + 0x2000 + 8 * (tables >> 21);
    long dirtyAndAccessed = 0x300;
    guest(engine, STORE);
    long eptp = h.get(VmcsField.EPT_POINTER) | 1 << 6;
    h.set(VmcsField.EPT_POINTER, eptp);
    h.memory.writeLong(PAGE_TABLES + 8, tables | 7);
    h.memory.writeLong(tables, tables + 0x1000 | 7);
    h.memory.writeLong(tables + 0x1000, DATA | 0x87);
    h.cpu.r[Cpu.RDI] = (1L << 39) + 8;
    for (int k = 0; k < 3 * OFTEN; k++) {
      assertEquals(ExitReason.EPT_VIOLATION, again());
    }
    assertEquals(dirtyAndAccessed, h.memory.readLong(entry) & dirtyAndAccessed);
    for (int before = 0; before < 4; before++) {
      h.memory.writeLong(entry, h.memory.readLong(entry) & ~dirtyAndAccessed);
      for (int k = 0; k < before; k++) {
        // It may know where the tables are still.
        assertEquals(ExitReason.EPT_VIOLATION, again());
      }
      h.vmx.invept(1, eptp);
      assertEquals(ExitReason.EPT_VIOLATION, again());
      assertEquals(
          dirtyAndAccessed, h.memory.readLong(entry) & dirtyAndAccessed, "after " + before);
    }
  }

  @ParameterizedTest
  @EnumSource
  void aVirtualizationExceptionIsTheGuests(By engine) {
    long area = 0x60000;
    guest(engine, STORE);
    violatesOften(0x782);
    h.secondary(Controls.SECONDARY_EXEC_EPT_VIOLATION_VE);
    h.set(VmcsField.VE_INFORMATION_ADDRESS, area);
    long handler = CODE + 3;
    h.memory.writeLong(
        IDT + 16 * Vector.VE, handler & 0xffff | 8 << 16 | 0x8e00L << 32 | handler >> 16 << 48);
    assertEquals(ExitReason.VMCALL, again());
    assertEquals(DATA + 8, h.memory.readLong(area + 16));
    // It is busy.
    violates(0x782);
  }
}
