package org.kvm4j.kvm;

import java.util.ArrayList;
import java.util.List;
import org.kvm4j.kvm.uapi.Exits;
import org.kvm4j.kvm.uapi.KvmExit;
import org.kvm4j.kvm.uapi.KvmRun;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * Why {@code KVM_RUN} came back: an immutable value for each exit reason that x86 has, and {@link
 * Unknown} for any other, which loses nothing.
 *
 * <p>Sizes and lengths are in bytes.
 *
 * <p>Source: api.rst, "The kvm_run structure"; {@code exits.tsv} in the conformance tests.
 */
public sealed interface Exit {

  /** {@code KVM_EXIT_*}; -1 for what is no exit reason: {@link Interrupted} and {@link Again}. */
  int reason();

  /** The exit that a run page tells of. */
  static Exit of(RunPage page) {
    int reason = page.exitReason();
    switch (reason) {
      case Exits.KVM_EXIT_UNKNOWN:
        return new HardwareUnknown(page.hardwareExitReason());
      case Exits.KVM_EXIT_EXCEPTION:
        return new GuestException(page.exceptionVector(), page.exceptionErrorCode());
      case Exits.KVM_EXIT_IO:
        int port = page.ioPort();
        int size = page.ioSize();
        int count = page.ioCount();
        if (page.ioIsIn()) {
          return new IoIn(port, size, count);
        }
        if (count == 1) {
          return new IoOut(port, size, 1, Bytes.littleEndian(page.ioData(), size));
        }
        byte[] data = new byte[size * count];
        page.readIoData(data, 0);
        return new IoOut(port, size, count, Bytes.wrap(data));
      case Exits.KVM_EXIT_HYPERCALL:
        List<Long> arguments = new ArrayList<>(6);
        for (int i = 0; i < 6; i++) {
          arguments.add(page.hypercallArgument(i));
        }
        return new Hypercall(page.hypercallNumber(), arguments, page.hypercallLongMode());
      case Exits.KVM_EXIT_DEBUG:
        return new Debug(page.debugException(), page.debugPc(), page.debugDr6(), page.debugDr7());
      case Exits.KVM_EXIT_HLT:
        return new Hlt();
      case Exits.KVM_EXIT_MMIO:
        return page.mmioIsWrite()
            ? new MmioWrite(page.mmioAddress(), page.mmioLength(), page.mmioData())
            : new MmioRead(page.mmioAddress(), page.mmioLength());
      case Exits.KVM_EXIT_IRQ_WINDOW_OPEN:
        return new IrqWindowOpen();
      case Exits.KVM_EXIT_SHUTDOWN:
        return new Shutdown(page.diagnosis());
      case Exits.KVM_EXIT_FAIL_ENTRY:
        return new FailEntry(page.failEntryReason(), page.failEntryCpu(), page.diagnosis());
      case Exits.KVM_EXIT_INTR:
        return new Intr();
      case Exits.KVM_EXIT_SET_TPR:
        return new SetTpr(page.cr8());
      case Exits.KVM_EXIT_TPR_ACCESS:
        return new TprAccess(page.tprAccessRip(), page.tprAccessIsWrite());
      case Exits.KVM_EXIT_NMI:
        return new Nmi();
      case Exits.KVM_EXIT_INTERNAL_ERROR:
        List<Long> internal = new ArrayList<>();
        for (int i = 0; i < page.internalDataCount(); i++) {
          internal.add(page.internalData(i));
        }
        return new InternalError(page.internalSuberror(), internal, page.diagnosis());
      case Exits.KVM_EXIT_SYSTEM_EVENT:
        List<Long> event = new ArrayList<>();
        for (int i = 0; i < page.systemEventDataCount(); i++) {
          event.add(page.systemEventData(i));
        }
        return new SystemEvent(page.systemEventType(), event);
      case Exits.KVM_EXIT_IOAPIC_EOI:
        return new IoapicEoi(page.eoiVector());
      case Exits.KVM_EXIT_HYPERV:
        return new Hyperv(page.memory().getInt(KvmRun.HYPERV_TYPE), union(page));
      case Exits.KVM_EXIT_X86_RDMSR:
        return new RdMsr(page.msrIndex(), page.msrReason());
      case Exits.KVM_EXIT_X86_WRMSR:
        return new WrMsr(page.msrIndex(), page.msrReason(), page.msrData());
      case Exits.KVM_EXIT_DIRTY_RING_FULL:
        return new DirtyRingFull();
      case Exits.KVM_EXIT_AP_RESET_HOLD:
        return new ApResetHold();
      case Exits.KVM_EXIT_X86_BUS_LOCK:
        return new BusLock();
      case Exits.KVM_EXIT_XEN:
        return new Xen(page.memory().getInt(KvmRun.XEN_TYPE), union(page));
      case Exits.KVM_EXIT_NOTIFY:
        return new Notify(page.notifyFlags());
      case Exits.KVM_EXIT_MEMORY_FAULT:
        return new MemoryFault(
            page.memoryFaultFlags(), page.memoryFaultAddress(), page.memoryFaultSize());
      default:
        return new Unknown(reason, union(page));
    }
  }

