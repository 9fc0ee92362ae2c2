package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_run}: offsets in bytes. The first page of a vCPU's mapping: what {@code
 * KVM_RUN} takes and gives. The union of the exits starts at {@link #UNION} and is {@link
 * #UNION_SIZE} bytes.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmRun {

  /** Size in bytes. */
  public static final int SIZEOF = 2352;

  /** {@code request_interrupt_window}: u8. */
  public static final int REQUEST_INTERRUPT_WINDOW = 0;

  /** {@code immediate_exit}: u8. */
  public static final int IMMEDIATE_EXIT = 1;

  /** {@code padding1}: u8[6]. */
  public static final int PADDING1 = 2;

  /** {@code exit_reason}: u32. */
  public static final int EXIT_REASON = 8;

  /** {@code ready_for_interrupt_injection}: u8. */
  public static final int READY_FOR_INTERRUPT_INJECTION = 12;

  /** {@code if_flag}: u8. */
  public static final int IF_FLAG = 13;

  /** {@code flags}: u16. */
  public static final int FLAGS = 14;

  /** {@code cr8}: u64. */
  public static final int CR8 = 16;

  /** {@code apic_base}: u64. */
  public static final int APIC_BASE = 24;

  /** {@code hw.hardware_exit_reason}: u64. */
  public static final int HW_HARDWARE_EXIT_REASON = 32;

  /** {@code fail_entry.hardware_entry_failure_reason}: u64. */
  public static final int FAIL_ENTRY_HARDWARE_ENTRY_FAILURE_REASON = 32;

  /** {@code fail_entry.cpu}: u32. */
  public static final int FAIL_ENTRY_CPU = 40;

  /** {@code ex.exception}: u32. */
  public static final int EX_EXCEPTION = 32;

  /** {@code ex.error_code}: u32. */
  public static final int EX_ERROR_CODE = 36;

  /** {@code io.direction}: u8. */
  public static final int IO_DIRECTION = 32;

  /** {@code io.size}: u8. */
  public static final int IO_SIZE = 33;

  /** {@code io.port}: u16. */
  public static final int IO_PORT = 34;

  /** {@code io.count}: u32. */
  public static final int IO_COUNT = 36;

  /** {@code io.data_offset}: u64. */
  public static final int IO_DATA_OFFSET = 40;

  /** {@code debug.arch.exception}: u32. */
  public static final int DEBUG_ARCH_EXCEPTION = 32;

  /** {@code debug.arch.pad}: u32. */
  public static final int DEBUG_ARCH_PAD = 36;

  /** {@code debug.arch.pc}: u64. */
  public static final int DEBUG_ARCH_PC = 40;

  /** {@code debug.arch.dr6}: u64. */
  public static final int DEBUG_ARCH_DR6 = 48;

  /** {@code debug.arch.dr7}: u64. */
  public static final int DEBUG_ARCH_DR7 = 56;

  /** {@code mmio.phys_addr}: u64. */
  public static final int MMIO_PHYS_ADDR = 32;

  /** {@code mmio.data}: u8[8]. */
  public static final int MMIO_DATA = 40;

  /** {@code mmio.len}: u32. */
  public static final int MMIO_LEN = 48;

  /** {@code mmio.is_write}: u8. */
  public static final int MMIO_IS_WRITE = 52;

  /** {@code hypercall.nr}: u64. */
  public static final int HYPERCALL_NR = 32;

  /** {@code hypercall.args}: u64[6]. */
  public static final int HYPERCALL_ARGS = 40;

  /** {@code hypercall.ret}: u64. */
  public static final int HYPERCALL_RET = 88;

  /** {@code hypercall.longmode}: u32. */
  public static final int HYPERCALL_LONGMODE = 96;

  /** {@code hypercall.pad}: u32. */
  public static final int HYPERCALL_PAD = 100;

  /** {@code tpr_access.rip}: u64. */
  public static final int TPR_ACCESS_RIP = 32;

  /** {@code tpr_access.is_write}: u32. */
  public static final int TPR_ACCESS_IS_WRITE = 40;

  /** {@code tpr_access.pad}: u32. */
  public static final int TPR_ACCESS_PAD = 44;

  /** {@code s390_sieic.icptcode}: u8. */
  public static final int S390_SIEIC_ICPTCODE = 32;

  /** {@code s390_sieic.ipa}: u16. */
  public static final int S390_SIEIC_IPA = 34;

  /** {@code s390_sieic.ipb}: u32. */
  public static final int S390_SIEIC_IPB = 36;

  /** {@code s390_reset_flags}: u64. */
  public static final int S390_RESET_FLAGS = 32;

  /** {@code s390_ucontrol.trans_exc_code}: u64. */
  public static final int S390_UCONTROL_TRANS_EXC_CODE = 32;

  /** {@code s390_ucontrol.pgm_code}: u32. */
  public static final int S390_UCONTROL_PGM_CODE = 40;

  /** {@code dcr.dcrn}: u32. */
  public static final int DCR_DCRN = 32;

  /** {@code dcr.data}: u32. */
  public static final int DCR_DATA = 36;

  /** {@code dcr.is_write}: u8. */
  public static final int DCR_IS_WRITE = 40;

  /** {@code internal.suberror}: u32. */
  public static final int INTERNAL_SUBERROR = 32;

  /** {@code internal.ndata}: u32. */
  public static final int INTERNAL_NDATA = 36;

  /** {@code internal.data}: u64[16]. */
  public static final int INTERNAL_DATA = 40;

  /** {@code emulation_failure.suberror}: u32. */
  public static final int EMULATION_FAILURE_SUBERROR = 32;

  /** {@code emulation_failure.ndata}: u32. */
  public static final int EMULATION_FAILURE_NDATA = 36;

  /** {@code emulation_failure.flags}: u64. */
  public static final int EMULATION_FAILURE_FLAGS = 40;

  /** {@code emulation_failure.insn_size}: u8. */
  public static final int EMULATION_FAILURE_INSN_SIZE = 48;

  /** {@code emulation_failure.insn_bytes}: u8[15]. */
  public static final int EMULATION_FAILURE_INSN_BYTES = 49;

  /** {@code osi.gprs}: u64[32]. */
  public static final int OSI_GPRS = 32;

  /** {@code papr_hcall.nr}: u64. */
  public static final int PAPR_HCALL_NR = 32;

  /** {@code papr_hcall.ret}: u64. */
  public static final int PAPR_HCALL_RET = 40;

  /** {@code papr_hcall.args}: u64[9]. */
  public static final int PAPR_HCALL_ARGS = 48;

  /** {@code s390_tsch.subchannel_id}: u16. */
  public static final int S390_TSCH_SUBCHANNEL_ID = 32;

  /** {@code s390_tsch.subchannel_nr}: u16. */
  public static final int S390_TSCH_SUBCHANNEL_NR = 34;

  /** {@code s390_tsch.io_int_parm}: u32. */
  public static final int S390_TSCH_IO_INT_PARM = 36;

  /** {@code s390_tsch.io_int_word}: u32. */
  public static final int S390_TSCH_IO_INT_WORD = 40;

  /** {@code s390_tsch.ipb}: u32. */
  public static final int S390_TSCH_IPB = 44;

  /** {@code s390_tsch.dequeued}: u8. */
  public static final int S390_TSCH_DEQUEUED = 48;

  /** {@code epr.epr}: u32. */
  public static final int EPR_EPR = 32;

  /** {@code system_event.type}: u32. */
  public static final int SYSTEM_EVENT_TYPE = 32;

  /** {@code system_event.ndata}: u32. */
  public static final int SYSTEM_EVENT_NDATA = 36;

  /** {@code system_event.flags}: u64. */
  public static final int SYSTEM_EVENT_FLAGS = 40;

  /** {@code system_event.data}: u64[16]. */
  public static final int SYSTEM_EVENT_DATA = 40;

  /** {@code s390_stsi.addr}: u64. */
  public static final int S390_STSI_ADDR = 32;

  /** {@code s390_stsi.ar}: u8. */
  public static final int S390_STSI_AR = 40;

  /** {@code s390_stsi.reserved}: u8. */
  public static final int S390_STSI_RESERVED = 41;

  /** {@code s390_stsi.fc}: u8. */
  public static final int S390_STSI_FC = 42;

  /** {@code s390_stsi.sel1}: u8. */
  public static final int S390_STSI_SEL1 = 43;

  /** {@code s390_stsi.sel2}: u16. */
  public static final int S390_STSI_SEL2 = 44;

  /** {@code eoi.vector}: u8. */
  public static final int EOI_VECTOR = 32;

  /** {@code hyperv.type}: u32. */
  public static final int HYPERV_TYPE = 32;

  /** {@code hyperv.pad1}: u32. */
  public static final int HYPERV_PAD1 = 36;

  /** {@code hyperv.u.synic.msr}: u32. */
  public static final int HYPERV_U_SYNIC_MSR = 40;

  /** {@code hyperv.u.synic.pad2}: u32. */
  public static final int HYPERV_U_SYNIC_PAD2 = 44;

  /** {@code hyperv.u.synic.control}: u64. */
  public static final int HYPERV_U_SYNIC_CONTROL = 48;

  /** {@code hyperv.u.synic.evt_page}: u64. */
  public static final int HYPERV_U_SYNIC_EVT_PAGE = 56;

  /** {@code hyperv.u.synic.msg_page}: u64. */
  public static final int HYPERV_U_SYNIC_MSG_PAGE = 64;

  /** {@code hyperv.u.hcall.input}: u64. */
  public static final int HYPERV_U_HCALL_INPUT = 40;

  /** {@code hyperv.u.hcall.result}: u64. */
  public static final int HYPERV_U_HCALL_RESULT = 48;

  /** {@code hyperv.u.hcall.params}: u64[2]. */
  public static final int HYPERV_U_HCALL_PARAMS = 56;

  /** {@code hyperv.u.syndbg.msr}: u32. */
  public static final int HYPERV_U_SYNDBG_MSR = 40;

  /** {@code hyperv.u.syndbg.pad2}: u32. */
  public static final int HYPERV_U_SYNDBG_PAD2 = 44;

  /** {@code hyperv.u.syndbg.control}: u64. */
  public static final int HYPERV_U_SYNDBG_CONTROL = 48;

  /** {@code hyperv.u.syndbg.status}: u64. */
  public static final int HYPERV_U_SYNDBG_STATUS = 56;

  /** {@code hyperv.u.syndbg.send_page}: u64. */
  public static final int HYPERV_U_SYNDBG_SEND_PAGE = 64;

  /** {@code hyperv.u.syndbg.recv_page}: u64. */
  public static final int HYPERV_U_SYNDBG_RECV_PAGE = 72;

  /** {@code hyperv.u.syndbg.pending_page}: u64. */
  public static final int HYPERV_U_SYNDBG_PENDING_PAGE = 80;

  /** {@code arm_nisv.esr_iss}: u64. */
  public static final int ARM_NISV_ESR_ISS = 32;

  /** {@code arm_nisv.fault_ipa}: u64. */
  public static final int ARM_NISV_FAULT_IPA = 40;

  /** {@code msr.error}: u8. */
  public static final int MSR_ERROR = 32;

  /** {@code msr.pad}: u8[7]. */
  public static final int MSR_PAD = 33;

  /** {@code msr.reason}: u32. */
  public static final int MSR_REASON = 40;

  /** {@code msr.index}: u32. */
  public static final int MSR_INDEX = 44;

  /** {@code msr.data}: u64. */
  public static final int MSR_DATA = 48;

  /** {@code xen.type}: u32. */
  public static final int XEN_TYPE = 32;

  /** {@code xen.u.hcall.longmode}: u32. */
  public static final int XEN_U_HCALL_LONGMODE = 40;

  /** {@code xen.u.hcall.cpl}: u32. */
  public static final int XEN_U_HCALL_CPL = 44;

  /** {@code xen.u.hcall.input}: u64. */
  public static final int XEN_U_HCALL_INPUT = 48;

  /** {@code xen.u.hcall.result}: u64. */
  public static final int XEN_U_HCALL_RESULT = 56;

  /** {@code xen.u.hcall.params}: u64[6]. */
  public static final int XEN_U_HCALL_PARAMS = 64;

  /** {@code riscv_sbi.extension_id}: ulong. */
  public static final int RISCV_SBI_EXTENSION_ID = 32;

  /** {@code riscv_sbi.function_id}: ulong. */
  public static final int RISCV_SBI_FUNCTION_ID = 40;

  /** {@code riscv_sbi.args}: ulong[6]. */
  public static final int RISCV_SBI_ARGS = 48;

  /** {@code riscv_sbi.ret}: ulong[2]. */
  public static final int RISCV_SBI_RET = 96;

  /** {@code riscv_csr.csr_num}: ulong. */
  public static final int RISCV_CSR_CSR_NUM = 32;

  /** {@code riscv_csr.new_value}: ulong. */
  public static final int RISCV_CSR_NEW_VALUE = 40;

  /** {@code riscv_csr.write_mask}: ulong. */
  public static final int RISCV_CSR_WRITE_MASK = 48;

  /** {@code riscv_csr.ret_value}: ulong. */
  public static final int RISCV_CSR_RET_VALUE = 56;

  /** {@code notify.flags}: u32. */
  public static final int NOTIFY_FLAGS = 32;

  /** {@code memory_fault.flags}: u64. */
  public static final int MEMORY_FAULT_FLAGS = 32;

  /** {@code memory_fault.gpa}: u64. */
  public static final int MEMORY_FAULT_GPA = 40;

  /** {@code memory_fault.size}: u64. */
  public static final int MEMORY_FAULT_SIZE = 48;

  /** {@code padding}: char[256]. */
  public static final int PADDING = 32;

  /** {@code kvm_valid_regs}: u64. */
  public static final int KVM_VALID_REGS = 288;

  /** {@code kvm_dirty_regs}: u64. */
  public static final int KVM_DIRTY_REGS = 296;

  /** {@code s.padding}: char[2048]. */
  public static final int S_PADDING = 304;

  /** {@code s.regs}: struct kvm_sync_regs. */
  public static final int S_REGS = 304;

  /** The offset of the union of the exits. */
  public static final int UNION = 32;

  /** Size in bytes of that union. */
  public static final int UNION_SIZE = 256;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_run", SIZEOF)
          .field("request_interrupt_window", REQUEST_INTERRUPT_WINDOW, 1, "u8")
          .field("immediate_exit", IMMEDIATE_EXIT, 1, "u8")
          .field("padding1", PADDING1, 6, "u8[6]")
          .field("exit_reason", EXIT_REASON, 4, "u32")
          .field("ready_for_interrupt_injection", READY_FOR_INTERRUPT_INJECTION, 1, "u8")
          .field("if_flag", IF_FLAG, 1, "u8")
          .field("flags", FLAGS, 2, "u16")
          .field("cr8", CR8, 8, "u64")
          .field("apic_base", APIC_BASE, 8, "u64")
          .field("hw.hardware_exit_reason", HW_HARDWARE_EXIT_REASON, 8, "u64")
          .field(
              "fail_entry.hardware_entry_failure_reason",
              FAIL_ENTRY_HARDWARE_ENTRY_FAILURE_REASON,
              8,
              "u64")
          .field("fail_entry.cpu", FAIL_ENTRY_CPU, 4, "u32")
          .field("ex.exception", EX_EXCEPTION, 4, "u32")
          .field("ex.error_code", EX_ERROR_CODE, 4, "u32")
          .field("io.direction", IO_DIRECTION, 1, "u8")
          .field("io.size", IO_SIZE, 1, "u8")
          .field("io.port", IO_PORT, 2, "u16")
          .field("io.count", IO_COUNT, 4, "u32")
          .field("io.data_offset", IO_DATA_OFFSET, 8, "u64")
          .field("debug.arch.exception", DEBUG_ARCH_EXCEPTION, 4, "u32")
          .field("debug.arch.pad", DEBUG_ARCH_PAD, 4, "u32")
          .field("debug.arch.pc", DEBUG_ARCH_PC, 8, "u64")
          .field("debug.arch.dr6", DEBUG_ARCH_DR6, 8, "u64")
          .field("debug.arch.dr7", DEBUG_ARCH_DR7, 8, "u64")
          .field("mmio.phys_addr", MMIO_PHYS_ADDR, 8, "u64")
          .field("mmio.data", MMIO_DATA, 8, "u8[8]")
          .field("mmio.len", MMIO_LEN, 4, "u32")
          .field("mmio.is_write", MMIO_IS_WRITE, 1, "u8")
          .field("hypercall.nr", HYPERCALL_NR, 8, "u64")
          .field("hypercall.args", HYPERCALL_ARGS, 48, "u64[6]")
          .field("hypercall.ret", HYPERCALL_RET, 8, "u64")
          .field("hypercall.longmode", HYPERCALL_LONGMODE, 4, "u32")
          .field("hypercall.pad", HYPERCALL_PAD, 4, "u32")
          .field("tpr_access.rip", TPR_ACCESS_RIP, 8, "u64")
          .field("tpr_access.is_write", TPR_ACCESS_IS_WRITE, 4, "u32")
          .field("tpr_access.pad", TPR_ACCESS_PAD, 4, "u32")
          .field("s390_sieic.icptcode", S390_SIEIC_ICPTCODE, 1, "u8")
          .field("s390_sieic.ipa", S390_SIEIC_IPA, 2, "u16")
          .field("s390_sieic.ipb", S390_SIEIC_IPB, 4, "u32")
          .field("s390_reset_flags", S390_RESET_FLAGS, 8, "u64")
          .field("s390_ucontrol.trans_exc_code", S390_UCONTROL_TRANS_EXC_CODE, 8, "u64")
          .field("s390_ucontrol.pgm_code", S390_UCONTROL_PGM_CODE, 4, "u32")
          .field("dcr.dcrn", DCR_DCRN, 4, "u32")
          .field("dcr.data", DCR_DATA, 4, "u32")
          .field("dcr.is_write", DCR_IS_WRITE, 1, "u8")
          .field("internal.suberror", INTERNAL_SUBERROR, 4, "u32")
          .field("internal.ndata", INTERNAL_NDATA, 4, "u32")
          .field("internal.data", INTERNAL_DATA, 128, "u64[16]")
          .field("emulation_failure.suberror", EMULATION_FAILURE_SUBERROR, 4, "u32")
          .field("emulation_failure.ndata", EMULATION_FAILURE_NDATA, 4, "u32")
          .field("emulation_failure.flags", EMULATION_FAILURE_FLAGS, 8, "u64")
          .field("emulation_failure.insn_size", EMULATION_FAILURE_INSN_SIZE, 1, "u8")
          .field("emulation_failure.insn_bytes", EMULATION_FAILURE_INSN_BYTES, 15, "u8[15]")
          .field("osi.gprs", OSI_GPRS, 256, "u64[32]")
          .field("papr_hcall.nr", PAPR_HCALL_NR, 8, "u64")
          .field("papr_hcall.ret", PAPR_HCALL_RET, 8, "u64")
          .field("papr_hcall.args", PAPR_HCALL_ARGS, 72, "u64[9]")
          .field("s390_tsch.subchannel_id", S390_TSCH_SUBCHANNEL_ID, 2, "u16")
          .field("s390_tsch.subchannel_nr", S390_TSCH_SUBCHANNEL_NR, 2, "u16")
          .field("s390_tsch.io_int_parm", S390_TSCH_IO_INT_PARM, 4, "u32")
          .field("s390_tsch.io_int_word", S390_TSCH_IO_INT_WORD, 4, "u32")
          .field("s390_tsch.ipb", S390_TSCH_IPB, 4, "u32")
          .field("s390_tsch.dequeued", S390_TSCH_DEQUEUED, 1, "u8")
          .field("epr.epr", EPR_EPR, 4, "u32")
          .field("system_event.type", SYSTEM_EVENT_TYPE, 4, "u32")
          .field("system_event.ndata", SYSTEM_EVENT_NDATA, 4, "u32")
          .field("system_event.flags", SYSTEM_EVENT_FLAGS, 8, "u64")
          .field("system_event.data", SYSTEM_EVENT_DATA, 128, "u64[16]")
          .field("s390_stsi.addr", S390_STSI_ADDR, 8, "u64")
          .field("s390_stsi.ar", S390_STSI_AR, 1, "u8")
          .field("s390_stsi.reserved", S390_STSI_RESERVED, 1, "u8")
          .field("s390_stsi.fc", S390_STSI_FC, 1, "u8")
          .field("s390_stsi.sel1", S390_STSI_SEL1, 1, "u8")
          .field("s390_stsi.sel2", S390_STSI_SEL2, 2, "u16")
          .field("eoi.vector", EOI_VECTOR, 1, "u8")
          .field("hyperv.type", HYPERV_TYPE, 4, "u32")
          .field("hyperv.pad1", HYPERV_PAD1, 4, "u32")
          .field("hyperv.u.synic.msr", HYPERV_U_SYNIC_MSR, 4, "u32")
          .field("hyperv.u.synic.pad2", HYPERV_U_SYNIC_PAD2, 4, "u32")
          .field("hyperv.u.synic.control", HYPERV_U_SYNIC_CONTROL, 8, "u64")
          .field("hyperv.u.synic.evt_page", HYPERV_U_SYNIC_EVT_PAGE, 8, "u64")
          .field("hyperv.u.synic.msg_page", HYPERV_U_SYNIC_MSG_PAGE, 8, "u64")
          .field("hyperv.u.hcall.input", HYPERV_U_HCALL_INPUT, 8, "u64")
          .field("hyperv.u.hcall.result", HYPERV_U_HCALL_RESULT, 8, "u64")
          .field("hyperv.u.hcall.params", HYPERV_U_HCALL_PARAMS, 16, "u64[2]")
          .field("hyperv.u.syndbg.msr", HYPERV_U_SYNDBG_MSR, 4, "u32")
          .field("hyperv.u.syndbg.pad2", HYPERV_U_SYNDBG_PAD2, 4, "u32")
          .field("hyperv.u.syndbg.control", HYPERV_U_SYNDBG_CONTROL, 8, "u64")
          .field("hyperv.u.syndbg.status", HYPERV_U_SYNDBG_STATUS, 8, "u64")
          .field("hyperv.u.syndbg.send_page", HYPERV_U_SYNDBG_SEND_PAGE, 8, "u64")
          .field("hyperv.u.syndbg.recv_page", HYPERV_U_SYNDBG_RECV_PAGE, 8, "u64")
          .field("hyperv.u.syndbg.pending_page", HYPERV_U_SYNDBG_PENDING_PAGE, 8, "u64")
          .field("arm_nisv.esr_iss", ARM_NISV_ESR_ISS, 8, "u64")
          .field("arm_nisv.fault_ipa", ARM_NISV_FAULT_IPA, 8, "u64")
          .field("msr.error", MSR_ERROR, 1, "u8")
          .field("msr.pad", MSR_PAD, 7, "u8[7]")
          .field("msr.reason", MSR_REASON, 4, "u32")
          .field("msr.index", MSR_INDEX, 4, "u32")
          .field("msr.data", MSR_DATA, 8, "u64")
          .field("xen.type", XEN_TYPE, 4, "u32")
          .field("xen.u.hcall.longmode", XEN_U_HCALL_LONGMODE, 4, "u32")
          .field("xen.u.hcall.cpl", XEN_U_HCALL_CPL, 4, "u32")
          .field("xen.u.hcall.input", XEN_U_HCALL_INPUT, 8, "u64")
          .field("xen.u.hcall.result", XEN_U_HCALL_RESULT, 8, "u64")
          .field("xen.u.hcall.params", XEN_U_HCALL_PARAMS, 48, "u64[6]")
          .field("riscv_sbi.extension_id", RISCV_SBI_EXTENSION_ID, 8, "ulong")
          .field("riscv_sbi.function_id", RISCV_SBI_FUNCTION_ID, 8, "ulong")
          .field("riscv_sbi.args", RISCV_SBI_ARGS, 48, "ulong[6]")
          .field("riscv_sbi.ret", RISCV_SBI_RET, 16, "ulong[2]")
          .field("riscv_csr.csr_num", RISCV_CSR_CSR_NUM, 8, "ulong")
          .field("riscv_csr.new_value", RISCV_CSR_NEW_VALUE, 8, "ulong")
          .field("riscv_csr.write_mask", RISCV_CSR_WRITE_MASK, 8, "ulong")
          .field("riscv_csr.ret_value", RISCV_CSR_RET_VALUE, 8, "ulong")
          .field("notify.flags", NOTIFY_FLAGS, 4, "u32")
          .field("memory_fault.flags", MEMORY_FAULT_FLAGS, 8, "u64")
          .field("memory_fault.gpa", MEMORY_FAULT_GPA, 8, "u64")
          .field("memory_fault.size", MEMORY_FAULT_SIZE, 8, "u64")
          .field("padding", PADDING, 256, "char[256]")
          .field("kvm_valid_regs", KVM_VALID_REGS, 8, "u64")
          .field("kvm_dirty_regs", KVM_DIRTY_REGS, 8, "u64")
          .field("s.padding", S_PADDING, 2048, "char[2048]")
          .field("s.regs", S_REGS, 520, "struct kvm_sync_regs")
          .build();

  private KvmRun() {}
}
