package org.kvm4j.vmx.exit;

import org.kvm4j.cpu.core.Platform;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.Vmcs;

/**
 * The virtual local APIC of a guest: what the processor does of it by itself, in the virtual-APIC
 * page and the guest interrupt status. VM exits that follow from a write come after the
 * instruction: they are pending here.
 *
 * <p>Source: SDM ch. 30 "APIC Virtualization and Virtual Interrupts".
 */
final class VirtualApic {
  private static final int ID = 0x20;
  private static final int VERSION = 0x30;
  private static final int TPR = 0x80;
  private static final int PPR = 0xa0;
  private static final int EOI = 0xb0;
  private static final int LOGICAL_DESTINATION = 0xd0;
  private static final int DESTINATION_FORMAT = 0xe0;
  private static final int SPURIOUS = 0xf0;
  private static final int ISR = 0x100;
  private static final int IRR = 0x200;
  private static final int ERROR_STATUS = 0x280;
  private static final int ICR = 0x300;
  private static final int ICR_HIGH = 0x310;
  private static final int LVT_FIRST = 0x320;
  private static final int LVT_LAST = 0x370;
  private static final int INITIAL_COUNT = 0x380;
  private static final int DIVIDE_CONFIGURATION = 0x3e0;
  private static final int SELF_IPI = 0x3f0;

  // Of VICR_LO: what is 0 in a fixed, edge-triggered IPI: reserved bits, delivery status, trigger
  // mode, delivery mode.
  private static final int ICR_RESERVED = 0xfff0_0000 | 3 << 16 | 1 << 13;
  private static final int ICR_FORM = ICR_RESERVED | 1 << 12 | 1 << 15 | 7 << 8;
  private static final int ICR_LOGICAL = 1 << 11;
  private static final int ICR_SELF = 1 << 18;
  private static final int ICR_SHORTHAND = 3 << 18;

  // The posted-interrupt descriptor: bytes to the word with outstanding notification (ON),
  // suppressed notification (SN), notification vector and destination.
  private static final int NOTIFICATION = 32;
  private static final long ON = 1;
  private static final long SN = 2;

  private static final int LOWEST_VECTOR = 16;

  private final PhysicalMemory memory;
  private final Platform platform;
  private final long physicalReserved;
  private long[] v = {};

  private boolean shadow;
  private boolean accesses;
  private boolean x2apic;
  private boolean registers;
  private boolean delivery;
  private boolean ipis;
  private boolean window;
  private long page;

  /** The VM exit that follows the instruction; 0 for none. */
  private int exitReason;

  private long exitQualification;

  /** A virtual interrupt is recognized as pending. SDM 30.2.1. */
  private boolean pending;

  /** Where the operation that is under way has written the APIC-access page; -1 if it has not. */
  private int written = -1;

  private int writtenSize;

  /** Any of these. */
  private boolean news;

  /**
   * @param physicalReserved bits that no physical address has
   */
  VirtualApic(PhysicalMemory memory, Platform platform, long physicalReserved) {
    this.memory = memory;
    this.platform = platform;
    this.physicalReserved = physicalReserved;
  }

  /** VM entry: takes the controls over, and looks at what is pending. */
  void enter(long[] fields, int primary, int secondary, long tertiary) {
    v = fields;
    exitReason = 0;
    pending = false;
    written = -1;
    news = false;
    shadow = (primary & Controls.CPU_BASED_TPR_SHADOW) != 0;
    if (!shadow) {
      accesses = (secondary & Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES) != 0;
      x2apic = false;
      registers = false;
      delivery = false;
      ipis = false;
      return;
    }
    accesses = (secondary & Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES) != 0;
    x2apic = (secondary & Controls.SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE) != 0;
    registers = (secondary & Controls.SECONDARY_EXEC_APIC_REGISTER_VIRT) != 0;
    delivery = (secondary & Controls.SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY) != 0;
    ipis = (tertiary & Controls.TERTIARY_EXEC_IPI_VIRT) != 0;
    window = (primary & Controls.CPU_BASED_INTR_WINDOW_EXITING) != 0;
    page = v[Vmcs.VIRTUAL_APIC_PAGE_ADDR];
    if (delivery) {
      // 27.3.2.5 "Updating Non-Register State".
      virtualizePriority();
      evaluate();
    } else if (accesses && isBelowThreshold()) {
      // 27.7.7 "VM Exits Induced by the TPR Threshold".
      exit(ExitReason.TPR_BELOW_THRESHOLD, 0);
    }
  }

