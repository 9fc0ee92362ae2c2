package org.kvm4j.cpu.msr;

import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Predicate;
import java.util.function.ToLongFunction;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.CetControl;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.PerformanceCounters;
import org.kvm4j.cpu.core.VirtualizationUnit;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.cpu.profile.Feature;
import org.kvm4j.cpu.profile.StateComponent;

/**
 * All model-specific registers. SDM Vol. 4, "IA-32 Architectural MSRs". A register that is not
 * here, or not on the processor's model, is #GP(0); so is a value with reserved bits.
 *
 * <p>VMX capability MSRs and IA32_FEATURE_CONTROL are the {@link VirtualizationUnit}'s.
 */
public final class MsrTable {
  public static final int IA32_TIME_STAMP_COUNTER = 0x10;
  public static final int IA32_PLATFORM_ID = 0x17;
  public static final int IA32_APIC_BASE = 0x1b;
  public static final int IA32_FEATURE_CONTROL = 0x3a;
  public static final int IA32_TSC_ADJUST = 0x3b;
  public static final int IA32_SPEC_CTRL = 0x48;
  public static final int IA32_PRED_CMD = 0x49;
  public static final int IA32_BIOS_UPDT_TRIG = 0x79;
  public static final int IA32_BIOS_SIGN_ID = 0x8b;
  public static final int IA32_PMC0 = 0xc1;
  public static final int IA32_UMWAIT_CONTROL = 0xe1;
  public static final int IA32_MTRRCAP = 0xfe;
  public static final int IA32_ARCH_CAPABILITIES = 0x10a;
  public static final int IA32_FLUSH_CMD = 0x10b;
  public static final int IA32_SYSENTER_CS = 0x174;
  public static final int IA32_SYSENTER_ESP = 0x175;
  public static final int IA32_SYSENTER_EIP = 0x176;
  public static final int IA32_MCG_CAP = 0x179;
  public static final int IA32_MCG_STATUS = 0x17a;
  public static final int IA32_MCG_CTL = 0x17b;
  public static final int IA32_PERFEVTSEL0 = 0x186;
  public static final int IA32_MISC_ENABLE = 0x1a0;
  public static final int MSR_LBR_SELECT = 0x1c8;
  public static final int MSR_LASTBRANCH_TOS = 0x1c9;
  public static final int IA32_DEBUGCTL = 0x1d9;
  public static final int IA32_MTRR_PHYSBASE0 = 0x200;
  public static final int IA32_MTRR_FIX64K_00000 = 0x250;
  public static final int IA32_PAT = 0x277;
  public static final int IA32_MTRR_DEF_TYPE = 0x2ff;
  public static final int IA32_FIXED_CTR0 = 0x309;
  public static final int IA32_PERF_CAPABILITIES = 0x345;
  public static final int IA32_FIXED_CTR_CTRL = 0x38d;
  public static final int IA32_PERF_GLOBAL_STATUS = 0x38e;
  public static final int IA32_PERF_GLOBAL_CTRL = 0x38f;
  public static final int IA32_PERF_GLOBAL_OVF_CTRL = 0x390;
  public static final int IA32_MC0_CTL = 0x400;
  public static final int IA32_VMX_BASIC = 0x480;
  public static final int IA32_VMX_LAST = 0x493;
  public static final int IA32_A_PMC0 = 0x4c1;
  public static final int MSR_LASTBRANCH_0_FROM_IP = 0x680;
  public static final int MSR_LASTBRANCH_0_TO_IP = 0x6c0;
  public static final int IA32_U_CET = 0x6a0;
  public static final int IA32_S_CET = 0x6a2;
  public static final int IA32_PL0_SSP = 0x6a4;
  public static final int IA32_PL3_SSP = 0x6a7;
  public static final int IA32_INTERRUPT_SSP_TABLE_ADDR = 0x6a8;
  public static final int IA32_PKRS = 0x6e1;
  public static final int IA32_XSS = 0xda0;
  public static final int IA32_EFER = 0xc0000080;
  public static final int IA32_STAR = 0xc0000081;
  public static final int IA32_LSTAR = 0xc0000082;
  public static final int IA32_CSTAR = 0xc0000083;
  public static final int IA32_FMASK = 0xc0000084;
  public static final int IA32_FS_BASE = 0xc0000100;
  public static final int IA32_GS_BASE = 0xc0000101;
  public static final int IA32_KERNEL_GS_BASE = 0xc0000102;
  public static final int IA32_TSC_AUX = 0xc0000103;

  private static final long LOW32 = 0xffffffffL;

