package org.kvm4j.cpu.profile;

import java.util.EnumMap;
import java.util.EnumSet;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Which features need which: what a processor with the one always has, and what software that finds
 * the one takes for granted; and which are one vendor's alone. SDM Vol. 1, ch. 11 to 14, "Checking
 * for ... Support"; APM Vol. 3, Appendix D "Instruction Subsets and CPUID Feature Flags".
 */
final class FeatureRules {
  /** A feature, then what it needs. */
  private static final String NEEDS =
      """
      MMX FPU
      MMXEXT MMX
      FXSR FPU
      SSE FXSR
      SSE2 SSE
      SSE3 SSE2
      SSSE3 SSE3
      SSE4_1 SSSE3
      SSE4_2 SSE4_1
      AES SSE2
      PCLMULQDQ SSE2
      SHA SSE2
      GFNI SSE2
      XSAVE FXSR
      XSAVEOPT XSAVE
      XSAVEC XSAVE
      XGETBV_ECX1 XSAVE
      XSAVES XSAVEC
      PKU XSAVE
      AVX XSAVE SSE4_2
      F16C AVX
      FMA AVX
      AVX2 AVX
      VAES AVX AES
      VPCLMULQDQ AVX PCLMULQDQ
      PSE36 PSE
      MCA MCE
      NX PAE
      LM PAE MSR
      SYSCALL MSR
      PAGE1GB LM
      PCID LM
      LA57 LM
      FSGSBASE LM
      LAHF_LM LM
      PKS LM
      LAM LM
      CMPXCHG16B CX8
      RDTSCP TSC
      TSC_ADJUST TSC
      INVARIANT_TSC TSC
      TSC_DEADLINE TSC APIC
      X2APIC APIC
      FSRM ERMS
      ARCH_PERFMON MSR
      PDCM ARCH_PERFMON
      CET_SSS CET_SS
      """;

  /** What is built and has a bit in the SDM alone, of which the APM says "reserved". */
  private static final Set<Feature> INTEL =
      set(
          """
          VMX ARCH_PERFMON PDCM FDP_EXCPTN_ONLY FPU_CS_DS_DEPRECATED PKS SERIALIZE CET_IBT CET_SSS
          IBRS_IBPB STIBP SSBD ARCH_CAPABILITIES WAITPKG CLDEMOTE LAM
          """);

  /** What is built and has a bit in the APM alone. */
  private static final Set<Feature> AMD =
      set(
          """
          MMXEXT TOPOEXT CLZERO RSTR_FP_ERR_PTRS EFER_LMSLE_UNSUPPORTED SSBD_NOT_REQUIRED SRSO_NO
          TSA_SQ_NO TSA_L1_NO
          """);

  private static final Map<Feature, Set<Feature>> DIRECT = new EnumMap<>(Feature.class);

  static {
    for (String line : NEEDS.split("\n", -1)) {
      if (!line.isEmpty()) {
        String[] names = line.split(" ", -1);
        EnumSet<Feature> needed = EnumSet.noneOf(Feature.class);
        for (int k = 1; k < names.length; k++) {
          needed.add(Feature.valueOf(names[k]));
        }
        DIRECT.put(Feature.valueOf(names[0]), needed);
      }
    }
  }

  private FeatureRules() {}

  private static Set<Feature> set(String names) {
    EnumSet<Feature> all = EnumSet.noneOf(Feature.class);
    for (String name : names.strip().split("\\s+", -1)) {
      all.add(Feature.valueOf(name));
    }
    return all;
  }

  /**
   * The vendor whose processors alone have a feature, as leaf 0 spells it; null if both have it.
   */
  static @Nullable String vendor(Feature feature) {
    return INTEL.contains(feature)
        ? CpuProfile.INTEL
        : AMD.contains(feature) ? CpuProfile.AMD : null;
  }

  /** A feature and all that it needs. */
  static Set<Feature> withNeeds(Feature feature) {
    EnumSet<Feature> all = EnumSet.of(feature);
    for (Feature needed : DIRECT.getOrDefault(feature, Set.of())) {
      all.addAll(withNeeds(needed));
    }
    return all;
  }

  /** A feature and all that need it. */
  static Set<Feature> withNeeders(Feature feature) {
    EnumSet<Feature> all = EnumSet.noneOf(Feature.class);
    for (Feature f : Feature.values()) {
      if (withNeeds(f).contains(feature)) {
        all.add(f);
      }
    }
    return all;
  }
}
