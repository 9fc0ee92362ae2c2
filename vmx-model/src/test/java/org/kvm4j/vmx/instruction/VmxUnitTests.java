package org.kvm4j.vmx.instruction;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.vmx.MinimalHypervisor.LINKED_VMCS;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.LONG;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.REAL;
import static org.kvm4j.vmx.MinimalHypervisor.VMCS_REGION;
import static org.kvm4j.vmx.MinimalHypervisor.VMXON_REGION;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.profile.CpuProfile;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.ept.paging.PagingContext;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.exit.ExitReason;
import org.kvm4j.vmx.vmcs.Vmcs;
import org.kvm4j.vmx.vmcs.VmcsField;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/**
 * The unit as a hypervisor in Java calls it: which VMCSs are active, what capabilities make of
 * INVEPT and INVVPID, and what the rest of the processor asks.
 */
class VmxUnitTests {
  private final MinimalHypervisor h = new MinimalHypervisor();

  private static void succeeds(int result) {
    assertEquals(InstructionError.SUCCESS, result);
  }

  private void fails(InstructionError error, int result) {
    assertEquals(error.number, result);
    assertEquals(error.number, h.get(VmcsField.VM_INSTRUCTION_ERROR));
  }

  // ---- VMCSs: SDM 25.1 "Overview", 25.11.1 "Basic VMCS Support" ----

  @Test
  void the_vmxon_region_is_that_of_vmxon_until_vmxoff() {
    assertEquals(VMXON_REGION, h.vmx.vmxonPointer());
    fails(InstructionError.VMXON_IN_ROOT, h.vmx.vmxon(VMXON_REGION));
    fails(InstructionError.VMCLEAR_VMXON_POINTER, h.vmx.vmclear(VMXON_REGION));
    succeeds(h.vmx.vmxoff());
    assertEquals(VmxUnit.NO_VMCS, h.vmx.vmxonPointer());
    assertEquals(VmxUnit.NO_VMCS, h.vmx.vmptrst());
    assertNull(h.vmx.current());
    succeeds(h.vmx.vmxon(LINKED_VMCS));
    succeeds(h.vmx.vmclear(VMXON_REGION));
    succeeds(h.vmx.vmptrld(VMXON_REGION));
    assertEquals(VMXON_REGION, h.vmx.vmptrst());
  }

  @Test
  void vmxoff_writes_every_active_vmcs_to_memory() {
    h.set(VmcsField.GUEST_RIP, 0x1111);
    succeeds(h.vmx.vmptrld(LINKED_VMCS));
    h.set(VmcsField.GUEST_RIP, 0x2222);
    succeeds(h.vmx.vmxoff());
    byte[] region = new byte[Vmcs.REGION_SIZE];
    h.memory.read(VMCS_REGION, region);
    h.memory.write(0x80000, region);
    h.memory.read(LINKED_VMCS, region);
    h.memory.write(VMCS_REGION, region);
    succeeds(h.vmx.vmxon(VMXON_REGION));
    succeeds(h.vmx.vmptrld(0x80000));
    assertEquals(0x1111, h.get(VmcsField.GUEST_RIP));
    succeeds(h.vmx.vmptrld(VMCS_REGION));
    assertEquals(0x2222, h.get(VmcsField.GUEST_RIP), "none is active any more");
  }

  @Test
  void vmclear_makes_one_vmcs_clear_and_leaves_the_others() {
    h.guest(LONG).code(0x0f, 0xa2);
    assertEquals(ExitReason.CPUID, h.run());
    assertTrue(h.vmcs().launched);
    succeeds(h.vmx.vmptrld(LINKED_VMCS));
    succeeds(h.vmx.vmclear(VMCS_REGION));
    assertEquals(LINKED_VMCS, h.vmx.vmptrst());
    // No more than what is in memory is left of it.
    byte[] region = new byte[Vmcs.REGION_SIZE];
    h.memory.read(VMCS_REGION, region);
    h.memory.write(0x80000, region);
    h.memory.write(VMCS_REGION, new byte[Vmcs.REGION_SIZE]);
    h.memory.writeInt(VMCS_REGION, VmxCapabilities.REVISION);
    succeeds(h.vmx.vmptrld(VMCS_REGION));
    assertEquals(0, h.get(VmcsField.GUEST_RIP));
    succeeds(h.vmx.vmptrld(0x80000));
    assertFalse(h.vmcs().launched);
    assertEquals(ExitReason.CPUID, h.run());
  }

  /** Also of a region whose VMCS is not active, and was launched. */
  @Test
  void vmclear_makes_a_vmcs_in_memory_clear() {
    h.guest(LONG).code(0x0f, 0xa2);
    assertEquals(ExitReason.CPUID, h.run());
    succeeds(h.vmx.vmxoff());
    succeeds(h.vmx.vmxon(VMXON_REGION));
    succeeds(h.vmx.vmptrld(VMCS_REGION));
    assertTrue(h.vmcs().launched, "VMXOFF left it so");
    succeeds(h.vmx.vmxoff());
    succeeds(h.vmx.vmxon(VMXON_REGION));
    succeeds(h.vmx.vmclear(VMCS_REGION));
    succeeds(h.vmx.vmptrld(VMCS_REGION));
    assertFalse(h.vmcs().launched);
    assertEquals(ExitReason.CPUID, h.run());
  }

