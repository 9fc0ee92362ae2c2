package org.kvm4j.vmx.exit;

import org.jspecify.annotations.Nullable;

/**
 * Basic exit reasons. The numbers are also constants, for {@code switch}: {@link #number}.
 *
 * <p>Source: SDM 25.9.1 "Basic VM-Exit Information", appendix C "VMX Basic Exit Reasons".
 */
public enum ExitReason {
  EXCEPTION_NMI(0, Cause.OTHER, "Exception or non-maskable interrupt (NMI)"),
  EXTERNAL_INTERRUPT(1, Cause.OTHER, "External interrupt"),
  TRIPLE_FAULT(2, Cause.OTHER, "Triple fault"),
  INIT_SIGNAL(3, Cause.OTHER, "INIT signal"),
  SIPI_SIGNAL(4, Cause.OTHER, "Start-up IPI (SIPI)"),
  IO_SMI(5, Cause.OTHER, "I/O system-management interrupt (SMI)"),
  OTHER_SMI(6, Cause.OTHER, "Other SMI"),
  INTERRUPT_WINDOW(7, Cause.OTHER, "Interrupt window"),
  NMI_WINDOW(8, Cause.OTHER, "NMI window"),
  TASK_SWITCH(9, Cause.OTHER, "Task switch"),
  CPUID(10, Cause.UNCONDITIONAL, "CPUID"),
  GETSEC(11, Cause.UNCONDITIONAL, "GETSEC"),
  HLT(12, Cause.CONDITIONAL, "HLT"),
  INVD(13, Cause.UNCONDITIONAL, "INVD"),
  INVLPG(14, Cause.CONDITIONAL, "INVLPG"),
  RDPMC(15, Cause.CONDITIONAL, "RDPMC"),
  RDTSC(16, Cause.CONDITIONAL, "RDTSC"),
  RSM(17, Cause.CONDITIONAL, "RSM"),
  VMCALL(18, Cause.UNCONDITIONAL, "VMCALL"),
  VMCLEAR(19, Cause.UNCONDITIONAL, "VMCLEAR"),
  VMLAUNCH(20, Cause.UNCONDITIONAL, "VMLAUNCH"),
  VMPTRLD(21, Cause.UNCONDITIONAL, "VMPTRLD"),
  VMPTRST(22, Cause.UNCONDITIONAL, "VMPTRST"),
  VMREAD(23, Cause.CONDITIONAL, "VMREAD"),
  VMRESUME(24, Cause.UNCONDITIONAL, "VMRESUME"),
  VMWRITE(25, Cause.CONDITIONAL, "VMWRITE"),
  VMXOFF(26, Cause.UNCONDITIONAL, "VMXOFF"),
  VMXON(27, Cause.UNCONDITIONAL, "VMXON"),
  CR_ACCESS(28, Cause.CONDITIONAL, "Control-register accesses"),
  DR_ACCESS(29, Cause.CONDITIONAL, "MOV DR"),
  IO_INSTRUCTION(30, Cause.CONDITIONAL, "I/O instruction"),
  MSR_READ(31, Cause.CONDITIONAL, "RDMSR"),
  MSR_WRITE(32, Cause.CONDITIONAL, "WRMSR"),
  INVALID_GUEST_STATE(33, Cause.ENTRY_FAILURE, "VM-entry failure due to invalid guest state"),
  MSR_LOAD_FAIL(34, Cause.ENTRY_FAILURE, "VM-entry failure due to MSR loading"),
  MWAIT(36, Cause.CONDITIONAL, "MWAIT"),
  MONITOR_TRAP_FLAG(37, Cause.TRAP, "Monitor trap flag"),
  MONITOR(39, Cause.CONDITIONAL, "MONITOR"),
  PAUSE(40, Cause.CONDITIONAL, "PAUSE"),
  MCE_DURING_VMENTRY(41, Cause.ENTRY_FAILURE, "VM-entry failure due to machine-check event"),
  TPR_BELOW_THRESHOLD(43, Cause.APIC_VIRTUALIZATION, "TPR below threshold"),
  APIC_ACCESS(44, Cause.APIC_VIRTUALIZATION, "APIC access"),
  EOI_INDUCED(45, Cause.APIC_VIRTUALIZATION, "Virtualized EOI"),
  GDTR_IDTR(46, Cause.CONDITIONAL, "Access to GDTR or IDTR"),
  LDTR_TR(47, Cause.CONDITIONAL, "Access to LDTR or TR"),
  EPT_VIOLATION(48, Cause.EPT, "EPT violation"),
  EPT_MISCONFIG(49, Cause.EPT, "EPT misconfiguration"),
  INVEPT(50, Cause.UNCONDITIONAL, "INVEPT"),
  RDTSCP(51, Cause.CONDITIONAL, "RDTSCP"),
  PREEMPTION_TIMER(52, Cause.TIMER, "VMX-preemption timer expired"),
  INVVPID(53, Cause.UNCONDITIONAL, "INVVPID"),
  WBINVD(54, Cause.CONDITIONAL, "WBINVD or WBNOINVD"),
  XSETBV(55, Cause.UNCONDITIONAL, "XSETBV"),
  APIC_WRITE(56, Cause.APIC_VIRTUALIZATION, "APIC write"),
  RDRAND(57, Cause.CONDITIONAL, "RDRAND"),
  INVPCID(58, Cause.CONDITIONAL, "INVPCID"),
  VMFUNC(59, Cause.CONDITIONAL, "VMFUNC"),
  ENCLS(60, Cause.CONDITIONAL, "ENCLS"),
  RDSEED(61, Cause.CONDITIONAL, "RDSEED"),
  PML_FULL(62, Cause.PML, "Page-modification log full"),
  XSAVES(63, Cause.CONDITIONAL, "XSAVES"),
  XRSTORS(64, Cause.CONDITIONAL, "XRSTORS"),
  PCONFIG(65, Cause.CONDITIONAL, "PCONFIG"),
  SPP_EVENT(66, Cause.EPT, "SPP-related event"),
  UMWAIT(67, Cause.CONDITIONAL, "UMWAIT"),
  TPAUSE(68, Cause.CONDITIONAL, "TPAUSE"),
  LOADIWKEY(69, Cause.CONDITIONAL, "LOADIWKEY"),
  ENCLV(70, Cause.CONDITIONAL, "ENCLV"),
  ENQCMD_PASID(72, Cause.CONDITIONAL, "ENQCMD PASID translation failure"),
  ENQCMDS_PASID(73, Cause.CONDITIONAL, "ENQCMDS PASID translation failure"),
  BUS_LOCK(74, Cause.OTHER, "Bus lock"),
  NOTIFY(75, Cause.OTHER, "Instruction timeout"),
  SEAMCALL(76, Cause.CONDITIONAL, "SEAMCALL"),
  TDCALL(77, Cause.CONDITIONAL, "TDCALL"),
  RDMSRLIST(78, Cause.CONDITIONAL, "RDMSRLIST"),
  WRMSRLIST(79, Cause.CONDITIONAL, "WRMSRLIST");