  /** IA32_MCG_CAP.MCG_CTL_P. */
  private static final long MCG_CTL_P = 1 << 8;

  /** LBR and BTF. */
  private static final long DEBUGCTL = 3;

  /** Bits of IA32_MISC_ENABLE that can be written; those that are fixed are kept. */
  private static final long MISC_ENABLE =
      1 | 1 << 3 | 1 << 16 | 1 << 18 | 1 << 22 | 1 << 23 | 1L << 34;

  private static final long MISC_ENABLE_FIXED = 1 << 7 | 1 << 11 | 1 << 12;

  /** Of IA32_MISC_ENABLE: there are performance counters. */
  private static final long MISC_ENABLE_COUNTERS = 1 << 7;

  /** Of IA32_PERF_CAPABILITIES: all bits of performance counters can be written. */
  private static final long FULL_WIDTH_WRITES = 1 << 13;

  /** IBRS, STIBP, SSBD. */
  private static final int SPEC_CTRL_IBRS = 1;

  private static final int SPEC_CTRL_STIBP = 2;
  private static final int SPEC_CTRL_SSBD = 4;

  private static final int[] MTRR_FIXED = {
    0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f
  };

  private static final String[] MTRR_FIXED_NAMES = {
    "64K_00000",
    "16K_80000",
    "16K_A0000",
    "4K_C0000",
    "4K_C8000",
    "4K_D0000",
    "4K_D8000",
    "4K_E0000",
    "4K_E8000",
    "4K_F0000",
    "4K_F8000"
  };

  private static final String[] VMX_NAMES = {
    "BASIC",
    "PINBASED_CTLS",
    "PROCBASED_CTLS",
    "EXIT_CTLS",
    "ENTRY_CTLS",
    "MISC",
    "CR0_FIXED0",
    "CR0_FIXED1",
    "CR4_FIXED0",
    "CR4_FIXED1",
    "VMCS_ENUM",
    "PROCBASED_CTLS2",
    "EPT_VPID_CAP",
    "TRUE_PINBASED_CTLS",
    "TRUE_PROCBASED_CTLS",
    "TRUE_EXIT_CTLS",
    "TRUE_ENTRY_CTLS",
    "VMFUNC",
    "PROCBASED_CTLS3",
    "EXIT_CTLS2"
  };

  private static final String ARCHITECTURAL = "IA-32 Architectural MSRs";

  private static final String LAST_BRANCHES =
      "Last Branch, Call Stack, Interrupt, and Exception Recording";

  private static final Map<Integer, Msr> TABLE = new HashMap<>();

  private MsrTable() {}

  // ---- use ----

  /** The register of an index on this model; null if there is none. */
  public static @Nullable Msr find(CpuModel model, int index) {
    Msr msr = TABLE.get(index);
    return msr != null && msr.isOn(model) ? msr : null;
  }

  /** The name of an index, for messages. */
  public static String name(int index) {
    Msr msr = TABLE.get(index);
    return msr != null ? msr.name : "MSR %#x".formatted(index);
  }

  /** All rows, by index. */
  public static Collection<Msr> all() {
    TreeMap<Integer, Msr> sorted = new TreeMap<>(Integer::compareUnsigned);
    sorted.putAll(TABLE);
    return Collections.unmodifiableCollection(sorted.values());
  }

  /**
   * Reads a register as RDMSR does.
   *
   * @param out the value, in element 0
   * @return false for #GP(0)
   */
  public static boolean read(Cpu cpu, int index, long[] out) {
    if (cpu.platform.hasMsr(index)) {
      return cpu.platform.readMsr(index, out);
    }
    if (isVirtualization(index)) {
      VirtualizationUnit unit = cpu.virtualization;
      return unit != null && unit.readMsr(index, out);
    }
    Msr msr = find(cpu.model, index);
    if (msr == null || !msr.isReadable()) {
      return false;
    }
    out[0] = msr.read(cpu);
    return true;
  }

  /**
   * Writes a register as WRMSR does.
   *
   * @return false for #GP(0)
   */
  public static boolean write(Cpu cpu, int index, long value) {
    if (cpu.platform.hasMsr(index)) {
      return cpu.platform.writeMsr(index, value);
    }
    if (isVirtualization(index)) {
      VirtualizationUnit unit = cpu.virtualization;
      return unit != null && unit.writeMsr(index, value);
    }
    Msr msr = find(cpu.model, index);
    return msr != null && msr.write(cpu, value);
  }

