package org.kvm4j.cpu.msr;

import static org.kvm4j.cpu.msr.MsrRows.ARCHITECTURAL;
import static org.kvm4j.cpu.msr.MsrRows.any;
import static org.kvm4j.cpu.msr.MsrRows.bits;
import static org.kvm4j.cpu.msr.MsrRows.bitsOf;
import static org.kvm4j.cpu.msr.MsrRows.canonical;
import static org.kvm4j.cpu.msr.MsrRows.constant;
import static org.kvm4j.cpu.msr.MsrRows.with;
import static org.kvm4j.cpu.msr.MsrTable.IA32_APIC_BASE;
import static org.kvm4j.cpu.msr.MsrTable.IA32_ARCH_CAPABILITIES;
import static org.kvm4j.cpu.msr.MsrTable.IA32_BIOS_SIGN_ID;
import static org.kvm4j.cpu.msr.MsrTable.IA32_BIOS_UPDT_TRIG;
import static org.kvm4j.cpu.msr.MsrTable.IA32_CSTAR;
import static org.kvm4j.cpu.msr.MsrTable.IA32_DEBUGCTL;
import static org.kvm4j.cpu.msr.MsrTable.IA32_EFER;
import static org.kvm4j.cpu.msr.MsrTable.IA32_FLUSH_CMD;
import static org.kvm4j.cpu.msr.MsrTable.IA32_FMASK;
import static org.kvm4j.cpu.msr.MsrTable.IA32_FS_BASE;
import static org.kvm4j.cpu.msr.MsrTable.IA32_GS_BASE;
import static org.kvm4j.cpu.msr.MsrTable.IA32_KERNEL_GS_BASE;
import static org.kvm4j.cpu.msr.MsrTable.IA32_LSTAR;
import static org.kvm4j.cpu.msr.MsrTable.IA32_MISC_ENABLE;
import static org.kvm4j.cpu.msr.MsrTable.IA32_PKRS;
import static org.kvm4j.cpu.msr.MsrTable.IA32_PLATFORM_ID;
import static org.kvm4j.cpu.msr.MsrTable.IA32_PRED_CMD;
import static org.kvm4j.cpu.msr.MsrTable.IA32_SPEC_CTRL;
import static org.kvm4j.cpu.msr.MsrTable.IA32_STAR;
import static org.kvm4j.cpu.msr.MsrTable.IA32_SYSENTER_CS;
import static org.kvm4j.cpu.msr.MsrTable.IA32_SYSENTER_EIP;
import static org.kvm4j.cpu.msr.MsrTable.IA32_SYSENTER_ESP;
import static org.kvm4j.cpu.msr.MsrTable.IA32_TIME_STAMP_COUNTER;
import static org.kvm4j.cpu.msr.MsrTable.IA32_TSC_ADJUST;
import static org.kvm4j.cpu.msr.MsrTable.IA32_TSC_AUX;
import static org.kvm4j.cpu.msr.MsrTable.IA32_UMWAIT_CONTROL;
import static org.kvm4j.cpu.msr.MsrTable.IA32_XSS;

import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.PerformanceCounters;
import org.kvm4j.cpu.profile.Feature;
import org.kvm4j.cpu.profile.StateComponent;

/**
 * Registers of the processor as a whole: time, modes, system calls, bases of segments, protection.
 */
final class SystemMsrs {
  private static final long LOW32 = 0xffffffffL;

  /** LBR and BTF. */
  private static final long DEBUGCTL = 3;

  /** Bits of IA32_MISC_ENABLE that can be written; those that are fixed are kept. */
  private static final long MISC_ENABLE =
      1 | 1 << 3 | 1 << 16 | 1 << 18 | 1 << 22 | 1 << 23 | 1L << 34;

  private static final long MISC_ENABLE_FIXED = 1 << 7 | 1 << 11 | 1 << 12;

  /** Of IA32_MISC_ENABLE: there are performance counters. */
  private static final long MISC_ENABLE_COUNTERS = 1 << 7;

  /** IBRS, STIBP, SSBD. */
  private static final int SPEC_CTRL_IBRS = 1;

  private static final int SPEC_CTRL_STIBP = 2;
  private static final int SPEC_CTRL_SSBD = 4;

  private SystemMsrs() {}

