package org.kvm4j.cpu.profile;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Models by name, and the leaves that follow from their data. */
class CpuProfilesTests {
  @Test
  void performance_counters_are_as_many_as_the_processor_has() {
    CpuProfile p = CpuProfiles.defaultProfile();
    assertArrayEquals(new int[] {0x07300402, 0x78, 0, 0x603}, cpuid(p, 0xa, 0));
    assertArrayEquals(
        new int[] {0x07280202, 0x78, 0, 0x503}, cpuid(CpuProfiles.named("conroe"), 0xa, 0));
    assertEquals(0x07300802, cpuid(CpuProfiles.named("sapphire-rapids"), 0xa, 0)[0]);
    CpuProfile without = CpuProfiles.named("kvm4j-v1,-arch_perfmon");
    assertArrayEquals(new int[4], cpuid(without, 0xa, 0));
    assertFalse(without.has(Feature.PDCM));
    assertFalse(without.vmxFeatures().contains(VmxFeature.ENTRY_LOAD_PERF_GLOBAL_CTRL));
    assertArrayEquals(new int[4], cpuid(CpuProfiles.named("genoa"), 0xa, 0));
  }

  private static int[] cpuid(CpuModel model, int leaf, int subleaf) {
    int[] out = new int[4];
    model.cpuid(leaf, subleaf, out);
    return out;
  }

  private static String text(int... registers) {
    ByteBuffer b = ByteBuffer.allocate(registers.length * 4).order(ByteOrder.LITTLE_ENDIAN);
    for (int r : registers) {
      b.putInt(r);
    }
    return new String(b.array(), StandardCharsets.US_ASCII).replace("\0", "");
  }

  static Set<String> names() {
    return CpuProfiles.names();
  }

  @Test
  void the_default_model_says_who_it_is() {
    CpuProfile p = CpuProfiles.defaultProfile();
    int[] zero = cpuid(p, 0, 0);
    assertEquals(0xd, zero[0]);
    assertEquals("GenuineIntel", text(zero[1], zero[3], zero[2]));
    StringBuilder brand = new StringBuilder();
    for (int leaf = 0x80000002; leaf <= 0x80000004; leaf++) {
      brand.append(text(cpuid(p, leaf, 0)));
    }
    assertEquals(p.brand(), brand.toString());
    assertEquals(0x606a6, cpuid(p, 1, 0)[0]);
    assertEquals(0x606a6, p.signature());
    assertEquals(46 | 57 << 8, cpuid(p, 0x80000008, 0)[0]);
    assertEquals(0x80000008, cpuid(p, 0x80000000, 0)[0]);
  }

  @ParameterizedTest
  @MethodSource("names")
  void every_reported_feature_has_its_bit_and_no_other_is_set(String name) {
    CpuProfile p = CpuProfiles.named(name);
    for (Feature f : Feature.values()) {
      int[] out = cpuid(p, f.leaf, f.subleaf);
      int register =
          switch (f.register) {
            case EAX -> out[0];
            case EBX -> out[1];
            case ECX -> out[2];
            case EDX -> out[3];
          };
      boolean set = (register & f.mask()) != 0;
      assertEquals(p.reported().has(f), set, f.name());
    }
  }

  @ParameterizedTest
  @MethodSource("names")
  void a_model_has_what_its_features_need(String name) {
    CpuProfile p = CpuProfiles.named(name);
    for (Feature f : p.reported().asSet()) {
      for (Feature needed : FeatureRules.withNeeds(f)) {
        assertTrue(p.reported().has(needed), f + " needs " + needed);
      }
    }
  }

  @Test
  void the_default_model_is_x86_64_v2() {
    CpuProfile p = CpuProfiles.defaultProfile();
    for (Feature f :
        new Feature[] {
          Feature.FPU, Feature.MMX, Feature.SSE2, Feature.CMPXCHG16B, Feature.LAHF_LM,
          Feature.POPCNT, Feature.SSE3, Feature.SSSE3, Feature.SSE4_1, Feature.SSE4_2
        }) {
      assertTrue(p.reported().has(f), f.name());
    }
    assertTrue(p.reported().has(Feature.VMX));
    assertFalse(p.has(Feature.AVX));
  }

