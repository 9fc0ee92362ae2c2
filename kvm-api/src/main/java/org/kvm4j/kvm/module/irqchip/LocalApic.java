package org.kvm4j.kvm.module.irqchip;

import static org.kvm4j.kvm.module.irqchip.ApicPage.*;

import java.nio.ByteBuffer;

/**
 * The local APIC of one virtual CPU, in xAPIC or x2APIC mode. Whoever calls holds the chips' lock,
 * but for {@link #mayHaveInterrupt}.
 *
 * <p>Source: SDM 12.4 "Local APIC", 12.5 "Handling Local Interrupts", 12.6 "Issuing Interprocessor
 * Interrupts", 12.8 "Handling Interrupts", 12.12 "Extended XAPIC (x2APIC)"; what it does of what a
 * processor may leave out, and which bits it keeps, is Linux 6.1 arch/x86/kvm/lapic.c's.
 */
public final class LocalApic {
  /** IA32_APIC_BASE. */
  public static final long BASE_BSP = 1 << 8;

  public static final long BASE_X2APIC = 1 << 10;
  public static final long BASE_ENABLE = 1 << 11;
  public static final long DEFAULT_BASE = 0xfee00000L;

  private static final long BASE_ADDRESS = 0xfffffffffffff000L;

  private static final int MASKED = 1 << 16;
  private static final int LEVEL_TRIGGERED = 1 << 15;
  private static final int MODE_SHIFT = 8;
  private static final int SOFTWARE_ENABLE = 1 << 8;
  private static final int SUPPRESS_EOI = 1 << 12;
  private static final int VERSION_SUPPRESS_EOI = 1 << 24;
  private static final int ICR_BUSY = 1 << 12;
  private static final long WIDE_ICR_RESERVED = 0xfff32000L;

  /** Errors of ESR. */
  private static final int SEND_ILLEGAL_VECTOR = 1 << 5;

  private static final int RECEIVE_ILLEGAL_VECTOR = 1 << 6;
  private static final int ILLEGAL_REGISTER = 1 << 7;

  /** The first vector that an interrupt may have. */
  private static final int FIRST_VECTOR = 16;

  /** LVT entries in the order in which the version register counts them. */
  private static final int[] LVT = {
    LVT_TIMER, LVT_THERMAL, LVT_PERFORMANCE, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_CMCI
  };

  /** The bits that each has; LVT_TIMER has its mode's besides. */
  private static final int[] LVT_BITS = {
    0x110ff, 0x117ff, 0x117ff, 0x1f7ff, 0x1f7ff, 0x110ff, 0x117ff
  };

  /** Registers that can be read, a bit for each 16 bytes. */
  private static final long READABLE =
      bits(ID, VERSION, TPR, PPR, LOGICAL_DESTINATION, DESTINATION_FORMAT, SPURIOUS, ERROR_STATUS)
          | 0xffL << (ISR >> 4)
          | 0xffL << (TMR >> 4)
          | 0xffL << (IRR >> 4)
          | bits(ICR, LVT_TIMER, LVT_THERMAL, LVT_PERFORMANCE, LVT_LINT0, LVT_LINT1, LVT_ERROR)
          | bits(INITIAL_COUNT, CURRENT_COUNT, DIVIDE_CONFIGURATION);

  private static final long READABLE_NARROW = bits(ARBITRATION_PRIORITY, ICR_HIGH);

  private static long bits(int... registers) {
    long mask = 0;
    for (int r : registers) {
      mask |= 1L << (r >> 4);
    }
    return mask;
  }

  private final int id;
  private final ApicOwner owner;
  private final ApicBus bus;
  private final EoiListener eoi;
  private final boolean suppressible;
  private final ApicPage page = new ApicPage();
  private final ApicTimer timer;

  private long base;
  private boolean x2apicAllowed;

  /** LVT entries that there are: {@link #LVT_CMCI} only with that part of machine check. */
  private int lvtEntries = LVT.length - 1;

  private int errors;
  private volatile boolean initPending;
  private volatile boolean startupPending;
  private int startupVector;

  /** IRR is not empty; a hint that any thread may read. */
  private volatile boolean requesting;

