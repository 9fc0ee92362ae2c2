package org.kvm4j.cpu.profile;

import java.util.Arrays;
import java.util.Collections;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** The CPU models that there are, by name. */
public final class CpuProfiles {
  /** The name of the model that is taken where none is asked for. */
  public static final String DEFAULT = "kvm4j-v1";

  /**
   * The rate of the VMX-preemption timer of our own model: the finest with which Linux's KVM uses
   * it, since it wants to set it for ten seconds, and the TSC runs at 1 GHz.
   */
  private static final int OUR_TIMER_RATE = 2;

  /** Its upper half is the microcode's revision, by which systems know errata. */
  private static final int IA32_BIOS_SIGN_ID = 0x8b;

  private static final int IA32_ARCH_CAPABILITIES = 0x10a;
  private static final int IA32_PERF_CAPABILITIES = 0x345;

  /** IA32_PERF_CAPABILITIES.FW_WRITE: all bits of a performance counter can be written. */
  private static final long FULL_WIDTH_WRITES = 1 << 13;

  /**
   * RDCL_NO, IBRS_ALL, SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, IF_PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO,
   * FBSDP_NO, PSDP_NO, BHI_NO, GDS_NO, RFDS_NO: nothing is executed speculatively here.
   */
  private static final long NO_SPECULATION =
      1 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 8 | 1 << 13 | 1 << 14 | 1 << 15
          | 1 << 20 | 1 << 26 | 1 << 27;

  /** The same, as AMD's processors tell it. */
  private static final FeatureSet AMD_NO_SPECULATION =
      set("SSBD_NOT_REQUIRED SRSO_NO TSA_SQ_NO TSA_L1_NO");

  /** What can be asked for beyond the features of any model: what is built. */
  private static final FeatureSet OPTIONAL = set("APIC X2APIC HYPERVISOR");

  /** What every 64-bit model has: x86-64-v2, and what the emulated KVM module uses. */
  private static final FeatureSet COMMON =
      set(
          """
          FPU VME DE PSE TSC MSR PAE MCE CX8 SEP MTRR PGE MCA CMOV PAT PSE36 CLFSH MMX FXSR SSE SSE2
          SSE3 MONITOR SSSE3 CMPXCHG16B PCID SSE4_1 SSE4_2 MOVBE POPCNT XSAVE RDRAND
          FSGSBASE BMI1 SMEP BMI2 ERMS INVPCID RDSEED ADX SMAP CLFLUSHOPT CLWB UMIP PKU LA57 RDPID FSRM
          XSAVEOPT XSAVEC XGETBV_ECX1 XSAVES
          LAHF_LM LZCNT PREFETCHW SYSCALL NX PAGE1GB RDTSCP LM INVARIANT_TSC WBNOINVD
          """);

  /** What Intel's have beyond. */
  private static final FeatureSet INTEL =
      set(
          """
          VMX TSC_ADJUST FDP_EXCPTN_ONLY FPU_CS_DS_DEPRECATED PKS SERIALIZE CET_SS CET_IBT CET_SSS
          IBRS_IBPB STIBP SSBD ARCH_CAPABILITIES ARCH_PERFMON PDCM
          """);

  /** AVX2 and the instructions on vectors that recent servers have. */
  private static final FeatureSet VECTORS =
      set("AVX AVX2 FMA F16C AES PCLMULQDQ SHA GFNI VAES VPCLMULQDQ");

  /** The VMX of the first processors with 64 bits: no EPT, no VPID, no TRUE capability MSRs. */
  private static final Set<VmxFeature> CORE_VMX =
      VmxFeature.set(
          """
          ins-outs intr-exit nmi-exit vnmi
          vintr-pending tsc-offset hlt-exit invlpg-exit mwait-exit rdpmc-exit rdtsc-exit cr8-load-exit
          cr8-store-exit flexpriority vnmi-pending movdr-exit io-exit io-bitmap msr-bitmap monitor-exit
          pause-exit secondary-ctls apicv-xapic wbinvd-exit
          exit-ack-intr entry-ia32e-mode activity-hlt activity-shutdown activity-wait-sipi
          """);