  @Test
  void amd_has_its_own_leaves() {
    CpuProfile p = CpuProfiles.named("genoa");
    int[] zero = cpuid(p, 0, 0);
    assertEquals("AuthenticAMD", text(zero[1], zero[3], zero[2]));
    assertEquals(0xa10f11, p.signature());
    assertEquals(0, cpuid(p, 4, 0)[0], "leaf 4 is Intel's");
    assertEquals(0, cpuid(p, 0x40000000, 0)[0], "zeros beyond the last leaf");
    int[] one = cpuid(p, 0x80000001, 0);
    assertEquals(p.signature(), one[0]);
    assertEquals(cpuid(p, 1, 0)[3] & 0x0183f3ff, one[3] & 0x0183f3ff);
    // As read from a processor of this model: L1 data, L1 instruction, L2.
    assertEquals(0x20080140, cpuid(p, 0x80000005, 0)[2]);
    assertEquals(0x20080140, cpuid(p, 0x80000005, 0)[3]);
    assertEquals(0x04006140, cpuid(p, 0x80000006, 0)[2]);
    int[] l3 = cpuid(p, 0x8000001d, 3);
    assertEquals(3 | 3 << 5 | 1 << 8, l3[0]);
    assertEquals(0x03c0003f, l3[1]);
    assertEquals(0x7fff, l3[2]);
    assertEquals(0x80000021, cpuid(p, 0x80000000, 0)[0]);
    assertEquals(1 << 29, cpuid(p, 0x80000021, 0)[0], "SRSO_NO");
    assertEquals(6, cpuid(p, 0x80000021, 0)[2], "TSA_SQ_NO, TSA_L1_NO");
    assertFalse(p.reported().has(Feature.VMX));
  }

  @ParameterizedTest
  @CsvSource({"0x40000000", "0x14", "0x80000009", "0xffffffff"})
  void leaves_beyond_the_last_are_the_last_basic_one(String leaf) {
    CpuProfile p = CpuProfiles.named("kvm4j-v1");
    assertEquals(576, cpuid(p, (int) (long) Long.decode(leaf), 0)[1]);
  }

  @Test
  void caches_and_topology() {
    CpuProfile p = CpuProfiles.defaultProfile();
    int[] l1 = cpuid(p, 4, 0);
    assertEquals(1 | 1 << 5 | 1 << 8, l1[0]);
    // 12 ways of 64 sets of 64 bytes.
    assertEquals(48 * 1024, ((l1[1] >>> 22) + 1) * ((l1[1] & 0xfff) + 1) * (l1[2] + 1));
    assertEquals(0, cpuid(p, 4, 4)[0]);
    assertEquals(0x100, cpuid(p, 0xb, 0)[2]);
    assertEquals(0x201, cpuid(p, 0xb, 1)[2]);
    assertEquals(2, cpuid(p, 0xb, 2)[2]);
  }

  @Test
  void features_can_be_taken_and_given() {
    CpuProfile p = CpuProfiles.named("KVM4J-V1,-la57,+hypervisor,-VMX");
    assertFalse(p.has(Feature.LA57));
    assertEquals(48, p.linearAddressBits());
    assertTrue(p.has(Feature.HYPERVISOR));
    assertFalse(p.has(Feature.VMX));
    assertEquals(0x203, cpuid(p, 0xd, 0)[0]);
    assertEquals(2696, cpuid(p, 0xd, 0)[2]);
    assertEquals(8, cpuid(p, 0xd, 9)[0]);
    CpuProfile narrow = CpuProfiles.named("kvm4j-v1,phys-bits=36,-pcid");
    assertEquals(36, narrow.physicalAddressBits());
    assertEquals(36, cpuid(narrow, 0x80000008, 0)[0] & 0xff);
    // INVPCID is told of apart from PCID.
    assertTrue(narrow.has(Feature.INVPCID));
  }