  /**
   * @param id the x2APIC ID
   * @param suppressible whether EOI broadcasts can be suppressed, as an I/O APIC with an EOI
   *     register wants it
   */
  LocalApic(
      int id,
      ApicOwner owner,
      ApicBus bus,
      EoiListener eoi,
      TimerQueue queue,
      boolean suppressible) {
    this.id = id;
    this.owner = owner;
    this.bus = bus;
    this.eoi = eoi;
    this.suppressible = suppressible;
    this.timer = new ApicTimer(page, owner, queue, () -> deliverLocal(LVT_TIMER));
  }

  ApicOwner owner() {
    return owner;
  }

  // ---- what the guest's CPUID and machine check have ----

  /**
   * The guest's CPUID is known.
   *
   * @param x2apic whether it has x2APIC
   * @param deadline whether it has TSC-deadline mode
   */
  public void setFeatures(boolean x2apic, boolean deadline) {
    x2apicAllowed = x2apic;
    timer.setModes(deadline);
    setVersion();
  }

  private void setVersion() {
    int version = 0x14 | lvtEntries - 1 << 16;
    page.set(VERSION, x2apicAllowed && suppressible ? version | VERSION_SUPPRESS_EOI : version);
  }

  /** Whether there is an LVT entry for corrected machine checks (MCG_CMCI_P). */
  public void setCorrectedMachineCheck(boolean has) {
    int entries = has ? LVT.length : LVT.length - 1;
    if (entries > lvtEntries) {
      page.set(LVT_CMCI, MASKED);
    }
    if (entries != lvtEntries) {
      lvtEntries = entries;
      setVersion();
    }
  }

  /** A corrected machine check. */
  public void signalCorrectedMachineCheck() {
    deliverLocal(LVT_CMCI);
  }

  // ---- identity and mode ----

  /** IA32_APIC_BASE. */
  public long base() {
    return base;
  }

  /**
   * A write of IA32_APIC_BASE whose reserved bits are 0.
   *
   * @param host whether user space writes, which need not keep to the transitions
   * @return false for #GP
   */
  public boolean setBase(long value, boolean host) {
    long modes = BASE_ENABLE | BASE_X2APIC;
    if ((value & modes) == BASE_X2APIC || ((value & BASE_X2APIC) != 0 && !x2apicAllowed)) {
      return false;
    }
    long before = base & modes;
    boolean down = before == modes && (value & modes) == BASE_ENABLE;
    boolean jump = before == 0 && (value & modes) == modes;
    if (!host && (down || jump)) {
      return false;
    }
    base = value;
    if ((value & BASE_ENABLE) != 0 && (before & BASE_ENABLE) == 0) {
      page.set(ID, id << 24);
    }
    if ((value & BASE_X2APIC) != 0 && (before & BASE_X2APIC) == 0) {
      page.set(ID, id);
      page.set(LOGICAL_DESTINATION, wideLogicalId());
    }
    bus.changed();
    return true;
  }

  private int wideLogicalId() {
    return id >> 4 << 16 | 1 << (id & 15);
  }

  /** Whether IA32_APIC_BASE enables it. */
  public boolean isPresent() {
    return (base & BASE_ENABLE) != 0;
  }

  /** Whether it is in x2APIC mode. */
  public boolean isWide() {
    return (base & BASE_X2APIC) != 0;
  }

  /** Whether it takes interrupts: IA32_APIC_BASE and its software enable it. */
  public boolean isEnabled() {
    return isPresent() && isSoftwareEnabled();
  }

  boolean isSoftwareEnabled() {
    return (page.get(SPURIOUS) & SOFTWARE_ENABLE) != 0;
  }

  /** The x2APIC ID, which never changes. */
  int wideId() {
    return id;
  }

  /** The xAPIC ID. */
  int narrowId() {
    return page.get(ID) >>> 24;
  }

  /** The logical ID: 8 bits in xAPIC mode. */
  int logicalId() {
    int ldr = page.get(LOGICAL_DESTINATION);
    return isWide() ? ldr : ldr >>> 24;
  }

  boolean isFlat() {
    return page.get(DESTINATION_FORMAT) == -1;
  }

  /** Whether a physical destination that is no broadcast is this one. */
  boolean isPhysically(int destination) {
    // An ID that 8 bits cannot tell is the x2APIC ID, whatever the mode.
    return isWide() || Integer.compareUnsigned(destination, 0xff) > 0
        ? destination == id
        : destination == narrowId();
  }

