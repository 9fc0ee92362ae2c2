package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.function.Predicate;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Msrs;
import org.kvm4j.cpu.msr.Msr;
import org.kvm4j.cpu.msr.MsrTable;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.cpu.profile.Feature;
import org.kvm4j.kvm.module.vendor.VendorVcpu;
import org.kvm4j.kvm.uapi.KvmMsrEntry;
import org.kvm4j.kvm.uapi.KvmMsrs;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * The MSRs of a virtual CPU. Source: Linux 6.1 kvm_get_msr_common, kvm_set_msr_common,
 * msrs_to_save.
 */
final class VcpuMsrs {
  /** How an access ended. */
  static final int OK = 0;

  /** The MSR exists and refuses the value: KVM_MSR_EXIT_REASON_INVAL. */
  static final int INVALID = 1;

  /** There is no such MSR: KVM_MSR_EXIT_REASON_UNKNOWN. */
  static final int UNKNOWN = 2;

  static final int TSC = 0x10;
  static final int APIC_BASE = 0x1b;
  static final int FEATURE_CONTROL = 0x3a;
  static final int TSC_ADJUST = 0x3b;
  static final int SPEC_CTRL = 0x48;
  static final int PRED_CMD = 0x49;
  static final int BIOS_UPDT_TRIG = 0x79;
  static final int BIOS_SIGN_ID = 0x8b;
  static final int UMWAIT_CONTROL = 0xe1;
  static final int MTRR_CAP = 0xfe;
  static final int ARCH_CAPABILITIES = 0x10a;
  static final int SYSENTER_CS = 0x174;
  static final int SYSENTER_ESP = 0x175;
  static final int SYSENTER_EIP = 0x176;
  static final int MISC_ENABLE = 0x1a0;

  /** In IA32_MISC_ENABLE: "ENABLE MONITOR FSM". */
  static final long MISC_ENABLE_MWAIT = 1L << 18;

  static final int DEBUGCTL = 0x1d9;
  static final int PAT = 0x277;
  static final int MTRR_DEF_TYPE = 0x2ff;
  static final int U_CET = MsrTable.IA32_U_CET;
  static final int S_CET = MsrTable.IA32_S_CET;
  static final int PL0_SSP = MsrTable.IA32_PL0_SSP;
  static final int PL3_SSP = MsrTable.IA32_PL3_SSP;
  static final int INT_SSP_TAB = MsrTable.IA32_INTERRUPT_SSP_TABLE_ADDR;
  static final int PKRS = 0x6e1;
  static final int TSC_DEADLINE = 0x6e0;

  /** The registers of x2APIC mode: 256 of them. */
  static final int X2APIC = 0x800;

  static final int XSS = 0xda0;
  static final int EFER = 0xc0000080;
  static final int STAR = 0xc0000081;
  static final int LSTAR = 0xc0000082;
  static final int CSTAR = 0xc0000083;
  static final int FMASK = 0xc0000084;
  static final int FS_BASE = 0xc0000100;
  static final int GS_BASE = 0xc0000101;
  static final int KERNEL_GS_BASE = 0xc0000102;
  static final int TSC_AUX = 0xc0000103;

  private static final int P6_PERFCTR0 = 0xc1;
  private static final int P6_EVNTSEL0 = 0x186;

  /** The K7's four event selectors, then its four counters. */
  private static final int K7_EVNTSEL0 = 0xc0010000;

  private static final int VARIABLE_MTRRS = 8;

  /**
   * AMD APM volume 2, 3.2.10 "Hardware Configuration Register (HWCR)". The TSC counts at the rate
   * of P0, as CPUID's invariant TSC implies.
   */
  private static final int HWCR = 0xc0010015;

  private static final int NB_CFG = 0xc001001f;
  private static final int DC_CFG = 0xc0011022;
  private static final int BU_CFG2 = 0xc001102a;
  private static final int EX_CFG = 0xc001102c;

  static final long HWCR_TSC_AT_P0 = 1 << 24;
  static final long HWCR_MC_STATUS_WRITABLE = 1 << 18;
  private static final long HWCR_IGNORED = 1 << 3 | 1 << 6 | 1 << 8;