  @Test
  void a_feature_comes_with_what_it_needs_and_goes_with_what_needs_it() {
    CpuProfile p = CpuProfiles.named("kvm4j-v1,-xsave,+avx2");
    assertTrue(p.has(Feature.AVX2));
    assertTrue(p.has(Feature.AVX));
    assertTrue(p.has(Feature.XSAVE));
    assertFalse(p.has(Feature.XSAVEC));
    assertEquals(7, cpuid(p, 0xd, 0)[0]);
    assertEquals(832, cpuid(p, 0xd, 0)[2]);
    assertEquals(256, cpuid(p, 0xd, 2)[0]);
    assertEquals(576, cpuid(p, 0xd, 2)[1]);
    CpuProfile q = CpuProfiles.named("sierra-forest,-xsave");
    for (Feature f : new Feature[] {Feature.AVX, Feature.AVX2, Feature.VAES, Feature.PKU}) {
      assertFalse(q.has(f), f.name());
    }
    assertTrue(q.has(Feature.AES));
    assertEquals(0, cpuid(q, 0xd, 0)[0]);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '"',
      value = {
        "kvm4j-v2|unknown CPU 'kvm4j-v2'; did you mean kvm4j-v1?",
        "z80|unknown CPU 'z80'; there are: kvm4j-v1, kvm4j-32, sierra-forest, genoa, conroe, nehalem, westmere, haswell, skylake-server, sapphire-rapids",
        "+avx2|the name of a CPU comes first; there are: kvm4j-v1, kvm4j-32, sierra-forest, genoa, conroe, nehalem, westmere, haswell, skylake-server, sapphire-rapids",
        "kvm4j-v1,+lm57|unknown CPU feature 'lm57'; did you mean la57?",
        "skylake|unknown CPU 'skylake'; did you mean skylake-server?",
        "kvm4j-v1,+perfmon|unknown CPU feature 'perfmon'; did you mean arch_perfmon?",
        "kvm4j-v1,pmu=off|'pmu=off' is no change; changes are +FEATURE, -FEATURE, phys-bits=N, vmx-timer-rate=N",
        "genoa,-axv2|unknown CPU feature 'axv2'; did you mean avx2?",
        "kvm4j-v1,+avx2=on|unknown CPU feature 'avx2=on'; did you mean avx2?",
        "haswell,-ept|unknown CPU feature 'ept'; did you mean vmx-ept?",
        "haswell,-vmx-nosuch|unknown CPU feature 'vmx-nosuch'; NAME,+? lists all",
        "kvm4j-v1,+zzzzzz|unknown CPU feature 'zzzzzz'; NAME,+? lists all",
        "kvm4j-v1,+avx512f|CPU feature 'avx512f' is not built",
        "genoa,+svm|CPU feature 'svm' is not built",
        "kvm4j-v1,-vmx-eptt|unknown CPU feature 'vmx-eptt'; did you mean vmx-ept?",
        "kvm4j-v1,+vmx-encls-exit|CPU feature 'vmx-encls-exit' is not built",
        "kvm4j-v1,-vmx,+vmx-pml|CPU feature 'vmx-pml' needs vmx, which the CPU has not",
        "kvm4j-32,+vmx-pml|CPU feature 'vmx-pml' needs vmx, which the CPU has not",
        "genoa,+arch_perfmon|CPU feature 'arch_perfmon' is Intel's alone, and genoa is AMD's",
        "genoa,+vmx|CPU feature 'vmx' is Intel's alone, and genoa is AMD's",
        "genoa,+vmx-pml|CPU feature 'vmx-pml' is Intel's alone, and genoa is AMD's",
        "genoa,+ibt|CPU feature 'ibt' is Intel's alone, and genoa is AMD's",
        "haswell,+clzero|CPU feature 'clzero' is AMD's alone, and haswell is Intel's",
        "kvm4j-v1,la57|'la57' has neither + nor - before it; changes are +FEATURE, -FEATURE, phys-bits=N, vmx-timer-rate=N",
        "kvm4j-v1,|'' is no change; changes are +FEATURE, -FEATURE, phys-bits=N, vmx-timer-rate=N",
        "kvm4j-v1,+,+la57|'+' is no change; changes are +FEATURE, -FEATURE, phys-bits=N, vmx-timer-rate=N",
        "kvm4j-v1,phys-bits=53|phys-bits, the width of physical addresses in bits, is a number from 32 to 52, not '53'",
        "kvm4j-v1,phys-bits=|phys-bits, the width of physical addresses in bits, is a number from 32 to 52, not ''",
        "kvm4j-v1,phys-bits=36,phys-bits=40|phys-bits is given twice",
        "kvm4j-v1,vmx-timer-rate=32|vmx-timer-rate, the rate of the VMX-preemption timer, is a number from 0 to 31, not '32'",
        "kvm4j-v1,vmx-timer-rate=-1|vmx-timer-rate, the rate of the VMX-preemption timer, is a number from 0 to 31, not '-1'",
        "kvm4j-v1,vmx-timer-rate=0x2|vmx-timer-rate, the rate of the VMX-preemption timer, is a number from 0 to 31, not '0x2'",
        "kvm4j-v1,vmx-timer-rate|vmx-timer-rate, the rate of the VMX-preemption timer, is a number from 0 to 31, not ''",
        "kvm4j-v1,vmx-timer-rate=9999999999|vmx-timer-rate, the rate of the VMX-preemption timer, is a number from 0 to 31, not '9999999999'",
        "kvm4j-v1,+vmx-timer-rate=3|vmx-timer-rate=N has neither + nor - before it, as '+vmx-timer-rate=3' has",
        "kvm4j-v1,vmx-timer-rate=3,vmx-timer-rate=3|vmx-timer-rate is given twice",
        "conroe,vmx-timer-rate=3|vmx-timer-rate is given, and the CPU has no VMX-preemption timer",
        "kvm4j-32,vmx-timer-rate=3|vmx-timer-rate is given, and the CPU has no VMX-preemption timer",
        "genoa,vmx-timer-rate=3|vmx-timer-rate is given, and the CPU has no VMX-preemption timer",
        "kvm4j-v1,vmx-timer-rate=3,-vmx-preemption-timer|vmx-timer-rate is given, and the CPU has no VMX-preemption timer"
      })
  void mistakes_get_a_clear_answer(String description, String message) {
    IllegalArgumentException e =
        assertThrows(IllegalArgumentException.class, () -> CpuProfiles.named(description));
    assertEquals(message, e.getMessage());
  }