  /** Whether a logical destination that is no broadcast includes this one. */
  boolean isLogically(int destination) {
    int mine = logicalId();
    if (isWide()) {
      return mine >>> 16 == destination >>> 16 && (mine & destination & 0xffff) != 0;
    }
    if (isFlat()) {
      return (mine & destination) != 0;
    }
    return page.get(DESTINATION_FORMAT) == 0x0fffffff
        && mine >>> 4 == destination >>> 4
        && (mine & destination & 15) != 0;
  }

  // ---- interrupts that come ----

  /**
   * A message, or a local interrupt.
   *
   * @return whether it was taken
   */
  boolean accept(int mode, int vector, boolean level, boolean levelTriggered) {
    switch (mode) {
      case ApicMessage.FIXED, ApicMessage.LOWEST_PRIORITY -> {
        if ((levelTriggered && !level) || !isPresent() || !isSoftwareEnabled()) {
          return false;
        }
        if (vector < FIRST_VECTOR) {
          error(RECEIVE_ILLEGAL_VECTOR);
          return true;
        }
        if (levelTriggered) {
          page.add(TMR, vector);
        } else {
          page.remove(TMR, vector);
        }
        page.add(IRR, vector);
        requesting = true;
      }
      case ApicMessage.REMOTE_READ -> owner.unhalt();
      // There is no system-management mode.
      case ApicMessage.SMI -> {
        return true;
      }
      case ApicMessage.NMI -> owner.nmi();
      case ApicMessage.INIT -> {
        if (levelTriggered && !level) {
          return false;
        }
        initPending = true;
        startupPending = false;
      }
      case ApicMessage.STARTUP -> {
        startupVector = vector;
        startupPending = true;
      }
      // Interrupts of the PIC are asked for, not sent.
      default -> {
        return false;
      }
    }
    owner.wake();
    return true;
  }

  /** An edge-triggered interrupt for this processor alone. */
  public void raise(int vector) {
    accept(ApicMessage.FIXED, vector, true, false);
  }

  /** An interrupt of the local vector table; masked ones are lost. */
  private boolean deliverLocal(int register) {
    int entry = page.get(register);
    if (!isPresent() || (entry & MASKED) != 0) {
      return false;
    }
    int mode = entry >>> MODE_SHIFT & 7;
    return accept(mode, entry & 0xff, true, (entry & LEVEL_TRIGGERED) != 0);
  }

  /** A performance counter has overflowed; its entry is masked once an interrupt is delivered. */
  public void performanceInterrupt() {
    if (deliverLocal(LVT_PERFORMANCE)) {
      page.set(LVT_PERFORMANCE, page.get(LVT_PERFORMANCE) | MASKED);
    }
  }

  /** Remembers an error for ESR, and tells of it. */
  private void error(int bit) {
    errors |= bit;
    if ((page.get(LVT_ERROR) & 0xff) >= FIRST_VECTOR) {
      deliverLocal(LVT_ERROR);
    }
  }

  /** Whether LINT0 gives NMIs, as for the PIT to be a watchdog. */
  boolean isWatched() {
    return (page.get(LVT_LINT0) & (MASKED | 7 << MODE_SHIFT)) == ApicMessage.NMI << MODE_SHIFT;
  }

  void deliverLint0() {
    deliverLocal(LVT_LINT0);
  }

  /** Whether the processor takes the PIC's interrupts. */
  public boolean acceptsPic() {
    int lint0 = page.get(LVT_LINT0);
    return !isPresent() || (lint0 & (MASKED | 7 << MODE_SHIFT)) == ApicMessage.EXTINT << MODE_SHIFT;
  }

  /** Whether there may be an interrupt; no says that there is none. Needs no lock. */
  public boolean mayHaveInterrupt() {
    return requesting;
  }

  /** The vector of the interrupt that is due, {@link ApicPage#NONE} if none is. */
  public int pending() {
    if (!isPresent() || !requesting) {
      return NONE;
    }
    int vector = page.highest(IRR);
    return vector == NONE || (vector & 0xf0) <= updatePriority() ? NONE : vector;
  }

