package org.kvm4j.vmx.exit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.kvm4j.vmx.MinimalHypervisor.LINKED_VMCS;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.LONG;
import static org.kvm4j.vmx.MinimalHypervisor.VMCS_REGION;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.instruction.InstructionError;
import org.kvm4j.vmx.vmcs.Control;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.VmcsField;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/** VMREAD and VMWRITE of a guest. SDM 25.10 "VMCS Types: Ordinary and Shadow". */
class ShadowVmcsTests {
  private static final int READ_BITMAP = 0x62000;
  private static final int WRITE_BITMAP = 0x63000;
  private static final int FIELD = VmcsField.GUEST_RSP.encoding;

  private final MinimalHypervisor h = new MinimalHypervisor();

  @BeforeEach
  void guest() {
    h.guest(LONG);
    h.memory.writeInt(LINKED_VMCS, VmxCapabilities.REVISION | 1 << 31);
    h.secondary(Controls.SECONDARY_EXEC_SHADOW_VMCS);
    h.set(VmcsField.VMREAD_BITMAP, READ_BITMAP);
    h.set(VmcsField.VMWRITE_BITMAP, WRITE_BITMAP);
    h.set(VmcsField.VMCS_LINK_POINTER, LINKED_VMCS);
    h.cpu.r[Cpu.RAX] = 0x1234;
    h.cpu.r[Cpu.RBX] = FIELD;
    h.code(
        0x0f, 0x79, 0xd8, // vmwrite rbx, rax
        0x0f, 0x78, 0xd9, // vmread rcx, rbx
        0x0f, 0x01, 0xc1);
  }

  @Test
  void theGuestAccessesTheShadow() {
    long own = h.get(VmcsField.GUEST_RSP);
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(0x1234, h.cpu.r[Cpu.RCX]);
    assertEquals(own, h.get(VmcsField.GUEST_RSP), "the current VMCS has its own");
    assertEquals(InstructionError.SUCCESS, h.vmx.vmclear(LINKED_VMCS));
    assertEquals(InstructionError.SUCCESS, h.vmx.vmptrld(LINKED_VMCS));
    assertEquals(0x1234, h.get(VmcsField.GUEST_RSP));
    assertEquals(InstructionError.SUCCESS, h.vmx.vmptrld(VMCS_REGION));
  }

  @Test
  void aShadowIsMadeCurrentOnlyWhereThereIsShadowing() {
    assertEquals(InstructionError.SUCCESS, h.vmx.vmptrld(LINKED_VMCS));
    assertEquals(InstructionError.FAIL_INVALID, h.vmx.vmlaunch());
    MinimalHypervisor without =
        new MinimalHypervisor(h.capabilities.without(Control.VMCS_SHADOWING));
    without.memory.writeInt(LINKED_VMCS, VmxCapabilities.REVISION | 1 << 31);
    assertEquals(
        InstructionError.VMPTRLD_INCORRECT_REVISION.number, without.vmx.vmptrld(LINKED_VMCS));
  }

  @Test
  void bitsOfTheBitmapsExit() {
    h.memory.writeByte(READ_BITMAP + (FIELD >> 3), (byte) (1 << (FIELD & 7)));
    assertEquals(ExitReason.VMREAD, h.run());
    h.memory.writeByte(WRITE_BITMAP + (FIELD >> 3), (byte) (1 << (FIELD & 7)));
    h.set(VmcsField.GUEST_RIP, MinimalHypervisor.CODE);
    assertEquals(ExitReason.VMWRITE, h.run());
  }

  /** What does not exit is checked as in root operation. */
  @Test
  void theGuestNeedsPrivilegeLevel0And64BitCodeInLongMode() {
    h.set(VmcsField.EXCEPTION_BITMAP, 1 << Vector.GP | 1 << Vector.UD);
    h.segment(Cpu.CS, 8, 0, 0xffffffffL, 0xc09b);
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
    assertEquals(Vector.UD, h.get(VmcsField.VM_EXIT_INTR_INFO) & 0xff);
    h.segment(Cpu.CS, 0x33, 0, 0xffffffffL, 0xa0fb);
    h.segment(Cpu.SS, 0x2b, 0, 0xffffffffL, 0xc0f3);
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
    assertEquals(Vector.GP, h.get(VmcsField.VM_EXIT_INTR_INFO) & 0xff);
    assertEquals(0, h.get(VmcsField.VM_EXIT_INTR_ERROR_CODE));
    assertEquals(MinimalHypervisor.CODE, h.get(VmcsField.GUEST_RIP));
    // What exits, does so first.
    h.memory.writeByte(WRITE_BITMAP + (FIELD >> 3), (byte) (1 << (FIELD & 7)));
    assertEquals(ExitReason.VMWRITE, h.run());
  }

  @Test
  void anEncodingBeyondTheBitmapsExits() {
    h.cpu.r[Cpu.RBX] = 0x10000 | FIELD;
    assertEquals(ExitReason.VMWRITE, h.run());
  }

  @Test
  void withoutALinkItFailsInvalid() {
    h.set(VmcsField.VMCS_LINK_POINTER, -1);
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(Flags.CF, h.get(VmcsField.GUEST_RFLAGS) & Flags.ARITHMETIC);
  }

  @Test
  void aFieldThatThereIsNotFailsValid() {
    h.cpu.r[Cpu.RBX] = 0x7ffe;
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(Flags.ZF, h.get(VmcsField.GUEST_RFLAGS) & Flags.ARITHMETIC);
  }
}
