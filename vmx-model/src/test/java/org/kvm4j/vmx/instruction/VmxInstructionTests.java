package org.kvm4j.vmx.instruction;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.LONG;

import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.decode.Decoder;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.exit.ExitReason;
import org.kvm4j.vmx.vmcs.Control;
import org.kvm4j.vmx.vmcs.VmcsField;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/** VMX instructions in root operation: faults, VMfail codes, flags, effects. */
class VmxInstructionTests {
  private static final long OPERAND = 0x60000;
  private static final long OTHER_REGION = 0xb000;

  private static final int[] VMXON = {0xf3, 0x0f, 0xc7, 0x30};
  private static final int[] VMXOFF = {0x0f, 0x01, 0xc4};
  private static final int[] VMCLEAR = {0x66, 0x0f, 0xc7, 0x30};
  private static final int[] VMPTRLD = {0x0f, 0xc7, 0x30};
  private static final int[] VMPTRST = {0x0f, 0xc7, 0x38};
  private static final int[] VMREAD_RBX_RCX = {0x0f, 0x78, 0xcb};
  private static final int[] VMREAD_MEMORY_RCX = {0x0f, 0x78, 0x08};
  private static final int[] VMWRITE_RCX_RBX = {0x0f, 0x79, 0xcb};
  private static final int[] VMWRITE_RCX_MEMORY = {0x0f, 0x79, 0x08};
  private static final int[] VMLAUNCH = {0x0f, 0x01, 0xc2};
  private static final int[] VMRESUME = {0x0f, 0x01, 0xc3};
  private static final int[] VMCALL = {0x0f, 0x01, 0xc1};
  private static final int[] VMFUNC = {0x0f, 0x01, 0xd4};
  private static final int[] INVEPT = {0x66, 0x0f, 0x38, 0x80, 0x08};
  private static final int[] INVVPID = {0x66, 0x0f, 0x38, 0x81, 0x08};
  private static final int[][] ALL = {
    VMXOFF,
    VMCLEAR,
    VMPTRLD,
    VMPTRST,
    VMREAD_RBX_RCX,
    VMWRITE_RCX_RBX,
    VMLAUNCH,
    VMRESUME,
    VMCALL,
    INVEPT,
    INVVPID
  };

  private final MinimalHypervisor h = new MinimalHypervisor();
  private final Cpu cpu = h.cpu;
  private long operandAt = OPERAND;

  private Instruction decode(int codeSize, int... code) {
    for (int k = 0; k < code.length; k++) {
      h.memory.writeByte(MinimalHypervisor.HOST_CODE + k, (byte) code[k]);
    }
    return new Decoder(h.model.features())
        .decode(
            Objects.requireNonNull(h.memory.bank(0)),
            (int) MinimalHypervisor.HOST_CODE,
            (int) MinimalHypervisor.HOST_CODE + 16,
            codeSize);
  }

  /** Executes an instruction of the host; RAX is the address of its memory operand. */
  private void execute(int... code) {
    Instruction i = decode(cpu.codeSize, code);
    cpu.instructionRip = MinimalHypervisor.HOST_CODE;
    cpu.rip = cpu.instructionRip + i.length;
    cpu.r[Cpu.RAX] = operandAt;
    cpu.setLazyFlags(Flags.ARITHMETIC);
    h.vmx.execute(i);
  }

  private void operand(long value) {
    h.memory.writeLong(OPERAND, value);
  }

  private void succeeds(int... code) {
    execute(code);
    assertEquals(0, cpu.lazyFlags());
  }

  private void failsInvalid(int... code) {
    execute(code);
    assertEquals(Flags.CF, cpu.lazyFlags());
  }

  private void failsValid(InstructionError error, int... code) {
    execute(code);
    assertEquals(Flags.ZF, cpu.lazyFlags());
    assertEquals(error.number, h.get(VmcsField.VM_INSTRUCTION_ERROR));
  }

  private CpuException faults(int vector, int... code) {
    CpuException e = assertThrows(CpuException.class, () -> execute(code));
    assertEquals(vector, e.vector);
    if (vector == Vector.GP) {
      assertEquals(0, e.errorCode);
    }
    return e;
  }

  private void leaveVmx() {
    assertEquals(InstructionError.SUCCESS, h.vmx.vmxoff());
  }

  // ---- faults ----

