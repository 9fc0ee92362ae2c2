package org.kvm4j.vmx.instruction;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.vmcs.VmcsField;

/** A hypervisor in Java: guests' registers stay in the processor, and none gets another's. */
class JavaHostTests {
  @Test
  void two_vmcss_take_turns() {
    MinimalHypervisor h = new MinimalHypervisor();
    h.vmx.hostedByJava = true;
    long other = 0x80000;
    h.memory.writeInt(other, (int) h.capabilities.basic);
    h.guest(MinimalHypervisor.Mode.LONG).code(0x0f, 0xa2);
    h.set(VmcsField.GUEST_GS_BASE, 0x111);
    assertEquals(InstructionError.SUCCESS, h.vmx.vmptrld(other));
    h.guest(MinimalHypervisor.Mode.REAL);
    h.set(VmcsField.GUEST_SYSENTER_EIP, 0x222);
    for (int k = 0; k < 4; k++) {
      h.vmx.vmptrld(MinimalHypervisor.VMCS_REGION);
      assertEquals("CPUID", h.run().name());
      assertEquals(8, h.cpu.codeSize);
      h.vmx.vmptrld(other);
      assertEquals("CPUID", h.run().name());
      assertEquals(2, h.cpu.codeSize);
    }
    h.vmx.vmptrld(MinimalHypervisor.VMCS_REGION);
    assertEquals(0x111, h.get(VmcsField.GUEST_GS_BASE));
    assertEquals(0, h.get(VmcsField.GUEST_SYSENTER_EIP));
    assertEquals(0xd00, h.get(VmcsField.GUEST_IA32_EFER));
    h.vmx.vmptrld(other);
    assertEquals(0x222, h.get(VmcsField.GUEST_SYSENTER_EIP));
    assertEquals(0, h.get(VmcsField.GUEST_IA32_EFER));
    // A cleared VMCS has what its guest left in the processor.
    h.set(VmcsField.GUEST_RIP, 0);
    assertEquals("CPUID", h.run().name());
    h.vmx.vmclear(other);
    h.vmx.vmptrld(other);
    assertEquals(0x222, h.get(VmcsField.GUEST_SYSENTER_EIP));
  }
}