  private static Bytes union(RunPage page) {
    byte[] bytes = new byte[KvmRun.UNION_SIZE];
    page.memory().read(KvmRun.UNION, bytes, 0, bytes.length);
    return Bytes.wrap(bytes);
  }

  /** {@code KVM_RUN} failed with EINTR: a kick, another signal, or {@code immediate_exit}. */
  record Interrupted() implements Exit {
    @Override
    public int reason() {
      return -1;
    }
  }

  /**
   * {@code KVM_RUN} failed with EAGAIN: an application processor was woken that has not been
   * started yet. Run it again.
   */
  record Again() implements Exit {
    @Override
    public int reason() {
      return -1;
    }
  }

  /**
   * {@code KVM_EXIT_UNKNOWN}: a hardware exit that the kernel does not know.
   *
   * @param hardwareReason the hardware's exit reason
   */
  record HardwareUnknown(long hardwareReason) implements Exit {
    @Override
    public int reason() {
      return Exits.KVM_EXIT_UNKNOWN;
    }
  }

  /**
   * {@code KVM_EXIT_EXCEPTION}: an exception that the kernel intercepted and cannot handle.
   *
   * @param vector of the exception
   * @param errorCode of the exception
   */
  record GuestException(int vector, int errorCode) implements Exit {
    @Override
    public int reason() {
      return Exits.KVM_EXIT_EXCEPTION;
    }
  }

  /**
   * {@code KVM_EXIT_IO} for reading: answer with {@link Vcpu#answerIn} before the next run.
   *
   * @param port the first port
   * @param size of one element: 1, 2 or 4
   * @param count of elements; more than one for REP INS
   */
  record IoIn(int port, int size, int count) implements Exit {
    @Override
    public int reason() {
      return Exits.KVM_EXIT_IO;
    }

    @Override
    public String toString() {
      return String.format("IoIn[port=0x%x, size=%d, count=%d]", port, size, count);
    }
  }

  /**
   * {@code KVM_EXIT_IO} for writing.
   *
   * @param port the first port
   * @param size of one element: 1, 2 or 4
   * @param count of elements; more than one for REP OUTS
   * @param data size * count bytes
   */
  record IoOut(int port, int size, int count, Bytes data) implements Exit {
    @Override
    public int reason() {
      return Exits.KVM_EXIT_IO;
    }

    /** The first element, zero-extended. */
    public int value() {
      return (int) data.getLittleEndian(0, size);
    }

    @Override
    public String toString() {
      return String.format("IoOut[port=0x%x, size=%d, count=%d, data=%s]", port, size, count, data);
    }
  }

  /**
   * {@code KVM_EXIT_HYPERCALL}: answer with {@link Vcpu#answerHypercall}.
   *
   * @param number which
   * @param arguments six
   * @param longMode whether the guest is in 64-bit mode
   */
  record Hypercall(long number, List<Long> arguments, boolean longMode) implements Exit {
    public Hypercall {
      arguments = List.copyOf(arguments);
    }