  @Test
  void outside_of_vmx_operation_all_but_vmxon_are_undefined() {
    leaveVmx();
    for (int[] code : ALL) {
      faults(Vector.UD, code);
    }
    faults(Vector.UD, VMFUNC);
  }

  @Test
  void vmfunc_is_undefined_in_root_operation() {
    faults(Vector.UD, VMFUNC);
  }

  @Test
  void they_need_privilege_level_0() {
    cpu.cpl = 3;
    cpu.updateMode();
    for (int[] code : ALL) {
      faults(Vector.GP, code);
    }
    faults(Vector.GP, VMXON);
  }

  @Test
  void they_are_undefined_in_compatibility_mode_and_real_mode() {
    cpu.seg[Cpu.CS].ar = 0xc09b;
    cpu.updateMode();
    for (int[] code : ALL) {
      faults(Vector.UD, code);
    }
    faults(Vector.UD, VMXON);
    cpu.cr0 &= ~0x80000001L;
    cpu.efer = 0;
    cpu.updateMode();
    for (int[] code : ALL) {
      faults(Vector.UD, code);
    }
  }

  @Test
  void a_memory_operand_that_is_not_mapped_faults() {
    cpu.cr3 = MinimalHypervisor.HOST_STACK;
    cpu.updateMode();
    for (int[] code :
        new int[][] {VMCLEAR, VMPTRLD, VMPTRST, VMREAD_MEMORY_RCX, VMWRITE_RCX_MEMORY}) {
      cpu.r[Cpu.RCX] = VmcsField.GUEST_RIP.encoding;
      faults(Vector.PF, code);
    }
    cpu.r[Cpu.RCX] = 2;
    faults(Vector.PF, INVEPT);
    faults(Vector.PF, INVVPID);
  }

  /** SDM volume 3, chapter 32, the operation of INVEPT and INVVPID: the type comes first. */
  @Test
  void a_type_that_there_is_not_fails_before_the_descriptor_is_read() {
    cpu.cr3 = MinimalHypervisor.HOST_STACK;
    cpu.updateMode();
    for (long type : new long[] {4, -1}) {
      cpu.r[Cpu.RCX] = type;
      failsValid(InstructionError.INVALID_OPERAND, INVEPT);
      failsValid(InstructionError.INVALID_OPERAND, INVVPID);
    }
  }

  @Test
  void both_halves_of_a_descriptor_have_to_be_mapped() {
    h.memory.writeLong(MinimalHypervisor.PAGE_TABLES + 0x2000 + 8 * 3, 0);
    operandAt = 0x5ffff8;
    cpu.r[Cpu.RCX] = 2;
    assertEquals(0x600000, faults(Vector.PF, INVEPT).payload);
    assertEquals(0x600000, faults(Vector.PF, INVVPID).payload);
    operandAt = 0x5ffff0;
    succeeds(INVEPT);
    succeeds(INVVPID);
  }

  // ---- VMXON and VMXOFF ----

  @Test
  void vmxon_in_root_operation_fails() {
    operand(MinimalHypervisor.VMXON_REGION);
    failsValid(InstructionError.VMXON_IN_ROOT, VMXON);
    h.vmx.vmclear(MinimalHypervisor.VMCS_REGION);
    failsInvalid(VMXON);
  }

  @Test
  void vmxon_enters_vmx_operation() {
    leaveVmx();
    assertFalse(h.vmx.inVmxOperation());
    assertEquals(0, h.vmx.cr0FixedOnes());
    operand(MinimalHypervisor.VMXON_REGION);
    succeeds(VMXON);
    assertTrue(h.vmx.inVmxOperation());
    assertEquals(VmxUnit.NO_VMCS, h.vmx.vmptrst());
    assertEquals(0x80000021L, h.vmx.cr0FixedOnes());
    assertEquals(0x2000, h.vmx.cr4FixedOnes());
    succeeds(VMXOFF);
    assertFalse(h.vmx.inVmxOperation());
  }

  @Test
  void vmxon_fails_with_a_bad_region() {
    leaveVmx();
    operand(MinimalHypervisor.VMXON_REGION + 8);
    failsInvalid(VMXON);
    operand(1L << 52);
    failsInvalid(VMXON);
    operand(MinimalHypervisor.VMXON_REGION);
    h.memory.writeInt(MinimalHypervisor.VMXON_REGION, VmxCapabilities.REVISION ^ 1);
    failsInvalid(VMXON);
    h.memory.writeInt(MinimalHypervisor.VMXON_REGION, VmxCapabilities.REVISION | 1 << 31);
    failsInvalid(VMXON);
  }