  private static final Set<VmxFeature> NEHALEM_VMX =
      union(
          CORE_VMX,
          """
          true-ctls preemption-timer cr3-load-noexit cr3-store-noexit mtf
          ept desc-exit rdtscp-exit apicv-x2apic vpid
          exit-nosave-debugctl exit-save-pat exit-load-pat exit-save-efer exit-load-efer
          exit-save-preemption-timer entry-noload-debugctl entry-load-pat entry-load-efer
          exit-load-perf-global-ctrl entry-load-perf-global-ctrl
          ept-execonly page-walk-4 ept-2mb invept invept-single-context invept-all-context
          invvpid invvpid-single-addr invvpid-single-context invvpid-all-context
          invvpid-single-context-noglobals
          """);

  private static final Set<VmxFeature> WESTMERE_VMX =
      union(NEHALEM_VMX, "unrestricted-guest store-lma ept-1gb ple");

  private static final Set<VmxFeature> HASWELL_VMX =
      union(
          WESTMERE_VMX,
          """
          apicv-register apicv-vid posted-intr rdrand-exit invpcid-exit vmfunc eptp-switching
          shadow-vmcs eptad vmwrite-vmexit-fields
          """);

  private static final Set<VmxFeature> SKYLAKE_VMX =
      union(HASWELL_VMX, "rdseed-exit pml ept-violation-ve xsaves mbec tsc-scaling");

  /** The VMX of recent servers: all that is built. */
  private static final Set<VmxFeature> RECENT_VMX = EnumSet.allOf(VmxFeature.class);

  private static final Map<String, CpuProfile> PROFILES = new LinkedHashMap<>();

  static {
    add(
        new CpuProfile.Builder(DEFAULT)
            .brand("kvm4j v1 emulated x86-64 processor")
            .purpose("the default, for most guests: x86-64-v2 (SSE4.2, no AVX); BMI, 5 levels, PKU")
            .signature(6, 0x6a, 6)
            .physicalAddressBits(46)
            .features(union(COMMON, INTEL))
            .vmx(RECENT_VMX)
            .vmxTimerRate(OUR_TIMER_RATE)
            .msr(IA32_ARCH_CAPABILITIES, NO_SPECULATION)
            .msr(IA32_PERF_CAPABILITIES, FULL_WIDTH_WRITES)
            .lastBranches(32)
            .caches(
                new int[] {1, 1, 12, 64},
                new int[] {2, 1, 8, 64},
                new int[] {3, 2, 20, 1024},
                new int[] {3, 3, 12, 32768})
            .build());
    // Without VMX as far as CPUID tells; the emulated KVM module runs guests by it all the same.
    add(
        new CpuProfile.Builder("kvm4j-32")
            .brand("kvm4j emulated 32-bit x86 processor")
            .purpose("for 32-bit guests: no long mode; PAE, NX, SSE3")
            .signature(6, 0xe, 8)
            .physicalAddressBits(36)
            .features(
                set(
                    """
                    FPU VME DE PSE TSC MSR PAE MCE CX8 SEP MTRR PGE MCA CMOV PAT PSE36 CLFSH MMX FXSR SSE SSE2
                    SSE3 NX
                    """))
            .hidden(set("VMX"))
            .caches(new int[] {1, 1, 8, 64}, new int[] {2, 1, 8, 64}, new int[] {3, 2, 8, 4096})
            .build());
    // Intel Xeon 6 6780E, a server without AVX-512.
    add(
        new CpuProfile.Builder("sierra-forest")
            .brand("Intel(R) Xeon(R) 6780E")
            .purpose("a recent server, as far as it is built: AVX2, FMA, AES, SHA, GFNI, VAES, LAM")
            .signature(6, 0xaf, 3)
            .physicalAddressBits(52)
            .features(union(COMMON, INTEL, VECTORS, set("WAITPKG CLDEMOTE LAM")))
            .msr(IA32_ARCH_CAPABILITIES, NO_SPECULATION)
            .msr(IA32_PERF_CAPABILITIES, FULL_WIDTH_WRITES)
            .counters(8, 48)
            .caches(
                new int[] {1, 1, 8, 64},
                new int[] {2, 1, 8, 128},
                new int[] {3, 2, 16, 4096},
                new int[] {3, 3, 12, 147456})
            .build());
    // AMD EPYC 9654 (Zen 4), of which AVX-512, SSE4A and SVM are not built. VMX, which no AMD
    // processor has and CPUID does not tell of, is what the emulated KVM module runs guests by.
    add(
        new CpuProfile.Builder("genoa")
            .vendor(CpuProfile.AMD)
            .brand("AMD EPYC 9654 96-Core Processor")
            .purpose(
                "a server, Zen 4, without AVX-512, SSE4A and SVM: AVX2, FMA, AES, SHA, GFNI, VAES")
            .signature(25, 0x11, 1)
            .physicalAddressBits(52)
            .features(
                union(
                    COMMON,
                    VECTORS,
                    set("MMXEXT TOPOEXT CLZERO RSTR_FP_ERR_PTRS EFER_LMSLE_UNSUPPORTED CET_SS"),
                    AMD_NO_SPECULATION))
            .hidden(set("VMX"))
            .caches(
                new int[] {1, 1, 8, 64},
                new int[] {2, 1, 8, 64},
                new int[] {3, 2, 8, 2048},
                new int[] {3, 3, 16, 32768})
            .build());
  }

