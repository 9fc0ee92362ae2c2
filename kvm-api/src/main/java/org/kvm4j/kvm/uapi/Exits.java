package org.kvm4j.kvm.uapi;

/**
 * The values of {@code kvm_run.exit_reason}, as constants for {@code switch}; {@link KvmExit} has
 * the table.
 *
 * <p>Source: Linux 6.1 include/uapi/linux/kvm.h; {@code exits.tsv} in the conformance tests.
 */
public final class Exits {

  public static final int KVM_EXIT_UNKNOWN = 0;
  public static final int KVM_EXIT_EXCEPTION = 1;
  public static final int KVM_EXIT_IO = 2;
  public static final int KVM_EXIT_HYPERCALL = 3;
  public static final int KVM_EXIT_DEBUG = 4;
  public static final int KVM_EXIT_HLT = 5;
  public static final int KVM_EXIT_MMIO = 6;
  public static final int KVM_EXIT_IRQ_WINDOW_OPEN = 7;
  public static final int KVM_EXIT_SHUTDOWN = 8;
  public static final int KVM_EXIT_FAIL_ENTRY = 9;
  public static final int KVM_EXIT_INTR = 10;
  public static final int KVM_EXIT_SET_TPR = 11;
  public static final int KVM_EXIT_TPR_ACCESS = 12;
  public static final int KVM_EXIT_S390_SIEIC = 13;
  public static final int KVM_EXIT_S390_RESET = 14;
  public static final int KVM_EXIT_DCR = 15;
  public static final int KVM_EXIT_NMI = 16;
  public static final int KVM_EXIT_INTERNAL_ERROR = 17;
  public static final int KVM_EXIT_OSI = 18;
  public static final int KVM_EXIT_PAPR_HCALL = 19;
  public static final int KVM_EXIT_S390_UCONTROL = 20;
  public static final int KVM_EXIT_WATCHDOG = 21;
  public static final int KVM_EXIT_S390_TSCH = 22;
  public static final int KVM_EXIT_EPR = 23;
  public static final int KVM_EXIT_SYSTEM_EVENT = 24;
  public static final int KVM_EXIT_S390_STSI = 25;
  public static final int KVM_EXIT_IOAPIC_EOI = 26;
  public static final int KVM_EXIT_HYPERV = 27;
  public static final int KVM_EXIT_ARM_NISV = 28;
  public static final int KVM_EXIT_X86_RDMSR = 29;
  public static final int KVM_EXIT_X86_WRMSR = 30;
  public static final int KVM_EXIT_DIRTY_RING_FULL = 31;
  public static final int KVM_EXIT_AP_RESET_HOLD = 32;
  public static final int KVM_EXIT_X86_BUS_LOCK = 33;
  public static final int KVM_EXIT_XEN = 34;
  public static final int KVM_EXIT_RISCV_SBI = 35;
  public static final int KVM_EXIT_RISCV_CSR = 36;
  public static final int KVM_EXIT_NOTIFY = 37;
  public static final int KVM_EXIT_LOONGARCH_IOCSR = 38;
  public static final int KVM_EXIT_MEMORY_FAULT = 39;

  private Exits() {}
}
