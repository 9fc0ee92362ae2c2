package org.kvm4j.vmx.exit;

/**
 * The formats of the exit qualification, each as a record that reads and writes it.
 *
 * <p>Source: SDM 28.2.1 "Basic VM-Exit Information" and its tables.
 */
public sealed interface ExitQualification {

  /** The 64-bit field. */
  long encode();

  /** An address, or 0 for reasons without a qualification. */
  record Plain(long value) implements ExitQualification {
    @Override
    public long encode() {
      return value;
    }
  }

  /**
   * Debug exception: table "Exit Qualification for Debug Exceptions".
   *
   * @param breakpoints B3 to B0
   * @param busLock a bus lock was acquired (reported active high)
   * @param debugRegister BD: access to a debug register
   * @param singleStep BS
   * @param rtm RTM: in a transactional region
   */
  record DebugException(
      int breakpoints, boolean busLock, boolean debugRegister, boolean singleStep, boolean rtm)
      implements ExitQualification {
    static DebugException decode(long q) {
      return new DebugException((int) q & 15, bit(q, 11), bit(q, 13), bit(q, 14), bit(q, 16));
    }

    @Override
    public long encode() {
      return breakpoints
          | at(busLock, 11)
          | at(debugRegister, 13)
          | at(singleStep, 14)
          | at(rtm, 16);
    }
  }

  /**
   * Task switch: table "Exit Qualification for Task Switches".
   *
   * @param selector of the TSS
   * @param source 0 CALL, 1 IRET, 2 JMP, 3 task gate in the IDT
   */
  record TaskSwitch(int selector, int source) implements ExitQualification {
    static TaskSwitch decode(long q) {
      return new TaskSwitch((int) q & 0xffff, (int) (q >> 30) & 3);
    }

    @Override
    public long encode() {
      return selector | (long) source << 30;
    }
  }

  /** What a control-register access is. */
  enum CrAccessType {
    MOV_TO_CR,
    MOV_FROM_CR,
    CLTS,
    LMSW
  }

  /**
   * Control-register access: table "Exit Qualification for Control-Register Accesses".
   *
   * @param register number of the control register; 0 for CLTS and LMSW
   * @param memoryOperand of LMSW
   * @param gpr number of the general register of MOV
   * @param source data of LMSW
   */
  record ControlRegister(
      int register, CrAccessType type, boolean memoryOperand, int gpr, int source)
      implements ExitQualification {
    static ControlRegister decode(long q) {
      return new ControlRegister(
          (int) q & 15,
          CrAccessType.values()[(int) q >> 4 & 3],
          bit(q, 6),
          (int) q >> 8 & 15,
          (int) q >>> 16);
    }

    @Override
    public long encode() {
      return crAccess(register, type.ordinal(), memoryOperand, gpr, source);
    }
  }

  /** MOV DR: table "Exit Qualification for MOV DR". */
  record DebugRegister(int register, boolean from, int gpr) implements ExitQualification {
    static DebugRegister decode(long q) {
      return new DebugRegister((int) q & 7, bit(q, 4), (int) q >> 8 & 15);
    }

    @Override
    public long encode() {
      return register | at(from, 4) | (long) gpr << 8;
    }
  }

  /** I/O instruction: table "Exit Qualification for I/O Instructions". */
  record Io(int port, int size, boolean in, boolean string, boolean rep, boolean immediate)
      implements ExitQualification {
    static Io decode(long q) {
      return new Io(
          (int) (q >>> 16) & 0xffff, ((int) q & 7) + 1, bit(q, 3), bit(q, 4), bit(q, 5), bit(q, 6));
    }

    @Override
    public long encode() {
      return size - 1
          | at(in, 3)
          | at(string, 4)
          | at(rep, 5)
          | at(immediate, 6)
          | (long) port << 16;
    }
  }

