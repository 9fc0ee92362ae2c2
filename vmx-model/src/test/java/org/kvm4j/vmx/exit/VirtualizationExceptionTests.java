package org.kvm4j.vmx.exit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.vmx.MinimalHypervisor.CODE;
import static org.kvm4j.vmx.MinimalHypervisor.EPT;
import static org.kvm4j.vmx.MinimalHypervisor.IDT;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.LONG;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.REAL;
import static org.kvm4j.vmx.MinimalHypervisor.PAGE_TABLES;
import static org.kvm4j.vmx.MinimalHypervisor.STACK;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.VmcsField;

/** SDM 26.5.7 "Virtualization Exceptions". */
class VirtualizationExceptionTests {
  private static final long AREA = 0x66000;
  private static final long HANDLER = CODE + 0x100;
  private static final long SUPPRESS = 1L << 63;
  private static final int DATA = 0x400000;
  private static final long ENTRY = EPT + 0x2000 + 8 * (DATA >> 21);

  private MinimalHypervisor h = new MinimalHypervisor();

  @BeforeEach
  void guest() {
    guest(LONG);
  }

  private void guest(MinimalHypervisor.Mode mode) {
    h.guest(mode);
    h.secondary(Controls.SECONDARY_EXEC_EPT_VIOLATION_VE);
    h.set(VmcsField.VE_INFORMATION_ADDRESS, AREA);
    h.set(VmcsField.EPTP_INDEX, 0x123);
    h.memory.writeLong(ENTRY, 0);
    gate(Vector.VE, HANDLER);
    h.memory.writeByte(HANDLER, (byte) 0x0f); // vmcall
    h.memory.writeByte(HANDLER + 1, (byte) 0x01);
    h.memory.writeByte(HANDLER + 2, (byte) 0xc1);
    h.code(0x90, 0x89, 0x04, 0x25, 0x08, 0x00, 0x40, 0x00); // nop; mov [0x400008], eax
  }

  private void gate(int vector, long handler) {
    h.memory.writeLong(
        IDT + 16 * vector, handler & 0xffff | 8 << 16 | 0x8e00L << 32 | handler >> 16 << 48);
    h.memory.writeLong(IDT + 16 * vector + 8, 0);
  }

  private void exitsForTheViolation() {
    assertEquals(ExitReason.EPT_VIOLATION, h.run());
    assertEquals(CODE + 1, h.get(VmcsField.GUEST_RIP));
    assertEquals(0, h.memory.readInt(AREA), "nothing was saved");
  }

  private void isDelivered(long qualification, long gpa) {
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(HANDLER, h.get(VmcsField.GUEST_RIP));
    assertEquals(48, h.memory.readInt(AREA));
    assertEquals(-1, h.memory.readInt(AREA + 4));
    assertEquals(qualification, h.memory.readLong(AREA + 8));
    assertEquals(DATA + 8, h.memory.readLong(AREA + 16));
    assertEquals(gpa, h.memory.readLong(AREA + 24));
    assertEquals(0x123, h.memory.readShort(AREA + 32));
  }

  @Test
  void aViolationIsAnExceptionOfTheGuest() {
    isDelivered(0x782, DATA + 8);
    assertEquals(STACK - 40, h.get(VmcsField.GUEST_RSP), "no error code");
    assertEquals(CODE + 1, h.memory.readLong(STACK - 40));
    assertTrue((h.memory.readLong(STACK - 24) & Flags.RF) != 0, "a fault");
  }

  @Test
  void anEntryThatMapsAPageDecidesForItsRights() {
    h.memory.writeLong(ENTRY, DATA | 0xb1);
    isDelivered(0x78a, DATA + 8);
  }

  @Test
  void soDoesTheOneOfAGuestPagingStructure() {
    long pd = 0x600000;
    for (int k = 0; k < 8; k++) {
      h.memory.writeLong(pd + 8 * k, (long) k << 21 | 0xe7);
    }
    h.memory.writeLong(PAGE_TABLES + 0x5000, PAGE_TABLES + 0x6000 | 0x27);
    h.memory.writeLong(PAGE_TABLES + 0x6000, pd | 0x27);
    h.memory.writeLong(ENTRY, DATA | 0xb7);
    h.code(
        0xb8, 0x00, 0x50, 0x02, 0x00, // mov eax, 0x25000
        0x0f, 0x22, 0xd8, // mov cr3, rax
        0x89, 0x04, 0x25, 0x08, 0x00, 0x40, 0x00);
    // The code's own page is walked for first.
    h.memory.writeLong(EPT + 0x2018, 0);
    assertEquals(PAGE_TABLES + 0x5000, 0x25000);
    ExitReason reason = h.run();
    assertEquals(48, h.memory.readInt(AREA));
    assertEquals(pd, h.memory.readLong(AREA + 24) & -4096L);
    assertEquals(0x80, h.memory.readLong(AREA + 8) & 0x180, "a paging structure");
    // The handler is found through the same structure.
    assertEquals(ExitReason.EPT_VIOLATION, reason);
    assertEquals(
        InterruptionInfo.of(InterruptionInfo.HARDWARE_EXCEPTION, Vector.VE, false),
        (int) h.get(VmcsField.IDT_VECTORING_INFO_FIELD));
  }