  @Test
  void a_change_is_the_same_however_it_is_written() {
    CpuProfile p = CpuProfiles.named("Kvm4j-V1,-sse4.2, +AES,-SHSTK, +VMX_PML,phys_bits=40");
    assertTrue(p.has(Feature.AES));
    assertFalse(p.has(Feature.SSE4_2));
    assertFalse(p.has(Feature.CET_SS));
    assertEquals(40, p.physicalAddressBits());
  }

  @Test
  void what_cpuid_does_not_tell_of_cannot_be_taken() {
    CpuProfile genoa = CpuProfiles.named("genoa");
    for (String change : new String[] {"-vmx", "-vmx-ept", "-svm", "-arch_perfmon"}) {
      CpuProfile p = CpuProfiles.named("genoa," + change);
      assertEquals(genoa.features().asSet(), p.features().asSet(), change);
      assertEquals(genoa.vmxFeatures(), p.vmxFeatures(), change);
    }
  }

  @ParameterizedTest
  @MethodSource("names")
  void a_model_has_what_its_vendor_has(String name) {
    CpuProfile p = CpuProfiles.named(name);
    for (Feature f : p.reported().asSet()) {
      String vendor = FeatureRules.vendor(f);
      assertTrue(vendor == null || vendor.equals(p.vendor()), f.name());
    }
  }