  @Test
  void vmxon_needs_cr4_vmxe_and_the_feature_control_msr() {
    leaveVmx();
    operand(MinimalHypervisor.VMXON_REGION);
    for (long control : new long[] {0, 1, 4}) {
      cpu.msr.featureControl = control;
      faults(Vector.GP, VMXON);
    }
    cpu.msr.featureControl = 5;
    cpu.cr0 &= ~0x20L;
    faults(Vector.GP, VMXON);
    cpu.cr0 |= 0x20;
    cpu.cr4 &= ~0x2000L;
    faults(Vector.UD, VMXON);
  }

  /** SDM A.8 "VMX-Fixed Bits in CR4". */
  @ParameterizedTest
  @ValueSource(longs = {0x2020, 0x2000, 0x20})
  void vmxon_needs_the_bits_of_cr4_to_be_allowed(long allowed) {
    MinimalHypervisor other = new MinimalHypervisor(h.capabilities.withCr4Fixed1(allowed));
    other.vmx.vmxoff();
    other.memory.writeLong(OPERAND, MinimalHypervisor.VMXON_REGION);
    other.cpu.r[Cpu.RAX] = OPERAND;
    Instruction i = decode(8, VMXON);
    if (allowed == 0x2020) {
      other.vmx.execute(i);
      assertTrue(other.vmx.inVmxOperation());
    } else {
      assertEquals(Vector.GP, assertThrows(CpuException.class, () -> other.vmx.execute(i)).vector);
    }
  }

  // ---- VMCLEAR, VMPTRLD, VMPTRST ----

  @Test
  void vmclear_fails_with_a_bad_address() {
    operand(MinimalHypervisor.VMCS_REGION + 1);
    failsValid(InstructionError.VMCLEAR_INVALID_ADDRESS, VMCLEAR);
    operand(1L << 60);
    failsValid(InstructionError.VMCLEAR_INVALID_ADDRESS, VMCLEAR);
    operand(MinimalHypervisor.VMXON_REGION);
    failsValid(InstructionError.VMCLEAR_VMXON_POINTER, VMCLEAR);
  }

  @Test
  void vmptrld_fails_with_a_bad_address_or_revision() {
    operand(MinimalHypervisor.VMCS_REGION + 0x800);
    failsValid(InstructionError.VMPTRLD_INVALID_ADDRESS, VMPTRLD);
    operand(MinimalHypervisor.VMXON_REGION);
    failsValid(InstructionError.VMPTRLD_VMXON_POINTER, VMPTRLD);
    operand(OTHER_REGION);
    failsValid(InstructionError.VMPTRLD_INCORRECT_REVISION, VMPTRLD);
    assertEquals(MinimalHypervisor.VMCS_REGION, h.vmx.vmptrst());
  }

  @Test
  void vmclear_of_the_current_vmcs_leaves_none() {
    operand(MinimalHypervisor.VMCS_REGION);
    succeeds(VMCLEAR);
    assertNull(h.vmx.current());
    succeeds(VMPTRST);
    assertEquals(-1, h.memory.readLong(OPERAND));
    failsInvalid(VMLAUNCH);
    failsInvalid(VMRESUME);
    cpu.r[Cpu.RCX] = VmcsField.GUEST_RIP.encoding;
    failsInvalid(VMREAD_RBX_RCX);
    failsInvalid(VMWRITE_RCX_RBX);
    operand(3);
    failsInvalid(VMCLEAR);
  }

  @Test
  void a_vmcs_survives_vmclear_and_vmptrld() {
    h.set(VmcsField.GUEST_RIP, 0x1234);
    h.set(VmcsField.HOST_IA32_PAT, 0x0706050403020100L);
    operand(MinimalHypervisor.VMCS_REGION);
    succeeds(VMCLEAR);
    operand(MinimalHypervisor.VMCS_REGION);
    succeeds(VMPTRLD);
    assertEquals(0x1234, h.get(VmcsField.GUEST_RIP));
    assertEquals(0x0706050403020100L, h.get(VmcsField.HOST_IA32_PAT));
    succeeds(VMPTRST);
    assertEquals(MinimalHypervisor.VMCS_REGION, h.memory.readLong(OPERAND));
  }