  private static boolean isVirtualization(int index) {
    return index == IA32_FEATURE_CONTROL || index >= IA32_VMX_BASIC && index <= IA32_VMX_LAST;
  }

  // ---- rows ----

  private static void row(
      int index,
      String name,
      String source,
      Msr.Presence presence,
      Msr.Reader reader,
      Msr.Writer writer) {
    Msr old = TABLE.put(index, new Msr(index, name, source, presence, reader, writer));
    if (old != null) {
      throw new IllegalStateException("two rows for " + old);
    }
  }

  private static Msr.Presence with(Feature... any) {
    return model -> {
      for (Feature feature : any) {
        if (model.has(feature)) {
          return true;
        }
      }
      return false;
    };
  }

  private static boolean refuse(Cpu cpu, long value) {
    return false;
  }

  private static boolean ignore(Cpu cpu, long value) {
    return true;
  }

  /** Takes a value that was accepted. */
  private interface Setter {
    void set(Cpu cpu, long value);
  }

  private static Msr.Writer any(Setter setter) {
    return (cpu, value) -> {
      setter.set(cpu, value);
      return true;
    };
  }

  /** A writer of values without reserved bits. */
  private static Msr.Writer bits(long defined, Setter setter) {
    return bitsOf(cpu -> defined, setter);
  }

  /** A writer of values without reserved bits, which are not the same on all processors. */
  private static Msr.Writer bitsOf(ToLongFunction<Cpu> defined, Setter setter) {
    return (cpu, value) -> {
      if ((value & ~defined.applyAsLong(cpu)) != 0) {
        return false;
      }
      setter.set(cpu, value);
      return true;
    };
  }

  private static Msr.Writer canonical(Setter setter) {
    return (cpu, value) -> {
      if (!cpu.isCanonicalBase(value)) {
        return false;
      }
      setter.set(cpu, value);
      return true;
    };
  }

  private static long constant(Cpu cpu, int index, long otherwise) {
    Long value = cpu.model.msrs().get(index);
    return value != null ? value : otherwise;
  }