  @Test
  void fields_by_ordinal_are_those_of_the_current_vmcs() {
    assertTrue(h.vmx.exists(Vmcs.GUEST_RIP));
    h.vmx.set(Vmcs.GUEST_RIP, 0x1234);
    assertEquals(0x1234, h.vmx.get(Vmcs.GUEST_RIP));
    assertEquals(0x1234, h.get(VmcsField.GUEST_RIP));
    h.vmx.set(0, 7);
    assertEquals(7, h.get(VmcsField.at(0)), "the first field is one as well");
    succeeds(h.vmx.vmclear(VMCS_REGION));
    assertThrows(IllegalStateException.class, () -> h.vmx.get(Vmcs.GUEST_RIP));
    assertThrows(IllegalStateException.class, () -> h.vmx.set(Vmcs.GUEST_RIP, 0));
    assertEquals(InstructionError.FAIL_INVALID, h.vmx.vmread(VmcsField.GUEST_RIP.encoding));
    assertEquals(InstructionError.FAIL_INVALID, h.vmx.vmwrite(VmcsField.GUEST_RIP.encoding, 0));
  }

  // ---- capabilities: SDM A.10 "VPID and EPT Capabilities" ----

  private static MinimalHypervisor without(long bits) {
    VmxCapabilities all = new MinimalHypervisor().capabilities;
    return new MinimalHypervisor(all.withEptVpid(all.eptVpid & ~bits));
  }

  @Test
  void the_walk_has_the_pages_and_rights_that_the_capabilities_tell_of() {
    PagingContext all = h.cpu.mmu.context;
    assertTrue(
        all.eptExecuteOnly && all.eptPages2m && all.eptPages1g && all.eptAdvancedInformation);
    assertFalse(without(VmxCapabilities.EPT_EXECUTE_ONLY).cpu.mmu.context.eptExecuteOnly);
    assertFalse(without(VmxCapabilities.EPT_2M).cpu.mmu.context.eptPages2m);
    assertFalse(without(VmxCapabilities.EPT_1G).cpu.mmu.context.eptPages1g);
    assertFalse(
        without(VmxCapabilities.EPT_ADVANCED_INFORMATION).cpu.mmu.context.eptAdvancedInformation);
  }