  @Test
  void several_vmcss_are_active_at_once() {
    for (int k = 0; k < 600; k++) {
      long region = 0x100000 + k * 0x1000L;
      h.memory.writeInt(region, VmxCapabilities.REVISION);
      assertEquals(InstructionError.SUCCESS, h.vmx.vmclear(region));
      assertEquals(InstructionError.SUCCESS, h.vmx.vmptrld(region));
      h.set(VmcsField.GUEST_RIP, k);
    }
    for (int k = 0; k < 600; k++) {
      assertEquals(InstructionError.SUCCESS, h.vmx.vmptrld(0x100000 + k * 0x1000L));
      assertEquals(k, h.get(VmcsField.GUEST_RIP));
    }
  }

  // ---- VMREAD and VMWRITE ----

  @Test
  void vmwrite_and_vmread_move_fields() {
    cpu.r[Cpu.RCX] = VmcsField.GUEST_RIP.encoding;
    cpu.r[Cpu.RBX] = 0x1122334455667788L;
    succeeds(VMWRITE_RCX_RBX);
    cpu.r[Cpu.RBX] = 0;
    succeeds(VMREAD_RBX_RCX);
    assertEquals(0x1122334455667788L, cpu.r[Cpu.RBX]);
    operand(0x99);
    succeeds(VMWRITE_RCX_MEMORY);
    assertEquals(0x99, h.get(VmcsField.GUEST_RIP));
    operand(-1);
    succeeds(VMREAD_MEMORY_RCX);
    assertEquals(0x99, h.memory.readLong(OPERAND));
  }

  @Test
  void narrow_fields_lose_upper_bits() {
    cpu.r[Cpu.RBX] = 0x1122334455667788L;
    cpu.r[Cpu.RCX] = VmcsField.GUEST_CS_SELECTOR.encoding;
    succeeds(VMWRITE_RCX_RBX);
    assertEquals(0x7788, h.get(VmcsField.GUEST_CS_SELECTOR));
    cpu.r[Cpu.RCX] = VmcsField.EXCEPTION_BITMAP.encoding;
    succeeds(VMWRITE_RCX_RBX);
    assertEquals(0x55667788, h.get(VmcsField.EXCEPTION_BITMAP));
  }

  @Test
  void the_high_half_of_a_64_bit_field_has_its_own_encoding() {
    h.set(VmcsField.TSC_OFFSET, 0x1111111122222222L);
    cpu.r[Cpu.RCX] = VmcsField.TSC_OFFSET.highEncoding();
    cpu.r[Cpu.RBX] = 0x9999999933333333L;
    succeeds(VMWRITE_RCX_RBX);
    assertEquals(0x3333333322222222L, h.get(VmcsField.TSC_OFFSET));
    succeeds(VMREAD_RBX_RCX);
    assertEquals(0x33333333, cpu.r[Cpu.RBX]);
  }

  @Test
  void operands_are_32_bits_wide_outside_of_64_bit_mode() {
    h.set(VmcsField.TSC_OFFSET, -1);
    cpu.cr0 = 0x80050033L;
    cpu.cr3 = MinimalHypervisor.PAGE_TABLE_32;
    cpu.cr4 = 0x2010;
    cpu.efer = 0;
    cpu.seg[Cpu.CS].ar = 0xc09b;
    cpu.updateMode();
    cpu.r[Cpu.RCX] = VmcsField.TSC_OFFSET.encoding;
    cpu.r[Cpu.RBX] = -1;
    succeeds(VMREAD_RBX_RCX);
    assertEquals(0xffffffffL, cpu.r[Cpu.RBX]);
    cpu.r[Cpu.RBX] = 5;
    succeeds(VMWRITE_RCX_RBX);
    assertEquals(5, h.get(VmcsField.TSC_OFFSET));
    operand(0x7777_7777_0000_0006L);
    succeeds(VMWRITE_RCX_MEMORY);
    assertEquals(6, h.get(VmcsField.TSC_OFFSET));
    h.set(VmcsField.TSC_OFFSET, -1);
    succeeds(VMREAD_MEMORY_RCX);
    assertEquals(0x7777_7777_ffff_ffffL, h.memory.readLong(OPERAND));
    // Upper halves of registers are no part of an operand.
    cpu.r[Cpu.RCX] |= 1L << 32;
    succeeds(VMREAD_MEMORY_RCX);
    cpu.r[Cpu.RCX] = 1L << 32 | 2;
    operand(0);
    succeeds(INVEPT);
    succeeds(INVVPID);
  }

