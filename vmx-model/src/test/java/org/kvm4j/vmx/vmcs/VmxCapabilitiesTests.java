package org.kvm4j.vmx.vmcs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.cpu.profile.Feature;

class VmxCapabilitiesTests {
  private final VmxCapabilities all = VmxCapabilities.of(CpuProfiles.defaultProfile());

  @Test
  void basic_tells_revision_size_and_memory_type() {
    long basic = all.msr(VmxCapabilities.IA32_VMX_BASIC);
    assertEquals(VmxCapabilities.REVISION, basic & 0x7fffffff);
    assertEquals(4096, basic >> 32 & 0x1fff);
    assertEquals(6, basic >> 50 & 15);
    assertEquals(0, basic >> 31 & 1);
    assertEquals(1, basic >> 55 & 1);
  }

  /** SDM A.2: what is allowed to be 0 is a subset of what may be 1 in each pair. */
  @ParameterizedTest
  @EnumSource(ControlWord.class)
  void what_must_be_1_may_be_1(ControlWord word) {
    if (word.width != 32 || !all.hasMsr(word.msr)) {
      return;
    }
    for (int msr : new int[] {word.msr, word.trueMsr}) {
      long pair = all.msr(msr);
      assertEquals(0, pair & 0xffffffffL & ~(pair >>> 32));
    }
    // The default1 class is fixed to 1 in the plain MSR alone.
    assertEquals(word.default1, all.msr(word.msr) & 0xffffffffL);
    assertEquals(word.fixed1, all.msr(word.trueMsr) & 0xffffffffL);
    assertEquals(all.msr(word.msr) >>> 32, all.msr(word.trueMsr) >>> 32);
  }

  @Test
  void the_default_profile_has_what_the_model_implements() {
    for (Control control :
        new Control[] {
          Control.EXTERNAL_INTERRUPT_EXITING,
          Control.VIRTUAL_NMIS,
          Control.HLT_EXITING,
          Control.USE_MSR_BITMAPS,
          Control.MONITOR_TRAP_FLAG,
          Control.ENABLE_EPT,
          Control.ENABLE_VPID,
          Control.UNRESTRICTED_GUEST,
          Control.CR3_LOAD_EXITING,
          Control.USE_TPR_SHADOW,
          Control.POSTED_INTERRUPTS,
          Control.ENABLE_PML,
          Control.VMCS_SHADOWING,
          Control.SAVE_EFER
        }) {
      assertTrue(all.allows(control), control.name());
    }
    for (Control control :
        new Control[] {
          Control.ENABLE_VM_FUNCTIONS,
          Control.EPT_VIOLATION_VE,
          Control.IPI_VIRTUALIZATION,
          Control.ENTRY_TO_SMM
        }) {
      assertFalse(all.allows(control), control.name());
    }
  }

  @Test
  void a_control_taken_away_shows_in_its_msr() {
    VmxCapabilities less = all.without(Control.ENABLE_EPT, Control.ENABLE_VPID);
    assertFalse(less.allows(Control.ENABLE_EPT));
    assertFalse(less.hasMsr(VmxCapabilities.IA32_VMX_EPT_VPID_CAP));
    assertEquals(0, less.msr(VmxCapabilities.IA32_VMX_PROCBASED_CTLS2) >>> 32 & 0x22);
    assertFalse(
        all.without(Control.ACTIVATE_SECONDARY_CONTROLS)
            .hasMsr(VmxCapabilities.IA32_VMX_PROCBASED_CTLS2));
  }

  @Test
  void a_model_narrows_what_is_implemented() {
    VmxCapabilities narrow =
        VmxCapabilities.of(
            CpuProfiles.defaultProfile()
                .withMsr(VmxCapabilities.IA32_VMX_PROCBASED_CTLS2, 0x2L << 32)
                .without(Feature.RDTSCP));
    assertEquals(2, narrow.allowed1(ControlWord.SECONDARY));
    // A model cannot add what is not implemented.
    VmxCapabilities wide =
        VmxCapabilities.of(
            CpuProfiles.defaultProfile()
                .withMsr(VmxCapabilities.IA32_VMX_PROCBASED_CTLS2, 0xffffffff00000000L));
    assertEquals(all.allowed1(ControlWord.SECONDARY), wide.allowed1(ControlWord.SECONDARY));
  }

  @Test
  void cr0_and_cr4_have_their_fixed_bits() {
    assertEquals(0x80000021L, all.msr(VmxCapabilities.IA32_VMX_CR0_FIXED0));
    assertEquals(0xffffffffL, all.msr(VmxCapabilities.IA32_VMX_CR0_FIXED1));
    assertEquals(0x2000, all.msr(VmxCapabilities.IA32_VMX_CR4_FIXED0));
    assertEquals(0x2000, all.msr(VmxCapabilities.IA32_VMX_CR4_FIXED1) & 0x2000);
  }

  @Test
  void vmcs_enum_has_the_highest_index() {
    int highest = 0;
    for (VmcsField field : VmcsField.values()) {
      if (field.exists(all)) {
        highest = Math.max(highest, field.index);
      }
    }
    assertEquals(highest << 1, all.msr(VmxCapabilities.IA32_VMX_VMCS_ENUM));
  }
}
