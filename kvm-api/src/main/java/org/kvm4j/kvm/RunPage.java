package org.kvm4j.kvm;

import java.util.Objects;
import java.util.function.Supplier;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmRun;
import org.kvm4j.kvm.uapi.KvmSyncRegs;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * A vCPU's {@code struct kvm_run} and the port data after it, read and written in place: nothing
 * here allocates, so a loop over {@link Vcpu#runRaw} and these methods does not either.
 *
 * <p>The methods that name an exit mean something only while {@link #exitReason} is that exit's;
 * {@link Exit} has the same as values. Sizes are in bytes.
 *
 * <p>Source: api.rst, "The kvm_run structure".
 */
public final class RunPage {

  private final UserMemory memory;
  private final Supplier<String> diagnosis;

  /**
   * @param memory the mapping of a vCPU's descriptor, or a copy of one
   */
  public RunPage(UserMemory memory) {
    this(memory, () -> "");
  }

  RunPage(UserMemory memory, Supplier<String> diagnosis) {
    this.memory = memory;
    this.diagnosis = diagnosis;
  }

  /** What the kernel knows of the exit beside this page: see {@link Kernel#diagnosis}. */
  public String diagnosis() {
    return diagnosis.get();
  }

  /** All pages of the mapping. */
  public UserMemory memory() {
    return memory;
  }

  // --- What KVM_RUN is given

  /** Asks for {@code KVM_EXIT_IRQ_WINDOW_OPEN} as soon as the guest takes interrupts. */
  public void setRequestInterruptWindow(boolean request) {
    memory.putByte(KvmRun.REQUEST_INTERRUPT_WINDOW, (byte) (request ? 1 : 0));
  }

  public boolean requestInterruptWindow() {
    return memory.getByte(KvmRun.REQUEST_INTERRUPT_WINDOW) != 0;
  }

  /**
   * Makes {@code KVM_RUN} finish what the last exit left open and then fail with EINTR, for as long
   * as it is set. {@link Vcpu#kick} is what to use from another thread.
   */
  public void setImmediateExit(boolean immediate) {
    memory.putByte(KvmRun.IMMEDIATE_EXIT, (byte) (immediate ? 1 : 0));
  }

  public boolean immediateExit() {
    return memory.getByte(KvmRun.IMMEDIATE_EXIT) != 0;
  }

  /** CR8; without in-kernel local APICs user space sets it before each {@code KVM_RUN}. */
  public long cr8() {
    return memory.getLong(KvmRun.CR8);
  }

  public void setCr8(long value) {
    memory.putLong(KvmRun.CR8, value);
  }

  /** IA32_APIC_BASE. */
  public long apicBase() {
    return memory.getLong(KvmRun.APIC_BASE);
  }

  public void setApicBase(long value) {
    memory.putLong(KvmRun.APIC_BASE, value);
  }

  // --- What every exit has

  /** {@code KVM_EXIT_*}. */
  public int exitReason() {
    return memory.getInt(KvmRun.EXIT_REASON);
  }

  /** Whether {@code KVM_INTERRUPT} would be taken now. */
  public boolean readyForInterruptInjection() {
    return memory.getByte(KvmRun.READY_FOR_INTERRUPT_INJECTION) != 0;
  }

  /** RFLAGS.IF. */
  public boolean ifFlag() {
    return memory.getByte(KvmRun.IF_FLAG) != 0;
  }

  /** {@code KVM_RUN_X86_*}. */
  public int flags() {
    return memory.getShort(KvmRun.FLAGS) & 0xffff;
  }

  // --- Ports

  /** {@code KVM_EXIT_IO}: whether the guest reads. */
  public boolean ioIsIn() {
    return memory.getByte(KvmRun.IO_DIRECTION) == Uapi.KVM_EXIT_IO_IN;
  }

  /** {@code KVM_EXIT_IO}: the size of one element, 1, 2 or 4. */
  public int ioSize() {
    return memory.getByte(KvmRun.IO_SIZE) & 0xff;
  }

  /** {@code KVM_EXIT_IO}: the port. */
  public int ioPort() {
    return memory.getShort(KvmRun.IO_PORT) & 0xffff;
  }

  /** {@code KVM_EXIT_IO}: how many elements; more than one for string instructions. */
  public int ioCount() {
    return memory.getInt(KvmRun.IO_COUNT);
  }

  /** {@code KVM_EXIT_IO}: where the data are, from the start of the mapping. */
  public long ioDataOffset() {
    return memory.getLong(KvmRun.IO_DATA_OFFSET);
  }

  /** {@code KVM_EXIT_IO}: the first element, zero-extended. */
  public int ioData() {
    return ioData(0);
  }

  /** {@code KVM_EXIT_IO}: an element, zero-extended. */
  public int ioData(int index) {
    int size = ioSize();
    long at = ioDataOffset() + (long) index * size;
    switch (size) {
      case 1:
        return memory.getByte(at) & 0xff;
      case 2:
        return memory.getShort(at) & 0xffff;
      default:
        return memory.getInt(at);
    }
  }

  /**
   * {@code KVM_EXIT_IO}: what the guest reads as the first element; the low {@link #ioSize} bytes
   * count.
   */
  public void setIoData(int value) {
    setIoData(0, value);
  }

  /** {@code KVM_EXIT_IO}: what the guest reads as an element. */
  public void setIoData(int index, int value) {
    int size = ioSize();
    long at = ioDataOffset() + (long) index * size;
    switch (size) {
      case 1:
        memory.putByte(at, (byte) value);
        break;
      case 2:
        memory.putShort(at, (short) value);
        break;
      default:
        memory.putInt(at, value);
        break;
    }
  }

  /** {@code KVM_EXIT_IO}: copies all elements, {@link #ioSize} * {@link #ioCount} bytes. */
  public void readIoData(byte[] target, int offset) {
    memory.read(ioDataOffset(), target, offset, ioSize() * ioCount());
  }

  /** {@code KVM_EXIT_IO}: gives all elements, {@link #ioSize} * {@link #ioCount} bytes. */
  public void writeIoData(byte[] source, int offset) {
    memory.write(ioDataOffset(), source, offset, ioSize() * ioCount());
  }

  // --- MMIO

  /** {@code KVM_EXIT_MMIO}: the guest-physical address. */
  public long mmioAddress() {
    return memory.getLong(KvmRun.MMIO_PHYS_ADDR);
  }

  /** {@code KVM_EXIT_MMIO}: 1 to 8. */
  public int mmioLength() {
    return memory.getInt(KvmRun.MMIO_LEN);
  }

  /** {@code KVM_EXIT_MMIO}: whether the guest writes. */
  public boolean mmioIsWrite() {
    return memory.getByte(KvmRun.MMIO_IS_WRITE) != 0;
  }

  /** {@code KVM_EXIT_MMIO}: the {@link #mmioLength} bytes, little endian, zero-extended. */
  public long mmioData() {
    long value = memory.getLong(KvmRun.MMIO_DATA);
    int length = mmioLength();
    return length >= 8 || length < 0 ? value : value & ((1L << 8 * length) - 1);
  }

  /** {@code KVM_EXIT_MMIO}: what the guest reads; the low {@link #mmioLength} bytes count. */
  public void setMmioData(long value) {
    memory.putLong(KvmRun.MMIO_DATA, value);
  }

  // --- MSRs

  /** {@code KVM_EXIT_X86_RDMSR}, {@code WRMSR}: the MSR. */
  public int msrIndex() {
    return memory.getInt(KvmRun.MSR_INDEX);
  }

  /** {@code KVM_EXIT_X86_RDMSR}, {@code WRMSR}: {@code KVM_MSR_EXIT_REASON_*}. */
  public int msrReason() {
    return memory.getInt(KvmRun.MSR_REASON);
  }

  /** {@code KVM_EXIT_X86_WRMSR}: the value that the guest writes. */
  public long msrData() {
    return memory.getLong(KvmRun.MSR_DATA);
  }

  /** {@code KVM_EXIT_X86_RDMSR}: what the guest reads. */
  public void setMsrData(long value) {
    memory.putLong(KvmRun.MSR_DATA, value);
  }

  /** {@code KVM_EXIT_X86_RDMSR}, {@code WRMSR}: whether the guest gets #GP. */
  public void setMsrError(boolean error) {
    memory.putByte(KvmRun.MSR_ERROR, (byte) (error ? 1 : 0));
  }

  // --- Debug

  /** {@code KVM_EXIT_DEBUG}: the vector, 1 or 3. */
  public int debugException() {
    return memory.getInt(KvmRun.DEBUG_ARCH_EXCEPTION);
  }

  /** {@code KVM_EXIT_DEBUG}: the linear address of the instruction. */
  public long debugPc() {
    return memory.getLong(KvmRun.DEBUG_ARCH_PC);
  }

  /** {@code KVM_EXIT_DEBUG}: what happened, as in DR6. */
  public long debugDr6() {
    return memory.getLong(KvmRun.DEBUG_ARCH_DR6);
  }

  /** {@code KVM_EXIT_DEBUG}: DR7. */
  public long debugDr7() {
    return memory.getLong(KvmRun.DEBUG_ARCH_DR7);
  }

  // --- Hypercalls

  /** {@code KVM_EXIT_HYPERCALL}: which. */
  public long hypercallNumber() {
    return memory.getLong(KvmRun.HYPERCALL_NR);
  }

  /** {@code KVM_EXIT_HYPERCALL}: an argument, 0 to 5. */
  public long hypercallArgument(int index) {
    return memory.getLong(KvmRun.HYPERCALL_ARGS + 8L * checkIndex(index, 6));
  }

  /** {@code KVM_EXIT_HYPERCALL}: whether the guest is in 64-bit mode. */
  public boolean hypercallLongMode() {
    return memory.getInt(KvmRun.HYPERCALL_LONGMODE) != 0;
  }

  /** {@code KVM_EXIT_HYPERCALL}: what the guest gets. */
  public void setHypercallResult(long value) {
    memory.putLong(KvmRun.HYPERCALL_RET, value);
  }

  // --- Failures and rest

  /** {@code KVM_EXIT_FAIL_ENTRY}: as the hardware has it. */
  public long failEntryReason() {
    return memory.getLong(KvmRun.FAIL_ENTRY_HARDWARE_ENTRY_FAILURE_REASON);
  }

  /** {@code KVM_EXIT_FAIL_ENTRY}: the host's CPU. */
  public int failEntryCpu() {
    return memory.getInt(KvmRun.FAIL_ENTRY_CPU);
  }

  /** {@code KVM_EXIT_INTERNAL_ERROR}: {@code KVM_INTERNAL_ERROR_*}. */
  public int internalSuberror() {
    return memory.getInt(KvmRun.INTERNAL_SUBERROR);
  }

  /** {@code KVM_EXIT_INTERNAL_ERROR}: how many data there are, 0 to 16. */
  public int internalDataCount() {
    return Math.max(0, Math.min(memory.getInt(KvmRun.INTERNAL_NDATA), 16));
  }

  /** {@code KVM_EXIT_INTERNAL_ERROR}: one of the data. */
  public long internalData(int index) {
    return memory.getLong(KvmRun.INTERNAL_DATA + 8L * checkIndex(index, 16));
  }

  /** {@code KVM_EXIT_SYSTEM_EVENT}: {@code KVM_SYSTEM_EVENT_*}. */
  public int systemEventType() {
    return memory.getInt(KvmRun.SYSTEM_EVENT_TYPE);
  }

  /** {@code KVM_EXIT_SYSTEM_EVENT}: how many data there are, 0 to 16. */
  public int systemEventDataCount() {
    return Math.max(0, Math.min(memory.getInt(KvmRun.SYSTEM_EVENT_NDATA), 16));
  }

  /** {@code KVM_EXIT_SYSTEM_EVENT}: one of the data. */
  public long systemEventData(int index) {
    return memory.getLong(KvmRun.SYSTEM_EVENT_DATA + 8L * checkIndex(index, 16));
  }

  /** {@code KVM_EXIT_IOAPIC_EOI}: the vector. */
  public int eoiVector() {
    return memory.getByte(KvmRun.EOI_VECTOR) & 0xff;
  }

  /** {@code KVM_EXIT_TPR_ACCESS}: the guest's instruction pointer. */
  public long tprAccessRip() {
    return memory.getLong(KvmRun.TPR_ACCESS_RIP);
  }

  /** {@code KVM_EXIT_TPR_ACCESS}: whether the guest writes. */
  public boolean tprAccessIsWrite() {
    return memory.getInt(KvmRun.TPR_ACCESS_IS_WRITE) != 0;
  }

  /** {@code KVM_EXIT_EXCEPTION}: the vector. */
  public int exceptionVector() {
    return memory.getInt(KvmRun.EX_EXCEPTION);
  }

  /** {@code KVM_EXIT_EXCEPTION}: its error code. */
  public int exceptionErrorCode() {
    return memory.getInt(KvmRun.EX_ERROR_CODE);
  }

  /** {@code KVM_EXIT_UNKNOWN}: the hardware's exit reason. */
  public long hardwareExitReason() {
    return memory.getLong(KvmRun.HW_HARDWARE_EXIT_REASON);
  }

  /** {@code KVM_EXIT_NOTIFY}: {@code KVM_NOTIFY_*}. */
  public int notifyFlags() {
    return memory.getInt(KvmRun.NOTIFY_FLAGS);
  }

  /** {@code KVM_EXIT_MEMORY_FAULT}: flags. */
  public long memoryFaultFlags() {
    return memory.getLong(KvmRun.MEMORY_FAULT_FLAGS);
  }

  /** {@code KVM_EXIT_MEMORY_FAULT}: the guest-physical address. */
  public long memoryFaultAddress() {
    return memory.getLong(KvmRun.MEMORY_FAULT_GPA);
  }

  /** {@code KVM_EXIT_MEMORY_FAULT}: how much of it. */
  public long memoryFaultSize() {
    return memory.getLong(KvmRun.MEMORY_FAULT_SIZE);
  }

  // --- KVM_CAP_SYNC_REGS

  /**
   * Which registers each {@code KVM_RUN} leaves in this page when it returns: {@code
   * KVM_SYNC_X86_*}.
   */
  public void setValidRegs(long fields) {
    memory.putLong(KvmRun.KVM_VALID_REGS, fields);
  }

  public long validRegs() {
    return memory.getLong(KvmRun.KVM_VALID_REGS);
  }

  /**
   * Which registers the next {@code KVM_RUN} takes from this page before it enters the guest:
   * {@code KVM_SYNC_X86_*}. The kernel sets it back to 0.
   */
  public void setDirtyRegs(long fields) {
    memory.putLong(KvmRun.KVM_DIRTY_REGS, fields);
  }

  public long dirtyRegs() {
    return memory.getLong(KvmRun.KVM_DIRTY_REGS);
  }

  /**
   * A general register of this page.
   *
   * @param register its offset, such as {@code KvmRegs.RIP}
   */
  public long syncReg(int register) {
    return memory.getLong(KvmRun.S_REGS + KvmSyncRegs.REGS + register);
  }

  /** Sets a general register of this page; {@link #setDirtyRegs} has it taken. */
  public void setSyncReg(int register, long value) {
    memory.putLong(KvmRun.S_REGS + KvmSyncRegs.REGS + register, value);
  }

  /** Reads the general registers of this page. */
  public void readSyncRegs(Regs regs) {
    regs.readFrom(memory, KvmRun.S_REGS + KvmSyncRegs.REGS);
  }

  /** Writes the general registers of this page. */
  public void writeSyncRegs(Regs regs) {
    regs.writeTo(memory, KvmRun.S_REGS + KvmSyncRegs.REGS);
  }

  /** Reads the system registers of this page. */
  public void readSyncSregs(Sregs sregs) {
    sregs.readFrom(memory, KvmRun.S_REGS + KvmSyncRegs.SREGS);
  }

  /** Writes the system registers of this page. */
  public void writeSyncSregs(Sregs sregs) {
    sregs.writeTo(memory, KvmRun.S_REGS + KvmSyncRegs.SREGS);
  }

  /** Reads the events of this page. */
  public void readSyncEvents(VcpuEvents events) {
    events.readFrom(memory, KvmRun.S_REGS + KvmSyncRegs.EVENTS);
  }

  /** Writes the events of this page. */
  public void writeSyncEvents(VcpuEvents events) {
    events.writeTo(memory, KvmRun.S_REGS + KvmSyncRegs.EVENTS);
  }

  private static int checkIndex(int index, int length) {
    return Objects.checkIndex(index, length);
  }
}