  @ParameterizedTest
  @ValueSource(longs = {0x6fff, 0x7000, 0x8000, 0x1_0000_6800L, -1, 0x6801, 0x0003, 0x2036, 0x4030})
  void unsupported_components_fail(long encoding) {
    cpu.r[Cpu.RCX] = encoding;
    failsValid(InstructionError.UNSUPPORTED_COMPONENT, VMREAD_RBX_RCX);
    failsValid(InstructionError.UNSUPPORTED_COMPONENT, VMWRITE_RCX_RBX);
  }

  @Test
  void read_only_fields_are_written_only_where_the_processor_allows_it() {
    assertEquals(InstructionError.SUCCESS, h.vmx.vmwrite(VmcsField.VM_EXIT_REASON.encoding, 5));
    VmxCapabilities old =
        h.capabilities.withMisc(h.capabilities.misc & ~VmxCapabilities.MISC_VMWRITE_ANY_FIELD);
    MinimalHypervisor other = new MinimalHypervisor(old);
    assertEquals(
        InstructionError.VMWRITE_READ_ONLY.number,
        other.vmx.vmwrite(VmcsField.VM_EXIT_REASON.encoding, 5));
    assertEquals(13, other.get(VmcsField.VM_INSTRUCTION_ERROR));
  }

  @Test
  void fields_of_controls_that_the_processor_lacks_do_not_exist() {
    MinimalHypervisor other =
        new MinimalHypervisor(h.capabilities.without(Control.VMX_PREEMPTION_TIMER));
    assertEquals(12, other.vmx.vmread(VmcsField.VMX_PREEMPTION_TIMER_VALUE.encoding));
    assertFalse(other.vmx.exists(VmcsField.VMX_PREEMPTION_TIMER_VALUE.ordinal()));
    assertTrue(h.vmx.exists(VmcsField.VMX_PREEMPTION_TIMER_VALUE.ordinal()));
  }

  // ---- VM entry ----

  @Test
  void vmlaunch_needs_a_clear_vmcs_and_vmresume_a_launched_one() {
    h.guest(LONG).code(0x0f, 0xa2);
    failsValid(InstructionError.VMRESUME_NOT_LAUNCHED, VMRESUME);
    assertEquals(ExitReason.CPUID, h.run());
    failsValid(InstructionError.VMLAUNCH_NOT_CLEAR, VMLAUNCH);
    execute(VMRESUME);
    assertNotNull(cpu.guest);
    assertEquals(MinimalHypervisor.CODE, cpu.rip);
  }

  @Test
  void vmlaunch_as_an_instruction_enters() {
    h.guest(LONG).code(0x0f, 0xa2);
    execute(VMLAUNCH);
    assertNotNull(cpu.guest);
    assertEquals(MinimalHypervisor.CODE, cpu.rip);
    assertEquals(MinimalHypervisor.STACK, cpu.r[Cpu.RSP]);
    assertTrue(h.vmcs().launched);
  }

  @Test
  void an_entry_is_refused_while_mov_ss_blocks() {
    h.guest(LONG);
    cpu.shadow = Cpu.SHADOW_MOV_SS;
    failsValid(InstructionError.ENTRY_MOV_SS, VMLAUNCH);
  }

  @Test
  void a_failed_entry_as_an_instruction_sets_flags_and_says_why() {
    h.guest(LONG).set(VmcsField.VIRTUAL_PROCESSOR_ID, 0);
    failsValid(InstructionError.ENTRY_INVALID_CONTROL, VMLAUNCH);
    assertEquals("CONTROL_VPID", h.failedCheck());
    h.set(VmcsField.VIRTUAL_PROCESSOR_ID, 1).set(VmcsField.HOST_CR3, 1L << 55);
    failsValid(InstructionError.ENTRY_INVALID_HOST_STATE, VMLAUNCH);
    assertEquals("HOST_CR3_WIDTH", h.failedCheck());
  }

  @Test
  void vmcall_in_root_operation_fails() {
    failsValid(InstructionError.VMCALL_IN_ROOT, VMCALL);
  }

  // ---- INVEPT and INVVPID ----

