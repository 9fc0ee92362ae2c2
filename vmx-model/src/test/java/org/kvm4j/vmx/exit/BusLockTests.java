package org.kvm4j.vmx.exit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.vmx.MinimalHypervisor.CODE;
import static org.kvm4j.vmx.MinimalHypervisor.EPT;
import static org.kvm4j.vmx.MinimalHypervisor.GDT;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.LONG;
import static org.kvm4j.vmx.MinimalHypervisor.PAGE_TABLES;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.explain.ExitExplanation;
import org.kvm4j.vmx.vmcs.Control;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.VmcsField;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/** VMM bus-lock detection: SDM 26.2 "Other Causes of VM Exits". */
class BusLockTests {
  private static final long DATA = 0x400000;
  private static final long DATA_ENTRY = EPT + 0x2000 + 8 * (DATA >> 21);
  private static final long GUEST_ENTRY = PAGE_TABLES + 0x2000 + 8 * (DATA >> 21);
  private static final long ASSERTED = 1 << 26;

  private final MinimalHypervisor h = new MinimalHypervisor();

  @BeforeEach
  void guest() {
    h.guest(LONG);
    h.secondary(Controls.SECONDARY_EXEC_BUS_LOCK_DETECTION);
    h.cpu.r[Cpu.RAX] = 1;
  }

  /** An instruction of these bytes, with an address in hexadecimal, then VMCALL. */
  private void code(String instruction, long at) {
    String[] bytes = instruction.split(" ");
    int[] code = new int[bytes.length + 7];
    for (int k = 0; k < bytes.length; k++) {
      code[k] = Integer.parseInt(bytes[k], 16);
    }
    for (int k = 0; k < 4; k++) {
      code[bytes.length + k] = (int) (at >> 8 * k) & 0xff;
    }
    code[bytes.length + 4] = 0x0f;
    code[bytes.length + 5] = 0x01;
    code[bytes.length + 6] = 0xc1;
    h.code(code);
    h.set(VmcsField.GUEST_RIP, CODE);
  }

  private static final String LOCK_ADD = "f0 01 04 25";

  private void expectBusLock() {
    assertEquals(ExitReason.BUS_LOCK, h.run());
    assertEquals(74 | ASSERTED, h.get(VmcsField.VM_EXIT_REASON));
    assertEquals(0, h.qualification());
    assertEquals(0, h.get(VmcsField.VM_EXIT_INTR_INFO));
    assertEquals(0, h.get(VmcsField.IDT_VECTORING_INFO_FIELD));
    assertEquals(ExitReason.VMCALL, h.run(), "it came after the instruction");
    assertEquals(18, h.get(VmcsField.VM_EXIT_REASON), "told of once");
  }

  @Test
  void aSplitLock() {
    code(LOCK_ADD, DATA + 0x3e);
    expectBusLock();
    assertEquals(CODE + 8, h.get(VmcsField.GUEST_RIP));
    assertEquals(1, h.memory.readInt(DATA + 0x3e), "made once");
    code(LOCK_ADD, DATA + 0xffe);
    expectBusLock();
  }

  @ParameterizedTest
  @CsvSource({
    "f0 01 04 25, 0x3c, 0", // lock add [..], eax
    "f0 01 04 25, 0x01, 0", // not aligned, but within the line
    "f0 01 04 25, 0x3d, 1",
    "01 04 25, 0x3e, 0", // no lock
    "87 04 25, 0x3e, 1", // xchg
    "f0 0f b1 04 25, 0x3e, 1", // lock cmpxchg
    "0f b1 04 25, 0x3e, 0",
    "f0 0f c7 0c 25, 0x3c, 1", // lock cmpxchg8b
    "f0 0f ab 04 25, 0x3e, 1", // lock bts
    "f0 48 0f c1 04 25, 0x39, 1", // lock xadd [..], rax
    "f0 48 0f c1 04 25, 0x38, 0",
    "f0 66 ff 04 25, 0x3f, 1", // lock inc word
    "f0 fe 04 25, 0x3f, 0"
  })
  void whichAccessesAreSplitLocks(String instruction, String offset, int locks) {
    code(instruction, DATA + Integer.decode(offset));
    if (locks == 1) {
      expectBusLock();
    } else {
      assertEquals(ExitReason.VMCALL, h.run());
      assertEquals(18, h.get(VmcsField.VM_EXIT_REASON));
    }
    h.clear(VmcsField.SECONDARY_VM_EXEC_CONTROL, Controls.SECONDARY_EXEC_BUS_LOCK_DETECTION);
    h.set(VmcsField.GUEST_RIP, CODE);
    assertEquals(ExitReason.VMCALL, h.run());
  }