  /** The highest priority class that asks for an interrupt, due or not; -1 if none does. */
  public int requestedClass() {
    int vector = requesting ? page.highest(IRR) : NONE;
    return vector == NONE ? -1 : vector >> 4;
  }

  /** Takes the interrupt that is due: it is in service now. */
  public int acknowledge() {
    int vector = pending();
    if (vector != NONE) {
      page.remove(IRR, vector);
      requesting = page.highest(IRR) != NONE;
      page.add(ISR, vector);
      updatePriority();
    }
    return vector;
  }

  /** The end of the interrupt in service, if there is one. */
  public void end() {
    int vector = page.highest(ISR);
    if (vector == NONE) {
      return;
    }
    page.remove(ISR, vector);
    updatePriority();
    eoi.ended(this, vector, page.has(TMR, vector));
  }

  /**
   * Whether the guest may note in memory that it has ended its interrupt, instead of telling the
   * local APIC: nobody waits for the end, and nothing is to follow.
   */
  public boolean canEndLazily() {
    int vector = page.highest(ISR);
    return vector != NONE && !requesting && !eoi.wantsEnd(this, vector);
  }

  /** Whether an interrupt is pending or in service. */
  boolean isUnfinished(int vector) {
    return page.has(IRR, vector) || page.has(ISR, vector);
  }

  boolean suppressesEoi() {
    return (page.get(SPURIOUS) & SUPPRESS_EOI) != 0;
  }

  // ---- priorities ----

  private int updatePriority() {
    int tpr = page.get(TPR) & 0xff;
    int service = page.highest(ISR);
    int ppr = service == NONE || (tpr & 0xf0) >= (service & 0xf0) ? tpr : service & 0xf0;
    page.set(PPR, ppr);
    return ppr;
  }

  /** CR8: the task-priority class. */
  public int cr8() {
    return page.get(TPR) >>> 4 & 15;
  }

  public void setCr8(int value) {
    setTaskPriority(value << 4);
  }

  /** The task-priority register: 8 bits. */
  public int taskPriority() {
    return page.get(TPR) & 0xff;
  }

  public void setTaskPriority(int value) {
    page.set(TPR, value & 0xff);
    updatePriority();
  }

  /** TPR, the class in service and the highest request, as a virtual APIC page shows them. */
  public int summary() {
    int service = page.highest(ISR);
    int request = page.highest(IRR);
    return taskPriority()
        | (service == NONE ? 0 : service & 0xf0) << 8
        | (request == NONE ? 0 : request) << 24;
  }

  // ---- INIT and startup ----

  /** Whether an INIT or a startup interrupt has come. */
  public boolean hasStartEvents() {
    return initPending || startupPending;
  }

  /** Takes an INIT; false if none has come. */
  public boolean takeInit() {
    boolean was = initPending;
    initPending = false;
    return was;
  }

  /** Takes a startup interrupt: its vector, -1 if none has come. */
  public int takeStartup() {
    boolean was = startupPending;
    startupPending = false;
    return was ? startupVector : -1;
  }

  /** A startup interrupt as user space may restore it (KVM_MP_STATE_SIPI_RECEIVED). */
  public void restoreStartup() {
    startupPending = true;
  }

  /** The vector that a startup interrupt is to have, 0 to 255. */
  public void setStartupVector(int vector) {
    startupVector = vector & 0xff;
  }

  /** Whether an INIT is to be pending. */
  public void restoreInit(boolean pending) {
    initPending = pending;
  }

  /**
   * RESET, or INIT, which leaves IA32_APIC_BASE and the ID.
   *
   * @param boot whether it is the bootstrap processor's
   * @param lint0 whether a bootstrap processor starts with LINT0 as the PIC's input
   */
  public void reset(boolean init, boolean boot, boolean lint0) {
    if (!init) {
      base = DEFAULT_BASE | BASE_ENABLE | (boot ? BASE_BSP : 0);
      page.set(ID, id << 24);
    }
    setVersion();
    for (int i = 0; i < lvtEntries; i++) {
      page.set(LVT[i], MASKED);
    }
    if (boot && lint0) {
      page.set(LVT_LINT0, ApicMessage.EXTINT << MODE_SHIFT);
    }
    page.set(DESTINATION_FORMAT, -1);
    page.set(SPURIOUS, 0xff);
    page.set(TPR, 0);
    page.set(ERROR_STATUS, 0);
    errors = 0;
    if (isWide()) {
      page.setWideIcr(0);
    } else {
      page.set(LOGICAL_DESTINATION, 0);
      page.set(ICR, 0);
      page.set(ICR_HIGH, 0);
    }
    page.set(DIVIDE_CONFIGURATION, 0);
    page.set(INITIAL_COUNT, 0);
    page.clear(IRR);
    page.clear(ISR);
    page.clear(TMR);
    requesting = false;
    timer.reset();
    updatePriority();
    bus.changed();
  }