    @Override
    public int reason() {
      return Exits.KVM_EXIT_HYPERCALL;
    }
  }

  /**
   * {@code KVM_EXIT_DEBUG}: what {@link Vcpu#setGuestDebug} asked for.
   *
   * @param exception the vector: 1 (#DB) or 3 (#BP)
   * @param pc the linear address of the instruction
   * @param dr6 what happened, as in DR6
   * @param dr7 DR7
   */
  record Debug(int exception, long pc, long dr6, long dr7) implements Exit {
    @Override
    public int reason() {
      return Exits.KVM_EXIT_DEBUG;
    }

    @Override
    public String toString() {
      return String.format(
          "Debug[exception=%d, pc=0x%x, dr6=0x%x, dr7=0x%x]", exception, pc, dr6, dr7);
    }
  }

  /**
   * {@code KVM_EXIT_HLT}: HLT, without in-kernel local APICs; the instruction pointer is past it.
   */
  record Hlt() implements Exit {
    @Override
    public int reason() {
      return Exits.KVM_EXIT_HLT;
    }
  }

  /**
   * {@code KVM_EXIT_MMIO} for reading: answer with {@link Vcpu#answerMmio} before the next run.
   *
   * @param address guest-physical
   * @param length 1 to 8
   */
  record MmioRead(long address, int length) implements Exit {
    @Override
    public int reason() {
      return Exits.KVM_EXIT_MMIO;
    }

    @Override
    public String toString() {
      return String.format("MmioRead[address=0x%x, length=%d]", address, length);
    }
  }

  /**
   * {@code KVM_EXIT_MMIO} for writing.
   *
   * @param address guest-physical
   * @param length 1 to 8
   * @param data the bytes, little endian, zero-extended
   */
  record MmioWrite(long address, int length, long data) implements Exit {
    @Override
    public int reason() {
      return Exits.KVM_EXIT_MMIO;
    }

    @Override
    public String toString() {
      return String.format("MmioWrite[address=0x%x, length=%d, data=0x%x]", address, length, data);
    }
  }

  /** {@code KVM_EXIT_IRQ_WINDOW_OPEN}: the guest takes interrupts now. */
  record IrqWindowOpen() implements Exit {
    @Override
    public int reason() {
      return Exits.KVM_EXIT_IRQ_WINDOW_OPEN;
    }
  }

  /**
   * {@code KVM_EXIT_SHUTDOWN}: a triple fault.
   *
   * @param diagnosis which exceptions led to it, in one line; empty if the kernel does not tell, as
   *     Linux does not
   */
  record Shutdown(String diagnosis) implements Exit {
    @Override
    public int reason() {
      return Exits.KVM_EXIT_SHUTDOWN;
    }
  }

  /**
   * {@code KVM_EXIT_FAIL_ENTRY}: the hardware refused the guest's state.
   *
   * @param hardwareReason on Intel the exit reason, 0x8000_0021 for a bad guest state
   * @param cpu the host's CPU
   * @param diagnosis which check the state did not pass, with its values, in one line; empty if the
   *     kernel does not tell, as Linux does not
   */
  record FailEntry(long hardwareReason, int cpu, String diagnosis) implements Exit {
    @Override
    public int reason() {
      return Exits.KVM_EXIT_FAIL_ENTRY;
    }

    @Override
    public String toString() {
      return String.format(
          "FailEntry[hardwareReason=0x%x, cpu=%d, diagnosis=%s]", hardwareReason, cpu, diagnosis);
    }
  }

  /** {@code KVM_EXIT_INTR}, where {@code KVM_RUN} did not also fail with EINTR. */
  record Intr() implements Exit {
    @Override
    public int reason() {
      return Exits.KVM_EXIT_INTR;
    }
  }

  /**
   * {@code KVM_EXIT_SET_TPR}: the guest lowered CR8, without in-kernel local APICs.
   *
   * @param cr8 the new value
   */
  record SetTpr(long cr8) implements Exit {
    @Override
    public int reason() {
      return Exits.KVM_EXIT_SET_TPR;
    }
  }

