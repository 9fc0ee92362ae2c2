package org.kvm4j.kvm.uapi;

import java.util.Optional;

/** The exit reasons of {@code KVM_RUN} as a table. */
public enum KvmExit {
  UNKNOWN(Exits.KVM_EXIT_UNKNOWN, "hw", true),
  EXCEPTION(Exits.KVM_EXIT_EXCEPTION, "ex", true),
  IO(Exits.KVM_EXIT_IO, "io", true),
  HYPERCALL(Exits.KVM_EXIT_HYPERCALL, "hypercall", true),
  DEBUG(Exits.KVM_EXIT_DEBUG, "debug", true),
  HLT(Exits.KVM_EXIT_HLT, "", true),
  MMIO(Exits.KVM_EXIT_MMIO, "mmio", true),
  IRQ_WINDOW_OPEN(Exits.KVM_EXIT_IRQ_WINDOW_OPEN, "", true),
  SHUTDOWN(Exits.KVM_EXIT_SHUTDOWN, "", true),
  FAIL_ENTRY(Exits.KVM_EXIT_FAIL_ENTRY, "fail_entry", true),
  INTR(Exits.KVM_EXIT_INTR, "", true),
  SET_TPR(Exits.KVM_EXIT_SET_TPR, "", true),
  TPR_ACCESS(Exits.KVM_EXIT_TPR_ACCESS, "tpr_access", true),
  S390_SIEIC(Exits.KVM_EXIT_S390_SIEIC, "s390_sieic", false),
  S390_RESET(Exits.KVM_EXIT_S390_RESET, "s390_reset_flags", false),
  DCR(Exits.KVM_EXIT_DCR, "dcr", false),
  NMI(Exits.KVM_EXIT_NMI, "", true),
  INTERNAL_ERROR(Exits.KVM_EXIT_INTERNAL_ERROR, "internal / emulation_failure", true),
  OSI(Exits.KVM_EXIT_OSI, "osi", false),
  PAPR_HCALL(Exits.KVM_EXIT_PAPR_HCALL, "papr_hcall", false),
  S390_UCONTROL(Exits.KVM_EXIT_S390_UCONTROL, "s390_ucontrol", false),
  WATCHDOG(Exits.KVM_EXIT_WATCHDOG, "", false),
  S390_TSCH(Exits.KVM_EXIT_S390_TSCH, "s390_tsch", false),
  EPR(Exits.KVM_EXIT_EPR, "epr", false),
  SYSTEM_EVENT(Exits.KVM_EXIT_SYSTEM_EVENT, "system_event", true),
  S390_STSI(Exits.KVM_EXIT_S390_STSI, "s390_stsi", false),
  IOAPIC_EOI(Exits.KVM_EXIT_IOAPIC_EOI, "eoi", true),
  HYPERV(Exits.KVM_EXIT_HYPERV, "hyperv", true),
  ARM_NISV(Exits.KVM_EXIT_ARM_NISV, "arm_nisv", false),
  X86_RDMSR(Exits.KVM_EXIT_X86_RDMSR, "msr", true),
  X86_WRMSR(Exits.KVM_EXIT_X86_WRMSR, "msr", true),
  DIRTY_RING_FULL(Exits.KVM_EXIT_DIRTY_RING_FULL, "", true),
  AP_RESET_HOLD(Exits.KVM_EXIT_AP_RESET_HOLD, "", true),
  X86_BUS_LOCK(Exits.KVM_EXIT_X86_BUS_LOCK, "", true),
  XEN(Exits.KVM_EXIT_XEN, "xen", true),
  RISCV_SBI(Exits.KVM_EXIT_RISCV_SBI, "riscv_sbi", false),
  RISCV_CSR(Exits.KVM_EXIT_RISCV_CSR, "riscv_csr", false),
  NOTIFY(Exits.KVM_EXIT_NOTIFY, "notify", true),
  LOONGARCH_IOCSR(Exits.KVM_EXIT_LOONGARCH_IOCSR, "", false),
  MEMORY_FAULT(Exits.KVM_EXIT_MEMORY_FAULT, "memory_fault", true);

  private static final KvmExit[] BY_NUMBER = values();

  private final int number;
  private final String member;
  private final boolean x86;

  KvmExit(int number, String member, boolean x86) {
    this.number = number;
    this.member = member;
    this.x86 = x86;
  }

  /** The exit reason of a number. */
  public static Optional<KvmExit> of(int number) {
    return number >= 0 && number < BY_NUMBER.length
        ? Optional.of(BY_NUMBER[number])
        : Optional.empty();
  }

  /** {@code "KVM_EXIT_..."}, or {@code "exit reason N"} if the number is unknown. */
  public static String nameOf(int number) {
    return of(number).map(e -> "KVM_EXIT_" + e.name()).orElse("exit reason " + number);
  }

  /** The value of {@code kvm_run.exit_reason}. */
  public int number() {
    return number;
  }

  /**
   * The member of {@code kvm_run}'s union that goes with it (two, parted by {@code " / "}, where
   * the suberror decides); empty if there is none.
   */
  public String member() {
    return member;
  }

  /** Whether an x86 kernel can give it. */
  public boolean x86() {
    return x86;
  }
}
