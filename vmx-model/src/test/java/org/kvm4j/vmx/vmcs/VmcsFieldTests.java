package org.kvm4j.vmx.vmcs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Field;
import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.kvm4j.cpu.profile.CpuProfiles;

/** The field table against encodings taken from the SDM's appendix B by hand. */
class VmcsFieldTests {
  @ParameterizedTest
  @CsvSource({
    "VIRTUAL_PROCESSOR_ID, 0000",
    "POSTED_INTR_NV, 0002",
    "EPTP_INDEX, 0004",
    "GUEST_ES_SELECTOR, 0800",
    "GUEST_CS_SELECTOR, 0802",
    "GUEST_TR_SELECTOR, 080e",
    "GUEST_INTR_STATUS, 0810",
    "GUEST_PML_INDEX, 0812",
    "HOST_ES_SELECTOR, 0c00",
    "HOST_TR_SELECTOR, 0c0c",
    "IO_BITMAP_A, 2000",
    "IO_BITMAP_B, 2002",
    "MSR_BITMAP, 2004",
    "VM_EXIT_MSR_STORE_ADDR, 2006",
    "VM_EXIT_MSR_LOAD_ADDR, 2008",
    "VM_ENTRY_MSR_LOAD_ADDR, 200a",
    "EXECUTIVE_VMCS_POINTER, 200c",
    "PML_ADDRESS, 200e",
    "TSC_OFFSET, 2010",
    "VIRTUAL_APIC_PAGE_ADDR, 2012",
    "APIC_ACCESS_ADDR, 2014",
    "POSTED_INTR_DESC_ADDR, 2016",
    "VM_FUNCTION_CONTROL, 2018",
    "EPT_POINTER, 201a",
    "EOI_EXIT_BITMAP0, 201c",
    "EOI_EXIT_BITMAP3, 2022",
    "EPTP_LIST_ADDRESS, 2024",
    "VMREAD_BITMAP, 2026",
    "VMWRITE_BITMAP, 2028",
    "VE_INFORMATION_ADDRESS, 202a",
    "XSS_EXIT_BITMAP, 202c",
    "ENCLS_EXITING_BITMAP, 202e",
    "SPP_TABLE_POINTER, 2030",
    "TSC_MULTIPLIER, 2032",
    "TERTIARY_VM_EXEC_CONTROL, 2034",
    "ENCLV_EXITING_BITMAP, 2036",
    "LOW_PASID_DIRECTORY, 2038",
    "HIGH_PASID_DIRECTORY, 203a",
    "PCONFIG_EXITING_BITMAP, 203e",
    "HLATP, 2040",
    "PID_POINTER_TABLE, 2042",
    "SECONDARY_VM_EXIT_CONTROLS, 2044",
    "IA32_SPEC_CTRL_MASK, 204a",
    "IA32_SPEC_CTRL_SHADOW, 204c",
    "GUEST_PHYSICAL_ADDRESS, 2400",
    "VMCS_LINK_POINTER, 2800",
    "GUEST_IA32_DEBUGCTL, 2802",
    "GUEST_IA32_PAT, 2804",
    "GUEST_IA32_EFER, 2806",
    "GUEST_IA32_PERF_GLOBAL_CTRL, 2808",
    "GUEST_PDPTR0, 280a",
    "GUEST_PDPTR3, 2810",
    "GUEST_BNDCFGS, 2812",
    "GUEST_IA32_RTIT_CTL, 2814",
    "GUEST_IA32_LBR_CTL, 2816",
    "GUEST_IA32_PKRS, 2818",
    "HOST_IA32_PAT, 2c00",
    "HOST_IA32_EFER, 2c02",
    "HOST_IA32_PERF_GLOBAL_CTRL, 2c04",
    "HOST_IA32_PKRS, 2c06",
    "PIN_BASED_VM_EXEC_CONTROL, 4000",
    "CPU_BASED_VM_EXEC_CONTROL, 4002",
    "EXCEPTION_BITMAP, 4004",
    "PAGE_FAULT_ERROR_CODE_MASK, 4006",
    "PAGE_FAULT_ERROR_CODE_MATCH, 4008",
    "CR3_TARGET_COUNT, 400a",
    "VM_EXIT_CONTROLS, 400c",
    "VM_EXIT_MSR_STORE_COUNT, 400e",
    "VM_EXIT_MSR_LOAD_COUNT, 4010",
    "VM_ENTRY_CONTROLS, 4012",
    "VM_ENTRY_MSR_LOAD_COUNT, 4014",
    "VM_ENTRY_INTR_INFO_FIELD, 4016",
    "VM_ENTRY_EXCEPTION_ERROR_CODE, 4018",
    "VM_ENTRY_INSTRUCTION_LEN, 401a",
    "TPR_THRESHOLD, 401c",
    "SECONDARY_VM_EXEC_CONTROL, 401e",
    "PLE_GAP, 4020",
    "PLE_WINDOW, 4022",
    "NOTIFY_WINDOW, 4024",
    "VM_INSTRUCTION_ERROR, 4400",
    "VM_EXIT_REASON, 4402",
    "VM_EXIT_INTR_INFO, 4404",
    "VM_EXIT_INTR_ERROR_CODE, 4406",
    "IDT_VECTORING_INFO_FIELD, 4408",
    "IDT_VECTORING_ERROR_CODE, 440a",
    "VM_EXIT_INSTRUCTION_LEN, 440c",
    "VMX_INSTRUCTION_INFO, 440e",
    "GUEST_ES_LIMIT, 4800",
    "GUEST_TR_LIMIT, 480e",
    "GUEST_GDTR_LIMIT, 4810",
    "GUEST_IDTR_LIMIT, 4812",
    "GUEST_ES_AR_BYTES, 4814",
    "GUEST_TR_AR_BYTES, 4822",
    "GUEST_INTERRUPTIBILITY_INFO, 4824",
    "GUEST_ACTIVITY_STATE, 4826",
    "GUEST_SMBASE, 4828",
    "GUEST_SYSENTER_CS, 482a",
    "VMX_PREEMPTION_TIMER_VALUE, 482e",
    "HOST_IA32_SYSENTER_CS, 4c00",
    "CR0_GUEST_HOST_MASK, 6000",
    "CR4_READ_SHADOW, 6006",
    "CR3_TARGET_VALUE0, 6008",
    "CR3_TARGET_VALUE3, 600e",
    "EXIT_QUALIFICATION, 6400",
    "GUEST_LINEAR_ADDRESS, 640a",
    "GUEST_CR0, 6800",
    "GUEST_CR3, 6802",
    "GUEST_CR4, 6804",
    "GUEST_ES_BASE, 6806",
    "GUEST_GDTR_BASE, 6816",
    "GUEST_DR7, 681a",
    "GUEST_RSP, 681c",
    "GUEST_RIP, 681e",
    "GUEST_RFLAGS, 6820",
    "GUEST_PENDING_DBG_EXCEPTIONS, 6822",
    "GUEST_SYSENTER_ESP, 6824",
    "GUEST_SYSENTER_EIP, 6826",
    "GUEST_S_CET, 6828",
    "GUEST_INTR_SSP_TABLE, 682c",
    "HOST_CR0, 6c00",
    "HOST_FS_BASE, 6c06",
    "HOST_RSP, 6c14",
    "HOST_RIP, 6c16",
    "HOST_INTR_SSP_TABLE, 6c1c",
  })
  void a_field_has_the_encoding_of_the_appendix(VmcsField field, String hex) {
    assertEquals(Integer.parseInt(hex, 16), field.encoding);
  }