  static {
    Msr.Presence always = model -> true;

    row(
        IA32_TIME_STAMP_COUNTER,
        "IA32_TIME_STAMP_COUNTER",
        "Time-Stamp Counter",
        with(Feature.TSC),
        TimeStampCounter::read,
        any(TimeStampCounter::write));
    row(
        IA32_TSC_ADJUST,
        "IA32_TSC_ADJUST",
        "IA32_TSC_ADJUST MSR",
        with(Feature.TSC_ADJUST),
        c -> c.msr.tscAdjust,
        any(TimeStampCounter::adjust));
    row(
        IA32_TSC_AUX,
        "IA32_TSC_AUX",
        "IA32_TSC_AUX Register and RDTSCP Support",
        with(Feature.RDTSCP, Feature.RDPID),
        c -> c.msr.tscAux,
        bits(LOW32, (c, v) -> c.msr.tscAux = v));

    row(
        IA32_PLATFORM_ID,
        "IA32_PLATFORM_ID",
        ARCHITECTURAL,
        always,
        c -> constant(c, IA32_PLATFORM_ID, 0),
        MsrTable::refuse);
    row(
        IA32_BIOS_UPDT_TRIG,
        "IA32_BIOS_UPDT_TRIG",
        "Microcode Update Loader",
        always,
        c -> 0,
        MsrTable::ignore);
    row(
        IA32_BIOS_SIGN_ID,
        "IA32_BIOS_SIGN_ID",
        "Determining the Signature",
        always,
        // A model that has a microcode revision tells it as if CPUID had been executed.
        c -> constant(c, IA32_BIOS_SIGN_ID, c.msr.biosSignature),
        any((c, v) -> c.msr.biosSignature = v));
    row(
        IA32_MISC_ENABLE,
        "IA32_MISC_ENABLE",
        ARCHITECTURAL,
        always,
        c -> c.msr.miscEnable | (c.model.has(Feature.ARCH_PERFMON) ? MISC_ENABLE_COUNTERS : 0),
        (c, v) -> {
          if ((v & ~(MISC_ENABLE | MISC_ENABLE_FIXED)) != 0) {
            return false;
          }
          c.msr.miscEnable = v & MISC_ENABLE | c.msr.miscEnable & MISC_ENABLE_FIXED;
          return true;
        });
    row(
        IA32_DEBUGCTL,
        "IA32_DEBUGCTL",
        "IA32_DEBUGCTL MSR",
        always,
        c -> c.msr.debugCtl,
        bitsOf(
            c ->
                c.model.has(Feature.ARCH_PERFMON)
                    ? DEBUGCTL | PerformanceCounters.FREEZES
                    : DEBUGCTL,
            (c, v) -> c.msr.debugCtl = v));
    row(
        IA32_APIC_BASE,
        "IA32_APIC_BASE",
        "Local APIC Status and Location",
        with(Feature.APIC),
        c -> c.msr.apicBase,
        MsrTable::writeApicBase);
    row(
        IA32_ARCH_CAPABILITIES,
        "IA32_ARCH_CAPABILITIES",
        ARCHITECTURAL,
        with(Feature.ARCH_CAPABILITIES),
        c -> constant(c, IA32_ARCH_CAPABILITIES, 0),
        MsrTable::refuse);
    row(
        IA32_SPEC_CTRL,
        "IA32_SPEC_CTRL",
        ARCHITECTURAL,
        with(Feature.IBRS_IBPB, Feature.STIBP, Feature.SSBD),
        c -> c.msr.spec,
        MsrTable::writeSpecCtrl);
    row(
        IA32_PRED_CMD,
        "IA32_PRED_CMD",
        ARCHITECTURAL,
        with(Feature.IBRS_IBPB),
        Msr.WRITE_ONLY,
        bits(1, (c, v) -> {}));
    row(
        IA32_FLUSH_CMD,
        "IA32_FLUSH_CMD",
        ARCHITECTURAL,
        with(Feature.L1D_FLUSH),
        Msr.WRITE_ONLY,
        bits(1, (c, v) -> {}));

    row(
        IA32_SYSENTER_CS,
        "IA32_SYSENTER_CS",
        "SYSENTER—Fast System Call",
        with(Feature.SEP),
        c -> c.msr.sysenterCs,
        any((c, v) -> c.msr.sysenterCs = v & LOW32));
    row(
        IA32_SYSENTER_ESP,
        "IA32_SYSENTER_ESP",
        "SYSENTER—Fast System Call",
        with(Feature.SEP),
        c -> c.msr.sysenterEsp,
        canonical((c, v) -> c.msr.sysenterEsp = v));
    row(
        IA32_SYSENTER_EIP,
        "IA32_SYSENTER_EIP",
        "SYSENTER—Fast System Call",
        with(Feature.SEP),
        c -> c.msr.sysenterEip,
        canonical((c, v) -> c.msr.sysenterEip = v));

    row(
        IA32_EFER,
        "IA32_EFER",
        "Extended Feature Enable Register",
        with(Feature.LM, Feature.NX, Feature.SYSCALL),
        c -> c.efer,
        MsrTable::writeEfer);
    row(
        IA32_STAR,
        "IA32_STAR",
        "Fast System Calls in 64-Bit Mode",
        with(Feature.SYSCALL),
        c -> c.msr.star,
        any((c, v) -> c.msr.star = v));
    row(
        IA32_LSTAR,
        "IA32_LSTAR",
        "Fast System Calls in 64-Bit Mode",
        with(Feature.LM),
        c -> c.msr.lstar,
        canonical((c, v) -> c.msr.lstar = v));
    row(
        IA32_CSTAR,
        "IA32_CSTAR",
        "Fast System Calls in 64-Bit Mode",
        with(Feature.LM),
        c -> c.msr.cstar,
        canonical((c, v) -> c.msr.cstar = v));
    row(
        IA32_FMASK,
        "IA32_FMASK",
        "Fast System Calls in 64-Bit Mode",
        with(Feature.LM),
        c -> c.msr.fmask,
        bits(LOW32, (c, v) -> c.msr.fmask = v));
    row(
        IA32_FS_BASE,
        "IA32_FS_BASE",
        "Segment Loading Instructions in IA-32e Mode",
        with(Feature.LM),
        c -> c.seg[Cpu.FS].base,
        canonical(
            (c, v) -> {
              c.seg[Cpu.FS].base = v;
              c.updateMode();
            }));
    row(
        IA32_GS_BASE,
        "IA32_GS_BASE",
        "Segment Loading Instructions in IA-32e Mode",
        with(Feature.LM),
        c -> c.seg[Cpu.GS].base,
        canonical(
            (c, v) -> {
              c.seg[Cpu.GS].base = v;
              c.updateMode();
            }));
    row(
        IA32_KERNEL_GS_BASE,
        "IA32_KERNEL_GS_BASE",
        "SWAPGS—Swap GS Base Register",
        with(Feature.LM),
        c -> c.msr.kernelGsBase,
        canonical((c, v) -> c.msr.kernelGsBase = v));

    row(
        IA32_UMWAIT_CONTROL,
        "IA32_UMWAIT_CONTROL",
        "UMWAIT—User Level Monitor Wait",
        with(Feature.WAITPKG),
        c -> c.msr.umwaitControl,
        bits(LOW32 & ~2L, (c, v) -> c.msr.umwaitControl = v));
    row(
        IA32_PKRS,
        "IA32_PKRS",
        "Protection Keys",
        with(Feature.PKS),
        c -> c.pkrs & LOW32,
        bits(
            LOW32,
            (c, v) -> {
              c.pkrs = (int) v;
              c.updateMode();
            }));
    row(
        IA32_XSS,
        "IA32_XSS",
        "Enabling the XSAVE Feature Set and XSAVE-Enabled Features",
        with(Feature.XSAVES),
        c -> c.xss,
        (c, v) -> {
          if ((v & ~StateComponent.supervisor(c.model)) != 0) {
            return false;
          }
          c.xss = v;
          return true;
        });

    rowsOfCounters();
    rowsOfLastBranches();
    rowsOfCet();
    rowsOfMtrrs();
    rowsOfMachineCheck();
    rowsOfVmx();
  }