  @Test
  void theSuppressBitExits() {
    h.memory.writeLong(ENTRY, SUPPRESS);
    exitsForTheViolation();
    h.memory.writeLong(ENTRY, SUPPRESS | DATA | 0xb1);
    exitsForTheViolation();
  }

  /** Bit 63 of an entry that references another structure says nothing. */
  @Test
  void theSuppressBitOfAReferenceIsIgnored() {
    h.memory.writeLong(EPT + 0x1000, EPT + 0x2000 | 7 | SUPPRESS);
    isDelivered(0x782, DATA + 8);
  }

  @Test
  void withoutTheControlItExits() {
    h.clear(VmcsField.SECONDARY_VM_EXEC_CONTROL, Controls.SECONDARY_EXEC_EPT_VIOLATION_VE);
    exitsForTheViolation();
  }

  @Test
  void aSecondOneExitsUntilTheFirstIsTaken() {
    h.memory.writeInt(AREA + 4, 1);
    exitsForTheViolation();
    h.memory.writeInt(AREA + 4, 0);
    isDelivered(0x782, DATA + 8);
  }

  @Test
  void aMisconfigurationExits() {
    h.memory.writeLong(ENTRY, 2);
    assertEquals(ExitReason.EPT_MISCONFIG, h.run());
  }

  @Test
  void inRealModeItExits() {
    h = new MinimalHypervisor();
    guest(REAL);
    h.code(0x66, 0x67, 0x8b, 0x03); // mov eax, [ebx]
    h.segment(Cpu.DS, 0, 0, 0xffffffffL, 0x8093);
    h.cpu.r[Cpu.RBX] = DATA;
    assertEquals(ExitReason.EPT_VIOLATION, h.run());
    assertEquals(0, h.memory.readInt(AREA));
  }

  @Test
  void inTheDeliveryOfAnEventItExits() {
    h.set(VmcsField.GUEST_RSP, DATA + 0x1000);
    h.code(0x0f, 0x0b); // ud2
    gate(Vector.UD, HANDLER);
    assertEquals(ExitReason.EPT_VIOLATION, h.run());
    assertEquals(0, h.memory.readInt(AREA));
    assertEquals(
        InterruptionInfo.of(InterruptionInfo.HARDWARE_EXCEPTION, Vector.UD, false),
        (int) h.get(VmcsField.IDT_VECTORING_INFO_FIELD));
  }

  @Test
  void theExceptionBitmapMakesItExit() {
    h.set(VmcsField.EXCEPTION_BITMAP, 1 << Vector.VE);
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
    assertEquals(
        InterruptionInfo.of(InterruptionInfo.HARDWARE_EXCEPTION, Vector.VE, false),
        (int) h.get(VmcsField.VM_EXIT_INTR_INFO));
    assertEquals(0, h.qualification());
    assertEquals(CODE + 1, h.get(VmcsField.GUEST_RIP));
    assertEquals(-1, h.memory.readInt(AREA + 4), "saved all the same");
  }

  /** It is as severe as a page fault. */
  @Test
  void aFaultInItsDeliveryIsADoubleFault() {
    h.memory.writeLong(IDT + 16 * Vector.VE, 0);
    h.set(VmcsField.EXCEPTION_BITMAP, 1 << Vector.DF);
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
    assertEquals(Vector.DF, h.get(VmcsField.VM_EXIT_INTR_INFO) & 0xff);
  }

  @Test
  void afterTheHandlerTheInstructionIsExecutedAnew() {
    gate(Vector.VE, HANDLER + 0x10);
    int[] handler = {
      0xc7, 0x04, 0x25, 0x10, 0x20, 0x01, 0x00, 0xb7, 0x00, 0x40, 0x00, // mov dword [ENTRY], ...
      0xc7, 0x04, 0x25, 0x04, 0x60, 0x06, 0x00, 0, 0, 0, 0, // mov dword [AREA + 4], 0
      0x48, 0xcf // iretq
    };
    for (int k = 0; k < handler.length; k++) {
      h.memory.writeByte(HANDLER + 0x10 + k, (byte) handler[k]);
    }
    assertEquals(0x12010, ENTRY);
    h.cpu.r[Cpu.RAX] = 0x77;
    h.code(0x90, 0x89, 0x04, 0x25, 0x08, 0x00, 0x40, 0x00, 0x0f, 0x01, 0xc1);
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(CODE + 8, h.get(VmcsField.GUEST_RIP));
    assertEquals(0x77, h.memory.readInt(DATA + 8));
  }
}