  private static final int[] SAVED = {
    SYSENTER_CS,
    SYSENTER_ESP,
    SYSENTER_EIP,
    STAR,
    CSTAR,
    KERNEL_GS_BASE,
    FMASK,
    LSTAR,
    TSC,
    PAT,
    EFER,
    FS_BASE,
    GS_BASE,
    TSC_AUX,
    VcpuPv.SYSTEM_TIME,
    VcpuPv.WALL_CLOCK,
    VcpuPv.SYSTEM_TIME_NEW,
    VcpuPv.WALL_CLOCK_NEW,
    VcpuPv.ASYNC_PF_EN,
    VcpuPv.STEAL_TIME,
    VcpuPv.PV_EOI_EN,
    VcpuPv.ASYNC_PF_INT,
    VcpuPv.ASYNC_PF_ACK,
    VcpuPv.POLL_CONTROL,
    TSC_ADJUST,
    APIC_BASE,
    MISC_ENABLE,
    MTRR_DEF_TYPE,
    DEBUGCTL,
    SPEC_CTRL,
    UMWAIT_CONTROL,
    PKRS,
    TSC_DEADLINE,
    BIOS_SIGN_ID,
    MachineCheck.MCG_STATUS,
    MachineCheck.MCG_CTL,
    MachineCheck.MCG_EXT_CTL,
    XSS,
    U_CET,
    S_CET,
    PL0_SSP,
    PL0_SSP + 1,
    PL0_SSP + 2,
    PL3_SSP,
    INT_SSP_TAB,
    CpuidFaulting.PLATFORM_INFO,
    CpuidFaulting.MISC_FEATURES_ENABLES,
  };

  private static final int[] FEATURES = {BIOS_SIGN_ID, ARCH_CAPABILITIES};

  private VcpuMsrs() {}

  /** KVM_GET_MSR_INDEX_LIST. */
  static int[] savedIndices(CpuModel model) {
    return Arrays.stream(SAVED)
        .filter(index -> !isProcessors(index) || MsrTable.find(model, index) != null)
        .filter(index -> !isCet(index) || VcpuCpuid.hasCet(model))
        .toArray();
  }

  /** KVM_GET_MSR_FEATURE_INDEX_LIST. */
  static int[] featureIndices() {
    return FEATURES.clone();
  }

  /** An MSR of the system: what the host supports. */
  static int readFeature(HostMachine machine, int index, long[] out) {
    switch (index) {
      case BIOS_SIGN_ID:
        out[0] = 0x1_0000_0000L;
        return OK;
      case ARCH_CAPABILITIES:
        out[0] = machine.model().msrs().getOrDefault(ARCH_CAPABILITIES, 0L);
        return OK;
      default:
        return UNKNOWN;
    }
  }

  /** One access of KVM_GET_MSRS or KVM_SET_MSRS. */
  interface Access {
    /** {@link #OK}, or why not. */
    int apply(int index, long[] value);
  }

  /** KVM_GET_MSRS: how many entries were done, or an error. */
  static int copyMsrs(UserSpace user, long argument, Access access) {
    return each(user, argument, access, true);
  }

  /** KVM_SET_MSRS. */
  static int setMsrs(UserSpace user, long argument, Access access) {
    return each(user, argument, access, false);
  }

  private static int each(UserSpace user, long argument, Access access, boolean copyBack) {
    ByteBuffer head = user.copyIn(argument, KvmMsrs.SIZEOF);
    if (head == null) {
      return Results.EFAULT;
    }
    int n = head.getInt(KvmMsrs.NMSRS);
    // MAX_IO_MSRS.
    if (Integer.compareUnsigned(n, 256) >= 0) {
      return Results.E2BIG;
    }
    ByteBuffer entries = user.copyIn(argument + KvmMsrs.SIZEOF, n * KvmMsrEntry.SIZEOF);
    if (entries == null) {
      return Results.EFAULT;
    }
    long[] value = new long[1];
    int done = 0;
    for (; done < n; done++) {
      int at = done * KvmMsrEntry.SIZEOF;
      value[0] = entries.getLong(at + KvmMsrEntry.DATA);
      if (access.apply(entries.getInt(at + KvmMsrEntry.INDEX), value) != OK) {
        break;
      }
      entries.putLong(at + KvmMsrEntry.DATA, value[0]);
    }
    if (copyBack && done > 0 && !user.copyOut(argument + KvmMsrs.SIZEOF, entries)) {
      return Results.EFAULT;
    }
    return done;
  }