  /**
   * {@code KVM_EXIT_TPR_ACCESS}: what {@link Vcpu#tprAccessReporting} asked for.
   *
   * @param rip the guest's instruction pointer
   * @param write whether it writes
   */
  record TprAccess(long rip, boolean write) implements Exit {
    @Override
    public int reason() {
      return Exits.KVM_EXIT_TPR_ACCESS;
    }
  }

  /** {@code KVM_EXIT_NMI}. */
  record Nmi() implements Exit {
    @Override
    public int reason() {
      return Exits.KVM_EXIT_NMI;
    }
  }

  /**
   * {@code KVM_EXIT_INTERNAL_ERROR}: the kernel could not go on.
   *
   * @param suberror {@code KVM_INTERNAL_ERROR_*}
   * @param data what the kernel gave with it, up to 16 values of 64 bits
   * @param diagnosis what it could not do, in one line; empty if the kernel does not tell, as Linux
   *     does not
   */
  record InternalError(int suberror, List<Long> data, String diagnosis) implements Exit {
    public InternalError {
      data = List.copyOf(data);
    }

    @Override
    public int reason() {
      return Exits.KVM_EXIT_INTERNAL_ERROR;
    }

    /** The suberror's name. */
    public String suberrorName() {
      switch (suberror) {
        case Uapi.KVM_INTERNAL_ERROR_EMULATION:
          return "emulation";
        case Uapi.KVM_INTERNAL_ERROR_SIMUL_EX:
          return "simultaneous exceptions";
        case Uapi.KVM_INTERNAL_ERROR_DELIVERY_EV:
          return "delivery of an event";
        case Uapi.KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
          return "unexpected exit reason";
        default:
          return "suberror " + suberror;
      }
    }

    /**
     * For an emulation failure, {@code emulation_failure.flags}; else, or if the kernel gave none,
     * 0.
     */
    public long emulationFlags() {
      return suberror == Uapi.KVM_INTERNAL_ERROR_EMULATION && !data.isEmpty() ? data.get(0) : 0;
    }

    /**
     * For an emulation failure, the bytes of the instruction, as many as the kernel fetched; empty
     * if it gave none.
     */
    public Bytes instruction() {
      if ((emulationFlags() & Uapi.KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) == 0
          || data.size() < 3) {
        return Bytes.of();
      }
      HeapMemory memory = new HeapMemory(16);
      memory.putLong(0, data.get(1));
      memory.putLong(8, data.get(2));
      byte[] bytes = new byte[Math.min(memory.getByte(0) & 0xff, 15)];
      memory.read(1, bytes, 0, bytes.length);
      return Bytes.wrap(bytes);
    }

    @Override
    public String toString() {
      StringBuilder text = new StringBuilder("InternalError[").append(suberrorName());
      if (instruction().length() > 0) {
        text.append(", instruction=").append(instruction());
      }
      text.append(", data=");
      String separator = "";
      for (long value : data) {
        text.append(separator).append("0x").append(Long.toHexString(value));
        separator = " ";
      }
      if (!diagnosis.isEmpty()) {
        text.append(", diagnosis=").append(diagnosis);
      }
      return text.append(']').toString();
    }
  }

  /**
   * {@code KVM_EXIT_SYSTEM_EVENT}.
   *
   * @param type {@code KVM_SYSTEM_EVENT_*}
   * @param data what the kernel gave with it, up to 16 values of 64 bits
   */
  record SystemEvent(int type, List<Long> data) implements Exit {
    public SystemEvent {
      data = List.copyOf(data);
    }

    @Override
    public int reason() {
      return Exits.KVM_EXIT_SYSTEM_EVENT;
    }
  }

  /**
   * {@code KVM_EXIT_IOAPIC_EOI}: the guest ended an interrupt, with the I/O APIC in user space.
   *
   * @param vector of the interrupt
   */
  record IoapicEoi(int vector) implements Exit {
    @Override
    public int reason() {
      return Exits.KVM_EXIT_IOAPIC_EOI;
    }
  }