  /** Intel's processors with VT-x, a generation each, oldest first: as far as they are built. */
  static {
    FeatureSet core =
        set(
            """
            FPU VME DE PSE TSC MSR PAE MCE CX8 SEP MTRR PGE MCA CMOV PAT PSE36 CLFSH MMX FXSR SSE SSE2
            SSE3 MONITOR VMX SSSE3 CMPXCHG16B LAHF_LM SYSCALL NX LM ARCH_PERFMON PDCM
            """);
    FeatureSet nehalem = union(core, set("SSE4_1 SSE4_2 POPCNT RDTSCP INVARIANT_TSC"));
    FeatureSet westmere = union(nehalem, set("PCID AES PCLMULQDQ PAGE1GB"));
    FeatureSet haswell =
        union(
            westmere,
            set(
                """
                MOVBE XSAVE XSAVEOPT AVX F16C RDRAND FMA FSGSBASE TSC_ADJUST BMI1 AVX2 SMEP BMI2 ERMS
                INVPCID FPU_CS_DS_DEPRECATED LZCNT
                """));
    FeatureSet skylake =
        union(
            haswell,
            set(
                """
                FDP_EXCPTN_ONLY RDSEED ADX SMAP CLFLUSHOPT CLWB PKU XSAVEC XGETBV_ECX1 XSAVES PREFETCHW
                """));
    add(
        new CpuProfile.Builder("conroe")
            .brand("Intel(R) Core(TM)2 Duo CPU     E6750  @ 2.66GHz")
            .purpose("a first VT-x, for --bare-metal: no EPT, no VPID, no unrestricted guests")
            .signature(6, 0xf, 11)
            .physicalAddressBits(36)
            .features(core)
            .vmx(CORE_VMX)
            .counters(2, 40)
            .lastBranches(4)
            .caches(new int[] {1, 1, 8, 64}, new int[] {2, 1, 8, 64}, new int[] {3, 2, 16, 4096})
            .build());
    add(
        new CpuProfile.Builder("nehalem")
            .brand("Intel(R) Xeon(R) CPU           X5570  @ 2.93GHz")
            .purpose("the first EPT and VPID, for --bare-metal: no unrestricted guests")
            .signature(6, 0x1a, 5)
            .physicalAddressBits(40)
            .features(nehalem)
            .vmx(NEHALEM_VMX)
            .lastBranches(16)
            .caches(
                new int[] {1, 1, 8, 64},
                new int[] {2, 1, 4, 128},
                new int[] {3, 2, 8, 512},
                new int[] {3, 3, 16, 8192})
            .build());
    add(
        new CpuProfile.Builder("westmere")
            .brand("Intel(R) Xeon(R) CPU           X5680  @ 3.33GHz")
            .purpose("x86-64-v2 with AES; unrestricted guests, 1-GByte EPT pages")
            .signature(6, 0x2c, 2)
            .physicalAddressBits(40)
            .features(westmere)
            .vmx(WESTMERE_VMX)
            .lastBranches(16)
            .caches(
                new int[] {1, 1, 8, 64},
                new int[] {2, 1, 4, 128},
                new int[] {3, 2, 8, 512},
                new int[] {3, 3, 16, 12288})
            .build());
    add(
        new CpuProfile.Builder("haswell")
            .brand("Intel(R) Xeon(R) CPU E5-2680 v3 @ 2.50GHz")
            .purpose(
                "x86-64-v3: AVX2, BMI, FMA; virtual interrupts, EPTP switching, VMCS shadowing")
            .signature(6, 0x3f, 2)
            .physicalAddressBits(46)
            .features(haswell)
            .vmx(HASWELL_VMX)
            .msr(IA32_BIOS_SIGN_ID, 0x49L << 32)
            .msr(IA32_PERF_CAPABILITIES, FULL_WIDTH_WRITES)
            .lastBranches(16)
            .caches(
                new int[] {1, 1, 8, 64},
                new int[] {2, 1, 8, 64},
                new int[] {3, 2, 8, 512},
                new int[] {3, 3, 20, 24576})
            .build());
    add(
        new CpuProfile.Builder("skylake-server")
            .brand("Intel(R) Xeon(R) Gold 6148 CPU @ 2.40GHz")
            .purpose("without AVX-512: PKU, XSAVES; PML, #VE, TSC scaling, mode-based execution")
            .signature(6, 0x55, 4)
            .physicalAddressBits(46)
            .features(skylake)
            .vmx(SKYLAKE_VMX)
            .msr(IA32_BIOS_SIGN_ID, 0x2007006L << 32)
            .msr(IA32_PERF_CAPABILITIES, FULL_WIDTH_WRITES)
            .lastBranches(32)
            .caches(
                new int[] {1, 1, 8, 64},
                new int[] {2, 1, 8, 64},
                new int[] {3, 2, 16, 1024},
                new int[] {3, 3, 11, 40960})
            .build());
    add(
        new CpuProfile.Builder("sapphire-rapids")
            .brand("Intel(R) Xeon(R) Platinum 8480+")
            .purpose("without AVX-512 and AMX: 5 levels, PKS, SHA, GFNI, VAES; all of VMX here")
            .signature(6, 0x8f, 8)
            .physicalAddressBits(52)
            .features(union(COMMON, INTEL, VECTORS, set("WAITPKG CLDEMOTE")))
            .vmx(RECENT_VMX)
            .msr(IA32_ARCH_CAPABILITIES, NO_SPECULATION)
            .msr(IA32_PERF_CAPABILITIES, FULL_WIDTH_WRITES)
            .counters(8, 48)
            .caches(
                new int[] {1, 1, 12, 64},
                new int[] {2, 1, 8, 64},
                new int[] {3, 2, 16, 2048},
                new int[] {3, 3, 15, 114688})
            .build());
  }