  // ---- registers ----

  private boolean readable(int register) {
    long mask = isWide() ? READABLE : READABLE | READABLE_NARROW;
    if (lvtEntries == LVT.length) {
      mask |= bits(LVT_CMCI);
    }
    return register < SIZE && (mask & 1L << (register >> 4)) != 0;
  }

  private int readRegister(int register) {
    switch (register) {
      case CURRENT_COUNT:
        return timer.currentCount();
      case PPR:
        return updatePriority();
      case TPR:
        owner.taskPriorityAccessed(false);
        return page.get(TPR);
      default:
        return page.get(register);
    }
  }

  /**
   * A read of the register page.
   *
   * @param offset in the page
   * @param size in bytes; what goes past the first four of a register gives 0
   */
  public long read(int offset, int size) {
    int register = offset & ~15;
    int part = offset & 15;
    if (!readable(register)) {
      error(ILLEGAL_REGISTER);
      return 0;
    }
    if (part + size > 4) {
      return 0;
    }
    long value = (readRegister(register) & 0xffffffffL) >>> part * 8;
    return value & (1L << size * 8) - 1;
  }

  /** A write of the register page; only aligned 32-bit ones have an effect. */
  public void write(int offset, int size, int value) {
    if (size == 4 && (offset & 15) == 0 && !writeRegister(offset, value)) {
      error(ILLEGAL_REGISTER);
    }
  }

  /**
   * RDMSR of x2APIC mode.
   *
   * @param msr from 0x800 on
   * @param out gets the value
   * @return false for #GP
   */
  public boolean readMsr(int msr, long[] out) {
    int register = (msr & 0xff) << 4;
    if (!isWide() || register == DESTINATION_FORMAT || !readable(register)) {
      return false;
    }
    out[0] = register == ICR ? page.wideIcr() : readRegister(register) & 0xffffffffL;
    return true;
  }

  /** WRMSR of x2APIC mode; false for #GP. */
  public boolean writeMsr(int msr, long value) {
    int register = (msr & 0xff) << 4;
    if (!isWide()) {
      return false;
    }
    if (register == ICR) {
      if ((value & WIDE_ICR_RESERVED) != 0) {
        return false;
      }
      long command = value & ~(long) ICR_BUSY;
      send((int) command, (int) (command >>> 32));
      page.setWideIcr(command);
      return true;
    }
    return value >>> 32 == 0 && writeRegister(register, (int) value);
  }

  /** Whether there is such a register, and it takes the value. */
  private boolean writeRegister(int register, int value) {
    boolean wide = isWide();
    switch (register) {
      case TPR -> {
        owner.taskPriorityAccessed(true);
        setTaskPriority(value);
      }
      case EOI -> end();
      case SPURIOUS -> setSpurious(value);
      case LVT_TIMER, LVT_THERMAL, LVT_PERFORMANCE, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_CMCI -> {
        return setLvt(register, value);
      }
      case INITIAL_COUNT -> timer.setInitialCount(value);
      case DIVIDE_CONFIGURATION -> {
        page.set(DIVIDE_CONFIGURATION, value & 0xb);
        timer.divideChanged();
      }
      case ERROR_STATUS -> {
        if (wide && value != 0) {
          return false;
        }
        page.set(ERROR_STATUS, errors);
        errors = 0;
      }
      case SELF_IPI -> {
        if (!wide || (value & ~0xff) != 0) {
          return false;
        }
        send(ApicMessage.SELF << 18 | value, 0);
      }
      default -> {
        return !wide && writeNarrowRegister(register, value);
      }
    }
    return true;
  }