  private static void rowsOfCounters() {
    String source = "Architectural Performance Monitoring";
    Msr.Presence counters = with(Feature.ARCH_PERFMON);
    for (int n = 0; n < PerformanceCounters.MOST_GENERAL; n++) {
      int k = n;
      Msr.Presence general = model -> k < model.performanceCounters();
      row(
          IA32_PMC0 + n,
          "IA32_PMC" + n,
          source,
          general,
          c -> c.counters.read(k),
          any((c, v) -> c.counters.write(k, (int) v)));
      row(
          IA32_A_PMC0 + n,
          "IA32_A_PMC" + n,
          "Full-Width Writes to Performance Counter Registers",
          model -> general.on(model) && hasFullWidthWrites(model),
          c -> c.counters.read(k),
          counter(k));
      row(
          IA32_PERFEVTSEL0 + n,
          "IA32_PERFEVTSEL" + n,
          source,
          general,
          c -> c.counters.select(k),
          bits(PerformanceCounters.SELECT_DEFINED, (c, v) -> c.counters.setSelect(k, v)));
    }
    for (int n = 0; n < PerformanceCounters.FIXED; n++) {
      int k = PerformanceCounters.FIRST_FIXED + n;
      row(
          IA32_FIXED_CTR0 + n,
          "IA32_FIXED_CTR" + n,
          source,
          counters,
          c -> c.counters.read(k),
          counter(k));
    }
    row(
        IA32_PERF_CAPABILITIES,
        "IA32_PERF_CAPABILITIES",
        ARCHITECTURAL,
        with(Feature.PDCM),
        c -> constant(c, IA32_PERF_CAPABILITIES, 0),
        MsrTable::refuse);
    row(
        IA32_FIXED_CTR_CTRL,
        "IA32_FIXED_CTR_CTRL",
        source,
        counters,
        c -> c.counters.fixedControl(),
        bits(PerformanceCounters.FIXED_CONTROL_DEFINED, (c, v) -> c.counters.setFixedControl(v)));
    row(
        IA32_PERF_GLOBAL_STATUS,
        "IA32_PERF_GLOBAL_STATUS",
        source,
        counters,
        c -> c.counters.status(),
        MsrTable::refuse);
    row(
        IA32_PERF_GLOBAL_CTRL,
        "IA32_PERF_GLOBAL_CTRL",
        source,
        counters,
        c -> c.counters.globalControl(),
        bitsOf(
            c -> PerformanceCounters.defined(c.model), (c, v) -> c.counters.setGlobalControl(v)));
    row(
        IA32_PERF_GLOBAL_OVF_CTRL,
        "IA32_PERF_GLOBAL_OVF_CTRL",
        source,
        counters,
        c -> 0,
        bitsOf(
            c -> PerformanceCounters.defined(c.model) | PerformanceCounters.STATUS_OTHERS,
            (c, v) -> c.counters.clearStatus(v)));
  }

  /** A writer of a whole counter. */
  private static Msr.Writer counter(int k) {
    return bitsOf(c -> c.counters.mask(), (c, v) -> c.counters.write(k, v));
  }

  private static boolean hasFullWidthWrites(CpuModel model) {
    return model.has(Feature.PDCM)
        && (model.msrs().getOrDefault(IA32_PERF_CAPABILITIES, 0L) & FULL_WIDTH_WRITES) != 0;
  }