  /**
   * EPT violation: table "Exit Qualification for EPT Violations".
   *
   * @param read the access was a data read
   * @param write the access was a data write
   * @param fetch the access was an instruction fetch
   * @param readable all EPT entries of the walk allow reads
   * @param writable all allow writes
   * @param executable all allow execution (in supervisor mode, under mode-based execute control)
   * @param userExecutable all allow execution in user mode, under mode-based execute control
   * @param linearValid the guest-linear address field is valid
   * @param translation the access was to the translation of that address, not to a paging structure
   * @param userLinear with advanced information: the linear address is a user-mode one
   * @param writableLinear with it: paging translates the linear address to a read/write page
   * @param executeDisableLinear with it: paging translates it to an execute-disable page
   * @param nmiUnblocking NMI unblocking due to IRET
   * @param shadowStack the access was a shadow-stack access
   * @param supervisorShadowStackPage under supervisor shadow-stack control: bit 60 of the EPT entry
   *     that maps the page
   * @param guestPagingVerification guest-paging verification failed
   * @param asynchronous the access was asynchronous to instruction execution, and not of the
   *     delivery of an event
   */
  record EptViolation(
      boolean read,
      boolean write,
      boolean fetch,
      boolean readable,
      boolean writable,
      boolean executable,
      boolean userExecutable,
      boolean linearValid,
      boolean translation,
      boolean userLinear,
      boolean writableLinear,
      boolean executeDisableLinear,
      boolean nmiUnblocking,
      boolean shadowStack,
      boolean supervisorShadowStackPage,
      boolean guestPagingVerification,
      boolean asynchronous)
      implements ExitQualification {
    static EptViolation decode(long q) {
      return new EptViolation(
          bit(q, 0),
          bit(q, 1),
          bit(q, 2),
          bit(q, 3),
          bit(q, 4),
          bit(q, 5),
          bit(q, 6),
          bit(q, 7),
          bit(q, 8),
          bit(q, 9),
          bit(q, 10),
          bit(q, 11),
          bit(q, 12),
          bit(q, 13),
          bit(q, 14),
          bit(q, 15),
          bit(q, 16));
    }

    @Override
    public long encode() {
      return at(read, 0)
          | at(write, 1)
          | at(fetch, 2)
          | at(readable, 3)
          | at(writable, 4)
          | at(executable, 5)
          | at(userExecutable, 6)
          | at(linearValid, 7)
          | at(translation, 8)
          | at(userLinear, 9)
          | at(writableLinear, 10)
          | at(executeDisableLinear, 11)
          | at(nmiUnblocking, 12)
          | at(shadowStack, 13)
          | at(supervisorShadowStackPage, 14)
          | at(guestPagingVerification, 15)
          | at(asynchronous, 16);
    }
  }

  /** A start-up IPI. */
  record Sipi(int vector) implements ExitQualification {
    @Override
    public long encode() {
      return vector;
    }
  }

  /** VM-entry failure due to invalid guest state: SDM 27.8 "VM-Entry Failures". */
  enum InvalidGuestState implements ExitQualification {
    OTHER(0),
    PDPTE(2),
    NMI_INJECTION(3),
    LINK_POINTER(4);

    private final int value;

    InvalidGuestState(int value) {
      this.value = value;
    }

    @Override
    public long encode() {
      return value;
    }
  }

  /** VM-entry failure due to MSR loading: which entry of the list, from 1. */
  record MsrEntry(int number) implements ExitQualification {
    @Override
    public long encode() {
      return number;
    }
  }

  /**
   * Reads a qualification as the exit's reason asks.
   *
   * @param reason the exit-reason field
   * @param intrInfo the VM-exit interruption-information field
   * @param qualification the exit-qualification field
   */
  static ExitQualification decode(int reason, int intrInfo, long qualification) {
    ExitReason basic = ExitReason.of(reason);
    if (basic == null) {
      return new Plain(qualification);
    }
    return switch (basic) {
      case EXCEPTION_NMI ->
          InterruptionInfo.isValid(intrInfo) && InterruptionInfo.vector(intrInfo) == 1
              ? DebugException.decode(qualification)
              : new Plain(qualification);
      case SIPI_SIGNAL -> new Sipi((int) qualification & 0xff);
      case TASK_SWITCH -> TaskSwitch.decode(qualification);
      case CR_ACCESS -> ControlRegister.decode(qualification);
      case DR_ACCESS -> DebugRegister.decode(qualification);
      case IO_INSTRUCTION -> Io.decode(qualification);
      case EPT_VIOLATION -> EptViolation.decode(qualification);
      case INVALID_GUEST_STATE ->
          switch ((int) qualification) {
            case 0 -> InvalidGuestState.OTHER;
            case 2 -> InvalidGuestState.PDPTE;
            case 3 -> InvalidGuestState.NMI_INJECTION;
            case 4 -> InvalidGuestState.LINK_POINTER;
            default -> new Plain(qualification);
          };
      case MSR_LOAD_FAIL -> new MsrEntry((int) qualification);
      default -> new Plain(qualification);
    };
  }

  /** A control-register access without an object. */
  static long crAccess(int register, int type, boolean memory, int gpr, int source) {
    return register | type << 4 | at(memory, 6) | (long) gpr << 8 | (long) source << 16;
  }

  private static boolean bit(long q, int number) {
    return (q >>> number & 1) != 0;
  }

  private static long at(boolean set, int number) {
    return set ? 1L << number : 0;
  }
}