  /** The APIC-access page; -1 if accesses are not virtualized. */
  long accessPage() {
    return accesses ? v[Vmcs.APIC_ACCESS_ADDR] : -1;
  }

  // ---- what is pending ----

  private void exit(ExitReason reason, long qualification) {
    exitReason = reason.number;
    news = true;
    exitQualification = qualification;
  }

  /** Whether a write to the APIC-access page is to be followed up: see {@link #emulateWrite}. */
  boolean hasWritten() {
    return written >= 0;
  }

  /** Whether there is anything to look at between instructions; asked at every dispatch. */
  boolean hasNews() {
    return news;
  }

  /** Whether a VM exit follows the instruction. */
  boolean exits() {
    return exitReason != 0;
  }

  int exitReason() {
    return exitReason;
  }

  long exitQualification() {
    return exitQualification;
  }

  boolean isPending() {
    return pending;
  }

  // ---- registers ----

  private int register(int offset) {
    return memory.readInt(page + offset);
  }

  private int highest(int bank) {
    for (int k = 7; k >= 0; k--) {
      int word = register(bank + 16 * k);
      if (word != 0) {
        return 32 * k + 31 - Integer.numberOfLeadingZeros(word);
      }
    }
    return 0;
  }

  private void set(int bank, int vector, boolean on) {
    int at = bank + (vector >> 5) * 16;
    int bit = 1 << (vector & 31);
    int word = register(at);
    memory.writeInt(page + at, on ? word | bit : word & ~bit);
  }

  /** Requesting virtual interrupt. */
  private int requesting() {
    return (int) v[Vmcs.GUEST_INTR_STATUS] & 0xff;
  }

  /** Servicing virtual interrupt. */
  private int servicing() {
    return (int) v[Vmcs.GUEST_INTR_STATUS] >> 8 & 0xff;
  }

  private void setStatus(int servicing, int requesting) {
    v[Vmcs.GUEST_INTR_STATUS] = servicing << 8 | requesting;
  }

  // ---- priorities and interrupts ----

  private boolean isBelowThreshold() {
    return (register(TPR) >> 4 & 15) < (v[Vmcs.TPR_THRESHOLD] & 15);
  }

  /** 30.1.2 "TPR Virtualization". */
  private void virtualizeTaskPriority() {
    if (delivery) {
      virtualizePriority();
      evaluate();
    } else if (isBelowThreshold()) {
      exit(ExitReason.TPR_BELOW_THRESHOLD, 0);
    }
  }

  /** 30.1.3 "PPR Virtualization". */
  private void virtualizePriority() {
    int tpr = register(TPR);
    int service = servicing();
    boolean task = (tpr & 0xf0) >= (service & 0xf0);
    memory.writeInt(page + PPR, task ? tpr & 0xff : service & 0xf0);
  }

  /** 30.1.4 "EOI Virtualization". */
  private void virtualizeEnd() {
    int vector = servicing();
    set(ISR, vector, false);
    setStatus(highest(ISR), requesting());
    virtualizePriority();
    if ((v[Vmcs.EOI_EXIT_BITMAP0 + (vector >> 6)] >>> (vector & 63) & 1) != 0) {
      exit(ExitReason.EOI_INDUCED, vector);
    } else {
      evaluate();
    }
  }

  /** 30.1.5 "Self-IPI Virtualization". */
  private void virtualizeSelf(int vector) {
    set(IRR, vector, true);
    setStatus(servicing(), Math.max(requesting(), vector));
    evaluate();
  }