  /**
   * Registers that the models have by their number, and that Linux takes to be there where there
   * are performance counters. They keep what is written.
   */
  private static void rowsOfLastBranches() {
    int core = 4;
    row(
        MSR_LBR_SELECT,
        "MSR_LBR_SELECT",
        LAST_BRANCHES,
        model -> model.lastBranches() > core,
        c -> c.msr.lastBranchSelect,
        bits(0x3ff, (c, v) -> c.msr.lastBranchSelect = v));
    row(
        MSR_LASTBRANCH_TOS,
        "MSR_LASTBRANCH_TOS",
        LAST_BRANCHES,
        model -> model.lastBranches() > 0,
        c -> c.msr.lastBranchTop,
        any((c, v) -> c.msr.lastBranchTop = v & c.model.lastBranches() - 1));
    for (int n = 0; n < 32; n++) {
      int k = n;
      Msr.Presence presence = model -> k < model.lastBranches() && model.lastBranches() > core;
      lastBranch(MSR_LASTBRANCH_0_FROM_IP + n, "MSR_LASTBRANCH_%d_FROM_IP", k, true, presence);
      lastBranch(MSR_LASTBRANCH_0_TO_IP + n, "MSR_LASTBRANCH_%d_TO_IP", k, false, presence);
    }
    for (int n = 0; n < core; n++) {
      Msr.Presence presence = model -> model.lastBranches() == core;
      lastBranch(0x40 + n, "MSR_LASTBRANCH_%d_FROM_IP (Core 2)", n, true, presence);
      lastBranch(0x60 + n, "MSR_LASTBRANCH_%d_TO_IP (Core 2)", n, false, presence);
    }
  }

  private static void lastBranch(
      int index, String name, int k, boolean from, Msr.Presence presence) {
    row(
        index,
        name.formatted(k),
        LAST_BRANCHES,
        presence,
        c -> (from ? c.msr.lastBranchFrom : c.msr.lastBranchTo)[k],
        any((c, v) -> (from ? c.msr.lastBranchFrom : c.msr.lastBranchTo)[k] = v));
  }

  private static void rowsOfCet() {
    String source = "Control-flow Enforcement Technology (CET) MSRs";
    Msr.Presence any = with(Feature.CET_SS, Feature.CET_IBT);
    Msr.Presence shadowStacks = with(Feature.CET_SS);
    row(
        IA32_U_CET,
        "IA32_U_CET",
        source,
        any,
        c -> c.msr.uCet,
        cetControl((c, v) -> c.msr.uCet = v));
    row(
        IA32_S_CET,
        "IA32_S_CET",
        source,
        any,
        c -> c.msr.sCet,
        cetControl((c, v) -> c.msr.sCet = v));
    for (int n = 0; n < 4; n++) {
      int level = n;
      row(
          IA32_PL0_SSP + n,
          "IA32_PL" + n + "_SSP",
          source,
          shadowStacks,
          c -> c.msr.plSsp[level],
          (c, v) -> {
            if (!isSsp(c, v)) {
              return false;
            }
            c.msr.plSsp[level] = v;
            return true;
          });
    }
    row(
        IA32_INTERRUPT_SSP_TABLE_ADDR,
        "IA32_INTERRUPT_SSP_TABLE_ADDR",
        source,
        model -> model.has(Feature.CET_SS) && model.has(Feature.LM),
        c -> c.msr.interruptSspTable,
        canonical((c, v) -> c.msr.interruptSspTable = v));
  }

  private static Msr.Writer cetControl(Setter setter) {
    return (c, v) -> {
      if (!isCetControl(c, v)) {
        return false;
      }
      setter.set(c, v);
      c.updateMode();
      return true;
    };
  }