  @Test
  void a_timer_that_is_given_has_the_rate_that_is_given() {
    assertEquals(
        9, CpuProfiles.named("conroe,vmx-timer-rate=9,+vmx-preemption-timer").vmxTimerRate());
  }

  @ParameterizedTest
  @ValueSource(strings = {"kvm4j-v1", "genoa"})
  void all_features_that_are_named_can_be_had(String model) {
    for (String name : CpuProfiles.featureNames()) {
      try {
        CpuProfile p = CpuProfiles.named(model + ",+" + name);
        List<String> has = new ArrayList<>();
        p.reported().asSet().forEach(f -> has.add(f.name().toLowerCase(Locale.ROOT)));
        p.vmxFeatures().forEach(f -> has.add(f.toString()));
        assertTrue(has.contains(name), name);
      } catch (IllegalArgumentException e) {
        assertTrue(String.valueOf(e.getMessage()).contains("'s alone, and "), name);
      }
    }
  }

  @Test
  void features_of_vmx_can_be_taken_and_given() {
    CpuProfile p = CpuProfiles.named("nehalem,+vmx-unrestricted-guest,+vmx-rdrand-exit,-vmx-vpid");
    assertTrue(p.vmxFeatures().contains(VmxFeature.UNRESTRICTED_GUEST));
    assertTrue(p.vmxFeatures().contains(VmxFeature.STORE_LMA), "comes with what it needs");
    assertTrue(p.has(Feature.RDRAND));
    assertFalse(p.vmxFeatures().contains(VmxFeature.VPID));
    assertFalse(p.vmxFeatures().contains(VmxFeature.INVVPID), "goes with what it needs");
    assertFalse(
        CpuProfiles.named("haswell,-rdrand").vmxFeatures().contains(VmxFeature.RDRAND_EXIT));
    assertTrue(CpuProfiles.named("haswell,-vmx").vmxFeatures().isEmpty());
    assertEquals(
        CpuProfiles.named("kvm4j-v1").vmxFeatures(),
        CpuProfiles.named("kvm4j-v1,-vmx-encls-exit").vmxFeatures());
    assertFalse(
        CpuProfiles.named("haswell,-vmx-invept-single-context-noglobals")
            .vmxFeatures()
            .contains(VmxFeature.INVVPID_SINGLE_CONTEXT_NOGLOBALS),
        "as QEMU spells it");
  }

  @Test
  void the_preemption_timer_has_the_rate_of_intels_processors_but_on_our_own_model() {
    for (String name : CpuProfiles.names()) {
      assertEquals(name.equals("kvm4j-v1") ? 2 : 5, CpuProfiles.named(name).vmxTimerRate(), name);
    }
    assertEquals(31, CpuProfiles.named("kvm4j-v1,vmx-timer-rate=31,-la57,+avx2").vmxTimerRate());
  }

  @Test
  void every_feature_of_vmx_is_in_a_model_whose_needs_are() {
    for (VmxFeature f : VmxFeature.values()) {
      assertTrue(CpuProfiles.named("sapphire-rapids").vmxFeatures().contains(f), f.toString());
      assertEquals(f, VmxFeature.of(f.toString()));
    }
    for (String name : CpuProfiles.names()) {
      for (VmxFeature f : CpuProfiles.named(name).vmxFeatures()) {
        assertTrue(CpuProfiles.named(name).vmxFeatures().containsAll(f.withNeeds()), name + f);
      }
    }
  }

  @Test
  void constant_registers_come_with_the_model() {
    CpuProfile p = CpuProfiles.defaultProfile().withMsr(0x480, 5);
    assertEquals(5L, p.msrs().get(0x480));
    assertTrue(p.msrs().containsKey(0x10a));
    // What Linux wants of microcode before it uses the TSC deadline.
    assertTrue(CpuProfiles.named("haswell").msrs().getOrDefault(0x8b, 0L) >>> 32 >= 0x3a);
    assertTrue(
        CpuProfiles.named("skylake-server").msrs().getOrDefault(0x8b, 0L) >>> 32 >= 0x2000014);
  }
}
