package org.kvm4j.cpu.core;

import org.kvm4j.cpu.decode.Instruction;

/**
 * VMX non-root operation (or an SVM guest) as instruction semantics and event delivery see it: at
 * each point where hardware consults the controls they ask here. A method that returns true has
 * taken a VM exit: guest state is saved, {@link Cpu#left} is set, and the caller returns at once
 * without any further effect. Exits are fault-like unless a method says otherwise: {@link
 * Cpu#instructionRip} is the RIP saved, {@code i.length} the instruction length.
 *
 * <p>The implementation is in {@code org.kvm4j.vmx.exit}. Order against faults is the caller's
 * business (SDM Vol. 3, "Relative Priority of Faults and VM Exits"): it checks CPL, mode and
 * operands first where the SDM says so.
 */
public interface GuestMode {

  /**
   * An instruction that exits unconditionally or by one execution control, with no qualification:
   * CPUID, HLT, RDTSC, RDTSCP, RDPMC, PAUSE, MWAIT, MONITOR, INVD, WBINVD, XSETBV, RSM, GETSEC,
   * RDRAND, RDSEED, VMCALL and the like. The control is looked up by the opcode.
   */
  boolean instruction(Instruction i);

  /** INVLPG, with the linear address as qualification. */
  boolean invlpg(Instruction i, long linear);

  /**
   * INVPCID: register operand value and memory operand's linear address, for instruction
   * information.
   */
  boolean invpcid(Instruction i, long linear);

  /** LGDT, LIDT, SGDT, SIDT, LLDT, LTR, SLDT, STR under descriptor-table exiting. */
  boolean descriptorTable(Instruction i);

  /**
   * IN, OUT, INS, OUTS: unconditional or bitmap I/O exiting.
   *
   * @param port 16-bit port
   * @param size bytes
   * @param linear of the memory operand of INS and OUTS
   */
  boolean io(
      Instruction i, int port, int size, boolean in, boolean string, boolean rep, long linear);

  /** MOV to CR0, CR3, CR4, CR8, after the #GP checks that have priority; value is the source. */
  boolean movToCr(Instruction i, int cr, int gpr, long value);

  /** MOV from CR3 or CR8. */
  boolean movFromCr(Instruction i, int cr, int gpr);

  /**
   * CLTS. Not an exit: {@code clts} may be ignored when the mask owns TS; see {@link #writeCr0}.
   */
  boolean clts(Instruction i);

  /** LMSW with its 16-bit source; {@code linear} of a memory operand. */
  boolean lmsw(Instruction i, int source, boolean memory, long linear);

  /** What MOV from CR0 (and SMSW) reads: the mask and shadow applied. */
  long readCr0();

  /** What MOV from CR4 reads. */
  long readCr4();

  /** The value that really goes into CR0: bits owned by the host keep their value. */
  long writeCr0(long value);

  /** The value that really goes into CR4. */
  long writeCr4(long value);

  /** MOV DR. */
  boolean movDr(Instruction i, int dr, int gpr, boolean from);

  boolean rdmsr(Instruction i, int index);

  boolean wrmsr(Instruction i, int index);

  /** VMX instructions executed in non-root operation, with a memory operand's linear address. */
  boolean vmxInstruction(Instruction i, long linear);

  /**
   * An exception is about to be delivered: exception bitmap, page-fault mask and match.
   *
   * @param payload the linear address of a #PF, the DR6 bits of a #DB
   */
  boolean exception(
      int vector, boolean hasErrorCode, int errorCode, long payload, boolean software);

  /** NMI exiting; called when an NMI could be delivered. */
  boolean nmi();

  /**
   * External-interrupt exiting; called when an interrupt is pending, before its acknowledgement.
   */
  boolean externalInterrupt();

  /** Whether an external interrupt exits whatever IF says (external-interrupt exiting is 1). */
  boolean interruptExits();

  /**
   * Whether {@link #pendingMonitorTrap}, {@link #window} or {@link #interruptWindow} would exit:
   * cheap, asked at every dispatch.
   */
  boolean windowPending();

  /** Whether {@link #windowPending} may become true by EFLAGS.IF alone. */
  boolean isWatching();

  /** Whether instructions have to run one by one (monitor trap flag). */
  boolean steps();