  /** Registers that only xAPIC mode can write. */
  private boolean writeNarrowRegister(int register, int value) {
    switch (register) {
      case ID -> page.set(ID, value & 0xff000000);
      case LOGICAL_DESTINATION -> page.set(LOGICAL_DESTINATION, value & 0xff000000);
      case DESTINATION_FORMAT -> page.set(DESTINATION_FORMAT, value | 0x0fffffff);
      case ICR -> {
        page.set(ICR, value & ~ICR_BUSY);
        send(value & ~ICR_BUSY, page.get(ICR_HIGH) >>> 24);
        return true;
      }
      case ICR_HIGH -> {
        page.set(ICR_HIGH, value & 0xff000000);
        return true;
      }
      default -> {
        return false;
      }
    }
    bus.changed();
    return true;
  }

  private void setSpurious(int value) {
    boolean suppress = (page.get(VERSION) & VERSION_SUPPRESS_EOI) != 0;
    page.set(SPURIOUS, value & (suppress ? 0x3ff | SUPPRESS_EOI : 0x3ff));
    if ((value & SOFTWARE_ENABLE) == 0) {
      for (int i = 0; i < lvtEntries; i++) {
        page.set(LVT[i], page.get(LVT[i]) | MASKED);
      }
    }
    bus.changed();
  }

  private boolean setLvt(int register, int value) {
    int i = 0;
    while (LVT[i] != register) {
      i++;
    }
    if (i >= lvtEntries) {
      return false;
    }
    int bits = register == LVT_TIMER ? LVT_BITS[i] | timer.modeMask() : LVT_BITS[i];
    int kept = value & bits;
    page.set(register, isSoftwareEnabled() ? kept : kept | MASKED);
    if (register == LVT_TIMER) {
      timer.lvtChanged();
    }
    return true;
  }

  /**
   * Sends a fixed, edge-triggered interrupt to a physical destination; ICR stays as it is.
   *
   * @param destination in x2APIC mode all of it, in xAPIC mode bits 15:8
   */
  public void sendFixed(int destination, int vector) {
    send(vector, isWide() ? destination : destination >>> 8 & 0xff);
  }

  private void send(int command, int destination) {
    ApicMessage m = ApicMessage.command(command, destination);
    if (m.mode() <= ApicMessage.LOWEST_PRIORITY && m.vector() < FIRST_VECTOR) {
      error(SEND_ILLEGAL_VECTOR);
    }
    bus.deliver(this, m, null);
  }

  // ---- timer ----

  /** IA32_TSC_DEADLINE. */
  public long tscDeadline() {
    return isPresent() ? timer.tscDeadline() : 0;
  }

  public void setTscDeadline(long value) {
    if (isPresent()) {
      timer.setTscDeadline(value);
    }
  }

  /** The guest's time-stamp counter was set. */
  public void tscChanged() {
    timer.tscChanged();
  }

  // ---- struct kvm_lapic_state ----

  /** KVM_GET_LAPIC. */
  public void save(ByteBuffer b, int at) {
    page.save(b, at);
    b.putInt(at + CURRENT_COUNT, timer.currentCount());
    if (isWide()) {
      if (!bus.wideIds) {
        b.putInt(at + ID, id << 24);
      }
      b.putInt(at + ICR_HIGH, (int) (page.wideIcr() >>> 32));
    }
  }

  /**
   * KVM_SET_LAPIC.
   *
   * @return false if the ID is not this one's
   */
  public boolean load(ByteBuffer b, int at) {
    int given = b.getInt(at + ID);
    if (isWide() && bus.wideIds && given != id) {
      return false;
    }
    page.load(b, at);
    if (isWide()) {
      page.set(ID, bus.wideIds ? given : given >>> 24);
      page.set(LOGICAL_DESTINATION, wideLogicalId());
      page.setWideIcr((long) page.get(ICR_HIGH) << 32 | page.get(ICR) & 0xffffffffL);
    }
    setVersion();
    requesting = page.highest(IRR) != NONE;
    updatePriority();
    timer.restore();
    bus.changed();
    owner.wake();
    return true;
  }

  /** The processor is gone. */
  public void close() {
    timer.reset();
    bus.remove(this);
  }
}