  static void add(MsrRows rows) {
    Msr.Presence always = model -> true;

    rows.add(
        IA32_TIME_STAMP_COUNTER,
        "IA32_TIME_STAMP_COUNTER",
        "Time-Stamp Counter",
        with(Feature.TSC),
        TimeStampCounter::read,
        any(TimeStampCounter::write));
    rows.add(
        IA32_TSC_ADJUST,
        "IA32_TSC_ADJUST",
        "IA32_TSC_ADJUST MSR",
        with(Feature.TSC_ADJUST),
        c -> c.msr.tscAdjust,
        any(TimeStampCounter::adjust));
    rows.add(
        IA32_TSC_AUX,
        "IA32_TSC_AUX",
        "IA32_TSC_AUX Register and RDTSCP Support",
        with(Feature.RDTSCP, Feature.RDPID),
        c -> c.msr.tscAux,
        bits(LOW32, (c, v) -> c.msr.tscAux = v));

    rows.add(
        IA32_PLATFORM_ID,
        "IA32_PLATFORM_ID",
        ARCHITECTURAL,
        always,
        c -> constant(c, IA32_PLATFORM_ID, 0),
        MsrRows::refuse);
    rows.add(
        IA32_BIOS_UPDT_TRIG,
        "IA32_BIOS_UPDT_TRIG",
        "Microcode Update Loader",
        always,
        c -> 0,
        MsrRows::ignore);
    rows.add(
        IA32_BIOS_SIGN_ID,
        "IA32_BIOS_SIGN_ID",
        "Determining the Signature",
        always,
        // A model that has a microcode revision tells it as if CPUID had been executed.
        c -> constant(c, IA32_BIOS_SIGN_ID, c.msr.biosSignature),
        any((c, v) -> c.msr.biosSignature = v));
    rows.add(
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
    rows.add(
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
    rows.add(
        IA32_APIC_BASE,
        "IA32_APIC_BASE",
        "Local APIC Status and Location",
        with(Feature.APIC),
        c -> c.msr.apicBase,
        SystemMsrs::writeApicBase);
    rows.add(
        IA32_ARCH_CAPABILITIES,
        "IA32_ARCH_CAPABILITIES",
        ARCHITECTURAL,
        with(Feature.ARCH_CAPABILITIES),
        c -> constant(c, IA32_ARCH_CAPABILITIES, 0),
        MsrRows::refuse);
    rows.add(
        IA32_SPEC_CTRL,
        "IA32_SPEC_CTRL",
        ARCHITECTURAL,
        with(Feature.IBRS_IBPB, Feature.STIBP, Feature.SSBD),
        c -> c.msr.spec,
        SystemMsrs::writeSpecCtrl);
    rows.add(
        IA32_PRED_CMD,
        "IA32_PRED_CMD",
        ARCHITECTURAL,
        with(Feature.IBRS_IBPB),
        Msr.WRITE_ONLY,
        bits(1, (c, v) -> {}));
    rows.add(
        IA32_FLUSH_CMD,
        "IA32_FLUSH_CMD",
        ARCHITECTURAL,
        with(Feature.L1D_FLUSH),
        Msr.WRITE_ONLY,
        bits(1, (c, v) -> {}));

    rows.add(
        IA32_SYSENTER_CS,
        "IA32_SYSENTER_CS",
        "SYSENTER—Fast System Call",
        with(Feature.SEP),
        c -> c.msr.sysenterCs,
        any((c, v) -> c.msr.sysenterCs = v & LOW32));
    rows.add(
        IA32_SYSENTER_ESP,
        "IA32_SYSENTER_ESP",
        "SYSENTER—Fast System Call",
        with(Feature.SEP),
        c -> c.msr.sysenterEsp,
        canonical((c, v) -> c.msr.sysenterEsp = v));
    rows.add(
        IA32_SYSENTER_EIP,
        "IA32_SYSENTER_EIP",
        "SYSENTER—Fast System Call",
        with(Feature.SEP),
        c -> c.msr.sysenterEip,
        canonical((c, v) -> c.msr.sysenterEip = v));

    rows.add(
        IA32_EFER,
        "IA32_EFER",
        "Extended Feature Enable Register",
        with(Feature.LM, Feature.NX, Feature.SYSCALL),
        c -> c.efer,
        SystemMsrs::writeEfer);
    rows.add(
        IA32_STAR,
        "IA32_STAR",
        "Fast System Calls in 64-Bit Mode",
        with(Feature.SYSCALL),
        c -> c.msr.star,
        any((c, v) -> c.msr.star = v));
    rows.add(
        IA32_LSTAR,
        "IA32_LSTAR",
        "Fast System Calls in 64-Bit Mode",
        with(Feature.LM),
        c -> c.msr.lstar,
        canonical((c, v) -> c.msr.lstar = v));
    rows.add(
        IA32_CSTAR,
        "IA32_CSTAR",
        "Fast System Calls in 64-Bit Mode",
        with(Feature.LM),
        c -> c.msr.cstar,
        canonical((c, v) -> c.msr.cstar = v));
    rows.add(
        IA32_FMASK,
        "IA32_FMASK",
        "Fast System Calls in 64-Bit Mode",
        with(Feature.LM),
        c -> c.msr.fmask,
        bits(LOW32, (c, v) -> c.msr.fmask = v));
    rows.add(
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
    rows.add(
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
    rows.add(
        IA32_KERNEL_GS_BASE,
        "IA32_KERNEL_GS_BASE",
        "SWAPGS—Swap GS Base Register",
        with(Feature.LM),
        c -> c.msr.kernelGsBase,
        canonical((c, v) -> c.msr.kernelGsBase = v));

    rows.add(
        IA32_UMWAIT_CONTROL,
        "IA32_UMWAIT_CONTROL",
        "UMWAIT—User Level Monitor Wait",
        with(Feature.WAITPKG),
        c -> c.msr.umwaitControl,
        bits(LOW32 & ~2L, (c, v) -> c.msr.umwaitControl = v));
    rows.add(
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
    rows.add(
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
  }

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
}