  @Test
  void they_are_undefined_where_the_processor_lacks_them() {
    long all = h.capabilities.eptVpid;
    long[] needed = {VmxCapabilities.EPT_INVEPT, VmxCapabilities.VPID_INVVPID};
    int[][] codes = {INVEPT, INVVPID};
    for (int k = 0; k < 2; k++) {
      MinimalHypervisor other = new MinimalHypervisor(h.capabilities.withEptVpid(all & ~needed[k]));
      Instruction i = decode(8, codes[k]);
      assertEquals(Vector.UD, assertThrows(CpuException.class, () -> other.vmx.execute(i)).vector);
    }
  }

  @Test
  void invept_checks_type_and_eptp() {
    h.memory.writeLong(OPERAND, MinimalHypervisor.EPT | 0x1e);
    cpu.r[Cpu.RCX] = 1;
    succeeds(INVEPT);
    cpu.r[Cpu.RCX] = 2;
    succeeds(INVEPT);
    for (long type : new long[] {0, 3, 1L << 32 | 1, -1}) {
      cpu.r[Cpu.RCX] = type;
      failsValid(InstructionError.INVALID_OPERAND, INVEPT);
    }
    cpu.r[Cpu.RCX] = 1;
    h.memory.writeLong(OPERAND, MinimalHypervisor.EPT);
    failsValid(InstructionError.INVALID_OPERAND, INVEPT);
    h.memory.writeLong(OPERAND, MinimalHypervisor.EPT | 0x1e | 1L << 60);
    failsValid(InstructionError.INVALID_OPERAND, INVEPT);
  }

  @Test
  void invvpid_checks_type_vpid_and_address() {
    h.memory.writeLong(OPERAND, 1);
    h.memory.writeLong(OPERAND + 8, 0x1000);
    for (long type : new long[] {0, 1, 2, 3}) {
      cpu.r[Cpu.RCX] = type;
      succeeds(INVVPID);
    }
    cpu.r[Cpu.RCX] = 4;
    failsValid(InstructionError.INVALID_OPERAND, INVVPID);
    h.memory.writeLong(OPERAND, 0x10001);
    cpu.r[Cpu.RCX] = 2;
    failsValid(InstructionError.INVALID_OPERAND, INVVPID);
    h.memory.writeLong(OPERAND, 0);
    succeeds(INVVPID);
    for (long type : new long[] {0, 1, 3}) {
      cpu.r[Cpu.RCX] = type;
      failsValid(InstructionError.INVALID_OPERAND, INVVPID);
    }
    h.memory.writeLong(OPERAND, 1);
    h.memory.writeLong(OPERAND + 8, 1L << 60);
    cpu.r[Cpu.RCX] = 0;
    failsValid(InstructionError.INVALID_OPERAND, INVVPID);
  }

  // ---- MSRs ----

  @Test
  void capability_msrs_are_read_and_not_written() {
    long[] out = new long[1];
    assertTrue(h.vmx.readMsr(VmxCapabilities.IA32_VMX_BASIC, out));
    assertEquals(h.capabilities.basic, out[0]);
    assertTrue(h.vmx.readMsr(VmxCapabilities.IA32_VMX_VMFUNC, out));
    assertEquals(1, out[0], "EPTP switching");
    assertFalse(h.vmx.readMsr(VmxCapabilities.IA32_VMX_EXIT_CTLS2, out));
    assertFalse(h.vmx.writeMsr(VmxCapabilities.IA32_VMX_BASIC, 0));
  }

  @Test
  void feature_control_is_written_until_it_is_locked() {
    cpu.msr.featureControl = 0;
    assertFalse(h.vmx.writeMsr(VmxCapabilities.IA32_FEATURE_CONTROL, 1 << 8));
    assertTrue(h.vmx.writeMsr(VmxCapabilities.IA32_FEATURE_CONTROL, 5));
    assertFalse(h.vmx.writeMsr(VmxCapabilities.IA32_FEATURE_CONTROL, 5));
    assertEquals(5, cpu.msr.featureControl);
  }

  @Test
  void error_numbers_have_names() {
    assertEquals(InstructionError.ENTRY_INVALID_CONTROL, InstructionError.of(7));
    assertEquals(InstructionError.INVALID_OPERAND, InstructionError.of(28));
    assertNull(InstructionError.of(14));
    assertNull(InstructionError.of(0));
  }
}