  /** Whether an MSR is one of x2APIC mode, which no filter holds for. */
  static boolean isX2apic(int index) {
    return index >= X2APIC && index < X2APIC + 0x100;
  }

  /** Whether the processor's own rules hold: MTRRs, and those of system calls. */
  private static boolean isProcessors(int index) {
    return switch (index) {
      case STAR, FMASK, TSC_AUX, SPEC_CTRL, PRED_CMD, UMWAIT_CONTROL, PKRS, MTRR_DEF_TYPE -> true;
      default ->
          isCet(index)
              || index >= MsrTable.IA32_MTRR_PHYSBASE0
                  && index < MsrTable.IA32_MTRR_PHYSBASE0 + 2 * VARIABLE_MTRRS
              || MsrTable.isFixedMtrr(index);
    };
  }

  private static boolean isCet(int index) {
    return switch (index) {
      case U_CET, S_CET, INT_SSP_TAB -> true;
      default -> index >= PL0_SSP && index <= PL3_SSP;
    };
  }

  /**
   * Whether an MSR is one of the performance counters that are older than those CPUID tells of, of
   * the P6 and the K7: without such counters they read 0 and take everything.
   */
  private static boolean isOldCounter(int index) {
    return index >= P6_PERFCTR0 && index < P6_PERFCTR0 + 2
        || index >= P6_EVNTSEL0 && index < P6_EVNTSEL0 + 2
        || index >= K7_EVNTSEL0 && index < K7_EVNTSEL0 + 8;
  }

  /** Whether a guest has to know of a feature, and does not, to use an MSR. */
  private static boolean isHidden(VcpuCpuid cpuid, int index) {
    return switch (index) {
      case TSC_AUX -> !cpuid.has(Feature.RDTSCP) && !cpuid.has(Feature.RDPID);
      case SPEC_CTRL ->
          !cpuid.has(Feature.IBRS_IBPB)
              && !cpuid.has(Feature.AMD_IBRS)
              && !cpuid.has(Feature.AMD_STIBP)
              && !cpuid.has(Feature.AMD_SSBD);
      case PRED_CMD -> !cpuid.has(Feature.IBRS_IBPB) && !cpuid.has(Feature.AMD_IBPB);
      case ARCH_CAPABILITIES -> !cpuid.has(Feature.ARCH_CAPABILITIES);
      case XSS -> !cpuid.has(Feature.XSAVES);
      case UMWAIT_CONTROL -> !cpuid.has(Feature.WAITPKG);
      case PKRS -> !cpuid.has(Feature.PKS);
      case U_CET, S_CET -> !cpuid.has(Feature.CET_SS) && !cpuid.has(Feature.CET_IBT);
      case INT_SSP_TAB -> !cpuid.has(Feature.CET_SS) || !cpuid.has(Feature.LM);
      default -> index >= PL0_SSP && index <= PL3_SSP && !cpuid.has(Feature.CET_SS);
    };
  }

  /** Whether user space, which saves and restores what is in the list, may take an MSR for 0. */
  private static boolean isTold(VirtualCpu v, int index) {
    CpuModel model = v.machine().model();
    return VcpuCpuid.hasCet(model) && MsrTable.find(model, index) != null;
  }