  /** A write of the interrupt command register: to itself, to another, or to be emulated. */
  private void virtualizeCommand(int command, int destination) {
    int shorthand = command & ICR_SHORTHAND;
    boolean plain = (command & ICR_FORM) == 0;
    if (plain && delivery && shorthand == ICR_SELF && (command & 0xf0) != 0) {
      virtualizeSelf(command & 0xff);
    } else if (!(plain && ipis && shorthand == 0 && (command & ICR_LOGICAL) == 0)
        || !virtualizeIpi(command & 0xff, destination)) {
      exit(ExitReason.APIC_WRITE, ICR);
    }
  }

  /**
   * 30.1.6 "IPI Virtualization".
   *
   * @param destination the virtual APIC's ID
   * @return false if the interrupt cannot be posted
   */
  private boolean virtualizeIpi(int vector, int destination) {
    if (vector < LOWEST_VECTOR
        || Integer.compareUnsigned(destination, (int) v[Vmcs.LAST_PID_POINTER_INDEX]) > 0) {
      return false;
    }
    long pointer = memory.readLong(v[Vmcs.PID_POINTER_TABLE] + 8L * destination);
    if ((pointer & (physicalReserved | 0x3f)) != 1) {
      return false;
    }
    long descriptor = pointer & ~0x3fL;
    setBits(descriptor + 8 * (vector >> 6), 1L << (vector & 63));
    long info = memory.readLong(descriptor + NOTIFICATION);
    while ((info & (ON | SN)) == 0) {
      if (memory.compareAndSetLong(descriptor + NOTIFICATION, info, info | ON)) {
        platform.sendInterrupt((int) (info >>> 32), (int) (info >>> 16) & 0xff);
        break;
      }
      info = memory.readLong(descriptor + NOTIFICATION);
    }
    return true;
  }

  private void setBits(long hpa, long bits) {
    long word;
    do {
      word = memory.readLong(hpa);
    } while (!memory.compareAndSetLong(hpa, word, word | bits));
  }

  /** 30.2.1 "Evaluation of Pending Virtual Interrupts". */
  private void evaluate() {
    pending = !window && (requesting() & 0xf0) > (register(PPR) & 0xf0);
    news = pending || exits() || hasWritten();
  }

  /** 30.2.2 "Virtual-Interrupt Delivery": the vector, which is in service now. */
  int take() {
    int vector = requesting();
    set(ISR, vector, true);
    memory.writeInt(page + PPR, vector & 0xf0);
    set(IRR, vector, false);
    setStatus(vector, highest(IRR));
    pending = false;
    news = exits() || hasWritten();
    return vector;
  }

  /** 30.6 "Posted-Interrupt Processing", after the local APIC was told of the end. */
  void post() {
    long descriptor = v[Vmcs.POSTED_INTR_DESC_ADDR];
    long word;
    do {
      word = memory.readLong(descriptor + NOTIFICATION);
    } while (!memory.compareAndSetLong(descriptor + NOTIFICATION, word, word & ~ON));
    int requested = requesting();
    for (int k = 0; k < 4; k++) {
      long posted = memory.getAndSetLong(descriptor + 8 * k, 0);
      if (posted != 0) {
        for (int half = 0; half < 2; half++) {
          int at = IRR + 16 * (2 * k + half);
          memory.writeInt(page + at, register(at) | (int) (posted >>> 32 * half));
        }
        requested = Math.max(requested, 64 * k + 63 - Long.numberOfLeadingZeros(posted));
      }
    }
    setStatus(servicing(), requested);
    evaluate();
  }

  // ---- CR8. 30.3 "Virtualizing CR8-Based TPR Accesses" ----

  boolean hasTaskPriority() {
    return shadow;
  }

  int cr8() {
    return register(TPR) >> 4 & 15;
  }

  void setCr8(int value) {
    memory.writeInt(page + TPR, value << 4);
    virtualizeTaskPriority();
  }

  // ---- the APIC-access page. 30.4 "Virtualizing Memory-Mapped APIC Accesses" ----

