package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmVcpuEvents;
import org.kvm4j.kvm.uapi.StructLayout;

/** Pending and injected events, {@code struct kvm_vcpu_events}. */
public final class VcpuEvents extends UapiStruct {

  public int exceptionInjected;

  /** The vector, 0 to 31. */
  public int exceptionNr;

  public int exceptionHasErrorCode;

  /** Only with {@code KVM_CAP_EXCEPTION_PAYLOAD}. */
  public int exceptionPending;

  public int exceptionErrorCode;

  public int interruptInjected;

  /** The vector. */
  public int interruptNr;

  /** 1 for INT n. */
  public int interruptSoft;

  /** {@code KVM_X86_SHADOW_INT_*}. */
  public int interruptShadow;

  public int nmiInjected;

  public int nmiPending;

  public int nmiMasked;

  /** Not used; kept. */
  public int nmiPad;

  public int sipiVector;

  /** {@code KVM_VCPUEVENT_VALID_*}: which fields hold something, or are to be taken. */
  public int flags;

  public int smiSmm;

  public int smiPending;

  public int smiSmmInsideNmi;

  public int smiLatchedInit;

  public int tripleFaultPending;

  /** Reserved; kept. */
  public final byte[] reserved = new byte[26];

  public int exceptionHasPayload;

  /** What DR6 or CR2 becomes when the exception is delivered. */
  public long exceptionPayload;

  @Override
  public StructLayout layout() {
    return KvmVcpuEvents.LAYOUT;
  }

  @Override
  public void readFrom(UserMemory memory, long offset) {
    exceptionInjected = u8(memory, offset + KvmVcpuEvents.EXCEPTION_INJECTED);
    exceptionNr = u8(memory, offset + KvmVcpuEvents.EXCEPTION_NR);
    exceptionHasErrorCode = u8(memory, offset + KvmVcpuEvents.EXCEPTION_HAS_ERROR_CODE);
    exceptionPending = u8(memory, offset + KvmVcpuEvents.EXCEPTION_PENDING);
    exceptionErrorCode = memory.getInt(offset + KvmVcpuEvents.EXCEPTION_ERROR_CODE);
    interruptInjected = u8(memory, offset + KvmVcpuEvents.INTERRUPT_INJECTED);
    interruptNr = u8(memory, offset + KvmVcpuEvents.INTERRUPT_NR);
    interruptSoft = u8(memory, offset + KvmVcpuEvents.INTERRUPT_SOFT);
    interruptShadow = u8(memory, offset + KvmVcpuEvents.INTERRUPT_SHADOW);
    nmiInjected = u8(memory, offset + KvmVcpuEvents.NMI_INJECTED);
    nmiPending = u8(memory, offset + KvmVcpuEvents.NMI_PENDING);
    nmiMasked = u8(memory, offset + KvmVcpuEvents.NMI_MASKED);
    nmiPad = u8(memory, offset + KvmVcpuEvents.NMI_PAD);
    sipiVector = memory.getInt(offset + KvmVcpuEvents.SIPI_VECTOR);
    flags = memory.getInt(offset + KvmVcpuEvents.FLAGS);
    smiSmm = u8(memory, offset + KvmVcpuEvents.SMI_SMM);
    smiPending = u8(memory, offset + KvmVcpuEvents.SMI_PENDING);
    smiSmmInsideNmi = u8(memory, offset + KvmVcpuEvents.SMI_SMM_INSIDE_NMI);
    smiLatchedInit = u8(memory, offset + KvmVcpuEvents.SMI_LATCHED_INIT);
    tripleFaultPending = u8(memory, offset + KvmVcpuEvents.TRIPLE_FAULT_PENDING);
    memory.read(offset + KvmVcpuEvents.RESERVED, reserved, 0, reserved.length);
    exceptionHasPayload = u8(memory, offset + KvmVcpuEvents.EXCEPTION_HAS_PAYLOAD);
    exceptionPayload = memory.getLong(offset + KvmVcpuEvents.EXCEPTION_PAYLOAD);
  }

  @Override
  public void writeTo(UserMemory memory, long offset) {
    putU8(
        memory, offset + KvmVcpuEvents.EXCEPTION_INJECTED, exceptionInjected, "exception.injected");
    putU8(memory, offset + KvmVcpuEvents.EXCEPTION_NR, exceptionNr, "exception.nr");
    putU8(
        memory,
        offset + KvmVcpuEvents.EXCEPTION_HAS_ERROR_CODE,
        exceptionHasErrorCode,
        "exception.has_error_code");
    putU8(memory, offset + KvmVcpuEvents.EXCEPTION_PENDING, exceptionPending, "exception.pending");
    memory.putInt(offset + KvmVcpuEvents.EXCEPTION_ERROR_CODE, exceptionErrorCode);
    putU8(
        memory, offset + KvmVcpuEvents.INTERRUPT_INJECTED, interruptInjected, "interrupt.injected");
    putU8(memory, offset + KvmVcpuEvents.INTERRUPT_NR, interruptNr, "interrupt.nr");
    putU8(memory, offset + KvmVcpuEvents.INTERRUPT_SOFT, interruptSoft, "interrupt.soft");
    putU8(memory, offset + KvmVcpuEvents.INTERRUPT_SHADOW, interruptShadow, "interrupt.shadow");
    putU8(memory, offset + KvmVcpuEvents.NMI_INJECTED, nmiInjected, "nmi.injected");
    putU8(memory, offset + KvmVcpuEvents.NMI_PENDING, nmiPending, "nmi.pending");
    putU8(memory, offset + KvmVcpuEvents.NMI_MASKED, nmiMasked, "nmi.masked");
    putU8(memory, offset + KvmVcpuEvents.NMI_PAD, nmiPad, "nmi.pad");
    memory.putInt(offset + KvmVcpuEvents.SIPI_VECTOR, sipiVector);
    memory.putInt(offset + KvmVcpuEvents.FLAGS, flags);
    putU8(memory, offset + KvmVcpuEvents.SMI_SMM, smiSmm, "smi.smm");
    putU8(memory, offset + KvmVcpuEvents.SMI_PENDING, smiPending, "smi.pending");
    putU8(memory, offset + KvmVcpuEvents.SMI_SMM_INSIDE_NMI, smiSmmInsideNmi, "smi.smm_inside_nmi");
    putU8(memory, offset + KvmVcpuEvents.SMI_LATCHED_INIT, smiLatchedInit, "smi.latched_init");
    putU8(
        memory,
        offset + KvmVcpuEvents.TRIPLE_FAULT_PENDING,
        tripleFaultPending,
        "triple_fault.pending");
    memory.write(offset + KvmVcpuEvents.RESERVED, reserved, 0, reserved.length);
    putU8(
        memory,
        offset + KvmVcpuEvents.EXCEPTION_HAS_PAYLOAD,
        exceptionHasPayload,
        "exception_has_payload");
    memory.putLong(offset + KvmVcpuEvents.EXCEPTION_PAYLOAD, exceptionPayload);
  }
}
