package org.kvm4j.vmx.exit;

import org.jspecify.annotations.Nullable;

/**
 * Basic exit reasons. The numbers are also constants, for {@code switch}: {@link #number}.
 *
 * <p>Source: SDM 25.9.1 "Basic VM-Exit Information", appendix C "VMX Basic Exit Reasons".
 */
public enum ExitReason {
  EXCEPTION_NMI(0, "Exception or non-maskable interrupt (NMI)"),
  EXTERNAL_INTERRUPT(1, "External interrupt"),
  TRIPLE_FAULT(2, "Triple fault"),
  INIT_SIGNAL(3, "INIT signal"),
  SIPI_SIGNAL(4, "Start-up IPI (SIPI)"),
  IO_SMI(5, "I/O system-management interrupt (SMI)"),
  OTHER_SMI(6, "Other SMI"),
  INTERRUPT_WINDOW(7, "Interrupt window"),
  NMI_WINDOW(8, "NMI window"),
  TASK_SWITCH(9, "Task switch"),
  CPUID(10, "CPUID"),
  GETSEC(11, "GETSEC"),
  HLT(12, "HLT"),
  INVD(13, "INVD"),
  INVLPG(14, "INVLPG"),
  RDPMC(15, "RDPMC"),
  RDTSC(16, "RDTSC"),
  RSM(17, "RSM"),
  VMCALL(18, "VMCALL"),
  VMCLEAR(19, "VMCLEAR"),
  VMLAUNCH(20, "VMLAUNCH"),
  VMPTRLD(21, "VMPTRLD"),
  VMPTRST(22, "VMPTRST"),
  VMREAD(23, "VMREAD"),
  VMRESUME(24, "VMRESUME"),
  VMWRITE(25, "VMWRITE"),
  VMXOFF(26, "VMXOFF"),
  VMXON(27, "VMXON"),
  CR_ACCESS(28, "Control-register accesses"),
  DR_ACCESS(29, "MOV DR"),
  IO_INSTRUCTION(30, "I/O instruction"),
  MSR_READ(31, "RDMSR"),
  MSR_WRITE(32, "WRMSR"),
  INVALID_GUEST_STATE(33, "VM-entry failure due to invalid guest state"),
  MSR_LOAD_FAIL(34, "VM-entry failure due to MSR loading"),
  MWAIT(36, "MWAIT"),
  MONITOR_TRAP_FLAG(37, "Monitor trap flag"),
  MONITOR(39, "MONITOR"),
  PAUSE(40, "PAUSE"),
  MCE_DURING_VMENTRY(41, "VM-entry failure due to machine-check event"),
  TPR_BELOW_THRESHOLD(43, "TPR below threshold"),
  APIC_ACCESS(44, "APIC access"),
  EOI_INDUCED(45, "Virtualized EOI"),
  GDTR_IDTR(46, "Access to GDTR or IDTR"),
  LDTR_TR(47, "Access to LDTR or TR"),
  EPT_VIOLATION(48, "EPT violation"),
  EPT_MISCONFIG(49, "EPT misconfiguration"),
  INVEPT(50, "INVEPT"),
  RDTSCP(51, "RDTSCP"),
  PREEMPTION_TIMER(52, "VMX-preemption timer expired"),
  INVVPID(53, "INVVPID"),
  WBINVD(54, "WBINVD or WBNOINVD"),
  XSETBV(55, "XSETBV"),
  APIC_WRITE(56, "APIC write"),
  RDRAND(57, "RDRAND"),
  INVPCID(58, "INVPCID"),
  VMFUNC(59, "VMFUNC"),
  ENCLS(60, "ENCLS"),
  RDSEED(61, "RDSEED"),
  PML_FULL(62, "Page-modification log full"),
  XSAVES(63, "XSAVES"),
  XRSTORS(64, "XRSTORS"),
  PCONFIG(65, "PCONFIG"),
  SPP_EVENT(66, "SPP-related event"),
  UMWAIT(67, "UMWAIT"),
  TPAUSE(68, "TPAUSE"),
  LOADIWKEY(69, "LOADIWKEY"),
  ENCLV(70, "ENCLV"),
  ENQCMD_PASID(72, "ENQCMD PASID translation failure"),
  ENQCMDS_PASID(73, "ENQCMDS PASID translation failure"),
  BUS_LOCK(74, "Bus lock"),
  NOTIFY(75, "Instruction timeout"),
  SEAMCALL(76, "SEAMCALL"),
  TDCALL(77, "TDCALL"),
  RDMSRLIST(78, "RDMSRLIST"),
  WRMSRLIST(79, "WRMSRLIST");

  /** Bit 31 of the exit-reason field: a VM-entry failure. */
  public static final int ENTRY_FAILURE = 1 << 31;

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

  ExitReason(int number, String title) {
    this.number = number;
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