  private static void rowsOfMtrrs() {
    Msr.Presence mtrr = with(Feature.MTRR);
    String source = "Memory Type Range Registers (MTRRs)";
    int variable = 10;
    row(
        IA32_MTRRCAP,
        "IA32_MTRRCAP",
        source,
        mtrr,
        // WC, fixed ranges, the number of variable ranges.
        c -> constant(c, IA32_MTRRCAP, 0x500 | variable),
        MsrTable::refuse);
    row(
        IA32_MTRR_DEF_TYPE,
        "IA32_MTRR_DEF_TYPE",
        source,
        mtrr,
        c -> c.msr.mtrrDefType,
        (c, v) -> {
          if ((v & ~0xcffL) != 0 || !isMtrrType((int) v & 0xff)) {
            return false;
          }
          c.msr.mtrrDefType = v;
          return true;
        });
    for (int n = 0; n < variable; n++) {
      int k = n;
      row(
          IA32_MTRR_PHYSBASE0 + 2 * n,
          "IA32_MTRR_PHYSBASE" + n,
          source,
          mtrr,
          c -> c.msr.mtrrBase[k],
          (c, v) -> {
            if ((v & 0xf00) != 0 || isBeyondMemory(c, v) || !isMtrrType((int) v & 0xff)) {
              return false;
            }
            c.msr.mtrrBase[k] = v;
            return true;
          });
      row(
          IA32_MTRR_PHYSBASE0 + 2 * n + 1,
          "IA32_MTRR_PHYSMASK" + n,
          source,
          mtrr,
          c -> c.msr.mtrrMask[k],
          (c, v) -> {
            if ((v & 0x7ff) != 0 || isBeyondMemory(c, v)) {
              return false;
            }
            c.msr.mtrrMask[k] = v;
            return true;
          });
    }
    for (int n = 0; n < MTRR_FIXED.length; n++) {
      int k = n;
      row(
          MTRR_FIXED[n],
          "IA32_MTRR_FIX" + MTRR_FIXED_NAMES[n],
          source,
          mtrr,
          c -> c.msr.mtrrFixed[k],
          (c, v) -> {
            for (int shift = 0; shift < 64; shift += 8) {
              if (!isMtrrType((int) (v >>> shift) & 0xff)) {
                return false;
              }
            }
            c.msr.mtrrFixed[k] = v;
            return true;
          });
    }
    row(
        IA32_PAT,
        "IA32_PAT",
        "Page Attribute Table (PAT)",
        with(Feature.PAT),
        c -> c.msr.pat,
        (c, v) -> {
          if (!isPat(v)) {
            return false;
          }
          c.msr.pat = v;
          c.updateMode();
          return true;
        });
  }

  private static void rowsOfMachineCheck() {
    String source = "Machine-Check MSRs";
    row(0, "IA32_P5_MC_ADDR", source, with(Feature.MCE), c -> 0, MsrTable::ignore);
    row(1, "IA32_P5_MC_TYPE", source, with(Feature.MCE), c -> 0, MsrTable::ignore);
    row(
        IA32_MCG_CAP,
        "IA32_MCG_CAP",
        source,
        with(Feature.MCA),
        c -> constant(c, IA32_MCG_CAP, 0),
        MsrTable::refuse);
    row(
        IA32_MCG_STATUS,
        "IA32_MCG_STATUS",
        source,
        with(Feature.MCA),
        c -> c.msr.mcgStatus,
        bits(7, (c, v) -> c.msr.mcgStatus = v));
    row(
        IA32_MCG_CTL,
        "IA32_MCG_CTL",
        source,
        model ->
            model.has(Feature.MCA)
                && (model.msrs().getOrDefault(IA32_MCG_CAP, 0L) & MCG_CTL_P) != 0,
        c -> c.msr.mcgCtl,
        (c, v) -> {
          if (v != 0 && v != -1) {
            return false;
          }
          c.msr.mcgCtl = v;
          return true;
        });
    String[] names = {"CTL", "STATUS", "ADDR", "MISC"};
    for (int n = 0; n < 32; n++) {
      int bank = n;
      for (int kind = 0; kind < 4; kind++) {
        int at = n * 4 + kind;
        boolean control = kind == 0;
        row(
            IA32_MC0_CTL + at,
            "IA32_MC" + n + "_" + names[kind],
            source,
            model ->
                model.has(Feature.MCA)
                    && bank < (model.msrs().getOrDefault(IA32_MCG_CAP, 0L) & 0xff),
            c -> c.msr.mcBanks[at],
            (c, v) -> {
              // All ones or zeros for CTL, only zeros for the rest.
              if (v != 0 && !(control && v == -1)) {
                return false;
              }
              c.msr.mcBanks[at] = v;
              return true;
            });
      }
    }
  }

  /** Rows for names and documentation: {@link #read} and {@link #write} go to the unit. */
  private static void rowsOfVmx() {
    row(
        IA32_FEATURE_CONTROL,
        "IA32_FEATURE_CONTROL",
        "Enabling and Entering VMX Operation",
        with(Feature.VMX, Feature.SMX),
        c -> c.msr.featureControl,
        MsrTable::refuse);
    for (int n = 0; n < VMX_NAMES.length; n++) {
      int index = IA32_VMX_BASIC + n;
      row(
          index,
          "IA32_VMX_" + VMX_NAMES[n],
          "VMX Capability Reporting Facility",
          with(Feature.VMX),
          c -> constant(c, index, 0),
          MsrTable::refuse);
    }
  }

