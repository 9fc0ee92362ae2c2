package org.kvm4j.kvm.module;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.cpu.profile.CpuProfile;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.cpu.profile.Feature;

/** KVM_GET_SUPPORTED_CPUID of each CPU model. */
class VcpuCpuidTests {
  private static VcpuCpuid supported(CpuModel model) {
    VcpuCpuid cpuid = new VcpuCpuid();
    cpuid.set(VcpuCpuid.supported(model));
    return cpuid;
  }

  private static VcpuCpuid.Entry entry(VcpuCpuid cpuid, int function, int index) {
    VcpuCpuid.Entry e = cpuid.find(function, index);
    assertNotNull(e, () -> "leaf %#x.%d".formatted(function, index));
    return e;
  }

  @ParameterizedTest
  @ValueSource(strings = {"kvm4j-v1", "kvm4j-32", "sierra-forest", "genoa", "westmere", "haswell"})
  void a_virtual_cpu_is_told_of_what_the_processor_has_but_what_is_withheld(String name) {
    CpuProfile model = CpuProfiles.named(name);
    VcpuCpuid cpuid = supported(model);
    for (Feature f : Feature.values()) {
      boolean expected =
          switch (f) {
            case VMX, SVM, MONITOR, OSXSAVE, TSC_DEADLINE, CET_SSS, ARCH_PERFMON, PDCM -> false;
            // The interrupt chips are software, whatever the processor has.
            case HYPERVISOR, APIC, X2APIC -> true;
            // So is this MSR; a model that is too old for leaf 7 cannot tell.
            case TSC_ADJUST -> cpuid.find(7, 0) != null;
            default -> model.reported().has(f);
          };
      assertEquals(expected, cpuid.has(f), f.name());
    }
  }

  @Test
  void no_virtual_cpu_has_performance_counters() {
    VcpuCpuid.Entry e = entry(supported(CpuProfiles.defaultProfile()), 0xa, 0);
    assertEquals(0, e.eax | e.ebx | e.ecx | e.edx);
  }

  @Test
  void what_vmx_cannot_enable_in_a_guest_is_withheld() {
    assertTrue(supported(CpuProfiles.named("sapphire-rapids")).has(Feature.WAITPKG));
    assertFalse(
        supported(CpuProfiles.named("sapphire-rapids,-vmx-enable-user-wait-pause"))
            .has(Feature.WAITPKG));
  }

  @Test
  void sizes_of_extended_state_are_those_of_all_components() {
    VcpuCpuid cpuid = supported(CpuProfiles.named("sierra-forest"));
    VcpuCpuid.Entry sizes = entry(cpuid, 0xd, 0);
    assertEquals(0x207, sizes.eax);
    assertEquals(2696, sizes.ebx);
    assertEquals(2696, sizes.ecx);
    assertEquals(576 + 256 + 8 + 16 + 24, entry(cpuid, 0xd, 1).ebx);
    assertEquals(0x1800, entry(cpuid, 0xd, 1).ecx);
    assertEquals(576, entry(cpuid, 0xd, 2).ebx);
    assertEquals(256, entry(cpuid, 0xd, 2).eax);
    assertEquals(2688, entry(cpuid, 0xd, 9).ebx);
    assertEquals(16, entry(cpuid, 0xd, 11).eax);
    assertEquals(24, entry(cpuid, 0xd, 12).eax);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"vmx-entry-load-cet", "vmx-exit-load-cet", "vmx-any-errcode", "shstk,-ibt"})
  void cet_is_withheld_with_all_of_its_state_where_vmx_cannot_switch_it(String lacks) {
    CpuProfile model = CpuProfiles.named("sapphire-rapids,-" + lacks);
    VcpuCpuid cpuid = supported(model);
    assertFalse(cpuid.has(Feature.CET_SS));
    assertFalse(cpuid.has(Feature.CET_IBT));
    assertEquals(0, entry(cpuid, 0xd, 1).ecx);
    assertEquals(576 + 256 + 8, entry(cpuid, 0xd, 1).ebx);
    assertNull(cpuid.find(0xd, 11));
    assertNull(cpuid.find(0xd, 12));
    assertFalse(
        Arrays.stream(VcpuMsrs.savedIndices(model)).anyMatch(i -> i >= 0x6a0 && i <= 0x6a8));
  }

  @Test
  void caches_are_listed_where_the_vendor_has_them() {
    assertEquals(0x163, entry(supported(CpuProfiles.named("sierra-forest")), 4, 3).eax);
    assertEquals(0x163, entry(supported(CpuProfiles.named("genoa")), 0x8000001d, 3).eax);
  }
}