  /** A monitor-trap-flag exit that is pending: checked between instructions, before traps. */
  boolean pendingMonitorTrap();

  /** Preemption timer and NMI-window exiting: checked after traps, before NMIs. */
  boolean window();

  /** Interrupt-window exiting: checked after NMIs, before external interrupts. */
  boolean interruptWindow();

  /**
   * A task switch is about to happen: always an exit in VMX.
   *
   * @param source 0 CALL, 1 IRET, 2 JMP, 3 task gate in the IDT
   */
  boolean taskSwitch(int selector, int source);

  /** A triple fault. */
  boolean tripleFault();

  /** INIT: exits except in the wait-for-SIPI state, where it stays pending. */
  boolean init();

  /** A start-up IPI in the wait-for-SIPI state. */
  boolean sipi(int vector);

  /**
   * Whether an EPT violation is a virtualization exception of the guest (#VE, which the caller
   * raises): then what there is to know of it has been saved for the guest. SDM Vol. 3,
   * "Virtualization Exceptions".
   */
  default boolean virtualizes(NestedFault fault) {
    return false;
  }

  /** An EPT violation or misconfiguration. Always exits. */
  void nestedFault(NestedFault fault);

  /**
   * Single-stepping by the monitor trap flag: true if an exit follows the instruction just
   * executed.
   */
  boolean monitorTrap();

  /**
   * The event whose delivery is in progress, for IDT-vectoring information: type as in the VM-entry
   * interruption-information field (0 external, 2 NMI, 3 hardware exception, 4 software interrupt,
   * 5 privileged software exception, 6 software exception); -1 when delivery is over.
   */
  void deliveryInProgress(int type, int vector, boolean hasErrorCode, int errorCode, int length);

  /**
   * Whether IRET ends the blocking of NMIs, or of virtual NMIs. SDM Vol. 3, "Changes to Instruction
   * Behavior in VMX Non-Root Operation".
   */
  default boolean iretUnblocksNmi() {
    return true;
  }

  /**
   * Whether an execution control that is 0 makes the instruction undefined, before any other check:
   * RDTSCP and RDPID, INVPCID, XSAVES and XRSTORS, TPAUSE and UMWAIT, PCONFIG and the like.
   */
  default boolean isUndefined(Instruction i) {
    return false;
  }

  /**
   * The instruction that is being executed, or the event that is being delivered, locks the bus:
   * told only if {@link Mmu#busLocks}.
   */
  default void busLock() {}

  /**
   * Delivery of exceptions has not got to an instruction boundary and never will: true if a VM exit
   * is taken.
   *
   * @param since when it began, by {@link Platform#tsc}
   */
  default boolean instructionTimeout(long since) {
    return false;
  }

  // ---- a virtual local APIC. SDM ch. 30 "APIC Virtualization and Virtual Interrupts"

  /** A virtual interrupt that is to be delivered now, and is in service then; -1 if none is. */
  default int virtualInterrupt() {
    return -1;
  }

  /**
   * A VM exit that follows the last instruction, for what it did to the virtual APIC or the bus:
   * before all other events.
   */
  default boolean afterInstruction() {
    return false;
  }

  /** Whether CR8 is the virtual APIC's, and where it is read from. */
  default boolean virtualizesCr8() {
    return false;
  }

  default int readCr8() {
    return 0;
  }

  default void writeCr8(int value) {}

  /**
   * Whether an access to the APIC-access page is virtualized.
   *
   * @param offset in the page
   */
  default boolean virtualizesApic(int offset, int size, boolean write) {
    return false;
  }

  default long readApic(int offset, int size) {
    return 0;
  }

  default void writeApic(int offset, int size, long value) {}

  /** RDMSR of a register that is virtual, as the virtual APIC's are: whether it is one. */
  default boolean readVirtualMsr(int index, long[] out) {
    return false;
  }

  /**
   * WRMSR of a register that is virtual: whether it is one.
   *
   * @throws CpuException #GP(0)
   */
  default boolean writeVirtualMsr(int index, long value) {
    return false;
  }

  /** Whether RDTSC is an instruction like others: without exit, and without scale. */
  boolean isTscPlain();

  /** Whether RDTSCP is an instruction of the guest's. */
  boolean hasTscAux();

  /** The guest's time-stamp counter for a host counter: offset and scaling applied. */
  long guestTsc(long hostTsc);
}