  /**
   * Reads an MSR of a virtual CPU.
   *
   * @param host whether user space reads, whatever the guest knows of
   */
  static int read(VirtualCpu v, int index, long[] out, boolean host) {
    if (isHidden(v.cpuid, index)) {
      if (!host) {
        return INVALID;
      }
      if (isCet(index)) {
        out[0] = 0;
        return isTold(v, index) ? OK : UNKNOWN;
      }
    }
    VendorVcpu vendor = v.vendor();
    if (vendor.isSwitchedMsr(index)) {
      out[0] = vendor.switchedMsr(index);
      return OK;
    }
    Cpu cpu = vendor.cpu();
    Msrs m = cpu.msr;
    if (isX2apic(index)) {
      return v.interrupts.readMsr(index, out) ? OK : INVALID;
    }
    if (VcpuPv.hasMsr(index)) {
      return v.pv.read(index, out);
    }
    if (MachineCheck.hasMsr(index)) {
      return v.machineCheck.read(index, out, host);
    }
    switch (index) {
      case TSC -> out[0] = v.tsc.now();
      case TSC_ADJUST -> out[0] = v.tsc.adjust();
      case APIC_BASE -> out[0] = v.interrupts.base();
      case TSC_DEADLINE -> out[0] = v.interrupts.tscDeadline();
      case EFER -> out[0] = vendor.efer();
      case LSTAR -> out[0] = m.lstar;
      case CSTAR -> out[0] = m.cstar;
      case KERNEL_GS_BASE -> out[0] = m.kernelGsBase;
      case MISC_ENABLE -> out[0] = m.miscEnable;
      case BIOS_SIGN_ID -> out[0] = 0x1_0000_0000L;
      case MTRR_CAP -> out[0] = 0x500 | VARIABLE_MTRRS;
      case BIOS_UPDT_TRIG -> out[0] = 0;
      case XSS -> out[0] = cpu.xss;
      case HWCR -> out[0] = v.hwcr;
      // AMD's SYSCFG, NB_CFG, interrupt pending, MMIO configuration base, SMM's TSEG, the host save
      // area, DC_CFG, BU_CFG2, EX_CFG: nothing is set in them.
      case 0xc0010010,
          NB_CFG,
          0xc0010055,
          0xc0010058,
          0xc0010112,
          0xc0010113,
          0xc0010117,
          DC_CFG,
          BU_CFG2,
          EX_CFG ->
          out[0] = 0;
      // Platform identification and a few that Linux reads as 0: IA32_PLATFORM_ID, EBL_CR_POWERON,
      // IA32_SMI_COUNT, LASTBRANCH*, IA32_PERF_STATUS and the like.
      case 0x17, 0x2a, 0x34, 0x1db, 0x1dc, 0x1dd, 0x1de, 0x198, 0x19a, 0x19c ->
          out[0] = index == 0x198 ? 1000 | 4L << 40 : 0;
      case CpuidFaulting.PLATFORM_INFO -> {
        if (!host && !v.vm.settings.platformInfoReadable) {
          return INVALID;
        }
        out[0] = v.cpuidFaulting.platformInfo();
      }
      case CpuidFaulting.MISC_FEATURES_ENABLES -> out[0] = v.cpuidFaulting.enables();
      case ARCH_CAPABILITIES -> {
        return readFeature(v.machine(), index, out);
      }
      default -> {
        if (isOldCounter(index)) {
          out[0] = 0;
          return OK;
        }
        Msr row = isProcessors(index) ? MsrTable.find(cpu.model, index) : null;
        if (row == null || !row.isReadable()) {
          return UNKNOWN;
        }
        out[0] = row.read(cpu);
        return OK;
      }
    }
    return OK;
  }