  @Test
  void invept_has_the_types_that_the_capabilities_tell_of() {
    long eptp = MinimalHypervisor.EPT | 0x1e;
    VmxUnit noSingle = without(VmxCapabilities.EPT_INVEPT_SINGLE).vmx;
    assertEquals(28, noSingle.invept(1, eptp));
    succeeds(noSingle.invept(2, eptp));
    VmxUnit noAll = without(VmxCapabilities.EPT_INVEPT_ALL).vmx;
    succeeds(noAll.invept(1, eptp));
    assertEquals(28, noAll.invept(2, eptp));
    succeeds(h.vmx.invept(2, -1));
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3})
  void invvpid_has_the_types_that_the_capabilities_tell_of(int missing) {
    VmxUnit unit = without(VmxCapabilities.VPID_INDIVIDUAL_ADDRESS << missing).vmx;
    for (int type = 0; type < 4; type++) {
      assertEquals(type == missing ? 28 : 0, unit.invvpid(type, 1, 0x1000));
    }
  }

  @Test
  void invvpid_refuses_other_types_and_reserved_bits_of_the_descriptor() {
    fails(InstructionError.INVALID_OPERAND, h.vmx.invvpid(-1, 1, 0));
    fails(InstructionError.INVALID_OPERAND, h.vmx.invvpid(4, 1, 0));
    succeeds(h.vmx.invvpid(1, 0xffff, 0));
    fails(InstructionError.INVALID_OPERAND, h.vmx.invvpid(1, 1L << 16, 0));
    fails(InstructionError.INVALID_OPERAND, h.vmx.invvpid(1, 1L << 63 | 1, 0));
    long end = 1L << h.model.linearAddressBits() - 1;
    succeeds(h.vmx.invvpid(0, 1, end - 1));
    fails(InstructionError.INVALID_OPERAND, h.vmx.invvpid(0, 1, end));
    fails(InstructionError.INVALID_OPERAND, h.vmx.invvpid(0, 1, -end - 1));
    succeeds(h.vmx.invvpid(0, 1, -end));
    // The address counts for one type alone.
    succeeds(h.vmx.invvpid(1, 1, end));
  }

  /** SDM 29.4.3.1 "Operations that Invalidate Cached Mappings". */
  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3})
  void invvpid_drops_what_is_cached_of_the_guests_page_tables(int type) {
    h.guest(LONG);
    h.memory.writeInt(0x400000, 0x1111);
    h.memory.writeInt(0x600000, 0x2222);
    h.code(0x8b, 0x1c, 0x25, 0x00, 0x00, 0x40, 0x00, 0x0f, 0x01, 0xc1); // mov ebx, [400000h]
    assertEquals(ExitReason.VMCALL, h.run());
    h.memory.writeLong(MinimalHypervisor.PAGE_TABLES + 0x2000 + 8 * 2, 0x600087);
    assertEquals(0x1111, again());
    succeeds(h.vmx.invvpid(type, type == 2 ? 0 : 2, 0x400000));
    assertEquals(type == 2 ? 0x2222 : 0x1111, again(), "of another VPID");
    succeeds(h.vmx.invvpid(type, 1, 0x400000));
    assertEquals(0x2222, again());
  }

  private long again() {
    h.set(VmcsField.GUEST_RIP, MinimalHypervisor.CODE);
    assertEquals(ExitReason.VMCALL, h.run());
    return h.cpu.r[Cpu.RBX];
  }

  // ---- in non-root operation ----

  /** SDM 26.1 "Instructions That Cause VM Exits": they do nothing else. */
  @Test
  void an_instruction_that_exits_has_no_other_effect() {
    h.guest(LONG);
    h.cpu.r[Cpu.RAX] = LINKED_VMCS;
    h.cpu.r[Cpu.RCX] = VmcsField.GUEST_RSP.encoding;
    h.cpu.r[Cpu.RBX] = 0x1234;
    long rsp = h.get(VmcsField.GUEST_RSP);
    exits(ExitReason.VMXOFF, 0x0f, 0x01, 0xc4);
    assertTrue(h.vmx.inVmxOperation());
    exits(ExitReason.VMREAD, 0x0f, 0x78, 0xcb); // vmread rbx, rcx
    assertEquals(0x1234, h.cpu.r[Cpu.RBX]);
    exits(ExitReason.VMWRITE, 0x0f, 0x79, 0xcb); // vmwrite rcx, rbx
    assertEquals(rsp, h.get(VmcsField.GUEST_RSP));
    exits(ExitReason.VMPTRST, 0x0f, 0xc7, 0x38);
    assertEquals(VmxCapabilities.REVISION, h.memory.readLong(LINKED_VMCS));
  }

  private void exits(ExitReason reason, int... code) {
    h.code(code);
    assertEquals(reason, h.run());
    assertEquals(MinimalHypervisor.CODE, h.get(VmcsField.GUEST_RIP));
  }

  // ---- what the rest of the processor asks ----

  /** SDM 24.8 "Restrictions on VMX Operation"; an unrestricted guest is free of PE and PG. */
  @Test
  void bits_of_cr0_and_cr4_are_fixed_in_vmx_operation() {
    assertEquals(0x80000021L, h.vmx.cr0FixedOnes());
    assertEquals(0x2000, h.vmx.cr4FixedOnes());
    h.guest(LONG);
    succeeds(h.vmx.vmlaunch());
    assertEquals(0x80000021L, h.vmx.cr0FixedOnes());
    MinimalHypervisor real = new MinimalHypervisor().guest(REAL).code(0x0f, 0xa2);
    succeeds(real.vmx.vmlaunch());
    assertEquals(0x20, real.vmx.cr0FixedOnes());
    assertEquals(0x2000, real.vmx.cr4FixedOnes());
    real.engine.run(10);
    assertEquals(ExitReason.CPUID, real.reason());
    assertEquals(0x80000021L, real.vmx.cr0FixedOnes());
    succeeds(real.vmx.vmxoff());
    assertEquals(0, real.vmx.cr0FixedOnes());
    assertEquals(0, real.vmx.cr4FixedOnes());
  }

  /** SDM 24.7 "Enabling and Entering VMX Operation". */
  @Test
  void feature_control_has_the_bits_of_the_processors_features() {
    long[] out = {-1};
    assertTrue(h.vmx.readMsr(VmxCapabilities.IA32_FEATURE_CONTROL, out));
    assertEquals(5, out[0]);
    h.cpu.msr.featureControl = 0;
    assertFalse(h.vmx.writeMsr(VmxCapabilities.IA32_FEATURE_CONTROL, 2), "no SMX");
    assertTrue(h.vmx.writeMsr(VmxCapabilities.IA32_FEATURE_CONTROL, 4), "it may stay unlocked");
    assertTrue(h.vmx.writeMsr(VmxCapabilities.IA32_FEATURE_CONTROL, 1));
    assertEquals(1, h.cpu.msr.featureControl);
    CpuProfile model = CpuProfiles.named("kvm4j-v1,-vmx");
    VmxUnit none = new VmxUnit(new Cpu(model, h.memory, h.clock), h.capabilities);
    assertFalse(none.readMsr(VmxCapabilities.IA32_FEATURE_CONTROL, out));
    assertFalse(none.writeMsr(VmxCapabilities.IA32_FEATURE_CONTROL, 4));
    assertFalse(none.readMsr(VmxCapabilities.IA32_VMX_BASIC, out));
  }

  @Test
  void capability_msrs_begin_and_end() {
    long[] out = {-1};
    assertFalse(h.vmx.readMsr(VmxCapabilities.IA32_VMX_BASIC - 1, out));
    assertFalse(h.vmx.readMsr(VmxCapabilities.IA32_VMX_EXIT_CTLS2 + 1, out));
    assertEquals(-1, out[0]);
  }
}