  /** Whether an access is virtualized; an APIC-access VM exit otherwise. */
  boolean virtualizes(int offset, int size, boolean write) {
    if (!shadow || size > 4 || (offset & 15) + size > 4) {
      return false;
    }
    if (hasWritten() && !(write && offset == written && size == writtenSize)) {
      // One operation (an instruction, an iteration, an event's delivery) writes one place.
      return false;
    }
    int register = offset & ~15;
    if (register == TPR) {
      return true;
    }
    if (registers) {
      return switch (register) {
        case ID,
            EOI,
            LOGICAL_DESTINATION,
            DESTINATION_FORMAT,
            SPURIOUS,
            ERROR_STATUS,
            ICR,
            ICR_HIGH,
            INITIAL_COUNT,
            DIVIDE_CONFIGURATION ->
            true;
        case VERSION -> !write;
        default ->
            register >= LVT_FIRST && register <= LVT_LAST
                || !write && register >= ISR && register < ERROR_STATUS;
      };
    }
    return write && (delivery && register == EOI || (delivery || ipis) && register == ICR);
  }

  long read(int offset, int size) {
    long value = register(offset & ~3) & 0xffffffffL;
    return value >>> 8 * (offset & 3) & (1L << 8 * size) - 1;
  }

  /** A write; what follows from it comes after the operation that it is part of. */
  void write(int offset, int size, long value) {
    for (int k = 0; k < size; k++) {
      memory.writeByte(page + offset + k, (byte) (value >>> 8 * k));
    }
    written = offset;
    writtenSize = size;
    news = true;
  }

  /** 30.4.3.2 "APIC-Write Emulation", after an operation that has written. */
  void emulateWrite() {
    if (!hasWritten()) {
      return;
    }
    int register = written & ~15;
    written = -1;
    news = pending || exits();
    switch (register) {
      case TPR -> {
        memory.writeInt(page + TPR, register(TPR) & 0xff);
        virtualizeTaskPriority();
      }
      case EOI -> {
        if (delivery) {
          memory.writeInt(page + EOI, 0);
          virtualizeEnd();
        } else {
          exit(ExitReason.APIC_WRITE, EOI);
        }
      }
      case ICR -> virtualizeCommand(register(ICR), register(ICR_HIGH) >>> 24);
      case ICR_HIGH -> memory.writeInt(page + ICR_HIGH, register(ICR_HIGH) & 0xff000000);
      default -> exit(ExitReason.APIC_WRITE, register);
    }
  }

  // ---- MSRs. 30.5 "Virtualizing MSR-Based APIC Accesses" ----

  /** Whether RDMSR reads the virtual-APIC page. */
  boolean virtualizesRead(int msr) {
    return x2apic && (msr >>> 8 == 8) && (registers || msr == 0x800 + (TPR >> 4));
  }

  long readMsr(int msr) {
    return memory.readLong(page + ((msr & 0xff) << 4));
  }

  /** Whether WRMSR writes the virtual-APIC page. */
  boolean virtualizesWrite(int msr) {
    if (!x2apic || msr >>> 8 != 8) {
      return false;
    }
    int register = (msr & 0xff) << 4;
    return switch (register) {
      case TPR -> true;
      case EOI, SELF_IPI -> delivery;
      case ICR -> ipis;
      default -> false;
    };
  }

  /** WRMSR of such a register; false for #GP(0). */
  boolean writeMsr(int msr, long value) {
    int register = (msr & 0xff) << 4;
    long reserved =
        switch (register) {
          case EOI -> -1;
          case ICR -> ICR_RESERVED & 0xffffffffL;
          default -> ~0xffL;
        };
    if ((value & reserved) != 0) {
      return false;
    }
    memory.writeLong(page + register, value);
    switch (register) {
      case TPR -> virtualizeTaskPriority();
      case EOI -> virtualizeEnd();
      case ICR -> virtualizeCommand((int) value, (int) (value >>> 32));
      default -> {
        if ((value & 0xf0) != 0) {
          virtualizeSelf((int) value);
        } else {
          exit(ExitReason.APIC_WRITE, SELF_IPI);
        }
      }
    }
    return true;
  }
}
