package org.kvm4j.cpu.profile;

import java.util.Collections;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * A feature of VMX that a capability MSR tells of in one bit: the word and the bit, and what it
 * needs. {@link #toString()} is its name on the command line, {@code vmx-ept}: QEMU's, where that
 * has one.
 *
 * <p>Source: SDM appendix A "VMX Capability Reporting Facility".
 */
public enum VmxFeature {
  INS_OUTS(Word.BASIC, 54),
  TRUE_CTLS(Word.BASIC, 55),
  ANY_ERRCODE(Word.BASIC, 56),

  INTR_EXIT(Word.PIN_BASED, 0),
  NMI_EXIT(Word.PIN_BASED, 3),
  VNMI(Word.PIN_BASED, 5),
  PREEMPTION_TIMER(Word.PIN_BASED, 6),
  POSTED_INTR(Word.PIN_BASED, 7),

  VINTR_PENDING(Word.PROCESSOR_BASED, 2),
  TSC_OFFSET(Word.PROCESSOR_BASED, 3),
  HLT_EXIT(Word.PROCESSOR_BASED, 7),
  INVLPG_EXIT(Word.PROCESSOR_BASED, 9),
  MWAIT_EXIT(Word.PROCESSOR_BASED, 10),
  RDPMC_EXIT(Word.PROCESSOR_BASED, 11),
  RDTSC_EXIT(Word.PROCESSOR_BASED, 12),
  /** CR3-load exiting may be 0, and so for the other three of these. */
  CR3_LOAD_NOEXIT(Word.PROCESSOR_BASED, 15),
  CR3_STORE_NOEXIT(Word.PROCESSOR_BASED, 16),
  TERTIARY_CTLS(Word.PROCESSOR_BASED, 17),
  CR8_LOAD_EXIT(Word.PROCESSOR_BASED, 19),
  CR8_STORE_EXIT(Word.PROCESSOR_BASED, 20),
  /** Use TPR shadow. */
  FLEXPRIORITY(Word.PROCESSOR_BASED, 21),
  VNMI_PENDING(Word.PROCESSOR_BASED, 22),
  MOVDR_EXIT(Word.PROCESSOR_BASED, 23),
  IO_EXIT(Word.PROCESSOR_BASED, 24),
  IO_BITMAP(Word.PROCESSOR_BASED, 25),
  MTF(Word.PROCESSOR_BASED, 27),
  MSR_BITMAP(Word.PROCESSOR_BASED, 28),
  MONITOR_EXIT(Word.PROCESSOR_BASED, 29),
  PAUSE_EXIT(Word.PROCESSOR_BASED, 30),
  SECONDARY_CTLS(Word.PROCESSOR_BASED, 31),

  /** Virtualize APIC accesses. */
  APICV_XAPIC(Word.SECONDARY, 0),
  EPT(Word.SECONDARY, 1),
  DESC_EXIT(Word.SECONDARY, 2),
  RDTSCP_EXIT(Word.SECONDARY, 3),
  /** Virtualize x2APIC mode. */
  APICV_X2APIC(Word.SECONDARY, 4),
  VPID(Word.SECONDARY, 5),
  WBINVD_EXIT(Word.SECONDARY, 6),
  UNRESTRICTED_GUEST(Word.SECONDARY, 7),
  APICV_REGISTER(Word.SECONDARY, 8),
  APICV_VID(Word.SECONDARY, 9),
  PLE(Word.SECONDARY, 10),
  RDRAND_EXIT(Word.SECONDARY, 11),
  INVPCID_EXIT(Word.SECONDARY, 12),
  VMFUNC(Word.SECONDARY, 13),
  SHADOW_VMCS(Word.SECONDARY, 14),
  RDSEED_EXIT(Word.SECONDARY, 16),
  PML(Word.SECONDARY, 17),
  EPT_VIOLATION_VE(Word.SECONDARY, 18),
  XSAVES(Word.SECONDARY, 20),
  /** Mode-based execute control for EPT. */
  MBEC(Word.SECONDARY, 22),
  /** Sub-page write permissions for EPT. */
  SPP(Word.SECONDARY, 23),
  TSC_SCALING(Word.SECONDARY, 25),
  ENABLE_USER_WAIT_PAUSE(Word.SECONDARY, 26),

  BUS_LOCK_DETECTION(Word.SECONDARY, 30),
  INSTRUCTION_TIMEOUT(Word.SECONDARY, 31),

  HLAT(Word.TERTIARY, 1),
  EPT_PAGING_WRITE(Word.TERTIARY, 2),
  GUEST_PAGING_VERIFICATION(Word.TERTIARY, 3),
  IPI_VIRT(Word.TERTIARY, 4),
  VIRT_SPEC_CTRL(Word.TERTIARY, 7),

  EPTP_SWITCHING(Word.VM_FUNCTION, 0),

  EXIT_NOSAVE_DEBUGCTL(Word.VM_EXIT, 2),
  EXIT_LOAD_PERF_GLOBAL_CTRL(Word.VM_EXIT, 12),
  EXIT_ACK_INTR(Word.VM_EXIT, 15),
  EXIT_SAVE_PAT(Word.VM_EXIT, 18),
  EXIT_LOAD_PAT(Word.VM_EXIT, 19),
  EXIT_SAVE_EFER(Word.VM_EXIT, 20),
  EXIT_LOAD_EFER(Word.VM_EXIT, 21),
  EXIT_SAVE_PREEMPTION_TIMER(Word.VM_EXIT, 22),
  EXIT_LOAD_CET(Word.VM_EXIT, 28),
  EXIT_LOAD_PKRS(Word.VM_EXIT, 29),
  EXIT_SAVE_PERF_GLOBAL_CTRL(Word.VM_EXIT, 30),

  ENTRY_NOLOAD_DEBUGCTL(Word.VM_ENTRY, 2),
  ENTRY_IA32E_MODE(Word.VM_ENTRY, 9),
  ENTRY_LOAD_PERF_GLOBAL_CTRL(Word.VM_ENTRY, 13),
  ENTRY_LOAD_PAT(Word.VM_ENTRY, 14),
  ENTRY_LOAD_EFER(Word.VM_ENTRY, 15),
  ENTRY_LOAD_CET(Word.VM_ENTRY, 20),
  ENTRY_LOAD_PKRS(Word.VM_ENTRY, 22),

  STORE_LMA(Word.MISC, 5),
  ACTIVITY_HLT(Word.MISC, 6),
  ACTIVITY_SHUTDOWN(Word.MISC, 7),
  ACTIVITY_WAIT_SIPI(Word.MISC, 8),
  VMWRITE_VMEXIT_FIELDS(Word.MISC, 29),
  ZERO_LEN_INJECT(Word.MISC, 30),

  EPT_EXECONLY(Word.EPT_VPID, 0),
  PAGE_WALK_4(Word.EPT_VPID, 6),
  PAGE_WALK_5(Word.EPT_VPID, 7),
  EPT_2MB(Word.EPT_VPID, 16),
  EPT_1GB(Word.EPT_VPID, 17),
  INVEPT(Word.EPT_VPID, 20),
  EPTAD(Word.EPT_VPID, 21),
  EPT_ADVANCED_EXITINFO(Word.EPT_VPID, 22),
  EPT_SUPERVISOR_SHADOW_STACK(Word.EPT_VPID, 23),
  INVEPT_SINGLE_CONTEXT(Word.EPT_VPID, 25),
  INVEPT_ALL_CONTEXT(Word.EPT_VPID, 26),
  INVVPID(Word.EPT_VPID, 32),
  INVVPID_SINGLE_ADDR(Word.EPT_VPID, 40),
  INVVPID_SINGLE_CONTEXT(Word.EPT_VPID, 41),
  INVVPID_ALL_CONTEXT(Word.EPT_VPID, 42),
  INVVPID_SINGLE_CONTEXT_NOGLOBALS(Word.EPT_VPID, 43);

  /** What a capability MSR tells of. */
  public enum Word {
    BASIC,
    PIN_BASED,
    PROCESSOR_BASED,
    SECONDARY,
    TERTIARY,
    VM_FUNCTION,
    VM_EXIT,
    VM_ENTRY,
    MISC,
    EPT_VPID
  }

  /** A feature, then what it needs, as far as its word does not say that: of VMX, of CPUID. */
  private static final String NEEDS =
      """
      vmx-vnmi vmx-nmi-exit
      vmx-vnmi-pending vmx-vnmi
      vmx-cr3-load-noexit vmx-true-ctls
      vmx-cr3-store-noexit vmx-true-ctls
      vmx-exit-nosave-debugctl vmx-true-ctls
      vmx-entry-noload-debugctl vmx-true-ctls
      vmx-exit-save-preemption-timer vmx-preemption-timer
      vmx-apicv-x2apic vmx-flexpriority
      vmx-apicv-register vmx-flexpriority
      vmx-apicv-vid vmx-flexpriority vmx-intr-exit
      vmx-spp vmx-ept
      vmx-hlat vmx-ept
      vmx-ept-paging-write vmx-ept
      vmx-guest-paging-verification vmx-ept-paging-write
      vmx-ipi-virt vmx-flexpriority
      vmx-virt-spec-ctrl ibrs_ibpb
      vmx-posted-intr vmx-apicv-vid vmx-exit-ack-intr
      vmx-ept vmx-page-walk-4
      vmx-unrestricted-guest vmx-ept vmx-store-lma
      vmx-mbec vmx-ept
      vmx-ept-violation-ve vmx-ept
      vmx-pml vmx-ept vmx-eptad
      vmx-eptp-switching vmx-vmfunc vmx-ept
      vmx-invept-single-context vmx-invept
      vmx-invept-all-context vmx-invept
      vmx-invvpid-single-addr vmx-invvpid
      vmx-invvpid-single-context vmx-invvpid
      vmx-invvpid-all-context vmx-invvpid
      vmx-invvpid-single-context-noglobals vmx-invvpid
      vmx-rdtscp-exit rdtscp
      vmx-rdrand-exit rdrand
      vmx-rdseed-exit rdseed
      vmx-enable-user-wait-pause waitpkg
      vmx-invpcid-exit invpcid
      vmx-xsaves xsaves
      vmx-exit-load-perf-global-ctrl arch_perfmon
      vmx-exit-save-perf-global-ctrl arch_perfmon
      vmx-entry-load-perf-global-ctrl arch_perfmon
      vmx-exit-load-pkrs pks
      vmx-entry-load-pkrs pks
      vmx-exit-load-cet cet_ss
      vmx-entry-load-cet cet_ss
      vmx-ept-supervisor-shadow-stack cet_ss
      vmx-entry-ia32e-mode lm
      """;

  /** What QEMU has names for besides. */
  private static final Set<String> NOT_BUILT =
      Set.of(
          "vmx-nested-exception",
          "vmx-encls-exit",
          "vmx-exit-clear-bndcfgs",
          "vmx-exit-clear-rtit-ctl",
          "vmx-exit-secondary-ctls",
          "vmx-entry-load-bndcfgs",
          "vmx-entry-load-rtit-ctl",
          "vmx-entry-load-fred");

  private static final String PREFIX = "vmx-";
  private static final Map<String, VmxFeature> BY_NAME = new LinkedHashMap<>();
  private static final Map<VmxFeature, Set<VmxFeature>> DIRECT = new EnumMap<>(VmxFeature.class);
  private static final Map<VmxFeature, Set<Feature>> OF_CPUID = new EnumMap<>(VmxFeature.class);

  static {
    for (VmxFeature f : values()) {
      BY_NAME.put(f.toString(), f);
      EnumSet<VmxFeature> needed = EnumSet.noneOf(VmxFeature.class);
      switch (f.word) {
        case SECONDARY -> needed.add(SECONDARY_CTLS);
        case TERTIARY -> needed.add(TERTIARY_CTLS);
        case VM_FUNCTION -> needed.add(VMFUNC);
        case EPT_VPID -> needed.add(f.bit < 32 ? EPT : VPID);
        default -> {}
      }
      DIRECT.put(f, needed);
      OF_CPUID.put(f, EnumSet.noneOf(Feature.class));
    }
    for (String line : NEEDS.strip().split("\n", -1)) {
      String[] names = line.split(" ", -1);
      VmxFeature f = known(names[0]);
      for (int k = 1; k < names.length; k++) {
        if (names[k].startsWith(PREFIX)) {
          direct(f).add(known(names[k]));
        } else {
          cpuid(f).add(Feature.valueOf(names[k].toUpperCase(Locale.ROOT)));
        }
      }
    }
    // As QEMU misspells it.
    BY_NAME.put("vmx-invept-single-context-noglobals", INVVPID_SINGLE_CONTEXT_NOGLOBALS);
  }

  /** The word with its bit. */
  public final Word word;

  /**
   * The bit's number in the word: of a word of controls the control's, else the bit of the MSR, 0
   * to 63.
   */
  public final int bit;

  VmxFeature(Word word, int bit) {
    this.word = word;
    this.bit = bit;
  }

  private static VmxFeature known(String name) {
    VmxFeature f = BY_NAME.get(name);
    if (f == null) {
      throw new IllegalArgumentException(name);
    }
    return f;
  }

  private static Set<VmxFeature> direct(VmxFeature f) {
    return DIRECT.getOrDefault(f, Set.of());
  }

  private static Set<Feature> cpuid(VmxFeature f) {
    return OF_CPUID.getOrDefault(f, Set.of());
  }

  /** The feature of a name on the command line, in lower case with hyphens; null if none has it. */
  static @Nullable VmxFeature of(String name) {
    return BY_NAME.get(name);
  }

  /** All names on the command line, those of features that are not built too. */
  static Set<String> names() {
    TreeSet<String> all = new TreeSet<>(BY_NAME.keySet());
    all.addAll(NOT_BUILT);
    return all;
  }

  /** Whether a name is meant to be one of these. */
  static boolean isName(String name) {
    return name.startsWith(PREFIX);
  }

  /** Whether a name is that of a feature that no model can have. */
  static boolean isNotBuilt(String name) {
    return NOT_BUILT.contains(name);
  }

  /** The features with these names, without their prefix. */
  static Set<VmxFeature> set(String names) {
    EnumSet<VmxFeature> all = EnumSet.noneOf(VmxFeature.class);
    for (String name : names.strip().split("\\s+", -1)) {
      all.add(known(PREFIX + name));
    }
    return all;
  }

  /** The features of CPUID that this one needs, of what it needs in turn, too. */
  Set<Feature> cpuidNeeds() {
    EnumSet<Feature> all = EnumSet.noneOf(Feature.class);
    for (VmxFeature f : withNeeds()) {
      all.addAll(cpuid(f));
    }
    return all;
  }

  /** This feature and all of VMX that it needs. */
  Set<VmxFeature> withNeeds() {
    EnumSet<VmxFeature> all = EnumSet.noneOf(VmxFeature.class);
    collect(all);
    return all;
  }

  private void collect(EnumSet<VmxFeature> all) {
    if (all.add(this)) {
      for (VmxFeature needed : direct(this)) {
        needed.collect(all);
      }
    }
  }

  /** This feature and all that need it. */
  Set<VmxFeature> withNeeders() {
    EnumSet<VmxFeature> all = EnumSet.noneOf(VmxFeature.class);
    for (VmxFeature f : values()) {
      if (f.withNeeds().contains(this)) {
        all.add(f);
      }
    }
    return all;
  }

  /** Of some features those that a processor with the features of CPUID can have. */
  static Set<VmxFeature> possible(CpuModel model, Set<VmxFeature> wanted) {
    EnumSet<VmxFeature> all = EnumSet.noneOf(VmxFeature.class);
    if (model.has(Feature.VMX)) {
      for (VmxFeature f : wanted) {
        if (wanted.containsAll(f.withNeeds()) && f.cpuidNeeds().stream().allMatch(model::has)) {
          all.add(f);
        }
      }
    }
    return Collections.unmodifiableSet(all);
  }

  /** The name on the command line. */
  @Override
  public String toString() {
    return PREFIX + name().toLowerCase(Locale.ROOT).replace('_', '-');
  }
}