  @ParameterizedTest
  @ValueSource(strings = {"f0 01 04 25", "87 04 25", "f0 0f b1 04 25", "f0 48 0f c7 0c 25"})
  void lockedAccessesToUncachedMemory(String instruction) {
    code(instruction, DATA);
    assertEquals(ExitReason.VMCALL, h.run());
    long guestEntry = h.memory.readLong(GUEST_ENTRY);
    h.memory.writeLong(GUEST_ENTRY, guestEntry | 0x18); // PAT entry 3: UC
    h.cpu.mmu.flushAll();
    code(instruction, DATA);
    expectBusLock();
    h.memory.writeLong(DATA_ENTRY, DATA | 0xf7); // the guest's PAT is ignored
    h.cpu.mmu.flushAll();
    code(instruction, DATA);
    assertEquals(ExitReason.VMCALL, h.run());
    h.memory.writeLong(GUEST_ENTRY, guestEntry);
    h.memory.writeLong(DATA_ENTRY, DATA | 0x87); // UC by EPT
    h.cpu.mmu.flushAll();
    code(instruction, DATA);
    expectBusLock();
    h.memory.writeLong(DATA_ENTRY, DATA | 0xb7);
    h.cpu.mmu.flushAll();
    h.cpu.cr0 |= 1 << 30; // CD, which VM entry leaves alone
    code(instruction, DATA);
    expectBusLock();
  }

  @Test
  void onlyLockedAccessesCount() {
    h.memory.writeLong(DATA_ENTRY, DATA | 0x87);
    code("01 04 25", DATA);
    assertEquals(ExitReason.VMCALL, h.run());
    code("48 0f c7 0c 25", DATA); // cmpxchg16b
    assertEquals(ExitReason.VMCALL, h.run());
  }

  @Test
  void accessedBitsOfDescriptors() {
    h.memory.writeLong(DATA + 0x10, h.memory.readLong(GDT + 0x10) & ~(1L << 40));
    h.memory.writeLong(DATA + 8, h.memory.readLong(GDT + 8));
    h.set(VmcsField.GUEST_GDTR_BASE, DATA);
    h.memory.writeLong(DATA_ENTRY, DATA | 0x87);
    h.code(0x8e, 0xd8, 0x0f, 0x01, 0xc1); // mov ds, eax
    h.cpu.r[Cpu.RAX] = 0x10;
    expectBusLock();
    h.set(VmcsField.GUEST_RIP, CODE);
    assertEquals(ExitReason.VMCALL, h.run(), "it is set already");
  }

  /** A fault of the access comes first, and there is no bus lock then. */
  @Test
  void faultsComeFirst() {
    h.memory.writeLong(DATA_ENTRY, DATA | 0x85);
    code(LOCK_ADD, DATA + 0x3e);
    assertEquals(ExitReason.EPT_VIOLATION, h.run());
    assertEquals(48, h.get(VmcsField.VM_EXIT_REASON));
    h.memory.writeLong(DATA_ENTRY, DATA | 0x87);
    expectBusLock();
  }

  @Test
  void itComesBeforeTheMonitorTrapAndSavesPendingDebugExceptions() {
    h.primary(Controls.CPU_BASED_MONITOR_TRAP_FLAG);
    h.set(VmcsField.GUEST_RFLAGS, 0x102);
    code(LOCK_ADD, DATA + 0x3e);
    assertEquals(ExitReason.BUS_LOCK, h.run());
    assertEquals(1 << 14, h.get(VmcsField.GUEST_PENDING_DBG_EXCEPTIONS));
    assertEquals(CODE + 8, h.get(VmcsField.GUEST_RIP));
  }

  @Test
  void itComesBeforeInterruptsAndWindows() {
    h.pin(Controls.PIN_BASED_EXT_INTR_MASK);
    h.primary(Controls.CPU_BASED_INTR_WINDOW_EXITING);
    h.set(VmcsField.GUEST_RFLAGS, 0x202);
    h.set(VmcsField.GUEST_INTERRUPTIBILITY_INFO, 1); // STI: one instruction goes before
    code(LOCK_ADD, DATA + 0x3e);
    assertEquals(ExitReason.BUS_LOCK, h.run());
    assertEquals(0, h.get(VmcsField.GUEST_INTERRUPTIBILITY_INFO));
    assertEquals(ExitReason.INTERRUPT_WINDOW, h.run());
    assertEquals(7, h.get(VmcsField.VM_EXIT_REASON));
  }

  @Test
  void loopsStopAtTheFirst() {
    h.code(
        0xb9, 0x10, 0x00, 0x00, 0x00, // mov ecx, 16
        0xf0, 0xff, 0x04, 0x25, 0x3e, 0x00, 0x40, 0x00, // lock inc [DATA+0x3e]
        0xe2, 0xf6, 0x0f, 0x01, 0xc1); // loop
    for (int k = 1; k <= 16; k++) {
      assertEquals(ExitReason.BUS_LOCK, h.run());
      assertEquals(k, h.memory.readInt(DATA + 0x3e));
    }
    assertEquals(ExitReason.VMCALL, h.run());
  }

  @Test
  void capabilities() {
    assertTrue(h.capabilities.allows(Control.VMM_BUS_LOCK_DETECTION));
    assertFalse(
        VmxCapabilities.of(CpuProfiles.named("skylake-server"))
            .allows(Control.VMM_BUS_LOCK_DETECTION));
    assertFalse(
        VmxCapabilities.of(CpuProfiles.named("kvm4j-v1,-vmx-bus-lock-detection"))
            .allows(Control.VMM_BUS_LOCK_DETECTION));
    assertTrue(ExitExplanation.reason(74 | 1 << 26).contains("bit 26: a bus lock was asserted"));
  }
}
