package org.kvm4j.cpu.msr;

import java.util.Collection;
import java.util.Collections;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.CetControl;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.VirtualizationUnit;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.cpu.profile.Feature;

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

  private static final Map<Integer, Msr> TABLE = table();

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

  private static Map<Integer, Msr> table() {
    MsrRows rows = new MsrRows();
    SystemMsrs.add(rows);
    CounterMsrs.add(rows);
    LastBranchMsrs.add(rows);
    CetMsrs.add(rows);
    MemoryTypeMsrs.add(rows);
    MachineCheckMsrs.add(rows);
    VmxMsrs.add(rows);
    return rows.table();
  }

  // ---- rules ----

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
    for (int fixed : MemoryTypeMsrs.FIXED) {
      if (fixed == index) {
        return true;
      }
    }
    return false;
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
}