  private CpuProfiles() {}

  private static Set<VmxFeature> union(Set<VmxFeature> some, String more) {
    EnumSet<VmxFeature> all = EnumSet.copyOf(some);
    all.addAll(VmxFeature.set(more));
    return all;
  }

  private static void add(CpuProfile profile) {
    PROFILES.put(profile.name(), profile);
  }

  private static FeatureSet set(String names) {
    return FeatureSet.of(Arrays.stream(names.strip().split("\\s+")).map(Feature::valueOf).toList());
  }

  private static FeatureSet union(FeatureSet... sets) {
    FeatureSet all = FeatureSet.none();
    for (FeatureSet s : sets) {
      all = all.with(s.asSet().toArray(new Feature[0]));
    }
    return all;
  }

  /** Whether a feature is built, so that a model can have it. */
  static boolean isBuilt(Feature feature) {
    return OPTIONAL.has(feature) || PROFILES.values().stream().anyMatch(p -> p.has(feature));
  }

  /** The names of all features that are built, of CPUID and then of VMX, in lower case. */
  public static List<String> featureNames() {
    Stream<String> cpuid =
        Arrays.stream(Feature.values())
            .filter(CpuProfiles::isBuilt)
            .map(f -> f.name().toLowerCase(Locale.ROOT));
    return Stream.concat(cpuid, Arrays.stream(VmxFeature.values()).map(VmxFeature::toString))
        .toList();
  }

  /** The names of all models. */
  public static Set<String> names() {
    return Collections.unmodifiableSet(PROFILES.keySet());
  }

  /** The default model. */
  public static CpuProfile defaultProfile() {
    return named(DEFAULT);
  }

  /** The model of a name in lower case; null if none has it. */
  static @Nullable CpuProfile model(String name) {
    return PROFILES.get(name);
  }

  /**
   * A model by name, with changes in their order: {@code kvm4j-v1,-la57,+avx2,phys-bits=40}, {@code
   * kvm4j-v1,vmx-timer-rate=5}. A feature comes with what it needs and goes with what needs it;
   * what CPUID does not tell of stays as it is. Upper and lower case are the same.
   *
   * @throws IllegalArgumentException with a line for users: an unknown name or feature with the
   *     nearest known one, a feature that is not built or the other vendor's alone, a number that
   *     cannot be
   */
  public static CpuProfile named(String description) {
    return CpuDescription.parse(description);
  }
}