  /** Kinds of causes of VM exits, each a section of the SDM. */
  public enum Cause {
    UNCONDITIONAL("26.1.2", "Instructions That Cause VM Exits Unconditionally"),
    CONDITIONAL("26.1.3", "Instructions That Cause VM Exits Conditionally"),
    OTHER("26.2", "Other Causes of VM Exits"),
    TIMER("26.5.1", "VMX-Preemption Timer"),
    TRAP("26.5.2", "Monitor Trap Flag"),
    ENTRY_FAILURE("27.8", "VM-Entry Failures During or After Loading Guest State"),
    EPT("29.3.3", "EPT-Induced VM Exits"),
    PML("29.3.6", "Page-Modification Logging"),
    APIC_VIRTUALIZATION("30", "APIC Virtualization and Virtual Interrupts");

    /** Number of the SDM's section. */
    public final String section;

    /** Title of the SDM's section. */
    public final String title;

    Cause(String section, String title) {
      this.section = section;
      this.title = title;
    }
  }

  /** Bit 31 of the exit-reason field: a VM-entry failure. */
  public static final int ENTRY_FAILURE = 1 << 31;

  /** Bit 26 of the exit-reason field: a bus lock was asserted. */
  public static final int BUS_LOCK_ASSERTED = 1 << 26;

  /** Bits 15:0 of the exit-reason field. */
  public static final int BASIC_MASK = 0xffff;

  private static final @Nullable ExitReason[] BY_NUMBER = new ExitReason[128];

  static {
    for (ExitReason reason : values()) {
      BY_NUMBER[reason.number] = reason;
    }
  }

  /** Bits 15:0 of the exit-reason field. */
  public final int number;

  /** The name in the SDM's appendix C. */
  public final String title;

  /** The kind of cause, with the SDM's section on it. */
  public final Cause cause;

  ExitReason(int number, Cause cause, String title) {
    this.number = number;
    this.cause = cause;
    this.title = title;
  }

  /** The reason in a whole exit-reason field, or null if the number is not defined. */
  public static @Nullable ExitReason of(int field) {
    int number = field & BASIC_MASK;
    return number < BY_NUMBER.length ? BY_NUMBER[number] : null;
  }

  /** A whole exit-reason field in words: {@code "EPT_VIOLATION (48)"}. */
  public static String describe(int field) {
    ExitReason reason = of(field);
    return (reason == null ? "undefined" : reason.name())
        + " ("
        + (field & BASIC_MASK)
        + ((field & ENTRY_FAILURE) != 0 ? ", VM-entry failure)" : ")");
  }
}