  /**
   * Writes an MSR of a virtual CPU.
   *
   * @param host whether user space writes, which may do more than the guest
   */
  static int write(VirtualCpu v, int index, long value, boolean host) {
    if (isHidden(v.cpuid, index)) {
      if (!host) {
        return INVALID;
      }
      if (isCet(index)) {
        return value == 0 && isTold(v, index) ? OK : UNKNOWN;
      }
    }
    VendorVcpu vendor = v.vendor();
    Cpu cpu = vendor.cpu();
    Msrs m = cpu.msr;
    if (isX2apic(index)) {
      return v.interrupts.writeMsr(index, value) ? OK : INVALID;
    }
    if (VcpuPv.hasMsr(index)) {
      return v.pv.write(index, value, host);
    }
    if (MachineCheck.hasMsr(index)) {
      return v.machineCheck.write(index, value, host);
    }
    switch (index) {
      case FS_BASE, GS_BASE, KERNEL_GS_BASE, LSTAR, CSTAR, SYSENTER_ESP, SYSENTER_EIP -> {
        if (!cpu.isCanonicalBase(value)) {
          // Host writes of non-canonical values are made canonical for SYSENTER_*; others refuse.
          if (index != SYSENTER_ESP && index != SYSENTER_EIP) {
            return INVALID;
          }
          int unused = 64 - cpu.model.linearAddressBits();
          value = value << unused >> unused;
        }
        switch (index) {
          case KERNEL_GS_BASE -> m.kernelGsBase = value;
          case LSTAR -> m.lstar = value;
          case CSTAR -> m.cstar = value;
          default -> vendor.setSwitchedMsr(index, value);
        }
        return OK;
      }
      case PAT -> {
        if (!MsrTable.isPat(value)) {
          return INVALID;
        }
        vendor.setSwitchedMsr(index, value);
        return OK;
      }
      case DEBUGCTL -> {
        if ((value & ~3L) != 0) {
          return INVALID;
        }
        vendor.setSwitchedMsr(index, value & 3);
        return OK;
      }
      case SYSENTER_CS -> {
        vendor.setSwitchedMsr(index, value);
        return OK;
      }
      case TSC -> {
        v.tsc.write(value, host);
        return OK;
      }
      case TSC_ADJUST -> {
        if (v.cpuid.has(Feature.TSC_ADJUST)) {
          v.tsc.writeAdjust(value, host);
        }
        return OK;
      }
      case APIC_BASE -> {
        return v.interrupts.setBase(value, host) ? OK : INVALID;
      }
      case TSC_DEADLINE -> v.interrupts.setTscDeadline(value);
      case EFER -> {
        return writeEfer(v, value, host);
      }
      case MISC_ENABLE -> {
        // Without the quirk, the guest switches MWAIT in its CPUID; that is of processors with
        // SSE3.
        if (!v.vm.hasQuirk(Uapi.KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT)
            && ((m.miscEnable ^ value) & MISC_ENABLE_MWAIT) != 0
            && !v.cpuid.has(Feature.SSE3)) {
          return INVALID;
        }
        m.miscEnable = value;
      }
      case BIOS_SIGN_ID, BIOS_UPDT_TRIG -> {}
      case XSS -> {
        if ((value & ~v.cpuid.allowedXss(cpu.model)) != 0) {
          return INVALID;
        }
        cpu.xss = value;
      }
      case CpuidFaulting.PLATFORM_INFO -> {
        return host && v.cpuidFaulting.setPlatformInfo(value) ? OK : INVALID;
      }
      case CpuidFaulting.MISC_FEATURES_ENABLES -> {
        return v.cpuidFaulting.setEnables(value) ? OK : INVALID;
      }
      case HWCR -> {
        // What caches and TLBs do, and IGNNE, may be asked for and changes nothing.
        long kept = value & ~HWCR_IGNORED;
        if ((kept & ~(HWCR_MC_STATUS_WRITABLE | HWCR_TSC_AT_P0)) != 0) {
          return INVALID;
        }
        v.hwcr = kept;
      }
      // Workarounds that a kernel asks for and an emulated processor does not need.
      case NB_CFG, DC_CFG, BU_CFG2, EX_CFG -> {}
      case 0x198 -> {
        return host ? OK : INVALID;
      }
      default -> {
        if ((index == U_CET || index == S_CET) && (value & ~v.cpuid.allowedCet()) != 0) {
          return INVALID;
        }
        Msr row = isProcessors(index) ? MsrTable.find(cpu.model, index) : null;
        if (row != null && vendor.isSwitchedMsr(index)) {
          boolean good =
              index == S_CET ? MsrTable.isCetControl(cpu, value) : cpu.isCanonicalBase(value);
          if (good) {
            vendor.setSwitchedMsr(index, value);
          }
          return good ? OK : INVALID;
        }
        if (row != null) {
          return row.write(cpu, value) ? OK : INVALID;
        }
        return isOldCounter(index) ? OK : UNKNOWN;
      }
    }
    return OK;
  }

  /** Bits of IA32_EFER that such features bring. */
  static long definedEfer(Predicate<Feature> features) {
    long bits = ControlBits.EFER_SCE;
    if (features.test(Feature.LM)) {
      bits |= ControlBits.EFER_LME | ControlBits.EFER_LMA;
    }
    if (features.test(Feature.NX)) {
      bits |= ControlBits.EFER_NXE;
    }
    return bits;
  }

  private static int writeEfer(VirtualCpu v, long value, boolean host) {
    VendorVcpu vendor = v.vendor();
    if ((value & ~definedEfer(v.machine().model()::has)) != 0) {
      return INVALID;
    }
    long old = vendor.efer();
    if (!host) {
      if ((value & ~definedEfer(v.cpuid::has)) != 0) {
        return INVALID;
      }
      if ((vendor.cr0() & ControlBits.CR0_PG) != 0
          && (old & ControlBits.EFER_LME) != (value & ControlBits.EFER_LME)) {
        return INVALID;
      }
      value = value & ~ControlBits.EFER_LMA | old & ControlBits.EFER_LMA;
    }
    vendor.setEfer(value);
    if (((old ^ value) & ControlBits.EFER_NXE) != 0) {
      vendor.flushGuest();
    }
    return OK;
  }
}