  @ParameterizedTest
  @EnumSource(VmcsField.class)
  void a_field_is_found_by_its_encodings(VmcsField field) throws ReflectiveOperationException {
    assertSame(field, VmcsField.of(field.encoding));
    assertEquals(0, field.encoding & VmcsField.RESERVED_ENCODING_BITS);
    assertEquals(field.width.ordinal(), field.encoding >> 13 & 3);
    assertEquals(field.type.ordinal(), field.encoding >> 10 & 3);
    assertEquals(field.index, field.encoding >> 1 & 0x1ff);
    if (field.width == VmcsField.Width.QUAD) {
      assertSame(field, VmcsField.of(field.highEncoding()));
      assertEquals(field.encoding | 1, field.highEncoding());
    } else {
      assertNull(VmcsField.of(field.encoding | 1));
      assertThrows(IllegalStateException.class, field::highEncoding);
    }
    assertNull(VmcsField.of(field.encoding | 0x8000));
    assertNull(VmcsField.of(field.encoding | 1L << 32));
    Field constant = Vmcs.class.getField(field.name());
    assertEquals(field.ordinal(), constant.getInt(null));
  }

  @Test
  void encodings_are_unique_and_in_order() {
    Set<Integer> seen = new HashSet<>();
    int last = -1;
    for (VmcsField field : VmcsField.values()) {
      assertTrue(seen.add(field.encoding), field.name());
      assertTrue(field.encoding > last, field.name());
      last = field.encoding;
    }
  }

  @Test
  void fields_exist_with_the_controls_that_need_them() {
    VmxCapabilities all = VmxCapabilities.of(CpuProfiles.defaultProfile());
    assertTrue(VmcsField.EPT_POINTER.exists(all));
    assertFalse(VmcsField.EPT_POINTER.exists(all.without(Control.ENABLE_EPT)));
    assertTrue(VmcsField.GUEST_IA32_EFER.exists(all.without(Control.ENTRY_LOAD_EFER)));
    assertFalse(
        VmcsField.GUEST_IA32_EFER.exists(all.without(Control.ENTRY_LOAD_EFER, Control.SAVE_EFER)));
    assertTrue(VmcsField.GUEST_RIP.exists(all));
    assertTrue(VmcsField.SPP_TABLE_POINTER.exists(all));
    assertFalse(
        VmcsField.SPP_TABLE_POINTER.exists(all.without(Control.SUB_PAGE_WRITE_PERMISSIONS)));
    assertFalse(VmcsField.SHARED_EPT_POINTER.exists(all.with(Control.values())));
  }

  @Test
  void a_vmcs_keeps_its_fields_in_its_region() {
    org.kvm4j.ept.memory.PhysicalMemory memory = new org.kvm4j.ept.memory.PhysicalMemory(40);
    memory.mapAt(0, 0x10000);
    memory.writeInt(0x3000, VmxCapabilities.REVISION);
    Vmcs vmcs = new Vmcs(0x3000);
    for (VmcsField field : VmcsField.values()) {
      vmcs.write(field, 0x1234_5678_9abc_def0L + field.ordinal());
    }
    vmcs.launched = true;
    vmcs.abort = 4;
    vmcs.store(memory);
    Vmcs read = new Vmcs(0x3000);
    read.load(memory);
    for (VmcsField field : VmcsField.values()) {
      assertEquals(0x1234_5678_9abc_def0L + field.ordinal() & field.width.mask, read.read(field));
      assertTrue(read.isDirty(field.ordinal()));
    }
    assertTrue(read.launched);
    assertEquals(4, read.abort);
    assertEquals(VmxCapabilities.REVISION, read.revision);
    assertEquals(4, memory.readInt(0x3004));
  }
}
