package org.kvm4j.kvm.module.vendor;

/** One exit from the guest, decoded: a mutable holder that the run loop uses again and again. */
public final class VmExit {
  /** What happened, in words common to the vendors. */
  public enum Kind {
    /** Nothing: the instruction budget ran out. */
    BUDGET(Time.NONE),
    EXTERNAL_INTERRUPT(Time.NONE),
    INTERRUPT_WINDOW,
    NMI_WINDOW,
    EXCEPTION,
    NMI(Time.NONE),
    TRIPLE_FAULT,
    INIT(Time.NONE),
    SIPI(Time.NONE),
    IO,
    CPUID(Time.SOME, true),
    HLT,
    RDMSR(Time.SOME, true),
    WRMSR,
    CR_ACCESS,
    DR_ACCESS,
    NESTED_VIOLATION(Time.NONE),
    NESTED_MISCONFIGURATION,
    TASK_SWITCH,
    HYPERCALL(Time.SOME, true),
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
    MONITOR_TRAP(Time.NONE),
    PREEMPTION_TIMER(Time.NONE),
    ENTRY_FAILURE,
    /** Devices are asked for answers or told of writes, by a processor on bare metal. */
    DEVICE,
    OTHER;

    /** What an exit takes of the virtual clock. */
    private enum Time {
      NONE,
      SOME
    }

    private final boolean timed;
    private final boolean quick;

    Kind() {
      this(Time.SOME, false);
    }

    Kind(Time time) {
      this(time, false);
    }

    Kind(Time time, boolean quick) {
      this.timed = time == Time.SOME;
      this.quick = quick;
    }

    /**
     * Whether it takes time on the virtual clock: the guest alone decides that it comes. Interrupts
     * of the host's, the end of the budget and pages that are mapped only now depend on the host.
     */
    public boolean isTimed() {
      return timed;
    }

    /** Whether handling it changes nothing that is looked at before an entry, but for events. */
    public boolean isQuick() {
      return quick;
    }
  }

  public Kind kind = Kind.OTHER;

  /** Another thread has asked for the processor's attention, and may not ask again. */
  public boolean requested;

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
