package org.kvm4j.kvm.module.vendor;

/** One exit from the guest, decoded: a mutable holder that the run loop uses again and again. */
public final class VmExit {
  /** What happened, in words common to the vendors. */
  public enum Kind {
    /** Nothing: the instruction budget ran out. */
    BUDGET,
    EXTERNAL_INTERRUPT,
    INTERRUPT_WINDOW,
    NMI_WINDOW,
    EXCEPTION,
    NMI,
    TRIPLE_FAULT,
    INIT,
    SIPI,
    IO,
    CPUID,
    HLT,
    RDMSR,
    WRMSR,
    CR_ACCESS,
    DR_ACCESS,
    NESTED_VIOLATION,
    NESTED_MISCONFIGURATION,
    TASK_SWITCH,
    HYPERCALL,
    VMX_INSTRUCTION,
    INVD,
    WBINVD,
    XSETBV,
    INVLPG,
    INVPCID,
    RDTSC,
    RDPMC,
    PAUSE,
    MONITOR,
    MWAIT,
    RDRAND,
    RDSEED,
    DESCRIPTOR_TABLE,
    MONITOR_TRAP,
    PREEMPTION_TIMER,
    ENTRY_FAILURE,
    /** Devices are asked for answers or told of writes, by a processor on bare metal. */
    DEVICE,
    OTHER;

    /**
     * Whether it takes time on the virtual clock: the guest alone decides that it comes. Interrupts
     * of the host's, the end of the budget and pages that are mapped only now depend on the host.
     */
    public boolean isTimed() {
      return switch (this) {
        case BUDGET,
            EXTERNAL_INTERRUPT,
            NMI,
            INIT,
            SIPI,
            NESTED_VIOLATION,
            MONITOR_TRAP,
            PREEMPTION_TIMER ->
            false;
        default -> true;
      };
    }
  }

  public Kind kind = Kind.OTHER;

  /** The vendor's own number: basic exit reason (bit 31 for a failed entry) or exit code. */
  public long reason;

  public long qualification;
  public int instructionLength;

  // IO
  public int port;
  public int size;
  public boolean in;
  public boolean string;
  public boolean rep;

  // EXCEPTION
  public int vector;

  /** INT1: of the trap class, but the exit is on the instruction. */
  public boolean privilegedSoftware;

  public boolean hasErrorCode;
  public int errorCode;

  // RDMSR, WRMSR take ECX, EDX:EAX from the registers.

  // CR_ACCESS, DR_ACCESS
  public int register;
  public int gpr;

  /** 0 MOV to, 1 MOV from, 2 CLTS, 3 LMSW. */
  public int accessType;

  // NESTED_*
  public long gpa;
  public long linear;
  public boolean linearValid;

  /** Whether {@link #gpa} is what {@link #linear} translates to, and not of a paging structure. */
  public boolean translated;

  public boolean read;
  public boolean write;
  public boolean fetch;

  // The event whose delivery was interrupted by the exit.
  public boolean vectoring;
  public int vectoringType;
  public int vectoringVector;
  public boolean vectoringHasErrorCode;
  public int vectoringErrorCode;
  public int vectoringLength;
}
