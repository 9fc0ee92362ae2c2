package org.kvm4j.vmx.vmcs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.profile.CpuProfile;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.cpu.profile.VmxFeature;

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
          Control.ENABLE_VM_FUNCTIONS,
          Control.EPTP_SWITCHING,
          Control.EPT_VIOLATION_VE,
          Control.IPI_VIRTUALIZATION,
          Control.SUB_PAGE_WRITE_PERMISSIONS,
          Control.SAVE_EFER
        }) {
      assertTrue(all.allows(control), control.name());
    }
    for (Control control : new Control[] {Control.ENABLE_PCONFIG, Control.ENTRY_TO_SMM}) {
      assertFalse(all.allows(control), control.name());
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 5, 31})
  void the_preemption_timers_rate_is_the_models(int rate) {
    CpuProfile model = CpuProfiles.defaultProfile().withVmxTimerRate(rate);
    VmxCapabilities rated = VmxCapabilities.of(model);
    assertEquals(rate, rated.preemptionTimerShift());
    assertEquals(
        all.misc & ~31 | rate, rated.msr(VmxCapabilities.IA32_VMX_MISC), "all else is the same");
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
  void a_feature_taken_away_shows_in_its_msr() {
    VmxCapabilities narrow =
        VmxCapabilities.of(CpuProfiles.named("kvm4j-v1,-vmx-ept,-vmx-vpid,-rdtscp"));
    assertFalse(narrow.allows(Control.ENABLE_EPT));
    assertFalse(narrow.allows(Control.UNRESTRICTED_GUEST), "needs EPT");
    assertFalse(narrow.allows(Control.ENABLE_RDTSCP), "needs RDTSCP");
    assertFalse(narrow.hasMsr(VmxCapabilities.IA32_VMX_EPT_VPID_CAP));
    assertTrue(narrow.allows(Control.DESCRIPTOR_TABLE_EXITING));
    VmxCapabilities noAd = VmxCapabilities.of(CpuProfiles.named("kvm4j-v1,-vmx-eptad"));
    assertEquals(all.eptVpid & ~VmxCapabilities.EPT_ACCESSED_DIRTY, noAd.eptVpid);
    assertFalse(noAd.allows(Control.ENABLE_PML));
  }

  @Test
  void a_control_that_may_not_be_0_shows_in_the_true_msr() {
    VmxCapabilities c = VmxCapabilities.of(CpuProfiles.named("kvm4j-v1,-vmx-cr3-load-noexit"));
    assertEquals(
        all.msr(VmxCapabilities.IA32_VMX_TRUE_PROCBASED_CTLS) | 1 << 15,
        c.msr(VmxCapabilities.IA32_VMX_TRUE_PROCBASED_CTLS));
    assertEquals(1 << 15, c.required1(ControlWord.PROCESSOR_BASED) & 3 << 15);
  }

  /** SDM A.2: without TRUE MSRs all of the default1 class is 1. */
  @Test
  void the_first_processors_have_neither_ept_nor_true_msrs() {
    VmxCapabilities c = VmxCapabilities.of(CpuProfiles.named("conroe"));
    assertFalse(c.hasMsr(VmxCapabilities.IA32_VMX_TRUE_PINBASED_CTLS));
    assertFalse(c.hasMsr(VmxCapabilities.IA32_VMX_EPT_VPID_CAP));
    assertFalse(c.hasMsr(VmxCapabilities.IA32_VMX_VMFUNC));
    assertEquals(0, c.eptVpid);
    assertEquals(ControlWord.PROCESSOR_BASED.default1, c.required1(ControlWord.PROCESSOR_BASED));
    assertEquals(0x41, c.allowed1(ControlWord.SECONDARY), "APIC accesses, WBINVD exiting");
    assertFalse(VmcsField.EPT_POINTER.exists(c));
    assertFalse(VmcsField.GUEST_IA32_EFER.exists(c));
    assertTrue(VmcsField.VIRTUAL_APIC_PAGE_ADDR.exists(c));
  }

  /** Each generation has what the one before has. */
  @Test
  void generations_grow() {
    VmxCapabilities before = VmxCapabilities.of(CpuProfiles.named("conroe"));
    for (String name :
        new String[] {"nehalem", "westmere", "haswell", "skylake-server", "sapphire-rapids"}) {
      VmxCapabilities c = VmxCapabilities.of(CpuProfiles.named(name));
      long more = 0;
      for (ControlWord word : ControlWord.values()) {
        assertEquals(0, before.allowed1(word) & ~c.allowed1(word), name + " " + word);
        assertEquals(0, c.required1(word) & ~before.required1(word), name + " " + word);
        more |= c.allowed1(word) & ~before.allowed1(word);
      }
      assertEquals(0, before.eptVpid & ~c.eptVpid, name);
      assertEquals(0, before.misc & ~c.misc, name);
      assertTrue(more != 0, name);
      before = c;
    }
  }

  @Test
  void every_feature_is_the_control_of_its_bit() {
    CpuProfile recent = CpuProfiles.named("sapphire-rapids");
    VmxCapabilities all = VmxCapabilities.of(recent);
    for (VmxFeature feature : VmxFeature.values()) {
      VmxCapabilities without = VmxCapabilities.of(recent.without(feature));
      boolean differs = without.basic != all.basic || without.misc != all.misc;
      differs |= without.eptVpid != all.eptVpid;
      for (ControlWord word : ControlWord.values()) {
        differs |= without.allowed1(word) != all.allowed1(word);
        differs |= without.required1(word) != all.required1(word);
        // Whatever may be 1 is a control with a name, or of the default1 class.
        long named = word.default1;
        for (Control control : Control.values()) {
          named |= control.word == word ? control.mask : 0;
        }
        assertEquals(0, all.allowed1(word) & ~named, word.name());
      }
      assertTrue(differs, feature.toString());
    }
  }

  @Test
  void a_processor_without_vmx_has_none_of_it() {
    VmxCapabilities c = VmxCapabilities.of(CpuProfiles.named("kvm4j-v1,-vmx"));
    assertFalse(c.allows(Control.ACTIVATE_SECONDARY_CONTROLS));
    assertFalse(c.allows(Control.ENABLE_EPT));
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