  /**
   * {@code KVM_EXIT_HYPERV}.
   *
   * @param type {@code KVM_EXIT_HYPERV_*}
   * @param data the whole union, 256 bytes, the type included
   */
  record Hyperv(int type, Bytes data) implements Exit {
    @Override
    public int reason() {
      return Exits.KVM_EXIT_HYPERV;
    }
  }

  /**
   * {@code KVM_EXIT_X86_RDMSR}: answer with {@link Vcpu#answerRdMsr} or {@link Vcpu#failMsr}.
   *
   * @param index the MSR
   * @param why {@code KVM_MSR_EXIT_REASON_*}
   */
  record RdMsr(int index, int why) implements Exit {
    @Override
    public int reason() {
      return Exits.KVM_EXIT_X86_RDMSR;
    }

    @Override
    public String toString() {
      return String.format("RdMsr[index=0x%x, why=%d]", index, why);
    }
  }

  /**
   * {@code KVM_EXIT_X86_WRMSR}: goes well unless {@link Vcpu#failMsr} answers it.
   *
   * @param index the MSR
   * @param why {@code KVM_MSR_EXIT_REASON_*}
   * @param data the value written
   */
  record WrMsr(int index, int why, long data) implements Exit {
    @Override
    public int reason() {
      return Exits.KVM_EXIT_X86_WRMSR;
    }

    @Override
    public String toString() {
      return String.format("WrMsr[index=0x%x, why=%d, data=0x%x]", index, why, data);
    }
  }

  /** {@code KVM_EXIT_DIRTY_RING_FULL}: harvest it, then {@link Vm#resetDirtyRings}. */
  record DirtyRingFull() implements Exit {
    @Override
    public int reason() {
      return Exits.KVM_EXIT_DIRTY_RING_FULL;
    }
  }

  /** {@code KVM_EXIT_AP_RESET_HOLD}. */
  record ApResetHold() implements Exit {
    @Override
    public int reason() {
      return Exits.KVM_EXIT_AP_RESET_HOLD;
    }
  }

  /** {@code KVM_EXIT_X86_BUS_LOCK}: the guest took a bus lock. */
  record BusLock() implements Exit {
    @Override
    public int reason() {
      return Exits.KVM_EXIT_X86_BUS_LOCK;
    }
  }

  /**
   * {@code KVM_EXIT_XEN}.
   *
   * @param type {@code KVM_EXIT_XEN_*}
   * @param data the whole union, 256 bytes, the type included
   */
  record Xen(int type, Bytes data) implements Exit {
    @Override
    public int reason() {
      return Exits.KVM_EXIT_XEN;
    }
  }

  /**
   * {@code KVM_EXIT_NOTIFY}: the guest kept the CPU from taking events for too long.
   *
   * @param flags {@code KVM_NOTIFY_*}
   */
  record Notify(int flags) implements Exit {
    @Override
    public int reason() {
      return Exits.KVM_EXIT_NOTIFY;
    }
  }

  /**
   * {@code KVM_EXIT_MEMORY_FAULT}: guest memory that user space has to provide.
   *
   * @param flags of the access
   * @param address guest-physical
   * @param size of the memory
   */
  record MemoryFault(long flags, long address, long size) implements Exit {
    @Override
    public int reason() {
      return Exits.KVM_EXIT_MEMORY_FAULT;
    }

    @Override
    public String toString() {
      return String.format(
          "MemoryFault[flags=0x%x, address=0x%x, size=0x%x]", flags, address, size);
    }
  }

  /**
   * Any other exit reason.
   *
   * @param reason {@code kvm_run.exit_reason}
   * @param data the whole union of {@code kvm_run}, 256 bytes
   */
  record Unknown(int reason, Bytes data) implements Exit {
    @Override
    public String toString() {
      return "Unknown[" + KvmExit.nameOf(reason) + ", data=" + data + "]";
    }
  }
}