  // ---- rules ----

  private static boolean writeEfer(Cpu cpu, long value) {
    long defined = ControlBits.EFER_LMA;
    if (cpu.model.has(Feature.SYSCALL)) {
      defined |= ControlBits.EFER_SCE;
    }
    if (cpu.model.has(Feature.LM)) {
      defined |= ControlBits.EFER_LME;
    }
    if (cpu.model.has(Feature.NX)) {
      defined |= ControlBits.EFER_NXE;
    }
    if ((value & ~defined) != 0) {
      return false;
    }
    boolean paging = (cpu.cr0 & ControlBits.CR0_PG) != 0;
    if (paging && ((cpu.efer ^ value) & ControlBits.EFER_LME) != 0) {
      return false;
    }
    cpu.efer = value & ~ControlBits.EFER_LMA | cpu.efer & ControlBits.EFER_LMA;
    cpu.updateMode();
    return true;
  }

  private static boolean writeApicBase(Cpu cpu, long value) {
    long defined = 0x900 | -0x1000L & (1L << cpu.model.physicalAddressBits()) - 1;
    if (cpu.model.has(Feature.X2APIC)) {
      defined |= 1 << 10;
    }
    // EN and EXTD: x2APIC mode without EN is invalid, and so is the way back from it to xAPIC mode.
    boolean extended = (value & 0x400) != 0;
    boolean enabled = (value & 0x800) != 0;
    boolean wasExtended = (cpu.msr.apicBase & 0x400) != 0;
    boolean wasEnabled = (cpu.msr.apicBase & 0x800) != 0;
    if ((value & ~defined) != 0
        || extended && !enabled
        || wasExtended && enabled && !extended
        || extended && !wasEnabled) {
      return false;
    }
    cpu.msr.apicBase = value;
    return true;
  }

  private static boolean writeSpecCtrl(Cpu cpu, long value) {
    long defined = 0;
    if (cpu.model.has(Feature.IBRS_IBPB)) {
      defined |= SPEC_CTRL_IBRS;
    }
    if (cpu.model.has(Feature.STIBP)) {
      defined |= SPEC_CTRL_STIBP;
    }
    if (cpu.model.has(Feature.SSBD)) {
      defined |= SPEC_CTRL_SSBD;
    }
    if ((value & ~defined) != 0) {
      return false;
    }
    cpu.msr.spec = value;
    return true;
  }

  /** Whether IA32_U_CET and IA32_S_CET may have a value. */
  public static boolean isCetControl(Cpu cpu, long value) {
    return CetControl.isValid(value)
        && (value & ~cetDefined(cpu.model)) == 0
        && cpu.isCanonicalBase(value);
  }

  /** Bits of IA32_U_CET and IA32_S_CET that a processor has. */
  public static long cetDefined(CpuModel model) {
    return cetDefined(model::has);
  }

  /** Bits of IA32_U_CET and IA32_S_CET that such features bring. */
  public static long cetDefined(Predicate<Feature> features) {
    long shadowStacks = CetControl.SH_STK_EN | CetControl.WR_SHSTK_EN;
    return (features.test(Feature.CET_SS) ? shadowStacks : 0)
        | (features.test(Feature.CET_IBT) ? ~(shadowStacks | CetControl.RESERVED) : 0);
  }

  /** Whether IA32_PLi_SSP may have a value. */
  public static boolean isSsp(Cpu cpu, long value) {
    return (value & 3) == 0 && cpu.isCanonicalBase(value);
  }

  /** Whether an index is one of the fixed-range MTRRs'. */
  public static boolean isFixedMtrr(int index) {
    for (int fixed : MTRR_FIXED) {
      if (fixed == index) {
        return true;
      }
    }
    return false;
  }

  private static boolean isMtrrType(int type) {
    return type == 0 || type == 1 || type >= 4 && type <= 6;
  }

  /** Whether all eight entries have a memory type: UC, WC, WT, WP, WB, UC-. */
  public static boolean isPat(long value) {
    for (int shift = 0; shift < 64; shift += 8) {
      int type = (int) (value >>> shift) & 0xff;
      if (type > 7 || type == 2 || type == 3) {
        return false;
      }
    }
    return true;
  }

  private static boolean isBeyondMemory(Cpu cpu, long value) {
    return value >>> cpu.model.physicalAddressBits() != 0;
  }
}
